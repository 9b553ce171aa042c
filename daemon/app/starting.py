"""Seeing that everything outside is there and fits, before anything is read or sent."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import TypeVar

import structlog

from daemon.app import demands
from daemon.edges.kafka.cluster import KafkaCluster
from daemon.edges.kafka.topics import Topic
from daemon.errors import (
    ConfigurationError,
    Held,
    NotPermittedAtStart,
    StartError,
    Transient,
    UnavailableAtStart,
)
from daemon.flows.collector.cursors import read_cursor
from daemon.model import NotNow
from daemon.settings import KafkaSettings, Settings

# A service that stays away for so long at start ends it; the orchestrator starts us again.
START_SECONDS = 30.0
ASK_AGAIN_SECONDS = 0.5
ACLS = "the table is in deploy/kafka-acls.md"

T = TypeVar("T")
log = structlog.get_logger(__name__)


def insist_on_a_price(settings: Settings, price: Decimal | None) -> None:
    """Refuse a limit in money where nobody says what an item costs: it would guard nothing.

    Raises:
        ConfigurationError: naming each such limit.
    """
    budget = settings.budget
    limits = {"MONEY_PER_DAY": budget.money_per_day, "MONEY_TOTAL": budget.money_total}
    problems = [
        f"TOLOKAD_BUDGET__{name}: Toloka does not say what an item costs: limit the items instead"
        for name, limit in limits.items()
        if limit is not None and not price
    ]
    if problems:
        raise ConfigurationError(*problems)


async def patiently(ask: Callable[[], Awaitable[T]], way_out: str) -> T:
    """Ask until there is an answer, for as long as a start waits.

    Raises:
        StartError: it was refused (see `start_error`), or stayed away; `way_out` says what to look at.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + START_SECONDS
    told = ""
    while True:
        try:
            async with asyncio.timeout_at(end):
                return await ask()
        except Held as held:
            raise start_error(held, way_out) from held
        except (Transient, TimeoutError) as failure:
            if loop.time() + ASK_AGAIN_SECONDS >= end:
                raise UnavailableAtStart(f"{str(failure) or 'no answer in time'}. {way_out}") from failure
            # Twice a second, and mostly the same.
            if told != (told := str(failure)):
                log.info("waiting_for_start", detail=told)
            await asyncio.sleep(ASK_AGAIN_SECONDS)


def start_error(held: Held, way_out: str = "") -> StartError:
    """What a start, or a command, ends with in the place of a hold that a flow would wait in."""
    detail = f"{held.detail}. {way_out}" if way_out else held.detail
    if held.reason in {"not_permitted", "unauthorized", "forbidden"}:
        return NotPermittedAtStart(detail)
    if held.reason in {"listing_failed", "unreachable", "throttled"}:
        return UnavailableAtStart(detail)
    return ConfigurationError(detail)


async def topics_in_order(
    cluster: KafkaCluster, kafka: KafkaSettings, *, create: bool, budget: bool = False
) -> dict[str, Topic]:
    """The topics, as the flows need them.

    Raises:
        ConfigurationError: a topic is missing or has settings that would lose or double something.
        NotPermittedAtStart, UnavailableAtStart: Kafka does not say.
    """
    wanted = demands.demanded(kafka, budget=budget)
    names = [topic.name for topic in wanted]

    async def look() -> dict[str, Topic]:
        found = await cluster.topics.find(names)
        if create and (missing := demands.missing(wanted, found)):
            await _insist_on_no_memory(cluster, kafka, found)
            log.info("creating_topics", topics=[topic.name for topic in missing])
            # Asked once more, a broker that has not heard of them yet would say that they are missing.
            found = {**found, **await cluster.topics.create(missing)}
        return dict(found)

    found = await patiently(look, "Grant Describe on the topics (and Create, if they are to be made)")
    demands.insist(wanted, found)
    for line in demands.advice(wanted, found):
        log.warning("advice", detail=line)
    return found


async def _insist_on_no_memory(
    cluster: KafkaCluster, kafka: KafkaSettings, found: Mapping[str, Topic]
) -> None:
    """See that a ledger which is to be made never was there: nobody else knows what is open.

    Raises:
        ConfigurationError: somebody has collected for the group before.
        Held, Transient: Kafka does not say.
    """
    ledger, cursors = kafka.ledger_topic, kafka.cursor_topic
    if ledger in found or cursors not in found or not any((await cluster.end_offsets(cursors)).values()):
        return
    raise ConfigurationError(
        f"TOLOKAD_KAFKA__LEDGER_TOPIC: the topic {ledger} is gone, though {cursors} shows that there was one,"
        " and with it what is open at Toloka: restore it, or make it by hand knowing that results of what was"
        " open are taken for somebody else's (TOLOKAD_COLLECT__UNKNOWN_ITEMS=publish publishes those, too)"
    )


async def permissions(cluster: KafkaCluster, kafka: KafkaSettings, *, budget: bool = False) -> None:
    """See that the topics, the group and its transactional ids may be used.

    Raises:
        NotPermittedAtStart: naming every topic, or the group, or the transactional id.
        UnavailableAtStart: Kafka does not say.
    """
    wanted = demands.demanded(kafka, budget=budget)

    async def look() -> None:
        granted = await cluster.rights.on_topics([topic.name for topic in wanted])
        lacking = {topic.name: demands.lacking(topic, granted.get(topic.name, ())) for topic in wanted}
        denied = [f"{' and '.join(missing)} on {name}" for name, missing in lacking.items() if missing]
        if denied:
            raise Held("not_permitted", f"Kafka denies {', '.join(denied)}")
        await cluster.insist_on_offsets(kafka.group_id, kafka.input_topic)
        # Describe is enough for that, and joining takes more.
        for group in (kafka.group_id, kafka.collect_group_id):
            if "Read" not in await cluster.rights.on_group(group):
                raise Held("not_permitted", f"Kafka denies Read on the group {group}")
        # Any id with our prefix tells whether the prefix is ours to use; it writes nothing.
        async with cluster.writer(f"{kafka.group_id}.check"):
            pass

    ids = f"{kafka.group_id}."
    await patiently(look, f"Grant it, and Write on the transactional ids that begin with {ids}: {ACLS}")


async def cursor_is_ours(cluster: KafkaCluster, settings: Settings) -> None:
    """See that the group's topics do not belong to another project: its replicas would share its input.

    Raises:
        ConfigurationError: naming both projects.
        NotPermittedAtStart, UnavailableAtStart: Kafka does not say.
    """
    topic, project = settings.kafka.cursor_topic, settings.toloka.target_id
    # A replica that was killed leaves a transaction open for as long as a start waits.
    read = partial(read_cursor, cluster, topic, project, whole=False)
    await patiently(read, f"Grant Read on the topic {topic}")


def refused(no: NotNow, variable: str, what: str) -> Exception:
    """What a start ends with when Toloka says no to the question for what a variable names."""
    match no.reason:
        case "unauthorized" | "forbidden":
            return NotPermittedAtStart(
                f"TOLOKAD_TOLOKA__TOKEN: Toloka refuses the credential: {no.detail}. Check the token,"
                " its scheme (TOLOKAD_TOLOKA__AUTH_SCHEME) and the account (TOLOKAD_TOLOKA__ACCOUNT_ID)"
            )
        case "not_found":
            return ConfigurationError(
                f"{variable}: Toloka does not know {what}: {no.detail}."
                " Check the id, and that TOLOKAD_TOLOKA__URL is the Toloka it belongs to, without /api"
            )
        case _:
            return Transient(f"Toloka does not answer: {no.detail}")
