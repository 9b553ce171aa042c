"""The real world behind the ports: Kafka and Toloka, connected and seen to be in order."""

import os
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from random import SystemRandom

import structlog

from daemon.app.app_service import open_app
from daemon.app.assembling import World
from daemon.app.service import Service
from daemon.app.starting import cursor_is_ours, insist_on_a_price, patiently, permissions, topics_in_order
from daemon.app.tasks_service import open_tasks
from daemon.edges.kafka import membership
from daemon.edges.kafka.cluster import KafkaCluster
from daemon.edges.kafka.topics import Topic
from daemon.edges.toloka.clocks import DateClock, SystemClock
from daemon.edges.toloka.endpoint import Endpoint
from daemon.flows.holding import Holds
from daemon.metrics import Metrics
from daemon.settings import Settings

log = structlog.get_logger(__name__)


async def open_world(
    settings: Settings, metrics: Metrics, holds: Holds, stack: AsyncExitStack, mask: Callable[[str], None]
) -> World:
    """Connect to everything; what is opened is closed with the stack.

    `mask` hears each credential that is used, so that no log shows it.

    Raises:
        StartError: something is missing, refused or away; the message says what and the way out.
    """
    cluster, topics = await connect_kafka(settings, metrics, stack)
    endpoint = connect_toloka(settings, metrics, mask)
    service = await open_service(settings, endpoint, metrics, stack)
    insist_on_a_price(settings, service.item_price)
    return World(
        kafka=cluster,
        join=lambda group, topic: membership.membership(settings.kafka, cluster.client_id, group, topic),
        service=service,
        partitions={name: topic.partitions for name, topic in topics.items()},
        max_result_bytes=topics[settings.kafka.output_topic].max_message_bytes,
        input_retention_seconds=topics[settings.kafka.input_topic].retention_seconds,
        clock=endpoint.clock,
        toloka_clock=endpoint.toloka_clock,
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
    cluster = await reach_kafka(settings, metrics, stack)
    topics = await topics_in_order(cluster, kafka, create=kafka.create_topics, budget=settings.budget.limited)
    for topic in topics.values():
        cluster.batch_bytes.learn(topic.name, topic.max_message_bytes)
    await permissions(cluster, kafka, budget=settings.budget.limited)
    await cursor_is_ours(cluster, settings)
    return cluster, topics


async def reach_kafka(settings: Settings, metrics: Metrics, stack: AsyncExitStack) -> KafkaCluster:
    """A cluster that answers.

    Raises:
        StartError: it is away, or refuses us.
    """
    kafka = settings.kafka

    async def connect() -> KafkaCluster:
        return await KafkaCluster(kafka, _client_id(), metrics).__aenter__()

    where = f"TOLOKAD_KAFKA__BOOTSTRAP_SERVERS: is {', '.join(kafka.bootstrap_servers)} right, and Kafka up?"
    cluster = await patiently(connect, where)
    stack.push_async_exit(cluster)
    return cluster


def _client_id() -> str:
    """Begins with the start time: a group's members are sorted by it, so the oldest replica collects."""
    return f"tolokad-{int(time.time() * 1000):013d}-{platform.node()}-{os.getpid()}"


def connect_toloka(settings: Settings, metrics: Metrics, mask: Callable[[str], None]) -> Endpoint:
    """Where Toloka is, and as whom it is spoken to; nothing is asked yet.

    `mask` hears each credential that is used, so that no log shows it.

    Raises:
        ConfigurationError: the file of further authorities cannot be used.
    """
    clock = SystemClock()

    def authorization() -> str:
        """The credential as it is now: its file may have been rotated."""
        mask(settings.toloka.read_token())
        return settings.toloka.authorization()

    return replace(
        Endpoint.of(settings.toloka, clock, DateClock(clock), metrics), authorization=authorization
    )


async def open_service(
    settings: Settings, endpoint: Endpoint, metrics: Metrics, stack: AsyncExitStack
) -> Service:
    """Connect to the API that the settings name; what is opened is closed with the stack.

    Raises:
        StartError: Toloka is away, refuses the credential, or does not know the project or pool.
    """
    opening = open_app if settings.toloka.api == "app" else open_tasks
    return await opening(settings, endpoint, metrics, stack)
