"""One deployment for one test: a simulator, topics and a group of its own, replicas, and the verdict."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from aiokafka import AIOKafkaProducer

from tests.canary import CANARY
from tests.checker import Progress, Rules, Subject, Verdict, check
from tests.checker.reading import progress
from tests.kafka.clients import patient_producer
from tests.kafka.fixtures import Cluster
from tests.kafka.topics import Topics
from tests.simulator.world import MODERATION_PROJECT
from tests.system.feed import Source, outcomes_of
from tests.system.outcomes import Outcomes
from tests.system.processes import POLL_SECONDS, Replica, Simulator

DONE_SECONDS: Final = 90.0
SEND_SECONDS: Final = 120.0
# A request whose client has given up takes effect so long after it came: within the quarantine,
# even if it came at the last moment.
LATE_SECONDS: Final = 2.5
# What makes a crash and what follows it short.
HASTE: Final = {
    "TOLOKAD_KAFKA__SESSION_TIMEOUT_SECONDS": "2",
    "TOLOKAD_SUBMIT__REQUEST_TIMEOUT_SECONDS": "2",
    "TOLOKAD_SUBMIT__QUARANTINE_SECONDS": "6",
    "TOLOKAD_SUBMIT__LINGER_SECONDS": "0.05",
    "TOLOKAD_SUBMIT__MAX_ITEMS": "50",
    "TOLOKAD_COLLECT__INTERVAL_SECONDS": "0.2",
    "TOLOKAD_COLLECT__OVERLAP_EVERY_SECONDS": "2",
    "TOLOKAD_TOLOKA__REQUESTS_PER_SECOND": "1000",
    "TOLOKAD_SHUTDOWN_SECONDS": "20",
    "TOLOKAD_LOG__LEVEL": "DEBUG",
}


async def eventually(
    condition: Callable[[], Awaitable[bool]], what: Callable[[], str], seconds: float = DONE_SECONDS
) -> None:
    """Wait until a condition holds that no event tells of.

    Raises:
        AssertionError: it does not; `what` says how things stand.
    """
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, what()
        await asyncio.sleep(POLL_SECONDS)


@dataclass
class Deployment:
    """A group of replicas and the world around them; see `deploying`.

    Attributes:
        kafka: the broker.
        simulator: Toloka.
        group: its consumer group, and how all its topics begin.
        partitions: of the input topic.
        folder: for logs.
        http: a client for everything.
        settings: the replicas' environment, on top of the defaults of these tests.
        due: how many outcomes are to come of what was fed.
    """

    kafka: Cluster
    simulator: Simulator
    group: str
    partitions: int
    folder: Path
    http: httpx.AsyncClient
    stack: AsyncExitStack
    settings: dict[str, str] = field(default_factory=dict)
    fed: int = 0
    tombstones: int = 0
    due: int = 0
    replicas: list[Replica] = field(default_factory=list)
    _outcomes: Outcomes | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What every replica is given."""
        return {
            **HASTE,
            "TOLOKAD_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "TOLOKAD_KAFKA__GROUP_ID": self.group,
            "TOLOKAD_KAFKA__INPUT_TOPIC": self.topic("items"),
            "TOLOKAD_KAFKA__OUTPUT_TOPIC": self.topic("results"),
            "TOLOKAD_KAFKA__DEAD_LETTER_TOPIC": self.topic("dead-letters"),
            "TOLOKAD_KAFKA__CREATE_TOPICS": "true",
            "TOLOKAD_TOLOKA__URL": self.simulator.url,
            "TOLOKAD_TOLOKA__PROJECT_ID": MODERATION_PROJECT,
            "TOLOKAD_TOLOKA__TOKEN": CANARY,
            **self.settings,
        }

    @property
    def tasks(self) -> bool:
        """Whether the tasks API is used."""
        return self.settings.get("TOLOKAD_TOLOKA__API") == "tasks"

    def topic(self, name: str) -> str:
        """The name of one of its topics."""
        return f"{self.group}.{name}"

    def replica(self, **settings: str) -> Replica:
        """A replica, not started; `settings` are variables without the prefix."""
        more = {f"TOLOKAD_{name}": value for name, value in settings.items()}
        log = self.folder / f"replica-{len(self.replicas)}.log"
        replica = self.stack.enter_context(Replica(log, {**self.environment, **more}, self.http))
        self.replicas.append(replica)
        return replica

    async def started(self, **settings: str) -> Replica:
        """A replica that is ready."""
        replica = self.replica(**settings)
        replica.start()
        await replica.ready()
        return replica

    async def feed(self, sources: Iterable[Source]) -> None:
        """Append records to the input topic, one partition after the other."""
        async with self.feeding() as producer:
            await self.send(producer, sources)

    @asynccontextmanager
    async def feeding(self) -> AsyncIterator[AIOKafkaProducer]:
        """A producer for `send`: whatever happens to the broker, it appends each record once."""
        async with patient_producer(self.kafka.bootstrap_servers, linger_ms=5) as producer:
            yield producer

    async def send(self, producer: AIOKafkaProducer, sources: Iterable[Source]) -> None:
        """Append records to the input topic, one partition after the other.

        Raises:
            TimeoutError: not all of them within two minutes; the client itself would try for ever.
        """
        async with asyncio.timeout(SEND_SECONDS):
            await asyncio.gather(*[await self._sent(producer, source) for source in sources])

    async def _sent(self, producer: AIOKafkaProducer, source: Source) -> Awaitable[object]:
        """What tells that this record has been appended."""
        sent: Awaitable[object] = await producer.send(
            self.topic("items"),
            key=source.key,
            value=source.value,
            headers=list(source.headers),
            partition=self.fed % self.partitions,
        )
        self.fed += 1
        self.tombstones += source.value is None
        self.due += outcomes_of(source) if self.tasks else source.value is not None
        return sent

    @property
    def subject(self) -> Subject:
        """What the checker is to look at."""
        pointer = self.settings.get("TOLOKAD_SUBMIT__ITEM_POINTER", "")
        return Subject(
            bootstrap_servers=self.kafka.bootstrap_servers,
            group=self.group,
            rules=Rules(self.topic("items"), item_pointer=pointer, tasks=self.tasks),
            output_topic=self.topic("results"),
            dead_letter_topic=self.topic("dead-letters"),
            ledger_topic=self.topic("ledger"),
            record=self.simulator.record,
            simulator_url=self.simulator.url,
        )

    async def progress(self) -> tuple[Progress, ...]:
        """How far each input partition is settled now."""
        return await progress(self.subject)

    async def outcomes(self) -> int:
        """How many results and dead letters a `read_committed` reader has seen by now."""
        if self._outcomes is None:
            topics = (self.topic("results"), self.topic("dead-letters"))
            self._outcomes = await self.stack.enter_async_context(
                Outcomes(self.kafka.bootstrap_servers, topics)
            )
        return self._outcomes.count

    async def until_outcomes(self, count: int, seconds: float = DONE_SECONDS) -> None:
        """Wait until there are so many."""

        async def enough() -> bool:
            return await self.outcomes() >= count

        await eventually(enough, lambda: f"{self._seen()} of {count} outcomes: {self.state()}", seconds)

    async def until_done(self, seconds: float = DONE_SECONDS) -> None:
        """Wait until every record has an outcome, and its partition is settled to the end."""
        await self.until_outcomes(self.due, seconds)

        async def settled() -> bool:
            return all(part.settled for part in await self.progress())

        await eventually(settled, lambda: f"not settled: {self.state()}")

    async def verdict(self) -> Verdict:
        """Judge what became of everything."""
        return await check(self.subject)

    async def conclusion(self) -> Verdict:
        """The verdict once everything has come to its end and all replicas have drained.

        Raises:
            AssertionError: something never ends, or a replica's drain is not clean.
        """
        await self.until_done()
        await asyncio.gather(*(replica.ready() for replica in self.replicas if replica.running))
        codes = [await replica.stopped() for replica in self.replicas if replica.running]
        assert not any(codes), f"exit codes {codes}: {self.state()}"
        return await self.verdict()

    async def control(self, method: str, path: str, **options: Any) -> Any:
        """Act behind the simulator's back."""
        answer = await self.http.request(method, f"{self.simulator.url}/_simulator/{path}", **options)
        answer.raise_for_status()
        return answer.json()

    def _seen(self) -> int:
        return 0 if self._outcomes is None else self._outcomes.count

    def state(self) -> str:
        """The end of each replica's log, for the message of a failed test."""
        tails = (f"--- {replica.log.name}\n{replica.output()[-2000:]}" for replica in self.replicas)
        return "\n".join(tails)


async def deployed(
    stack: AsyncExitStack,
    kafka: Cluster,
    folder: Path,
    *flags: str,
    partitions: int = 4,
    **settings: str,
) -> Deployment:
    """A deployment without replicas yet; everything ends with the stack.

    Args:
        stack: what is opened is closed with it.
        kafka: the broker.
        folder: for logs and the simulator's record.
        flags: the simulator's.
        partitions: of the input topic.
        settings: the replicas' variables, without the prefix.
    """
    simulator = Simulator(folder, f"ApiKey {CANARY}", "--requests-per-second", "none", *flags)
    stack.enter_context(simulator)
    simulator.start()
    http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=60))
    group = f"sys-{uuid.uuid4().hex[:8]}"
    topics = Topics(kafka.bootstrap_servers)
    await topics.create(f"{group}.items", partitions=partitions)
    await simulator.ready()
    environment = {f"TOLOKAD_{name}": value for name, value in settings.items()}
    return Deployment(kafka, simulator, group, partitions, folder, http, stack, environment)
