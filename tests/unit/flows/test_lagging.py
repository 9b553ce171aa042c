"""How far behind the owned partitions are."""

import asyncio
from collections.abc import Mapping

from daemon.errors import Transient
from daemon.flows.lagging import EVERY_SECONDS, Lag
from daemon.metrics import Metrics
from daemon.model import Committed
from tests.doubles import GROUP, INPUT, MemoryKafka, in_virtual_time


class Measured:
    """A lag of partitions that a test chooses, each with ten records."""

    def __init__(self) -> None:
        self.kafka = MemoryKafka.usual(partitions=3)
        for partition in range(3):
            for _ in range(10):
                self.kafka.put(INPUT, b"{}", partition)
        self.ours = frozenset({0, 1})
        self.metrics = Metrics()
        self.stopping = asyncio.Event()
        self.lag = Lag(self.kafka, GROUP, INPUT, lambda: self.ours, self.metrics)

    def commit(self, partition: int, offset: int) -> None:
        """What the group has committed."""
        self.kafka.offsets[GROUP, INPUT, partition] = Committed(offset, "")

    def shown(self) -> dict[str, float]:
        """The series of the metric."""
        (family,) = self.metrics.input_lag_records.collect()
        return {sample.labels["partition"]: sample.value for sample in family.samples}


async def measured(ours: Measured, seconds: float) -> None:
    """Let it measure for so long."""
    running = asyncio.ensure_future(ours.lag.run(ours.stopping))
    await asyncio.sleep(seconds)
    ours.stopping.set()
    await running


@in_virtual_time
async def test_what_is_not_settled_is_behind() -> None:
    """Without an offset, all that the log still holds; never less than nothing."""
    ours = Measured()
    ours.commit(0, 7)
    ours.kafka.starts[INPUT, 1] = 4
    await measured(ours, 0)
    assert ours.shown() == {"0": 3, "1": 6}
    assert ours.lag.records == {0: 3, 1: 6}


@in_virtual_time
async def test_a_partition_that_is_somebody_elses_is_shown_no_longer() -> None:
    """Its owner shows it."""
    ours = Measured()
    asyncio.get_running_loop().call_later(1, setattr, ours, "ours", frozenset({1, 2}))
    await measured(ours, EVERY_SECONDS + 1)
    assert ours.shown() == {"1": 10, "2": 10}
    ours.ours = frozenset()
    ours.stopping.clear()
    await measured(ours, 0)
    assert (ours.shown(), ours.lag.records) == ({}, {})


@in_virtual_time
async def test_what_cannot_be_measured_is_measured_next_time() -> None:
    """A Kafka that does not answer ends nothing."""
    ours = Measured()
    usual, failures = ours.kafka.end_offsets, [Transient("no answer")]

    async def failing(topic: str) -> Mapping[int, int]:
        if failures:
            raise failures.pop()
        return await usual(topic)

    ours.kafka.end_offsets = failing  # type: ignore[method-assign]  # on purpose
    await measured(ours, EVERY_SECONDS + 1)
    assert ours.shown() == {"0": 10, "1": 10}
