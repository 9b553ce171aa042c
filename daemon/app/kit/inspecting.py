"""What `tolokad check --connect` looks at, in order: Kafka, its topics, what it permits; then Toloka."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from daemon.app import demands
from daemon.app.kit.kafka import ending
from daemon.app.services import open_service
from daemon.app.starting import cursor_is_ours, patiently
from daemon.app.world import connect_toloka, reach_kafka
from daemon.edges.kafka import KafkaCluster
from daemon.edges.topics import Topic
from daemon.errors import ConfigurationError, NotPermittedAtStart, StartError, UnavailableAtStart
from daemon.metrics import Metrics
from daemon.settings import KafkaSettings, Settings

CONFIGURATION, NOT_PERMITTED = ConfigurationError.exit_code, NotPermittedAtStart.exit_code
# Toloka's times are compared with its own clock alone; a machine that is off so far is off in its logs, too.
CLOCK_SECONDS = 60
DAY_SECONDS = 86_400
WAY_OUT = "Is Kafka up, and are its permissions those of deploy/kafka-acls.md?"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; `exit_code` where it is not as it must be."""

    name: str
    message: str
    exit_code: int = 0

    @property
    def ok(self) -> bool:
        """It is as it must be."""
        return self.exit_code == 0

    @classmethod
    def failed(cls, name: str, error: StartError) -> "Check":
        """What a start would end with."""
        return cls(name, str(error), error.exit_code)


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
        try:
            with ending():
                wanted = demands.demanded(kafka, budget=settings.budget.limited)
                found = await cluster.topics.find([topic.name for topic in wanted])
        except StartError as error:
            yield Check.failed("topics", error)
            return
        for topic in wanted:
            yield _topic(topic, found.get(topic.name), create=kafka.create_topics)
        for check in [check async for check in _permissions(cluster, kafka, wanted, found)]:
            yield check
        if kafka.cursor_topic in found:
            try:
                await cursor_is_ours(cluster, settings)
            except StartError as error:
                yield Check.failed("cursor", error)


def _topic(wanted: demands.Demanded, found: Topic | None, *, create: bool) -> Check:
    name = f"topic {wanted.name}"
    if found is None and create:
        return Check(name, "is not there, and is made at the first start")
    if problems := demands.problems(wanted, found):
        return Check(name, "\n".join(problems), CONFIGURATION)
    return Check(name, ", ".join(_about(found, wanted)) if found else "")


def _about(found: Topic, wanted: demands.Demanded) -> Iterator[str]:
    yield f"{found.partitions} partition{'s' if found.partitions > 1 else ''}"
    yield f"replication {found.replicas}"
    yield f"cleanup.policy={found.configs.get('cleanup.policy', 'not shown')}"
    kept = found.retention_seconds
    if wanted.use != "compacted" and "retention.ms" in found.configs:
        days = "for ever" if kept is None else f"for {kept / DAY_SECONDS:g} days"
        yield f"records are kept {days}: must be longer than the longest turnaround"
    yield from demands.advice((wanted,), {found.name: found})


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
        for name in (group, f"{group}.collect"):
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


async def toloka_checks(settings: Settings) -> AsyncIterator[Check]:
    """The address and its certificate, the credential, the project or pool, the clock and the limits."""
    toloka, metrics = settings.toloka, Metrics()
    async with AsyncExitStack() as stack:
        try:
            endpoint = connect_toloka(settings, metrics, lambda _: None)
            service = await open_service(settings, endpoint, metrics, stack)
        except StartError as error:
            failed = {UnavailableAtStart.exit_code: "toloka", NOT_PERMITTED: "credential"}
            name = failed.get(error.exit_code, "project")
            if name != "toloka":
                yield Check("toloka", f"{toloka.url} answers")
            yield Check.failed(name, error)
            return
        tls = ", with a certificate that is trusted" if toloka.url.startswith("https:") else ""
        yield Check("toloka", f"{toloka.url} answers{tls}")
        yield Check("credential", f"accepted ({toloka.auth_scheme})")
        over = "ARCHIVED" in service.about
        price = "" if service.item_price is None else f"; an item costs {service.item_price}"
        yield Check("project", f"{service.about}{price}", CONFIGURATION if over else 0)
        off = (endpoint.toloka_clock.now() - datetime.now(UTC)).total_seconds()
        far = abs(off) > CLOCK_SECONDS
        way_out = ": set this machine's clock" if far else ""
        yield Check("clock", f"{off:+.0f} s from Toloka's{way_out}", CONFIGURATION if far else 0)
        limits = f"{toloka.requests_per_second:g} requests a second, {toloka.items_per_minute} items a minute"
        yield Check("limits", f"{limits} and {toloka.items_per_day} a day, shared by all replicas")
