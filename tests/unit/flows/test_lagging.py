"""How far behind the owned partitions are."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import timedelta

import pytest

from daemon.errors import Transient
from daemon.flows.lagging import EVERY_SECONDS, Lag
from daemon.flows.records import codec
from daemon.metrics import Metrics
from daemon.model import Committed, Intent
from tests.doubles import GROUP, INPUT, START, FakeTime, MemoryKafka, in_virtual_time


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
        self.time = FakeTime()
        self.lag = self.watch(None)

    def watch(self, retention_seconds: float | None) -> Lag:
        """A lag of a topic that keeps records for so long."""
        clock = self.time
        kafka, ours, metrics = self.kafka, lambda: self.ours, self.metrics
        return Lag(kafka, GROUP, INPUT, retention_seconds, ours, clock, clock, metrics)

    def commit(self, partition: int, offset: int, metadata: str = "") -> None:
        """What the group has committed."""
        self.kafka.offsets[GROUP, INPUT, partition] = Committed(offset, metadata)

    def shown(self, name: str = "input_lag_records") -> dict[str, float]:
        """The series of a metric."""
        (family,) = getattr(self.metrics, name).collect()
        return {sample.labels["partition"]: sample.value for sample in family.samples}

    def oldest_intent_seconds(self) -> float:
        """The age that is shown."""
        (family,) = self.metrics.oldest_intent_seconds.collect()
        return float(family.samples[0].value)


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
@pytest.mark.parametrize(("settled", "seen"), [(10, True), (9, False)])
async def test_no_work_is_success(settled: int, *, seen: bool) -> None:
    """An alert on "nothing was settled for ten minutes" must not count the hours in which nothing came."""
    ours = Measured()
    ours.commit(0, 10)
    ours.commit(1, settled)
    await measured(ours, 0)
    shown = ours.metrics.last_success_timestamp_seconds.labels("submit")._value.get()
    assert (shown > 0) is seen


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

    async def failing(topic: str, partitions: Collection[int] = ()) -> Mapping[int, int]:
        if failures:
            raise failures.pop()
        return await usual(topic, partitions)

    ours.kafka.end_offsets = failing  # type: ignore[method-assign]  # on purpose
    await measured(ours, EVERY_SECONDS + 1)
    assert ours.shown() == {"0": 10, "1": 10}


def announced(seconds_ago: float) -> str:
    """Metadata of an intent whose range was first announced so long before START."""
    since = START - timedelta(seconds=seconds_ago)
    return codec.intent_metadata(Intent("a-1", 9, since, START))


@in_virtual_time
async def test_the_oldest_intent_is_the_one_first_announced() -> None:
    """By its first attempt, whatever was tried since; of owned partitions only, and none is 0."""
    ours = Measured()
    ours.commit(0, 7, announced(30))
    ours.commit(1, 7, announced(400))
    ours.commit(2, 7, announced(9000))
    await measured(ours, 0)
    assert round(ours.oldest_intent_seconds()) == 400
    ours.commit(1, 7, "unreadable")
    ours.commit(0, 9)
    ours.stopping.clear()
    await measured(ours, 0)
    assert ours.oldest_intent_seconds() == 0


@in_virtual_time
async def test_records_near_the_end_of_their_retention_are_told() -> None:
    """Those beyond three quarters of it that are not settled; what is settled may go."""
    ours = Measured()
    ours.commit(0, 4)
    ours.lag = ours.watch(retention_seconds=100)
    ours.time.moved = 76
    for _ in range(5):
        ours.kafka.put(INPUT, b"{}", 0, timestamp=int((START.timestamp() + 76) * 1000))
    await measured(ours, 0)
    assert ours.shown("input_expiring_records") == {"0": 6, "1": 10}
    ours.commit(0, 12)
    ours.stopping.clear()
    await measured(ours, 0)
    assert ours.shown("input_expiring_records") == {"0": 0, "1": 10}


@in_virtual_time
async def test_a_topic_that_keeps_everything_loses_nothing() -> None:
    """Without a known retention no record is about to go, however old."""
    ours = Measured()
    ours.time.moved = 1e9
    await measured(ours, 0)
    assert ours.shown("input_expiring_records") == {"0": 0, "1": 0}
