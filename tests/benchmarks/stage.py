"""What every measurement is given: a broker, topics full of items, a folder; and what it hands back."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks import feeding
from tests.kafka.topics import Topics

PARTITIONS = 4
COMPACTED = {"cleanup.policy": "compact", "delete.retention.ms": "604800000"}


@dataclass(frozen=True, slots=True)
class Row:
    """What one run came to: its figures by name, the unit in each name."""

    measurement: str
    job: str
    program: str
    figures: Mapping[str, float]

    def line(self) -> dict[str, Any]:
        """As a line of JSON."""
        places = {"measurement": self.measurement, "job": self.job, "program": self.program}
        return {**places, **{name: round(value, 4) for name, value in self.figures.items()}}


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a measurement takes place.

    Attributes:
        broker: the brokers' address.
        folder: for logs and figures.
        small: the share of what would be measured that is, up to 1.
    """

    broker: str
    folder: Path
    small: float = 1.0
    _fed: dict[str, int] = field(default_factory=dict)

    def count(self, items: int) -> int:
        """So many items, or the share of them that is measured here; whole thousands."""
        return max(round(items * self.small / 1000), 1) * 1000

    def seconds(self, whole: float) -> float:
        """So long, or the share of it; five seconds at least."""
        return max(whole * self.small, 5.0)

    async def topic(self, kind: str, items: int, partitions: int = PARTITIONS) -> str:
        """A topic of so many items at least, filled once; see `feeding.values`."""
        name = f"{kind}-{partitions}"
        if self._fed.get(name, -1) < items:
            if name in self._fed:
                name = f"{name}-{items}"
            await self.new_topic(name, partitions)
            await feeding.feed(self.broker, name, items, kind, partitions)
            self._fed[f"{kind}-{partitions}"] = self._fed[name] = items
        return name

    async def new_topic(self, name: str, partitions: int = PARTITIONS, *, compacted: bool = False) -> None:
        """An empty topic."""
        await Topics(self.broker).create(name, partitions=partitions, configs=COMPACTED if compacted else {})

    async def new_group(self) -> str:
        """A group that no run had before, with the topics that it writes to."""
        group = f"bench-{time.time_ns()}"
        for name in ("results", "dead"):
            await self.new_topic(f"{group}.{name}")
        await self.new_topic(f"{group}.ledger", compacted=True)
        await self.new_topic(f"{group}.cursors", 1, compacted=True)
        return group


Measure = Callable[[Stage], AsyncIterator[Row]]


def settings(stage: Stage, topic: str, url: str, group: str, **others: str) -> dict[str, str]:
    """What tolokad is told; `others` are settings by their name less `TOLOKAD_`."""
    given = {
        "KAFKA__BOOTSTRAP_SERVERS": stage.broker,
        "KAFKA__GROUP_ID": group,
        "KAFKA__INPUT_TOPIC": topic,
        "KAFKA__OUTPUT_TOPIC": f"{group}.results",
        "KAFKA__DEAD_LETTER_TOPIC": f"{group}.dead",
        "TOLOKA__URL": url,
        "TOLOKA__PROJECT_ID": "P",
        "TOLOKA__TOKEN": "bench",
        "TOLOKA__REQUESTS_PER_SECOND": "100000",
        "TOLOKA__ITEMS_PER_MINUTE": "1000000000",
        "TOLOKA__ITEMS_PER_DAY": "1000000000",
        "LOG__LEVEL": "WARNING",
    } | others
    return {f"TOLOKAD_{name}": value for name, value in given.items()}


def plain_settings(stage: Stage, topic: str, url: str, group: str, count: int) -> dict[str, str]:
    """What a reference is told."""
    base = f"{url}/api/app/v0/app-projects/P/items"
    plain = {"BROKER": stage.broker, "TOPIC": topic, "GROUP": group, "COUNT": str(count), "URL": base}
    return {**plain, "OUTPUT": f"{group}.results"}
