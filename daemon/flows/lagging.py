"""How far behind this replica's partitions are, and what is about to be lost because of it."""

import asyncio
from collections.abc import Callable, Mapping

import structlog

from daemon.errors import Held, Transient
from daemon.flows.records import codec
from daemon.flows.waiting import pause
from daemon.metrics import Metrics
from daemon.model import Committed
from daemon.ports import Clock, Kafka, TolokaClock

EVERY_SECONDS = 5.0
# Records that have reached this share of the topic's retention are about to be deleted.
EXPIRING_SHARE = 0.75

log = structlog.get_logger(__name__)


class Lag:
    """Measures, every few seconds, how much of the owned partitions is not settled.

    `retention_seconds` is None where records are kept for ever, or Kafka does not say. The age of records
    goes by our clock, that of intents by Toloka's.
    """

    def __init__(
        self,
        kafka: Kafka,
        group: str,
        topic: str,
        retention_seconds: float | None,
        ours: Callable[[], frozenset[int]],
        clock: Clock,
        toloka_clock: TolokaClock,
        metrics: Metrics,
    ) -> None:
        self._kafka = kafka
        self._group = group
        self._topic = topic
        self._retention_seconds = retention_seconds
        self._ours = ours
        self._clock = clock
        self._toloka_clock = toloka_clock
        self._metrics = metrics
        self._shown: frozenset[int] = frozenset()
        self.records: dict[int, int] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Measure until the event is set; what cannot be measured now is measured next time."""
        while not stopping.is_set():
            try:
                await self._measure()
            except (Held, Transient) as failure:
                log.warning("lag_unknown", detail=str(failure))
            await pause(EVERY_SECONDS, stopping)

    async def _measure(self) -> None:
        ours = self._ours()
        for partition in self._shown - ours:
            for metric in (self._metrics.input_lag_records, self._metrics.input_expiring_records):
                metric.remove(str(partition))
        self._shown = self._shown & ours
        if not ours:
            self.records = {}
            self._metrics.oldest_intent_seconds.set(0)
            return
        ends = await self._kafka.end_offsets(self._topic, ours)
        starts = await self._kafka.start_offsets(self._topic, ours)
        committed = await self._kafka.committed(self._group, self._topic, sorted(ours))
        old = starts if self._retention_seconds is None else await self._old(self._retention_seconds)
        settled = {p: max(committed[p].offset, starts[p]) for p in sorted(ours)}
        self.records = {p: max(ends[p] - offset, 0) for p, offset in settled.items()}
        for partition, records in self.records.items():
            expiring = min(max(old.get(partition, 0) - settled[partition], 0), records)
            self._metrics.input_lag_records.labels(str(partition)).set(records)
            self._metrics.input_expiring_records.labels(str(partition)).set(expiring)
        now = self._toloka_clock.now().timestamp()
        ages = (_age(found, now) for found in committed.values())
        self._metrics.oldest_intent_seconds.set(max(ages, default=0.0))
        if not any(self.records.values()):
            # After hours without work the first record is no sign that nothing has got on for hours.
            self._metrics.last_success_timestamp_seconds.labels("submit").set_to_current_time()
        self._shown = ours

    async def _old(self, retention_seconds: float) -> Mapping[int, int]:
        """Up to which offset the records of each partition are about to be deleted."""
        since = self._clock.wall() - EXPIRING_SHARE * retention_seconds
        return await self._kafka.offsets_at(self._topic, max(int(since * 1000), 0))


def _age(found: Committed, now: float) -> float:
    """Seconds since a range was first announced; 0 where no intent stands."""
    try:
        intent = codec.read_intent(found.metadata)
    except codec.UnreadableError:
        # The partition's own way holds for it, and says so.
        return 0.0
    return 0.0 if intent is None else max(now - intent.since.timestamp(), 0.0)
