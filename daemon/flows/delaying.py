"""Open transactions that keep readers from the ends of our topics: seen, timed, and shown."""

import asyncio
from collections.abc import Mapping

import structlog

from daemon.errors import Held, Transient
from daemon.flows.waiting import pause
from daemon.metrics import Metrics
from daemon.ports import Kafka

EVERY_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Delays:
    """Watches how long each topic's readers have stood before the same open transaction.

    A transaction takes milliseconds; one that stays open, of ours or of anybody else who writes there, stops
    every `read_committed` reader of its partition. Topics are named by what they are for: the metric's label.
    """

    def __init__(self, kafka: Kafka, topics: Mapping[str, str], metrics: Metrics) -> None:
        self._kafka = kafka
        self._topics = topics
        self._metrics = metrics
        self._since: dict[tuple[str, int], tuple[int, float]] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Watch until the event is set; what cannot be seen now is looked at next time."""
        while not stopping.is_set():
            for use, topic in self._topics.items():
                try:
                    self._metrics.held_up_seconds.labels(use).set(await self._longest(topic))
                except (Held, Transient) as failure:
                    log.warning("delay_unknown", topic=topic, detail=str(failure))
            await pause(EVERY_SECONDS, stopping)

    async def _longest(self, topic: str) -> float:
        # In this order, so that what ends in between does not count as open.
        ends = await self._kafka.end_offsets(topic)
        stable = await self._kafka.stable_offsets(topic)
        now = asyncio.get_running_loop().time()
        before = {p: self._since.pop((topic, p), (-1, now)) for p in ends}
        for partition, end in ends.items():
            if (offset := stable.get(partition, end)) < end:
                stood, since = before[partition]
                self._since[topic, partition] = (offset, since if stood == offset else now)
        waits = [now - since for (name, _), (_, since) in self._since.items() if name == topic]
        return max(waits, default=0.0)
