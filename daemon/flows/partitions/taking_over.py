"""Taking a partition over: fence first, then read what the predecessor left, and nothing else counts."""

import asyncio
from dataclasses import dataclass, replace

from daemon.errors import Held
from daemon.flows.batches.batching import BatchLimits, Filling
from daemon.flows.batches.outbox import Outbox
from daemon.flows.doubts.scanning import scan
from daemon.flows.place import Place
from daemon.flows.records import codec
from daemon.flows.records.items import RecordReader, standing
from daemon.model import Batch, Committed, Intent, Item
from daemon.ports import Kafka

READ_RECORDS = 1000
READ_SECONDS = 1.0
# A log that seems to end before the committed offset is looked at again this much later.
AGAIN_SECONDS = 2.0
# An intent's range is read again as it was, whatever the limits are now.
UNLIMITED = BatchLimits(max_items=2**31, max_bytes=2**62)


@dataclass(frozen=True, slots=True)
class Beginning:
    """Where a way goes on: from `offset`, once the intent that was found is resolved for its batch."""

    offset: int
    found: tuple[Intent, Batch] | None = None


async def take_over(
    kafka: Kafka, place: Place, outbox: Outbox, start_from: str, record_reader: RecordReader
) -> Beginning:
    """Find out where to go on, after the outbox's writer has fenced every predecessor.

    Raises:
        Held: `offset_lost`, `offset_out_of_range`, `range_gone` or `intent_unreadable`.
        Transient: Kafka cannot say now.
    """
    committed = (await kafka.committed(place.group, place.topic, [place.partition]))[place.partition]
    if committed.is_none:
        return Beginning(await _first_start(kafka, place, outbox, start_from))
    try:
        committed = outbox.acknowledged.restored(committed)
        intent = codec.read_intent(committed.metadata)
    except codec.UnreadableError as error:
        raise Held("intent_unreadable", str(error)) from error
    if intent is None:
        await _insist_in_log(kafka, place, committed, outbox)
        return Beginning(committed.offset)
    await insist_on_range(kafka, place, committed.offset, intent.reach)
    batch = await read_range(kafka, place, committed.offset, intent.end, record_reader)
    return Beginning(intent.end, (replace(intent, first=committed.offset), batch))


async def _first_start(kafka: Kafka, place: Place, outbox: Outbox, start_from: str) -> int:
    known = await scan(kafka, place.ledger_topic, place.topic, place.partition, range(0), ())
    if known.marked:
        raise Held(
            "offset_lost",
            f"the group {place.group} has lost its offset for {place.topic}-{place.partition}, though the"
            " ledger shows that it was submitted from: starting again would pay for everything twice."
            " Commit the right offset for the group by hand: the ledger's mark, or the first that is there if"
            " the topic was made anew since",
        )
    # What is in a partition that was added since has come since: none of it is to be passed over.
    was_added = bool(known.partitions) and place.partition not in known.partitions
    if start_from == "earliest" or was_added:
        offset = (await kafka.start_offsets(place.topic, [place.partition]))[place.partition]
        await outbox.start_at(offset)
        return offset
    offset = await _latest(kafka, place, known.began)
    await outbox.start_behind(offset, () if known.partitions else await kafka.partitions(place.topic))
    return offset


async def _latest(kafka: Kafka, place: Place, began: int | None) -> int:
    """Where a group begins behind what is there, unless it had begun before and more has come since."""
    end = (await kafka.end_offsets(place.topic, [place.partition]))[place.partition]
    # A log that ends at 0 was made anew, and nothing has come yet.
    if began is not None and 0 < end != began:
        raise Held(
            "offset_lost",
            f"the group {place.group} has lost its offset for {place.topic}-{place.partition}, where it began"
            f" at {began}, and the log ends at {end}: what has come since would be passed over."
            f" Commit {began} for the group by hand, or the first offset that is there if the topic was made"
            " anew since",
        )
    return end


async def _insist_in_log(kafka: Kafka, place: Place, committed: Committed, outbox: Outbox) -> None:
    offset, was_astray = committed.offset, committed.metadata == codec.ASTRAY
    first, last = await _log(kafka, place)
    if offset > last and not was_astray:
        # A broker that has just become the leader may not tell yet how far the log has come.
        await asyncio.sleep(AGAIN_SECONDS)
        first, last = await _log(kafka, place)
    if is_in_log(committed, None, first, last):
        return
    where = f"{place.topic}-{place.partition} holds the offsets {first} to {last}"
    if offset > last and not was_astray:
        # A topic that was made anew grows: one day the offset would be in it, and all before it passed over.
        await outbox.go_astray(offset)
    goes_on = f"{where}, and {place.group} goes on at {offset}"
    if first <= offset <= last:
        goes_on = f"{goes_on}, which the log had not reached before"
    raise Held(
        "offset_out_of_range",
        f"{goes_on}: what lies between was deleted unread, or the topic was made anew."
        " Commit an offset that is there for the group by hand",
    )


def is_in_log(committed: Committed, intent: Intent | None, first: int, last: int) -> bool:
    """Whether a way can go on there: what it has to read is in the log, and was when it was looked for."""
    end = committed.offset if intent is None else intent.reach
    return first <= committed.offset <= end <= last and committed.metadata != codec.ASTRAY


async def insist_on_range(kafka: Kafka, place: Place, offset: int, end: int) -> None:
    """See that a batch in doubt can be read.

    Raises:
        Held: `range_gone`: not all of it is in the log.
        Transient: Kafka cannot say now.
    """
    first, last = await _log(kafka, place)
    if not first <= offset <= end <= last:
        raise Held(
            "range_gone",
            f"{place.topic}-{place.partition} holds the offsets {first} to {last}, and the batch in doubt,"
            f" {offset} to {end}, is not among them",
        )


async def _log(kafka: Kafka, place: Place) -> tuple[int, int]:
    """Where the partition's log begins and ends."""
    first = (await kafka.start_offsets(place.topic, [place.partition]))[place.partition]
    last = (await kafka.end_offsets(place.topic, [place.partition]))[place.partition]
    return first, last


async def read_range(kafka: Kafka, place: Place, first: int, end: int, record_reader: RecordReader) -> Batch:
    """What stands between these offsets, as one batch, with what may have been sent of it by other checks.

    Raises:
        Held: `offset_out_of_range`: it is gone.
        Transient: Kafka cannot say now.
    """
    filling = Filling(place.topic, place.partition, first, UNLIMITED, record_reader.read_all)
    async with kafka.reader(place.topic, {place.partition: first}) as reader:
        while reader.position(place.partition) < end:
            records = await reader.read_bare(READ_RECORDS, READ_SECONDS)
            filling.add([record for record in records if record.offset < end])
    batch = filling.take()
    where = standing(place.topic, place.partition)
    possible = (record_reader.read_unchecked(letter.record, where) for letter in batch.dead_letters)
    return replace(batch, end=end, possible=tuple(item for item in possible if isinstance(item, Item)))
