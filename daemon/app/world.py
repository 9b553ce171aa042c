"""The real world behind the ports: Kafka and Toloka, connected and seen to be in order."""

import os
import platform
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from random import SystemRandom

import structlog

from daemon.app.assembling import World
from daemon.app.starting import insist_supported, patiently, permissions, refused, topics_in_order
from daemon.edges import membership
from daemon.edges.app_api import AppResults, AppSubmissions
from daemon.edges.clocks import DateClock, SystemClock
from daemon.edges.endpoint import Endpoint
from daemon.edges.kafka import KafkaCluster
from daemon.edges.limits import ItemQuota, RequestLimiter
from daemon.edges.project import Project, probe_of, project
from daemon.edges.topics import Topic
from daemon.edges.transport import Line
from daemon.errors import ConfigurationError
from daemon.flows.batching import ENVELOPE_BYTES
from daemon.flows.holding import Holds
from daemon.flows.items import ItemReader
from daemon.flows.spec import InputSpec
from daemon.metrics import Metrics
from daemon.model import NotNow
from daemon.settings import Settings

log = structlog.get_logger(__name__)


async def open_world(
    settings: Settings, metrics: Metrics, holds: Holds, stack: AsyncExitStack, mask: Callable[[str], None]
) -> World:
    """Connect to everything; what is opened is closed with the stack.

    Args:
        settings: of the whole program.
        metrics: counts.
        holds: shows what waits.
        stack: closes what was opened.
        mask: hears each credential that is used, so that no log shows it.

    Raises:
        StartError: something is missing, refused or away; the message says what and the way out.
    """
    insist_supported(settings)
    cluster, topics = await connect_kafka(settings, metrics, stack)
    toloka, about = await connect_toloka(settings, metrics, stack, mask)
    log.info("project_found", project=about.id, status=about.status, app=about.app_id)
    submit = settings.submit
    reader = ItemReader(InputSpec(about.input_spec), submit.item_pointer, submit.max_bytes - ENVELOPE_BYTES)
    quota = ItemQuota(
        settings.toloka.items_per_minute, settings.toloka.items_per_day, toloka.toloka_clock, metrics
    )
    requests = RequestLimiter(settings.toloka.requests_per_second, metrics)
    line = await stack.enter_async_context(Line(toloka, probe_of(about.id)))

    async def look_again() -> None:
        try:
            async with Line(toloka, probe_of(about.id)) as own:
                found = await project(own, about.id, toloka.toloka_clock)
        except ConfigurationError as error:
            log.warning("look_failed", detail=str(error))
            return
        if not isinstance(found, NotNow):
            reader.follow(InputSpec(found.input_spec))

    @asynccontextmanager
    async def submissions() -> AsyncIterator[AppSubmissions]:
        async with Line(toloka, probe_of(about.id)) as own:
            yield AppSubmissions(
                own,
                about.id,
                requests,
                quota,
                toloka.toloka_clock,
                force_new_original=submit.force_new_original,
                fresh_seconds=min(submit.request_timeout_seconds, settings.kafka.session_timeout_seconds),
            )

    def share(of_requests: float, of_items: float) -> None:
        requests.share(of_requests)
        quota.share(of_items)

    return World(
        kafka=cluster,
        join=lambda group, topic: membership.membership(settings.kafka, cluster.client_id, group, topic),
        submissions=submissions,
        results=AppResults(line, about.id, requests, toloka.toloka_clock),
        read=reader.read,
        look_again=look_again,
        share=share,
        attempts_once=False,
        partitions={name: topic.partitions for name, topic in topics.items()},
        max_result_bytes=topics[settings.kafka.output_topic].max_message_bytes,
        input_retention_seconds=topics[settings.kafka.input_topic].retention_seconds,
        clock=toloka.clock,
        toloka_clock=toloka.toloka_clock,
        metrics=metrics,
        holds=holds,
        rng=SystemRandom(),
    )


async def connect_kafka(
    settings: Settings, metrics: Metrics, stack: AsyncExitStack
) -> tuple[KafkaCluster, Mapping[str, Topic]]:
    """A cluster whose topics and permissions are in order.

    Raises:
        StartError: it is away, refuses us, or its topics do not fit.
    """
    kafka = settings.kafka

    async def connect() -> KafkaCluster:
        return await KafkaCluster(kafka, _client_id(), metrics).__aenter__()

    where = f"TOLOKAD_KAFKA__BOOTSTRAP_SERVERS: is {', '.join(kafka.bootstrap_servers)} right, and Kafka up?"
    cluster = await patiently(connect, where)
    stack.push_async_exit(cluster)
    topics = await topics_in_order(cluster, kafka, create=kafka.create_topics)
    await permissions(cluster, kafka)
    return cluster, topics


def _client_id() -> str:
    """Begins with the start time: a group's members are sorted by it, so the oldest replica collects."""
    return f"tolokad-{int(time.time() * 1000):013d}-{platform.node()}-{os.getpid()}"


async def connect_toloka(
    settings: Settings, metrics: Metrics, stack: AsyncExitStack, mask: Callable[[str], None]
) -> tuple[Endpoint, Project]:
    """Toloka, with the project that the settings name.

    Raises:
        StartError: it is away, refuses the credential, or does not know the project.
    """
    clock = SystemClock()

    def authorization() -> str:
        """The credential as it is now: its file may have been rotated."""
        mask(settings.toloka.read_token())
        return settings.toloka.authorization()

    plain = Endpoint.of(settings.toloka, clock, DateClock(clock), metrics)
    endpoint = replace(plain, authorization=authorization)
    project_id = settings.toloka.project_id
    if project_id is None:
        raise ConfigurationError("TOLOKAD_TOLOKA__PROJECT_ID: is required")
    line = await stack.enter_async_context(Line(endpoint, probe_of(project_id)))

    async def ask() -> Project:
        found = await project(line, project_id, endpoint.toloka_clock)
        if isinstance(found, NotNow):
            raise refused(found, project_id)
        return found

    way_out = f"TOLOKAD_TOLOKA__URL: is {settings.toloka.url} right, and reachable from here?"
    return endpoint, await patiently(ask, way_out)
