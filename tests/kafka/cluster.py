"""Three real brokers, each a controller too: what one of them is wrong about, the other two know."""

import asyncio
import struct
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Self

from tests.kafka.broker import QUICK_JAVA_OPTIONS, EmbeddedKafka, new_cluster_id
from tests.kafka.properties import CONTROLLER
from tests.kafka.proxy import KafkaProxy

NODES: Final = (1, 2, 3)
_JAVA_OPTIONS: Final = (*QUICK_JAVA_OPTIONS, "-Xmx256m")
_COPIED: Final = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    # A frozen broker is out of the set that a write waits for when its session is over.
    "replica.lag.time.max.ms": "2000",
}
# Size, API key, version, correlation id, and how long the name of the sender is.
_SENDER: Final = struct.Struct(">ihhih")


class _Door(KafkaProxy):
    """Where the others, and itself, come to a node's controller.

    Attributes:
        shut_to: the nodes whose requests are kept here, as in a network that drops them.
    """

    shut_to: Collection[int] = ()

    async def gate(self, unit: bytes) -> None:
        """Keep what comes from those; in a request's header its sender is named, such as `raft-client-1`."""
        if len(unit) > _SENDER.size:
            *_, length = _SENDER.unpack_from(unit)
            sender = unit[_SENDER.size :][:length].decode()
            if int(sender.rpartition("-")[2]) in self.shut_to:
                await asyncio.Event().wait()


def _nodes() -> list[EmbeddedKafka]:
    cluster_id = new_cluster_id()
    return [EmbeddedKafka(cluster_id=cluster_id, java_options=_JAVA_OPTIONS) for _ in NODES]


@dataclass(eq=False)
class EmbeddedCluster:
    """`async with EmbeddedCluster() as cluster:`; dies with this process, as each of its brokers does.

    What controllers have to say to each other passes through the event loop: never hold it up for a second.

    Attributes:
        nodes: its brokers; the first has the id 1.
    """

    nodes: list[EmbeddedKafka] = field(default_factory=_nodes)
    _doors: list[_Door] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Tell each broker where the controllers are."""
        self._doors = [_Door("127.0.0.1", node.controller_port) for node in self.nodes]
        voters = ",".join(f"{n}@{door.address}" for n, door in zip(NODES, self._doors, strict=True))
        for number, node, door in zip(NODES, self.nodes, self._doors, strict=True):
            advertised = (
                f"{node.listeners.properties()['advertised.listeners']},{CONTROLLER}://{door.address}"
            )
            node.properties = {
                **_COPIED,
                "node.id": str(number),
                "controller.quorum.voters": voters,
                # They tell each other where they are.
                "advertised.listeners": advertised,
            }

    @property
    def bootstrap_servers(self) -> str:
        """Where clients find all of them."""
        return ",".join(node.bootstrap_servers for node in self.nodes)

    def node(self, number: int) -> EmbeddedKafka:
        """The broker with this id."""
        return self.nodes[NODES.index(number)]

    def start(self) -> Self:
        """Start all of them at once, for none is ready without another.

        Raises:
            KafkaUnavailableError: one did not come up.
        """
        _at_once(node.start for node in self.nodes)
        return self

    def close(self) -> None:
        """Kill what runs and remove the folders."""
        _at_once(node.close for node in self.nodes)

    def cut_off(self, number: int) -> None:
        """Part one broker from the others: clients reach it, and it hears of nothing any more."""
        for other, door in zip(NODES, self._doors, strict=True):
            door.shut_to = {*NODES} - {number} if other == number else {number}

    async def __aenter__(self) -> Self:
        for door in self._doors:
            await door.up()
        try:
            return await asyncio.to_thread(self.start)
        except BaseException:
            await self.__aexit__()
            raise

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)
        for door in self._doors:
            await door.down()


def _at_once(acts: Iterable[Callable[[], object]]) -> None:
    with ThreadPoolExecutor(len(NODES)) as threads:
        for done in [threads.submit(partial(act)) for act in acts]:
            done.result()
