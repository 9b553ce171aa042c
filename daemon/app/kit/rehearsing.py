"""`tolokad dry-run`: everything but the request: what would be sent, what could not be, and what it costs."""

from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from daemon.app.kit.kafka import reached, records
from daemon.app.kit.progress import Progress
from daemon.app.kit.toloka import toloka_of
from daemon.edges.kafka.cluster import KafkaCluster
from daemon.errors import ConfigurationError
from daemon.flows.kit.outcomes import Coordinates, place_of
from daemon.flows.partitions.taking_over import is_in_log
from daemon.flows.records import codec
from daemon.flows.records.items import Read, standing
from daemon.model import Flaw, Record
from daemon.settings import KafkaSettings, Settings


@dataclass(slots=True)
class Rehearsal:
    """What a run would do with the records that are there now.

    Attributes:
        items: would be sent.
        skipped: tombstones.
        rejected: would become dead letters, each with its reason; what Toloka itself refuses nobody knows.
        in_doubt: records of batches that were announced already, which are left out.
        held: offsets from which a run cannot go on: what it would read there is gone, or the group has lost
            them.
        item_price: None where Toloka does not say.
    """

    item_price: Decimal | None
    items: int = 0
    skipped: int = 0
    rejected: list[tuple[Coordinates, Flaw]] = field(default_factory=list)
    in_doubt: int = 0
    held: list[Coordinates] = field(default_factory=list)

    @property
    def records(self) -> int:
        """How many were read."""
        return self.items + self.skipped + len(self.rejected)

    @property
    def cost(self) -> Decimal | None:
        """Of all items together."""
        return None if self.item_price is None else self.item_price * self.items

    @property
    def reasons(self) -> Mapping[str, int]:
        """How many records would be rejected, by code."""
        return dict(Counter(flaw.code for _, flaw in self.rejected).most_common())

    def as_json(self) -> Mapping[str, object]:
        """As `dry-run --json` prints it."""
        shown = {
            "records": self.records,
            "items": self.items,
            "skipped": self.skipped,
            "dead_letters": len(self.rejected),
            "in_doubt": self.in_doubt,
            "item_price": None if self.item_price is None else float(self.item_price),
            "cost": None if self.cost is None else float(self.cost),
            "reasons": self.reasons,
            "rejected": [
                {**place.as_json(), "code": flaw.code, "message": flaw.message}
                for place, flaw in self.rejected
            ],
        }
        return shown | {"held": [place.as_json() for place in self.held]} if self.held else shown

    def note(self, record: Record, read: Read) -> None:
        """What becomes of a record."""
        if record.value is None:
            self.skipped += 1
        elif isinstance(found := read(record, standing(record.topic, record.partition)), Flaw):
            self.rejected.append((place_of(record), found))
        else:
            self.items += 1


async def rehearse(settings: Settings, limit: int | None, progress: Progress) -> Rehearsal:
    """Read on from the committed offsets; nothing is written, and no offset moves.

    At most `limit` records are read; where it is None, all that are there.

    Raises:
        StartError: Kafka or Toloka is away or refuses; a topic is missing.
    """
    async with AsyncExitStack() as stack:
        service = (await toloka_of(settings, stack)).service
        cluster, _ = await stack.enter_async_context(reached(settings))
        rehearsal = Rehearsal(service.item_price)
        ends = await cluster.end_offsets(settings.kafka.input_topic)
        try:
            begins = await _begins(cluster, settings.kafka, ends, rehearsal)
        except codec.UnreadableError as error:
            raise ConfigurationError(str(error)) from error
        left = sum(max(end - begins[p], 0) for p, end in ends.items()) if limit is None else limit
        progress.begin(settings.kafka.input_topic, left)
        async with aclosing(records(cluster, settings.kafka.input_topic, begins, ends)) as found:
            async for some in found:
                for record in some[: max(left - rehearsal.records, 0)]:
                    rehearsal.note(record, service.record_reader.read)
                progress.add(len(some))
                if rehearsal.records >= left:
                    break
    return rehearsal


async def _begins(
    cluster: KafkaCluster, kafka: KafkaSettings, ends: Mapping[int, int], rehearsal: Rehearsal
) -> Mapping[int, int]:
    """Where a run would go on in each partition, behind what is in doubt."""
    starts = await cluster.start_offsets(kafka.input_topic)
    committed = await cluster.committed(kafka.group_id, kafka.input_topic, list(ends))
    marks = await _marks(cluster, kafka) if any(found.is_none for found in committed.values()) else {}
    begins = {}
    for p, found in committed.items():
        intent = codec.read_intent(found.metadata)
        # As a run does: none of what is in a partition that was added since is passed over.
        is_behind = kafka.start_from == "latest" and (p in marks or not marks)
        begins[p] = found.offset if not found.is_none else ends[p] if is_behind else starts[p]
        lost = marks.get(p, _Mark()).lost(ends[p] if is_behind else None)
        if found.is_none and lost is not None:
            rehearsal.held.append(Coordinates(kafka.input_topic, p, lost))
            begins[p] = ends[p]
        elif not (found.is_none or is_in_log(found, intent, starts[p], ends[p])):
            rehearsal.held.append(Coordinates(kafka.input_topic, p, found.offset))
            begins[p] = ends[p]
        elif intent is not None:
            begins[p] = intent.reach
            rehearsal.in_doubt += begins[p] - found.offset
    return begins


class _Mark(NamedTuple):
    """Up to where a partition was settled, and where the group began with it, if behind what was there."""

    settled: int = codec.NOTHING_SETTLED
    began: int | None = None

    def lost(self, end: int | None) -> int | None:
        """The offset that a group without one has lost; `end` is the log's, where it would begin there."""
        if self.settled > codec.NOTHING_SETTLED:
            return self.settled
        return self.began if end and self.began != end else None


async def _marks(cluster: KafkaCluster, kafka: KafkaSettings) -> Mapping[int, _Mark]:
    """Those of the input's partitions: one that has a mark and no offset may have lost it."""
    ledger, marks = kafka.ledger_topic, dict[int, _Mark]()
    starts, ends = await cluster.start_offsets(ledger), await cluster.end_offsets(ledger)
    async with aclosing(records(cluster, ledger, starts, ends)) as found:
        async for some in found:
            for record in (each for each in some if (each.key or b"").startswith(codec.MARK_PREFIX)):
                topic, p = codec.read_mark_key(record.key or b"")
                if topic == kafka.input_topic:
                    before, began = marks.get(p, _Mark()), codec.read_began(record.value)
                    settled = max(before.settled, codec.read_mark(record.value))
                    marks[p] = _Mark(settled, before.began if began is None else began)
    return marks
