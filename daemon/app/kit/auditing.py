"""`tolokad audit`: is every record up to the committed offset accounted for, exactly once?"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

from daemon.app.kit.kafka import reached, records
from daemon.app.kit.progress import Progress
from daemon.app.kit.toloka import Toloka, toloka_of
from daemon.edges.kafka.cluster import KafkaCluster
from daemon.errors import ConfigurationError
from daemon.flows.kit.accounting import Account, Audit
from daemon.flows.kit.orphans import Contents, Orphan
from daemon.flows.kit.outcomes import Coordinates
from daemon.flows.partitions.taking_over import is_in_log
from daemon.flows.records import codec
from daemon.model import Committed, Intent, Record
from daemon.settings import KafkaSettings, Settings


@dataclass(frozen=True, slots=True)
class Audited:
    """What an audit found.

    Attributes:
        account: of all records below the committed offsets.
        held: committed offsets from which no way can go on: what it would read there is gone.
        orphans: where Toloka was asked, too.
    """

    account: Account
    held: Sequence[Coordinates]
    orphans: Sequence[Orphan] | None

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return self.account.ok and not self.held and not self.orphans

    def as_json(self) -> Mapping[str, object]:
        """The answer of `audit --json`."""
        found = self.account.as_json() | {"ok": self.ok}
        if self.held:
            found["held"] = [place.as_json() for place in self.held]
        if self.orphans is None:
            return found
        return found | {"orphans": [orphan.as_json() for orphan in self.orphans]}


async def audit(settings: Settings, progress: Progress, *, toloka: bool) -> Audited:
    """Read ledger, results, dead letters and input, in this order, while a daemon may go on working.

    With `toloka`, walk through the project's items, too.

    Raises:
        StartError: Kafka or Toloka is away or refuses; a topic is missing or cannot be read.
    """
    async with AsyncExitStack() as stack:
        asked = await toloka_of(settings, stack) if toloka else None
        cluster, _ = await stack.enter_async_context(reached(settings))
        walk = _Walk(cluster, settings.kafka, progress)
        try:
            return await walk.audited(asked)
        except codec.UnreadableError as error:
            raise ConfigurationError(str(error)) from error


class _Walk:
    def __init__(self, cluster: KafkaCluster, kafka: KafkaSettings, progress: Progress) -> None:
        self._cluster = cluster
        self._kafka = kafka
        self._progress = progress

    async def audited(self, toloka: Toloka | None) -> Audited:
        cluster, kafka = self._cluster, self._kafka
        starts = await cluster.start_offsets(kafka.input_topic)
        committed = await cluster.committed(kafka.group_id, kafka.input_topic, list(starts))
        held = _held(kafka.input_topic, committed, starts, await cluster.end_offsets(kafka.input_topic))
        settled = {p: max(found.offset, starts[p]) for p, found in committed.items()}
        audit = Audit(
            kafka.input_topic,
            starts,
            settled,
            from_first=kafka.start_from == "latest",
            with_ids=toloka is not None,
        )
        await self._read(kafka.ledger_topic, audit.note_ledger)
        audit.ledger_ends()
        await self._read(kafka.output_topic, audit.note_result)
        await self._read(kafka.dead_letter_topic, audit.note_dead_letter)
        contents = None if toloka is None else Contents(committed, toloka.service.record_reader.read)
        await self._read_input(audit, contents)
        there = await cluster.topics.find(audit.other_topics()) if audit.other_topics() else ()
        account = audit.conclude(there, await cluster.start_offsets(kafka.input_topic))
        if toloka is None or contents is None:
            return Audited(account, held, None)
        return Audited(account, held, await self._orphans(toloka, audit, contents))

    async def _read(self, topic: str, note: Callable[[Record], None]) -> None:
        ends = await self._cluster.end_offsets(topic)
        await self._read_until(topic, ends, note)

    async def _read_until(self, topic: str, ends: Mapping[int, int], note: Callable[[Record], None]) -> None:
        starts = await self._cluster.start_offsets(topic)
        self._progress.begin(topic, sum(max(end - starts[p], 0) for p, end in ends.items()))
        async with aclosing(records(self._cluster, topic, starts, ends)) as found:
            async for some in found:
                for record in some:
                    note(record)
                self._progress.add(len(some))

    async def _read_input(self, audit: Audit, contents: Contents | None) -> None:
        topic = self._kafka.input_topic
        ends = await self._cluster.end_offsets(topic)
        until = audit.until(ends)
        if contents is None:
            await self._read_until(topic, until, audit.note_input)
            return

        def note(record: Record) -> None:
            audit.note_input(record)
            contents.note(record)

        far = {p: max(at, min(contents.announced.get(p, 0), ends[p])) for p, at in until.items()}
        await self._read_until(topic, far, note)

    async def _orphans(self, toloka: Toloka, audit: Audit, contents: Contents) -> Sequence[Orphan]:
        self._progress.begin("Toloka", 0)
        # By id: what was created between two spans is in both.
        found: dict[str, Orphan] = {}
        async with toloka.service.submissions(1) as (api,):
            for since, until in contents.spans(toloka.until):
                created = await api.created(since, until)
                self._progress.add(len(created))
                found.update((o.item_id, o) for o in contents.orphans(created, audit.accounts_for))
        return tuple(found.values())


def _held(
    topic: str, committed: Mapping[int, Committed], starts: Mapping[int, int], ends: Mapping[int, int]
) -> Sequence[Coordinates]:
    """Where a way holds as `offset_out_of_range` or `range_gone`: records were lost, or are other ones."""
    return [
        Coordinates(topic, p, found.offset)
        for p, found in committed.items()
        if not found.is_none and not is_in_log(found, _intent(found), starts[p], ends[p])
    ]


def _intent(committed: Committed) -> Intent | None:
    try:
        return codec.read_intent(committed.metadata)
    except codec.UnreadableError:
        # That is held, too, and no record is lost by it.
        return None
