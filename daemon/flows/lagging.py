"""How far behind this replica's partitions are."""

import asyncio
from collections.abc import Callable

import structlog

from daemon.errors import Held, Transient
from daemon.flows.waiting import pause
from daemon.metrics import Metrics
from daemon.ports import Kafka

EVERY_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Lag:
    """Measures, every few seconds, what of the owned partitions is not settled."""

    def __init__(
        self, kafka: Kafka, group: str, topic: str, ours: Callable[[], frozenset[int]], metrics: Metrics
    ) -> None:
        self._kafka = kafka
        self._group = group
        self._topic = topic
        self._ours = ours
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
            self._metrics.input_lag_records.remove(str(partition))
        self._shown = self._shown & ours
        if not ours:
            self.records = {}
            return
        ends = await self._kafka.end_offsets(self._topic)
        starts = await self._kafka.start_offsets(self._topic)
        committed = await self._kafka.committed(self._group, self._topic, sorted(ours))
        self.records = {p: max(ends[p] - max(committed[p].offset, starts[p]), 0) for p in sorted(ours)}
        for partition, records in self.records.items():
            self._metrics.input_lag_records.labels(str(partition)).set(records)
        self._shown = ours
