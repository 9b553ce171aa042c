"""Toloka's two APIs behind the flows' ports: which one it is, only this room and the edges know."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal

import structlog

from daemon.app.starting import patiently, refused
from daemon.edges import assignments_api
from daemon.edges.app_api import AppResults, AppSubmissions
from daemon.edges.endpoint import Endpoint
from daemon.edges.limits import ItemQuota, RequestLimiter
from daemon.edges.pools import Pool, pool
from daemon.edges.pools import probe_of as pool_probe
from daemon.edges.project import Project, probe_of, project
from daemon.edges.tasks_api import TasksSubmissions
from daemon.edges.tasks_bulk import Parameters
from daemon.edges.transport import Line, lines
from daemon.errors import ConfigurationError
from daemon.flows.batching import ENVELOPE_BYTES
from daemon.flows.items import ItemReader, Read, ReadAll
from daemon.flows.spec import InputSpec
from daemon.flows.tasks import PoolTerms, TaskReader, TaskSpec
from daemon.metrics import Metrics
from daemon.model import NotNow
from daemon.ports import Results, Submissions
from daemon.settings import Settings

# Statuses of a project or pool in which it takes nothing.
_CLOSED: Mapping[str, str] = {
    "ARCHIVED": "take it out of the archive, or name another",
    "ERROR": "Toloka could not make it: look at it there, or name another",
}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """One of the APIs; see `daemon.app.assembling.World` for what its parts do.

    Attributes:
        about: what was found at start, for people.
        closed: why nothing is taken in there, with the way out; None where all is well.
        item_price: what an item costs, in the account's currency; None where Toloka does not say.
    """

    submissions: Callable[[int], AbstractAsyncContextManager[Sequence[Submissions]]]
    results: Results
    read: Read
    read_all: ReadAll
    look_again: Callable[[], Awaitable[None]]
    share: Callable[[float, float], None]
    attempts_once: bool
    about: str
    closed: str | None = None
    item_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class _Limits:
    """How much of Toloka this replica uses, and for how long a request may go out."""

    requests: RequestLimiter
    quota: ItemQuota
    fresh_seconds: float

    @classmethod
    def of(cls, settings: Settings, endpoint: Endpoint, metrics: Metrics) -> "_Limits":
        toloka = settings.toloka
        per_minute, per_day = toloka.items_per_minute, toloka.items_per_day
        return cls(
            RequestLimiter(toloka.requests_per_second, metrics),
            ItemQuota(per_minute, per_day, endpoint.toloka_clock, metrics),
            min(settings.submit.request_timeout_seconds, settings.kafka.session_timeout_seconds),
        )

    def share(self, of_requests: float, of_items: float) -> None:
        """See `daemon.app.assembling.World.share`."""
        self.requests.share(of_requests)
        self.quota.share(of_items)


async def open_service(
    settings: Settings, endpoint: Endpoint, metrics: Metrics, stack: AsyncExitStack
) -> Service:
    """Connect to the API that the settings name; what is opened is closed with the stack.

    Raises:
        StartError: Toloka is away, refuses the credential, or does not know the project or pool.
    """
    opening = _app if settings.toloka.api == "app" else _tasks
    return await opening(settings, endpoint, metrics, stack)


async def _app(settings: Settings, endpoint: Endpoint, metrics: Metrics, stack: AsyncExitStack) -> Service:
    limits, clock = _Limits.of(settings, endpoint, metrics), endpoint.toloka_clock
    submit, project_id = settings.submit, settings.toloka.target_id
    line = await stack.enter_async_context(Line(endpoint, probe_of(project_id)))
    about = await _project(settings, line, endpoint)
    log.info("project_found", project=about.id, status=about.status, app=about.app_id)
    reader = ItemReader(InputSpec(about.input_spec), submit.item_pointer, submit.max_bytes - ENVELOPE_BYTES)

    async def look_again() -> None:
        try:
            async with Line(endpoint, probe_of(project_id)) as own:
                found = await project(own, project_id, clock)
        except ConfigurationError as error:
            log.warning("look_failed", detail=str(error))
            return
        if not isinstance(found, NotNow):
            reader.follow(InputSpec(found.input_spec))

    @asynccontextmanager
    async def submissions(count: int) -> AsyncIterator[Sequence[AppSubmissions]]:
        with limits.quota.part() as part:
            async with lines(endpoint, probe_of(project_id), count) as own:
                yield [
                    AppSubmissions(
                        each,
                        project_id,
                        limits.requests,
                        part,
                        clock,
                        force_new_original=submit.force_new_original,
                        fresh_seconds=limits.fresh_seconds,
                    )
                    for each in own
                ]

    return Service(
        submissions,
        AppResults(line, project_id, limits.requests, clock),
        reader.read,
        reader.read_all,
        look_again,
        limits.share,
        attempts_once=False,
        about=f"project {about.id} is {about.status}; {about.shape}",
        closed=_CLOSED.get(about.status),
        item_price=about.item_price,
    )


async def _project(settings: Settings, line: Line, endpoint: Endpoint) -> Project:
    project_id = settings.toloka.target_id

    async def ask() -> Project:
        found = await project(line, project_id, endpoint.toloka_clock)
        if isinstance(found, NotNow):
            raise refused(found, "TOLOKAD_TOLOKA__PROJECT_ID", f"the project {project_id}")
        return found

    return await patiently(ask, _way_out(settings))


async def _tasks(settings: Settings, endpoint: Endpoint, metrics: Metrics, stack: AsyncExitStack) -> Service:
    limits, clock = _Limits.of(settings, endpoint, metrics), endpoint.toloka_clock
    submit, tasks, pool_id = settings.submit, settings.tasks, settings.toloka.target_id
    pool_ids = tuple(dict.fromkeys((pool_id, *tasks.pool_ids)))
    line = await stack.enter_async_context(Line(endpoint, pool_probe(pool_id)))
    pools = [await _pool(settings, line, each, endpoint) for each in pool_ids]
    for each in pools:
        log.info("pool_found", pool=each.id, status=each.status)
    spec = TaskSpec(pool_id, _terms(pools), allow_defaults=tasks.allow_defaults)
    reader = TaskReader(ItemReader(spec, submit.item_pointer, submit.max_bytes - ENVELOPE_BYTES), spec)

    async def look_again() -> None:
        try:
            async with Line(endpoint, pool_probe(pool_id)) as own:
                found = [await pool(own, each, clock) for each in pool_ids]
        except ConfigurationError as error:
            log.warning("look_failed", detail=str(error))
            return
        known = [each for each in found if isinstance(each, Pool)]
        if len(known) == len(pool_ids):
            reader.follow(TaskSpec(pool_id, _terms(known), allow_defaults=tasks.allow_defaults))

    @asynccontextmanager
    async def submissions(count: int) -> AsyncIterator[Sequence[TasksSubmissions]]:
        parameters = Parameters(tasks.allow_defaults, tasks.skip_invalid_items, tasks.open_pool)
        with limits.quota.part() as part:
            async with lines(endpoint, pool_probe(pool_id), count) as own:
                yield [
                    TasksSubmissions(
                        each,
                        {pool.id: pool.dynamic for pool in pools},
                        parameters,
                        limits.requests,
                        part,
                        endpoint.clock,
                        clock,
                        limits.fresh_seconds,
                    )
                    for each in own
                ]

    return Service(
        submissions,
        assignments_api.Results(line, pool_ids, tasks.assignment_statuses, limits.requests, clock),
        reader.read,
        reader.read_all,
        look_again,
        limits.share,
        attempts_once=tasks.async_mode,
        about=", ".join(f"pool {each.id} is {each.status}" for each in pools),
        closed=next((_CLOSED[each.status] for each in pools if each.status in _CLOSED), None),
    )


def _terms(pools: list[Pool]) -> Mapping[str, PoolTerms]:
    return {each.id: PoolTerms(each.default_overlap, each.dynamic) for each in pools}


async def _pool(settings: Settings, line: Line, pool_id: str, endpoint: Endpoint) -> Pool:
    further = pool_id != settings.toloka.target_id
    variable = "TOLOKAD_TASKS__POOL_IDS" if further else "TOLOKAD_TOLOKA__POOL_ID"

    async def ask() -> Pool:
        found = await pool(line, pool_id, endpoint.toloka_clock)
        if isinstance(found, NotNow):
            raise refused(found, variable, f"the pool {pool_id}")
        return found

    return await patiently(ask, _way_out(settings))


def _way_out(settings: Settings) -> str:
    return f"TOLOKAD_TOLOKA__URL: is {settings.toloka.url} right, and reachable from here?"
