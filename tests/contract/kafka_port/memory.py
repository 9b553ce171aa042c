"""The in-memory cluster as a bench."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from random import Random

from daemon.model import Append, OffsetCommit
from daemon.ports import Kafka, Membership
from tests.contract.kafka_port.bench import Check
from tests.simulation.broker import Cluster, SimKafka
from tests.simulation.broker.member import SimMembership, sim_membership
from tests.simulation.loop import VirtualLoop
from tests.simulation.scenario import EPOCH_SECONDS

SESSION_SECONDS = 6.0


class MemoryBench:
    """See `tests.contract.kafka_port.bench.Bench`."""

    def __init__(self, loop: VirtualLoop) -> None:
        now_ms = lambda: int((EPOCH_SECONDS + loop.time()) * 1000)  # noqa: E731 - a clock, no more
        self._cluster = Cluster(loop, Random(0), now_ms)
        self._names = 0

    @property
    def kafka(self) -> Kafka:
        """See `Bench`."""
        return SimKafka(self._cluster)

    async def topic(self, partitions: int = 1) -> str:
        """See `Bench`."""
        name = self.group()
        self._cluster.add_topic(name, partitions)
        return name

    def group(self) -> str:
        """See `Bench`."""
        self._names += 1
        return f"name-{self._names}"

    async def produce(self, topic: str, partition: int, *values: bytes) -> None:
        """See `Bench`."""
        for value in values:
            self._cluster.log((topic, partition)).append(
                Append(topic, partition, None, value), self._cluster.now_ms()
            )

    async def leave_open(
        self, transactional_id: str, appends: Sequence[Append], offset: OffsetCommit | None = None
    ) -> None:
        """See `Bench`."""
        name, server, call = transactional_id, self._cluster.transactions, self._cluster.call
        epoch = await call("init", lambda: server.init(name))
        for each in appends:
            place = (each.topic, each.partition)
            await call("produce", partial(server.produce, name, epoch, {place: [each]}))
        if offset is not None:
            await call("add_offset", lambda: server.add_offset(name, epoch, offset))

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """See `Bench`."""
        self._cluster.log((topic, partition)).delete_before(offset)

    def join(self, group: str, topic: str, client_id: str) -> AbstractAsyncContextManager[Membership]:
        """See `Bench`."""
        return sim_membership(self._cluster, client_id, group, topic, SESSION_SECONDS)

    async def put_out(self, group: str, membership: Membership) -> None:
        """See `Bench`."""
        assert isinstance(membership, SimMembership)
        self._cluster.groups.leave(group, membership.name)


def run(check: Check) -> None:
    """Run a test on the in-memory cluster, in virtual time."""
    loop = VirtualLoop(Random(0))
    try:
        loop.run_until_complete(check(MemoryBench(loop)))
    finally:
        loop.close()
