"""The App API's two sides over a line to any server, with limits that do not limit unless asked to."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from daemon.content import content_hash
from daemon.edges.toloka.app_api import AppResults, AppSubmissions
from daemon.edges.toloka.endpoint import Endpoint
from daemon.edges.toloka.limits import ItemQuota, RequestLimiter
from daemon.edges.toloka.project import probe_of
from daemon.edges.toloka.transport import Line
from daemon.metrics import Metrics
from daemon.model import Deadline, Intent, Item, Outcome, Record
from tests.simulator.faults import Fault
from tests.simulator.knobs import OAUTH_TOKEN
from tests.simulator.serving import Simulator
from tests.simulator.world import MODERATION_PROJECT
from tests.unit.edges.toloka.wire import FakeClock, endpoint

PROJECT = MODERATION_PROJECT
EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)
LATEST = datetime(2099, 1, 1, tzinfo=UTC)
INTENT = Intent("6f9b3c1e-2d4a-4f60-9b1a-0c5d8e7f1234", 1, EARLIEST, EARLIEST)


@dataclass(frozen=True)
class App:
    """Both sides of the API, and what they are made of."""

    submissions: AppSubmissions
    results: AppResults
    line: Line
    endpoint: Endpoint
    quota: ItemQuota
    requests: RequestLimiter
    clock: FakeClock

    @property
    def metrics(self) -> Metrics:
        """Where requests are counted."""
        return self.endpoint.metrics

    def deadline(self, seconds: float = 20.0) -> Deadline:
        """Of an attempt that begins now."""
        return Deadline(self.clock.elapsed(), self.clock.wall(), seconds)

    async def submit(self, items: Sequence[Item], seconds: float = 20.0) -> Outcome:
        """Submit as a way does."""
        assert await self.submissions.ready(len(items)) is None
        return await self.submissions.submit(items, INTENT, self.deadline(seconds))


@asynccontextmanager
async def app(
    url: str,
    *,
    per_minute: int = 10**6,
    requests_per_second: float = 10**4,
    project_id: str = PROJECT,
    force_new_original: bool = False,
) -> AsyncIterator[App]:
    """The API at a URL; both sides share one line."""
    clock = FakeClock()
    where = endpoint(url, clock=clock, authorization=lambda: f"OAuth {OAUTH_TOKEN}")
    requests = RequestLimiter(requests_per_second, where.metrics)
    quota = ItemQuota(per_minute, 10**9, where.toloka_clock, where.metrics)
    with quota.part() as part:
        async with Line(where, probe_of(project_id)) as line:
            submissions = AppSubmissions(
                line,
                project_id,
                requests,
                part,
                where.toloka_clock,
                force_new_original=force_new_original,
                fresh_seconds=20.0,
            )
            results = AppResults(line, project_id, requests, where.toloka_clock)
            yield App(submissions, results, line, where, quota, requests, clock)


def items(*texts: str) -> list[Item]:
    """Items of the moderation app."""
    return [_item({"text": text}) for text in texts]


def _item(members: dict[str, str]) -> Item:
    return Item(cast("Record", None), msgspec.json.encode(members), content_hash(members))


def fault(toloka: Simulator, kind: Any, *operations: str, **options: Any) -> None:
    """Have something go wrong with each of these requests from now on."""
    toloka.faults.replace([Fault(kind, operations, **options)])
