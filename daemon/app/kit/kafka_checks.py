"""What `tolokad check --connect` looks at in Kafka, in order: brokers, topics, permissions, the cursor."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from math import inf, isinf

from daemon.app import demands
from daemon.app.kit.checks import CONFIGURATION, NOT_PERMITTED, Check
from daemon.app.kit.kafka import ending
from daemon.app.kit.progress import Progress
from daemon.app.kit.showing import read_ledger
from daemon.app.starting import cursor_is_ours, patiently
from daemon.app.world import reach_kafka
from daemon.edges.kafka.cluster import KafkaCluster
from daemon.edges.kafka.topics import Topic
from daemon.errors import Held, StartError, Transient
from daemon.flows.records import codec
from daemon.metrics import Metrics
from daemon.settings import KafkaSettings, Settings

DAY_SECONDS = 86_400
WAY_OUT = "Is Kafka up, and are its permissions those of deploy/kafka-acls.md?"


async def kafka_checks(settings: Settings) -> AsyncIterator[Check]:
    """The brokers, each topic, each permission, and whose the cursor is."""
    kafka = settings.kafka
    async with AsyncExitStack() as stack:
        try:
            cluster = await reach_kafka(settings, Metrics(), stack)
        except StartError as error:
            yield Check.failed("kafka", error)
            return
        how = kafka.security_protocol + (f", {kafka.sasl_mechanism or 'PLAIN'}" if kafka.uses_sasl else "")
        yield Check("kafka", f"connected to {', '.join(kafka.bootstrap_servers)} ({how})")
        brokers: Counter[str] = Counter()
        try:
            with ending():
                brokers.update((await cluster.releases()).values())
            told = (f"{count} of Kafka {release}" for release, count in sorted(brokers.items()))
            yield Check("brokers", ", ".join(told))
        except StartError as error:
            yield Check.failed("brokers", error)
        try:
            with ending():
                wanted = demands.demanded(kafka, budget=settings.budget.limited)
                found = await cluster.topics.find([topic.name for topic in wanted])
                stay = await _stay(cluster, kafka, found)
        except StartError as error:
            yield Check.failed("topics", error)
            return
        for topic in wanted:
            yield topic_check(topic, found.get(topic.name), stay, brokers.total(), create=kafka.create_topics)
        async for check in _permissions(cluster, kafka, wanted, found):
            yield check
        if kafka.cursor_topic in found:
            try:
                await cursor_is_ours(cluster, settings)
                yield Check("cursor", f"is that of {settings.toloka.target_id}, or still to be written")
            except StartError as error:
                yield Check.failed("cursor", error)


# --- topics ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stay:
    """How long records must stay where they are, and how large they may be.

    Attributes:
        longest_seconds: how old the oldest open item is; None where that cannot be read.
        input_seconds: how long the input topic keeps a record, infinite for ever; None where there is no such
            topic, or it is not shown.
        largest_bytes: the largest record that the input topic takes; None where there is no such topic.
    """

    longest_seconds: float | None
    input_seconds: float | None
    largest_bytes: int | None = None


async def _stay(cluster: KafkaCluster, kafka: KafkaSettings, found: Mapping[str, Topic]) -> Stay:
    source = found.get(kafka.input_topic)
    kept = None if source is None else _kept_seconds(source)
    largest = None if source is None else source.max_message_bytes
    if kafka.ledger_topic not in found:
        return Stay(None, kept, largest)
    try:
        with Progress() as progress:
            oldest = (await read_ledger(cluster, kafka.ledger_topic, progress)).oldest()
    except (Held, Transient, codec.UnreadableError):
        # What is wrong with it is told by its permissions, or by the daemon itself.
        return Stay(None, kept, largest)
    age = 0.0 if oldest is None else (datetime.now(UTC) - oldest).total_seconds()
    return Stay(max(age, 0.0), kept, largest)


def _kept_seconds(source: Topic) -> float | None:
    if source.retention_seconds is None:
        return inf if "retention.ms" in source.configs else None
    return source.retention_seconds


def topic_check(
    wanted: demands.Demanded, found: Topic | None, stay: Stay, brokers: int, *, create: bool
) -> Check:
    """Whether a topic is there and fits; `brokers` is how many there are, 0 where nobody knows."""
    name = f"topic {wanted.name}"
    if found is None and create:
        return Check(name, "is not there, and is made at the first start")
    problems = [*demands.problems(wanted, found), *(_too_short(wanted, found, stay) if found else ())]
    if found is None or problems:
        return Check(name, "\n".join(problems), CONFIGURATION)
    return Check(name, ", ".join(_about(wanted, found, stay, brokers)))


def _too_short(wanted: demands.Demanded, found: Topic, stay: Stay) -> Iterator[str]:
    kept, longest = found.retention_seconds, stay.longest_seconds
    if wanted.use == "input" and kept is not None and longest is not None and kept < longest:
        yield (
            f"{wanted.variable}: the topic {wanted.name} keeps records for {_days(kept)}, and an item has"
            f" been open for {_days(longest)}: what has vanished at Toloka or is in doubt must be read again:"
            f" {demands.altering(wanted.name)} retention.ms={_rounded_ms(2 * longest)}"
        )


def _about(wanted: demands.Demanded, found: Topic, stay: Stay, brokers: int) -> Iterator[str]:
    yield f"{found.partitions} partition{'s' if found.partitions > 1 else ''}"
    yield f"replication {found.replicas}"
    if found.replicas == 1 < brokers:
        yield f"which the loss of one of {brokers} brokers does not survive: have it copied to 3"
    yield f"cleanup.policy={found.configs.get('cleanup.policy', 'not shown')}"
    if wanted.use in {"input", "output"} and "retention.ms" in found.configs:
        yield from _kept(wanted, found, stay)
    yield from demands.advice((wanted,), {found.name: found})
    if wanted.use == "output" and stay.largest_bytes is not None:
        yield from demands.too_small(wanted, found, stay.largest_bytes)


def _kept(wanted: demands.Demanded, found: Topic, stay: Stay) -> Iterator[str]:
    kept, source = found.retention_seconds, stay.input_seconds
    yield "records are kept for ever" if kept is None else f"records are kept for {_days(kept)}"
    if wanted.use == "input" and stay.longest_seconds is not None:
        oldest = f"the oldest open item is {_days(stay.longest_seconds)} old"
        told = oldest if stay.longest_seconds else "nothing is open now"
        yield f"which must be longer than the longest turnaround: {told}"
    if wanted.use == "output" and kept is not None and source is not None and kept < source:
        yield (
            "less than those of the input, so that an audit misses what is gone: set"
            f" retention.ms={-1 if isinf(source) else round(source * 1000)}"
        )


def _days(seconds: float) -> str:
    return f"{seconds / DAY_SECONDS:.3g} days"


def _rounded_ms(seconds: float) -> int:
    """Whole days."""
    return -int(-seconds // DAY_SECONDS) * DAY_SECONDS * 1000


# --- permissions ----------------------------------------------------------------------------------------


async def _permissions(
    cluster: KafkaCluster,
    kafka: KafkaSettings,
    wanted: tuple[demands.Demanded, ...],
    found: Mapping[str, Topic],
) -> AsyncIterator[Check]:
    group = kafka.group_id
    try:
        rights = await patiently(lambda: cluster.rights.on_topics(found), WAY_OUT)
        for topic in wanted:
            if topic.name in found:
                granted = rights.get(topic.name, frozenset())
                yield _right(f"Topic {topic.name}", demands.NEEDED[topic.use], granted)
        for name in (group, kafka.collect_group_id):
            on_group = await patiently(partial(cluster.rights.on_group, name), WAY_OUT)
            yield _right(f"Group {name}", ("Read",), on_group)
    except StartError as error:
        yield Check.failed("permissions", error)
        return

    async def fence() -> None:
        async with cluster.writer(f"{group}.check"):
            pass

    name = f"permission TransactionalId {group}."
    try:
        await patiently(fence, f"Grant Write on the transactional ids that begin with {group}.")
        yield Check(name, "Write")
    except StartError as error:
        yield Check.failed(name, error)


def _right(thing: str, needed: tuple[str, ...], granted: frozenset[str]) -> Check:
    missing = [operation for operation in needed if operation not in granted]
    if missing:
        grant = f"grant {' and '.join(missing)} on the {thing} (deploy/kafka-acls.md)"
        return Check(f"permission {thing}", grant, NOT_PERMITTED)
    return Check(f"permission {thing}", ", ".join(needed))
