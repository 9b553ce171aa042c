"""One replica of the daemon: its own process, clock and connections, in front of the shared world."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import httpx

from daemon.app.assembling import World, assemble
from daemon.app.service import Service
from daemon.app.starting import patiently
from daemon.app.world import open_service
from daemon.edges.toloka.app_api import AppResults, AppSubmissions
from daemon.edges.toloka.clocks import DateClock
from daemon.edges.toloka.endpoint import Endpoint, tls_context
from daemon.edges.toloka.limits import ItemQuota, RequestLimiter
from daemon.edges.toloka.project import probe_of
from daemon.edges.toloka.transport import Line, lines
from daemon.flows.batches.batching import ENVELOPE_BYTES
from daemon.flows.holding import Holds
from daemon.flows.records.items import ItemReader
from daemon.flows.records.spec import InputSpec
from daemon.metrics import Metrics
from daemon.ports import Kafka, Membership
from tests.simulation.loop import VirtualLoop
from tests.simulation.scenario import EPOCH_SECONDS, Scenario
from tests.simulation.wire import Net, SimClient

public_authorities = cache(lambda: tls_context(None))


class ReplicaClock:
    """See `daemon.ports.Clock`; `wall_offset` is how far the machine's own clock is off."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.wall_offset = 0.0

    def elapsed(self) -> float:
        """See `daemon.ports.Clock.elapsed`."""
        return self._loop.now

    def wall(self) -> float:
        """See `daemon.ports.Clock.wall`."""
        return EPOCH_SECONDS + self._loop.now + self.wall_offset


@dataclass(frozen=True)
class SimEndpoint(Endpoint):
    """An endpoint whose connections go over the simulated network."""

    net: Net

    def client(self) -> httpx.AsyncClient:
        """See `Endpoint.client`."""
        return SimClient(self.net)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a replica is put into."""

    loop: VirtualLoop
    scenario: Scenario
    net: Net
    kafka: Callable[[], Kafka]
    join: Callable[[str, str], AbstractAsyncContextManager[Membership]]


@dataclass(frozen=True, slots=True)
class Life:
    """What is outside can see and touch of a replica's life."""

    clock: ReplicaClock
    stopping: asyncio.Event
    holds: Holds
    rng: Random


async def live(around: Surroundings, life: Life, metrics: Metrics) -> None:
    """Be a replica until told to stop; composed as `daemon.app` composes it."""
    settings, scenario = around.scenario.settings, around.scenario
    toloka_clock = DateClock(life.clock)
    endpoint = SimEndpoint(
        url=settings.toloka.url,
        authorization=settings.toloka.authorization,
        account_id=None,
        tls=public_authorities(),
        proxy=None,
        clock=life.clock,
        toloka_clock=toloka_clock,
        metrics=metrics,
        net=around.net,
    )
    if settings.toloka.api == "tasks":
        async with AsyncExitStack() as stack:
            service = await open_service(settings, endpoint, metrics, stack)
            await _run(settings, _world(around, life, endpoint, service), life.stopping)
        return
    project_id = settings.toloka.project_id
    assert project_id is not None
    spec = InputSpec(scenario.world.projects[project_id].app.input_spec)
    reader = ItemReader(spec, None, settings.submit.max_bytes - ENVELOPE_BYTES)
    requests = RequestLimiter(settings.toloka.requests_per_second, metrics)
    quota = ItemQuota(settings.toloka.items_per_minute, settings.toloka.items_per_day, toloka_clock, metrics)

    @asynccontextmanager
    async def submissions(count: int) -> AsyncIterator[Sequence[AppSubmissions]]:
        fresh_seconds = min(settings.submit.request_timeout_seconds, settings.kafka.session_timeout_seconds)
        with quota.part() as part:
            async with lines(endpoint, probe_of(project_id), count) as own:
                yield [
                    AppSubmissions(
                        each,
                        project_id,
                        requests,
                        part,
                        toloka_clock,
                        force_new_original=settings.submit.force_new_original,
                        fresh_seconds=fresh_seconds,
                    )
                    for each in own
                ]

    def share(of_requests: float, of_items: float) -> None:
        requests.share(of_requests)
        quota.share(of_items)

    async with Line(endpoint, probe_of(project_id)) as line:
        # Toloka's clock must have been heard before anything goes by it; a real start asks for the project.
        await patiently(line.warm, "Toloka")
        results = AppResults(line, project_id, requests, toloka_clock)
        service = Service(submissions, results, reader, _content, share, attempts_once=False, about="")
        await _run(settings, _world(around, life, endpoint, service), life.stopping)


def _world(around: Surroundings, life: Life, endpoint: Endpoint, service: Service) -> World:
    return World(
        kafka=around.kafka(),
        join=around.join,
        service=service,
        partitions=dict(around.scenario.partitions),
        max_result_bytes=around.scenario.max_result_bytes,
        input_retention_seconds=None,
        clock=life.clock,
        toloka_clock=endpoint.toloka_clock,
        metrics=endpoint.metrics,
        holds=life.holds,
        rng=life.rng,
    )


async def _content() -> None:
    """The app's input never changes here."""


async def _run(settings: Any, world: World, stopping: asyncio.Event) -> None:
    flows = assemble(settings, world)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(flows.pausing.run(stopping))
        for flow in (flows.submit, flows.collect, flows.budget):
            if flow is not None:
                tasks.create_task(flow.run(stopping))
