"""What the demo is played on: Kafka, a simulated Toloka, and the replicas."""

import asyncio
import uuid
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from aiokafka import AIOKafkaProducer

from tests.checker import Rules, Subject
from tests.demo.board import Board
from tests.kafka import EmbeddedKafka
from tests.kafka.fixtures import ExistingCluster
from tests.simulator.pools import TASKS_POOL
from tests.system.feed import Source
from tests.system.processes import Replica, Simulator

BROKERS: Final = "TOLOKAD_KAFKA__BOOTSTRAP_SERVERS"
SETTINGS: Final = Path(__file__).parents[2] / "config" / "demo.env"
REPLICAS: Final = 2
# A crowd that answers within seconds.
CROWD: Final = ("--finish-seconds-min", "0.5", "--finish-seconds-max", "3")
# With the tasks API: several tasks an assignment, accepted a while after they were submitted.
SUITES: Final = ("--suite-tasks", "5", "--accept-seconds", "2")
TASKS: Final = {"TOLOKAD_TOLOKA__API": "tasks", "TOLOKAD_TOLOKA__POOL_ID": TASKS_POOL}
SHOW_EVERY: Final = 500


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that runs.

    Attributes:
        servers: Kafka's address.
        group: the consumer group.
        topics: names of the input, output and dead letter topics.
        simulator: Toloka.
        replicas: of tolokad.
        tasks: the tasks API is used.
    """

    servers: str
    group: str
    topics: tuple[str, str, str]
    simulator: Simulator
    replicas: tuple[Replica, ...]
    tasks: bool = False

    @property
    def subject(self) -> Subject:
        """What the checker is to look at."""
        items, results, dead_letters = self.topics
        ledger, record, url = f"{self.group}.ledger", self.simulator.record, self.simulator.url
        rules = Rules(items, tasks=self.tasks)
        return Subject(self.servers, self.group, rules, results, dead_letters, ledger, record, url)

    def addresses(self) -> Iterable[str]:
        """Where to look."""
        for replica in self.replicas:
            yield f"status page    {replica.url}/    metrics  {replica.url}/metrics"
        yield f"Kafka          {self.servers}    topics  {', '.join(self.topics)}"
        yield f"Toloka         {self.simulator.url}    records  {self.simulator.record}"


def settings_in(path: Path) -> dict[str, str]:
    """The variables of an environment file."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


async def set_up(stack: AsyncExitStack, folder: Path, brokers: str, *, tasks: bool = False) -> Stage:
    """Start Kafka, unless there is one, Toloka and the replicas; all end with the stack."""
    settings = settings_in(SETTINGS) | (TASKS if tasks else {})
    # On somebody's own Kafka nothing of theirs is touched: all names are new.
    group = f"tolokad-demo-{uuid.uuid4().hex[:8]}" if brokers else "tolokad"
    prefix = group if brokers else "moderation"
    topics = (f"{prefix}.items", f"{prefix}.results", f"{prefix}.dead-letters")
    # One start alone takes less than an archive of the classes and a start with it.
    ours = EmbeddedKafka(archived=False)
    cluster = ExistingCluster(brokers) if brokers else await stack.enter_async_context(ours)
    credential = f"ApiKey {settings['TOLOKAD_TOLOKA__TOKEN']}"
    crowd = (*CROWD, *SUITES) if tasks else CROWD
    simulator = stack.enter_context(Simulator(folder, credential, *crowd))
    simulator.start()
    await simulator.ready()
    environment = settings | {
        BROKERS: cluster.bootstrap_servers,
        "TOLOKAD_KAFKA__GROUP_ID": group,
        "TOLOKAD_KAFKA__INPUT_TOPIC": topics[0],
        "TOLOKAD_KAFKA__OUTPUT_TOPIC": topics[1],
        "TOLOKAD_KAFKA__DEAD_LETTER_TOPIC": topics[2],
        "TOLOKAD_TOLOKA__URL": simulator.url,
    }
    http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, timeout=10))
    replicas = tuple(
        stack.enter_context(Replica(folder / f"replica-{number}.log", environment, http))
        for number in range(REPLICAS)
    )
    for replica in replicas:
        replica.start()
        await replica.ready()
    return Stage(cluster.bootstrap_servers, group, topics, simulator, replicas, tasks)


async def feed(stage: Stage, sources: Iterable[Source], board: Board) -> int:
    """Send the records; returns how many."""
    producer = AIOKafkaProducer(bootstrap_servers=stage.servers, linger_ms=20)
    await producer.start()
    sent = []
    try:
        for source in sources:
            value, headers = source.value, list(source.headers)
            sent.append(await producer.send(stage.topics[0], key=source.key, value=value, headers=headers))
            if len(sent) % SHOW_EVERY == 0:
                await board.show_sending(len(sent))
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
    return len(sent)
