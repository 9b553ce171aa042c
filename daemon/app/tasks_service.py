"""The tasks API behind the flows' ports: tasks of some pools, and workers' assignments."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from daemon.app.service import CLOSED, Limits, Service, way_out
from daemon.app.starting import patiently, refused
from daemon.edges.toloka.assignments_api import TasksResults
from daemon.edges.toloka.endpoint import Endpoint
from daemon.edges.toloka.pools import Pool, pool, probe_of
from daemon.edges.toloka.tasks_api import TasksSubmissions
from daemon.edges.toloka.tasks_bulk import Parameters
from daemon.edges.toloka.transport import Line, lines
from daemon.errors import ConfigurationError
from daemon.flows.batches.batching import ENVELOPE_BYTES
from daemon.flows.records.items import ItemReader
from daemon.flows.records.tasks import PoolTerms, TaskReader, TaskSpec
from daemon.metrics import Metrics
from daemon.model import NotNow
from daemon.settings import Settings

log = structlog.get_logger(__name__)


async def open_tasks(
    settings: Settings, endpoint: Endpoint, metrics: Metrics, stack: AsyncExitStack
) -> Service:
    """Connect to the tasks API; what is opened is closed with the stack.

    Raises:
        StartError: Toloka is away, refuses the credential, or does not know a pool.
    """
    limits, clock = Limits.of(settings, endpoint, metrics), endpoint.toloka_clock
    submit, tasks, pool_id = settings.submit, settings.tasks, settings.toloka.target_id
    pool_ids = tuple(dict.fromkeys((pool_id, *tasks.pool_ids)))
    line = await stack.enter_async_context(Line(endpoint, probe_of(pool_id)))
    pools = [await _pool(settings, line, each, endpoint) for each in pool_ids]
    # A first cursor that is ahead of time would show nothing until then.
    await line.agree_on_time()
    for each in pools:
        log.info("pool_found", pool=each.id, status=each.status)
    spec = TaskSpec(pool_id, _terms(pools), allow_defaults=tasks.allow_defaults)
    reader = TaskReader(ItemReader(spec, submit.item_pointer, submit.max_bytes - ENVELOPE_BYTES), spec)

    async def look_again() -> None:
        try:
            async with Line(endpoint, probe_of(pool_id)) as own:
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
            async with lines(endpoint, probe_of(pool_id), count) as own:
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
        TasksResults(line, pool_ids, tasks.assignment_statuses, limits.requests, clock),
        reader,
        look_again,
        limits.share,
        attempts_once=tasks.async_mode,
        about=", ".join(f"pool {each.id} is {each.status}" for each in pools),
        closed=next((CLOSED[each.status] for each in pools if each.status in CLOSED), None),
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

    return await patiently(ask, way_out(settings))
