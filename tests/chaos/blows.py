"""How each kind of blow is struck, and how all of them are healed."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from tests.chaos.schedule import Blow
from tests.chaos.stage import Stage
from tests.kafka import proxy as kafka_proxy
from tests.proxy import Proxy, Toxics
from tests.system.processes import Replica

BLACK_HOLE: Final = Toxics(hang=True)
SLOW: Final = Toxics(latency_seconds=0.3, jitter_seconds=0.2)
TORN: Final = Toxics(limit_bytes=3000, limit_resets=True)
# A start that found Kafka or Toloka away for 30 s, or was refused by a Toloka that has been told to.
GIVES_UP: Final = frozenset({69, 77})
# A blow may hold up so many requests of its kind.
HELD_REQUESTS: Final = 3


class Blows:
    """Strikes one stage; two blows on the same thing wait for each other.

    Attributes:
        struck: how often each kind was struck.
        failures: what a replica did that it should not have done.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.struck: Counter[str] = Counter()
        self.failures: list[str] = []
        self._ways: Mapping[str, Callable[[Blow], Awaitable[None]]] = {
            "replica_killed": self._kill,
            "replica_frozen": self._freeze,
            "replica_frozen_for_long": self._freeze,
            "replica_stopped": self._stop,
            "broker_killed": self._kill_broker,
            "broker_restarted": self._restart_broker,
            "broker_frozen": self._freeze_broker,
            "toloka_frozen": self._freeze_toloka,
        }

    async def strike(self, blow: Blow) -> None:
        """Strike, and return when the blow is over and what it struck goes on."""
        thing, _, how = blow.kind.partition("_")
        name = f"replica {blow.replica}" if thing == "replica" else "kafka" if thing == "broker" else thing
        async with self._locks[name]:
            if (way := self._ways.get(blow.kind)) is not None:
                await way(blow)
            elif how == "held":
                await self._hold(getattr(kafka_proxy, HOLDS[thing]), blow.seconds)
            else:
                proxy = self._stage.broker.proxy if thing == "kafka" else self._stage.toloka
                await self._disturb(proxy, how, blow.seconds)
        self.struck[blow.kind] += 1

    def _replica(self, blow: Blow) -> Replica:
        self.revive(blow.replica)
        return self._stage.deployment.replicas[blow.replica]

    def revive(self, number: int) -> None:
        """Start a replica again that has ended by itself, as its orchestrator would: a start may give up."""
        replica = self._stage.deployment.replicas[number]
        if replica.running:
            return
        if replica.code in GIVES_UP:
            self.struck[f"(replica gave up at start: {replica.code})"] += 1
        else:
            self.failures.append(f"replica {number} ended by itself with {replica.code}")
        replica.start()

    @asynccontextmanager
    async def reviving(self) -> AsyncIterator[None]:
        """For as long as the block lasts, start again what has ended by itself."""
        task = asyncio.create_task(self._revive_all())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _revive_all(self) -> None:
        while True:
            for number in range(len(self._stage.deployment.replicas)):
                self.revive(number)
            await asyncio.sleep(1)

    async def _kill(self, blow: Blow) -> None:
        replica = self._replica(blow)
        replica.kill()
        await asyncio.sleep(blow.seconds)
        replica.start()

    async def _freeze(self, blow: Blow) -> None:
        replica = self._replica(blow)
        replica.freeze()
        await asyncio.sleep(blow.seconds)
        replica.thaw()

    async def _stop(self, blow: Blow) -> None:
        replica = self._replica(blow)
        code = await replica.stopped()
        # A process that has only just begun to start has no way of its own yet to take a signal; 143
        # is a drain whose deadline was over, as it may be while faults go on.
        if code not in {0, 143, -15}:
            self.failures.append(f"replica {blow.replica} ended with {code} when it was asked to stop")
        await asyncio.sleep(blow.seconds)
        replica.start()

    async def _kill_broker(self, blow: Blow) -> None:
        kafka = self._stage.broker.kafka
        await asyncio.to_thread(kafka.kill)
        await asyncio.sleep(blow.seconds)
        await asyncio.to_thread(kafka.start)

    async def _restart_broker(self, _blow: Blow) -> None:
        await asyncio.to_thread(self._stage.broker.kafka.restart)

    async def _freeze_broker(self, blow: Blow) -> None:
        kafka = self._stage.broker.kafka
        await asyncio.to_thread(kafka.pause)
        await asyncio.sleep(blow.seconds)
        kafka.resume()

    async def _freeze_toloka(self, blow: Blow) -> None:
        simulator = self._stage.deployment.simulator
        simulator.freeze()
        await asyncio.sleep(blow.seconds)
        simulator.thaw()

    async def _hold(self, api_key: int, seconds: float) -> None:
        hold = self._stage.broker.proxy.hold(api_key, seconds, HELD_REQUESTS)
        await asyncio.sleep(seconds)
        hold.release()

    async def _disturb(self, proxy: Proxy, how: str, seconds: float) -> None:
        if how == "reset":
            proxy.reset()
            return
        if how == "cut":
            await proxy.down()
        elif how == "black_hole":
            proxy.set(upstream=BLACK_HOLE, downstream=BLACK_HOLE)
        else:
            toxics = {"slow": SLOW, "torn": TORN}[how]
            proxy.set(upstream=toxics, downstream=toxics)
        await asyncio.sleep(seconds)
        proxy.heal()
        await proxy.up()


HOLDS: Final[Mapping[str, str]] = {
    "commit": "END_TXN",
    "offsets": "TXN_OFFSET_COMMIT",
    "coordinator": "FIND_COORDINATOR",
    "heartbeat": "HEARTBEAT",
}
