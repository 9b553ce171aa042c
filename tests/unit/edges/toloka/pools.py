"""The tasks API's two sides over a line to any server, with limits that do not limit unless asked to."""

import itertools
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from daemon.edges.toloka.assignments_api import TasksResults
from daemon.edges.toloka.clocks import SystemClock
from daemon.edges.toloka.limits import ItemQuota, RequestLimiter
from daemon.edges.toloka.pools import probe_of
from daemon.edges.toloka.tasks_api import TasksSubmissions
from daemon.edges.toloka.tasks_bulk import Parameters
from daemon.edges.toloka.transport import Line
from daemon.flows.records.items import ItemReader
from daemon.flows.records.tasks import PoolTerms, TaskReader, TaskSpec
from daemon.metrics import Metrics
from daemon.model import Deadline, Intent, Item, Outcome
from tests.doubles import FakeRecord
from tests.simulator.knobs import OAUTH_TOKEN
from tests.simulator.pools import TASKS_POOL
from tests.unit.edges.toloka.apps import EARLIEST
from tests.unit.edges.toloka.wire import endpoint

FIRST = 40


@dataclass(frozen=True)
class Here:
    """Both sides of the API, and what they are made of."""

    submissions: TasksSubmissions
    results: TasksResults
    quota: ItemQuota
    metrics: Metrics
    clock: SystemClock

    async def submit(self, items: Sequence[Item], intent: Intent, seconds: float = 20.0) -> Outcome:
        """Submit as a way does."""
        assert await self.submissions.ready(len(items)) is None
        deadline = Deadline(self.clock.elapsed(), self.clock.wall(), seconds)
        return await self.submissions.submit(items, intent, deadline)


@asynccontextmanager
async def tasks_api(
    url: str,
    *,
    per_minute: int = 10**6,
    pools: Sequence[str] = (TASKS_POOL,),
    statuses: Sequence[str] = ("SUBMITTED", "ACCEPTED"),
    skip_invalid_items: bool = True,
    allow_defaults: bool = False,
    open_pool: bool = False,
) -> AsyncIterator[Here]:
    """The API at a URL; both sides share one line."""
    clock = SystemClock()
    where = endpoint(url, clock=clock, authorization=lambda: f"OAuth {OAUTH_TOKEN}")
    requests = RequestLimiter(10**4, where.metrics)
    quota = ItemQuota(per_minute, 10**9, where.toloka_clock, where.metrics)
    parameters = Parameters(allow_defaults, skip_invalid_items, open_pool)
    with quota.part() as part:
        async with Line(where, probe_of(pools[0])) as line:
            submissions = TasksSubmissions(
                line,
                dict.fromkeys(pools, False),
                parameters,
                requests,
                part,
                clock,
                where.toloka_clock,
                20.0,
            )
            results = TasksResults(line, pools, statuses, requests, where.toloka_clock)
            yield Here(submissions, results, quota, where.metrics, clock)


def attempt(*, once: bool = True) -> Intent:
    """A new attempt; its batch begins at FIRST."""
    return Intent(str(uuid.uuid4()), FIRST + 100, EARLIEST, EARLIEST, once, FIRST)


def reader(**pools: PoolTerms) -> TaskReader:
    """Reads tasks that may go to the usual pool, or to these."""
    terms = {TASKS_POOL: PoolTerms(), **pools}
    spec = TaskSpec(TASKS_POOL, terms, allow_defaults=bool(pools))
    return TaskReader(ItemReader(spec, None, 1_000_000), spec)


def tasks(*texts: str | None, **members: Any) -> list[Item]:
    """Tasks as they are read from a partition, FIRST being the first; without text one is invalid."""
    offsets = itertools.count(FIRST)
    read = reader().read
    found = [
        read(FakeRecord(offset, msgspec.json.encode(body)), "tasks-0")
        for offset, body in zip(offsets, (_body(text, members) for text in texts), strict=False)
    ]
    assert all(isinstance(item, Item) for item in found), found
    return [item for item in found if isinstance(item, Item)]


def _body(text: str | None, members: dict[str, Any]) -> dict[str, Any]:
    return {"input_values": {} if text is None else {"text": text}, "overlap": 1, **members}
