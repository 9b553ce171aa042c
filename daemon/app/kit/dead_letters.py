"""`tolokad dlq list` and `dlq replay`: seeing what failed, and sending it back once its cause is mended."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from daemon.app.kit.kafka import reached, records
from daemon.app.kit.progress import Progress
from daemon.edges.kafka.cluster import KafkaCluster
from daemon.edges.kafka.topics import Topic
from daemon.errors import ConfigurationError
from daemon.flows.kit.letters import Letter, Replayed, Wanted, letter_of
from daemon.flows.records import codec, orders
from daemon.flows.records.outputs import append_bytes
from daemon.model import Append, Transaction
from daemon.ports import Writer
from daemon.settings import KafkaSettings, Settings

# One transaction's worth.
REPLAY_RECORDS = 500
REPLAY_BYTES = 4_000_000


@dataclass(slots=True)
class Replay:
    """What a replay has come to; what is passed over stays where it is."""

    replayed: int = 0
    replayed_before: int = 0
    tried_too_often: int = 0
    without_value: int = 0
    of_other_topics: int = 0

    def remarks(self) -> Mapping[str, int]:
        """Why some were passed over, and how many."""
        told = {
            "were sent back before": self.replayed_before,
            "have been sent back --max-attempts times": self.tried_too_often,
            "have no value any more": self.without_value,
            "come from another input topic, or from nowhere": self.of_other_topics,
        }
        return {why: count for why, count in told.items() if count}


async def letters(settings: Settings, wanted: Wanted, progress: Progress) -> AsyncGenerator[Letter, None]:
    """The dead letters that are wanted, those of a partition as they were written.

    Raises:
        StartError: Kafka is away or refuses; the topic is missing.
    """
    async with (
        reached(settings) as (cluster, _),
        aclosing(_letters(cluster, settings.kafka, wanted, progress)) as found,
    ):
        async for letter in found:
            yield letter


async def _letters(
    cluster: KafkaCluster, kafka: KafkaSettings, wanted: Wanted, progress: Progress
) -> AsyncGenerator[Letter, None]:
    topic = kafka.dead_letter_topic
    # What a replay makes fail again stands behind these ends: it is not replayed again and again.
    ends, starts = await cluster.end_offsets(topic), await cluster.start_offsets(topic)
    progress.begin(topic, sum(end - starts[p] for p, end in ends.items()))
    async with aclosing(records(cluster, topic, starts, ends)) as found:
        async for some in found:
            for record in some:
                if (letter := letter_of(record)) in wanted:
                    yield letter
            progress.add(len(some))


async def replay(
    settings: Settings, wanted: Wanted, max_attempts: int, progress: Progress, *, dry_run: bool
) -> Replay:
    """Send dead letters back to the input topic, each once however often this is killed and run again.

    What was sent back, and that it was, is written in one transaction.

    Raises:
        StartError: Kafka is away or refuses; a topic is missing or cannot be read.
    """
    kafka = settings.kafka
    async with reached(settings) as (cluster, topics):
        work = _Replaying(cluster, kafka, topics, wanted, max_attempts)
        if dry_run:
            await work.recall()
            async with aclosing(_letters(cluster, kafka, Wanted(), progress)) as found:
                async for letter in found:
                    work.chooses(letter)
            return work.replay
        async with cluster.writer(f"{kafka.group_id}.replay") as writer:
            # Behind the fence: a replay that was killed, or still runs, can add nothing any more.
            await work.recall()
            async with aclosing(_letters(cluster, kafka, Wanted(), progress)) as found:
                async for letter in found:
                    if work.chooses(letter):
                        await work.send(letter, writer)
            await work.commit(writer)
        return work.replay


class _Replaying:
    def __init__(
        self,
        cluster: KafkaCluster,
        kafka: KafkaSettings,
        topics: Mapping[str, Topic],
        wanted: Wanted,
        max_attempts: int,
    ) -> None:
        self._cluster = cluster
        self._kafka = kafka
        self._partitions = topics[kafka.input_topic].partitions
        self._wanted = wanted
        self._max_attempts = max_attempts
        self._done = Replayed()
        self._appends: list[Append] = []
        self._bytes = 0
        self.replay = Replay()

    async def recall(self) -> None:
        """Read which were sent back already."""
        topic, letters = self._kafka.cursor_topic, self._kafka.dead_letter_topic
        ends, starts = await self._cluster.end_offsets(topic), await self._cluster.start_offsets(topic)
        try:
            async with aclosing(records(self._cluster, topic, {0: starts[0]}, ends)) as found:
                async for some in found:
                    for record in some:
                        if (place := orders.replayed_chunk(record.key or b"", letters)) is not None:
                            self._done.read(*place, record.value, record.timestamp)
        except codec.UnreadableError as error:
            raise ConfigurationError(str(error)) from error

    def chooses(self, letter: Letter) -> bool:
        """Whether a dead letter is to be sent back; counted either way if it is wanted."""
        replay, origin = self.replay, letter.origin
        # Asked for of each of them: see there.
        done = letter.record in self._done
        if letter not in self._wanted:
            return False
        if done:
            replay.replayed_before += 1
        elif origin is None or origin.topic != self._kafka.input_topic or not self._has(origin.partition):
            replay.of_other_topics += 1
        elif letter.attempts >= self._max_attempts:
            replay.tried_too_often += 1
        elif not letter.has_value:
            replay.without_value += 1
        else:
            replay.replayed += 1
            return True
        return False

    def _has(self, partition: int) -> bool:
        return 0 <= partition < self._partitions

    async def send(self, letter: Letter, writer: Writer) -> None:
        """Put it into the transaction that is being filled."""
        append = letter.replayed(self._kafka.input_topic)
        self._appends.append(append)
        self._bytes += append_bytes(append)
        self._done.add(letter.record)
        if len(self._appends) >= REPLAY_RECORDS or self._bytes >= REPLAY_BYTES:
            await self.commit(writer)

    async def commit(self, writer: Writer) -> None:
        """Write what has been put together, and that it was sent back, at once."""
        if not self._appends:
            return
        topic, letters = self._kafka.cursor_topic, self._kafka.dead_letter_topic
        done = [
            Append(topic, 0, orders.replay_key(letters, partition, chunk), value)
            for partition, chunk, value in self._done.changes()
        ]
        await writer.transact(Transaction("order", [*self._appends, *done]))
        self._appends.clear()
        self._bytes = 0
