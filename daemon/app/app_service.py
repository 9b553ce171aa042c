"""The App API behind the flows' ports: items of one project."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from daemon.app.service import CLOSED, Limits, Service, way_out
from daemon.app.starting import patiently, refused
from daemon.edges.toloka.app_api import AppResults, AppSubmissions
from daemon.edges.toloka.endpoint import Endpoint
from daemon.edges.toloka.project import Project, probe_of, project
from daemon.edges.toloka.transport import Line, lines
from daemon.errors import ConfigurationError
from daemon.flows.batches.batching import ENVELOPE_BYTES
from daemon.flows.records.items import ItemReader
from daemon.flows.records.spec import InputSpec
from daemon.metrics import Metrics
from daemon.model import NotNow
from daemon.settings import Settings

log = structlog.get_logger(__name__)


async def open_app(
    settings: Settings, endpoint: Endpoint, metrics: Metrics, stack: AsyncExitStack
) -> Service:
    """Connect to the App API; what is opened is closed with the stack.

    Raises:
        StartError: Toloka is away, refuses the credential, or does not know the project.
    """
    limits, clock = Limits.of(settings, endpoint, metrics), endpoint.toloka_clock
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
        reader,
        look_again,
        limits.share,
        attempts_once=False,
        about=f"project {about.id} is {about.status}; {about.shape}",
        closed=CLOSED.get(about.status),
        item_price=about.item_price,
    )


async def _project(settings: Settings, line: Line, endpoint: Endpoint) -> Project:
    project_id = settings.toloka.target_id

    async def ask() -> Project:
        found = await project(line, project_id, endpoint.toloka_clock)
        if isinstance(found, NotNow):
            raise refused(found, "TOLOKAD_TOLOKA__PROJECT_ID", f"the project {project_id}")
        return found

    return await patiently(ask, way_out(settings))
