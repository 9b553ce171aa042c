"""Kafka for a command: connected, its topics there, and every failure with an exit code."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from daemon.app.starting import start_error, topics_in_order
from daemon.app.world import reach_kafka
from daemon.edges.kafka.cluster import KafkaCluster
from daemon.edges.kafka.topics import Topic
from daemon.errors import Held, Transient, UnavailableAtStart
from daemon.metrics import Metrics
from daemon.model import Record
from daemon.ports import Kafka
from daemon.settings import Settings

READ_RECORDS = 2000
READ_SECONDS = 1.0
# A busy daemon takes its writer back as soon as it was taken over.
FENCED_TRIES = 5


@asynccontextmanager
async def reached(settings: Settings) -> AsyncIterator[tuple[KafkaCluster, Mapping[str, Topic]]]:
    """The cluster, and the topics that the settings name; nothing is made, nothing joined.

    Raises:
        StartError: Kafka is away, refuses us, or a topic is missing or unfit.
    """
    async with AsyncExitStack() as stack:
        cluster = await reach_kafka(settings, Metrics(), stack)
        topics = await topics_in_order(cluster, settings.kafka, create=False)
        with ending():
            yield cluster, topics


@contextmanager
def ending() -> Iterator[None]:
    """A command that meets a refusal or an absence ends, with the exit code that a start would have.

    Raises:
        StartError: in the place of what a flow would wait out.
    """
    try:
        yield
    except Held as held:
        raise start_error(held) from held
    except Transient as failure:
        raise UnavailableAtStart(str(failure)) from failure


async def records(
    kafka: Kafka, topic: str, starts: Mapping[int, int], ends: Mapping[int, int]
) -> AsyncGenerator[Sequence[Record], None]:
    """What a `read_committed` reader sees between these offsets, some records at a time.

    Open transactions below the ends are waited for: they end within their timeout.

    Raises:
        Held, Transient: see `daemon.ports.Reader.read`.
    """
    wanted = {p: first for p, first in starts.items() if first < ends.get(p, 0)}
    if not wanted:
        return
    async with kafka.reader(topic, wanted) as reader:
        while any(reader.position(p) < ends[p] for p in wanted):
            found = await reader.read(READ_RECORDS, READ_SECONDS)
            yield [record for record in found if record.offset < ends[record.partition]]
