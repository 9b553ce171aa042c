"""Open transactions that keep readers from the end of a topic."""

import asyncio
from collections.abc import Collection, Mapping

from daemon.errors import Transient
from daemon.flows.delaying import EVERY_SECONDS, Delays
from daemon.metrics import Metrics
from tests.doubles import INPUT, LEDGER, MemoryKafka, in_virtual_time


class Watched:
    """A watch on two topics whose transactions a test leaves open."""

    def __init__(self) -> None:
        self.kafka = MemoryKafka.usual(partitions=2)
        for topic in (INPUT, LEDGER):
            for partition in range(2):
                for _ in range(10):
                    self.kafka.put(topic, b"{}", partition)
        self.metrics = Metrics()
        self.delays = Delays(self.kafka, {"input": INPUT, "ledger": LEDGER}, self.metrics)
        self.stopping = asyncio.Event()

    def shown(self, use: str) -> float:
        """Seconds, as the metric says."""
        (family,) = self.metrics.held_up_seconds.collect()
        return {sample.labels["topic"]: sample.value for sample in family.samples}[use]

    async def during(self, looks: int) -> None:
        """Watch for so many looks."""
        self.stopping.clear()
        running = asyncio.ensure_future(self.delays.run(self.stopping))
        await asyncio.sleep(EVERY_SECONDS * (looks - 1) + 0.1)
        self.stopping.set()
        await running


@in_virtual_time
async def test_a_transaction_that_stays_open_is_timed() -> None:
    """From the look that saw it first; a topic without one shows 0, as does this one when it has ended."""
    watched = Watched()
    watched.kafka.stable[INPUT, 1] = 4
    await watched.during(looks=4)
    assert (watched.shown("input"), watched.shown("ledger")) == (3 * EVERY_SECONDS, 0)
    del watched.kafka.stable[INPUT, 1]
    await watched.during(looks=1)
    assert watched.shown("input") == 0


@in_virtual_time
async def test_one_open_transaction_after_the_other_is_no_delay() -> None:
    """A busy topic has one at nearly every look; readers get on all the same."""
    watched = Watched()
    loop = asyncio.get_running_loop()
    for look in range(6):
        loop.call_later(EVERY_SECONDS * look - 0.01, watched.kafka.stable.__setitem__, (LEDGER, 0), look)
    await watched.during(looks=6)
    assert watched.shown("ledger") == 0


@in_virtual_time
async def test_what_cannot_be_seen_is_looked_at_next_time() -> None:
    """A Kafka that does not answer ends nothing, and one topic's trouble is not another's."""
    watched = Watched()
    usual, failures = watched.kafka.end_offsets, [Transient("no answer")]

    async def failing(topic: str, partitions: Collection[int] = ()) -> Mapping[int, int]:
        if failures and topic == INPUT:
            raise failures.pop()
        return await usual(topic, partitions)

    watched.kafka.end_offsets = failing  # type: ignore[method-assign]  # on purpose
    for topic in (INPUT, LEDGER):
        watched.kafka.stable[topic, 0] = 2
    await watched.during(looks=3)
    assert watched.shown("input") == EVERY_SECONDS
    assert watched.shown("ledger") == 2 * EVERY_SECONDS
