"""Where a way begins: what the predecessor left decides, and nothing is guessed."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from daemon.errors import Held
from daemon.flows.batches.outbox import Outbox
from daemon.flows.batches.tallying import last_tally
from daemon.flows.partitions.taking_over import AGAIN_SECONDS, Beginning, is_in_log, read_range, take_over
from daemon.flows.records import codec
from daemon.flows.records.items import ItemReader
from daemon.flows.records.spec import InputSpec
from daemon.model import Committed, Intent
from tests.doubles import GROUP, INPUT, LEDGER, START, FakeTime, MemoryKafka, in_virtual_time, place

INTENT = Intent("attempt", 8, START - timedelta(seconds=40), START)
READER = ItemReader(InputSpec({"text": {"type": "string"}}), None, 1_000)


def topic_of(count: int = 10) -> MemoryKafka:
    """A cluster whose input partition 0 holds so many records, every fourth a tombstone or no JSON."""
    kafka = MemoryKafka.usual()
    values = (b'{"text":"a"}', b'{"text":"b"}', None, b"!")
    for offset in range(count):
        kafka.put(INPUT, values[offset % 4])
    return kafka


def commit(kafka: MemoryKafka, offset: int, metadata: str = "") -> None:
    """What the group has committed for partition 0."""
    kafka.offsets[GROUP, INPUT, 0] = Committed(offset, metadata)


async def begin(kafka: MemoryKafka, start_from: str = "earliest") -> Beginning:
    """Take partition 0 over."""
    async with kafka.writer("w") as writer:
        outbox = Outbox(writer, place(), FakeTime(), lambda: "new")
        return await take_over(kafka, place(), outbox, start_from, READER)


async def reason_of(kafka: MemoryKafka) -> str:
    """Why the partition is held."""
    before = dict(kafka.offsets)
    with pytest.raises(Held) as held:
        await begin(kafka)
    assert kafka.offsets == before, "what is held is left as it is"
    assert INPUT in held.value.detail or "metadata" in held.value.detail
    return held.value.reason


@pytest.mark.parametrize(("start_from", "offset"), [("earliest", 3), ("latest", 10)])
@in_virtual_time
async def test_a_first_start_begins_where_it_is_told_and_commits_that(start_from: str, offset: int) -> None:
    """From the log's beginning or its end; from then on the committed offset decides."""
    kafka = topic_of()
    kafka.starts[INPUT, 0] = 3
    assert await begin(kafka, start_from) == Beginning(offset)
    assert kafka.offsets[GROUP, INPUT, 0] == Committed(offset, "")


@in_virtual_time
async def test_latest_passes_over_nothing_of_a_partition_that_was_added() -> None:
    """What it holds has come since the group began; whoever was there at the beginning is remembered."""
    kafka = topic_of()
    assert await begin(kafka, "latest") == Beginning(10)
    del kafka.offsets[GROUP, INPUT, 0]
    assert await begin(kafka, "latest") == Beginning(10)
    del kafka.offsets[GROUP, INPUT, 0]
    kafka.logs[LEDGER] = [[] for _ in kafka.logs[LEDGER]]
    kafka.put(LEDGER, codec.mark_value(codec.NOTHING_SETTLED), key=codec.mark_key(INPUT, 1))
    assert await begin(kafka, "latest") == Beginning(0)


@in_virtual_time
async def test_a_partition_that_begins_once_more_leaves_the_others_marks_alone() -> None:
    """By what they have settled it is seen when their own offsets are lost."""
    kafka = topic_of()
    await begin(kafka, "latest")
    kafka.put(LEDGER, codec.mark_value(5), key=codec.mark_key(INPUT, 1))
    del kafka.offsets[GROUP, INPUT, 0]
    assert await begin(kafka, "latest") == Beginning(10)
    written = [[append.key for append in transaction.appends] for _, transaction in kafka.transactions]
    own, other = codec.mark_key(INPUT, 0), codec.mark_key(INPUT, 1)
    assert written == [[own, other], [own]]


@pytest.mark.fault(19)
@in_virtual_time
async def test_what_came_while_an_offset_was_lost_is_not_passed_over_by_latest() -> None:
    """Nothing was settled yet; where nothing has come, or the topic is new and empty, it goes on."""
    kafka = topic_of()
    assert await begin(kafka, "latest") == Beginning(10)
    del kafka.offsets[GROUP, INPUT, 0]
    kafka.put(INPUT, b'{"text":"meanwhile"}')
    with pytest.raises(Held, match="began at 10, and the log ends at 11") as held:
        await begin(kafka, "latest")
    assert held.value.reason == "offset_lost"
    assert (GROUP, INPUT, 0) not in kafka.offsets
    kafka.logs[INPUT][0].clear()
    assert await begin(kafka, "latest") == Beginning(0)


@pytest.mark.fault(19)
@in_virtual_time
async def test_a_lost_offset_is_not_taken_for_a_first_start() -> None:
    """The ledger remembers that the partition was submitted from: again would be paid for twice."""
    kafka = topic_of()
    kafka.put(LEDGER, codec.mark_value(5), key=codec.mark_key(INPUT, 0))
    assert await reason_of(kafka) == "offset_lost"
    # Kafka forgets the offsets of a topic that is deleted: the mark is of the one before, then.
    with pytest.raises(Held, match="the first that is there if the topic was made anew"):
        await begin(kafka)


@pytest.mark.parametrize("settled", [(5, codec.NOTHING_SETTLED), (codec.NOTHING_SETTLED, 5)])
@in_virtual_time
async def test_of_two_marks_the_one_read_last_may_be_the_older(settled: tuple[int, int]) -> None:
    """The ledger was given partitions: what was settled is seen all the same."""
    kafka = topic_of()
    for partition, offset in enumerate(settled):
        kafka.put(LEDGER, codec.mark_value(offset), partition, key=codec.mark_key(INPUT, 0))
    assert await reason_of(kafka) == "offset_lost"


@pytest.mark.fault(19)
@in_virtual_time
async def test_an_offset_lost_with_the_very_first_intent_is_not_taken_for_a_first_start() -> None:
    """Nothing was settled, but what was announced may be there: again would be paid for twice."""
    kafka = topic_of()
    async with kafka.writer("w") as writer:
        outbox = Outbox(writer, place(), FakeTime(), lambda: "new")
        assert await take_over(kafka, place(), outbox, "earliest", READER) == Beginning(0)
        outbox.resume(await last_tally(kafka, place()))
        await outbox.announce(await read_range(kafka, place(), 0, 4, READER))
        await outbox.announce(await read_range(kafka, place(), 0, 4, READER))
    del kafka.offsets[GROUP, INPUT, 0]
    assert await reason_of(kafka) == "offset_lost"
    marks = [record.value for log in kafka.logs[LEDGER] for record in log if record is not None]
    assert len(marks) == 1, "once is enough"
    assert codec.read_mark(marks[0]) == 0


@in_virtual_time
async def test_another_partitions_mark_does_not_matter() -> None:
    """A partition that was added is a first start."""
    kafka = topic_of()
    kafka.put(LEDGER, codec.mark_value(5), key=codec.mark_key(INPUT, 1))
    assert await begin(kafka) == Beginning(0)


@pytest.mark.parametrize("offset", [0, 4, 10])
@in_virtual_time
async def test_where_nothing_is_in_doubt_the_way_goes_on_at_the_offset(offset: int) -> None:
    """At once, also at the log's very end."""
    kafka = topic_of()
    commit(kafka, offset)
    assert await begin(kafka) == Beginning(offset)
    assert (kafka.transactions, asyncio.get_running_loop().time()) == ([], 0)


@in_virtual_time
async def test_an_intent_is_found_with_its_range_exactly_as_it_was() -> None:
    """From the committed offset to the intent's end, whatever lies behind."""
    kafka = topic_of()
    commit(kafka, 3, codec.intent_metadata(INTENT))
    beginning = await begin(kafka)
    assert beginning.offset == 8
    assert beginning.found is not None
    intent, batch = beginning.found
    # Equal intents may stand at different offsets, and what is recorded of this one goes to its own.
    assert (intent, intent.first) == (INTENT, 3)
    assert (batch.topic, batch.partition, batch.first, batch.end) == (INPUT, 0, 3, 8)
    assert [it.record.offset for it in batch.items] == [4, 5]
    assert [letter.record.offset for letter in batch.dead_letters] == [3, 7]
    assert (batch.skipped, batch.since) == (1, None)


@in_virtual_time
async def test_a_range_that_ends_with_what_is_not_for_readers_keeps_its_end() -> None:
    """Aborted and control records count in offsets."""
    kafka = topic_of(5)
    kafka.logs[INPUT][0] += [None, None, None]
    commit(kafka, 0, codec.intent_metadata(INTENT))
    beginning = await begin(kafka)
    assert beginning.found is not None
    _, batch = beginning.found
    assert (batch.first, batch.end, len(batch.items)) == (0, 8, 3)


@in_virtual_time
async def test_a_range_is_read_again_whole_however_large_it_was() -> None:
    """The limits of now do not cut what was sent then."""
    kafka = topic_of(12_000)
    commit(kafka, 0, codec.intent_metadata(replace(INTENT, end=11_000)))
    beginning = await begin(kafka)
    assert beginning.found is not None
    _, batch = beginning.found
    assert (len(batch.items), len(batch.dead_letters), batch.skipped) == (5_500, 2_750, 2_750)
    assert batch.end == 11_000


@pytest.mark.fault(66)
@pytest.mark.parametrize("metadata", ["somebody else's", '{"v":9}', "{}", "[]"])
@in_virtual_time
async def test_metadata_that_cannot_be_read_holds_the_partition(metadata: str) -> None:
    """It may announce something that is under way."""
    kafka = topic_of()
    commit(kafka, 3, metadata)
    assert await reason_of(kafka) == "intent_unreadable"


@pytest.mark.fault(29)
@pytest.mark.parametrize(("start", "offset"), [(4, 3), (10, 9)])
@in_virtual_time
async def test_an_offset_before_the_log_holds_the_partition(start: int, offset: int) -> None:
    """What lies between was deleted unread: never fall to its end."""
    kafka = topic_of()
    kafka.starts[INPUT, 0] = start
    commit(kafka, offset)
    assert await reason_of(kafka) == "offset_out_of_range"


@pytest.mark.fault(29)
@in_virtual_time
async def test_an_offset_behind_the_log_holds_until_another_is_committed() -> None:
    """The topic was made anew: it grows, and what stands before the offset is not to be passed over."""
    kafka = topic_of()
    commit(kafka, 11)
    with pytest.raises(Held) as held:
        await begin(kafka)
    assert held.value.reason == "offset_out_of_range"
    assert kafka.offsets[GROUP, INPUT, 0] == Committed(11, codec.ASTRAY)
    assert await reason_of(kafka) == "offset_out_of_range"
    for _ in range(5):
        kafka.put(INPUT, b'{"text":"a"}')
    assert await reason_of(kafka) == "offset_out_of_range"
    commit(kafka, 11)
    assert await begin(kafka) == Beginning(11)


@in_virtual_time
async def test_that_the_log_had_not_come_to_an_offset_is_written_down_once_and_said_later() -> None:
    """The offset looks right once the log has grown past it: whoever is to mend it must be told."""
    kafka, said = topic_of(), []
    commit(kafka, 12)
    for _ in range(3):
        with pytest.raises(Held) as held:
            await begin(kafka)
        said.append("which the log had not reached before" in held.value.detail)
        kafka.put(INPUT, b'{"text":"a"}')
    assert (said, len(kafka.transactions)) == ([False, False, True], 1)
    # Only the first look waits for a leader that may not know its log yet.
    assert asyncio.get_running_loop().time() == AGAIN_SECONDS


@pytest.mark.parametrize(("start", "offset", "end"), [(4, 3, 8), (0, 3, 11), (0, 8, 7), (9, 3, 8)])
@in_virtual_time
async def test_a_range_in_doubt_that_is_gone_holds_the_partition(start: int, offset: int, end: int) -> None:
    """What cannot be read again cannot be compared."""
    kafka = topic_of()
    kafka.starts[INPUT, 0] = start
    commit(kafka, offset, codec.intent_metadata(replace(INTENT, end=end)))
    assert await reason_of(kafka) == "range_gone"


@in_virtual_time
async def test_a_range_in_doubt_is_gone_where_what_was_sent_behind_it_is() -> None:
    """Both are announced as one; an audit says the same of it."""
    kafka = topic_of()
    inside, beyond = (replace(INTENT, doubt_end=end) for end in (10, 11))
    commit(kafka, 3, codec.intent_metadata(inside))
    assert (await begin(kafka)).offset == INTENT.end
    commit(kafka, 3, codec.intent_metadata(beyond))
    assert await reason_of(kafka) == "range_gone"
    committed = kafka.offsets[GROUP, INPUT, 0]
    assert [is_in_log(committed, intent, 0, 10) for intent in (inside, beyond)] == [True, False]


@in_virtual_time
async def test_what_other_checks_let_through_is_looked_for_in_a_predecessors_range() -> None:
    """Today it is a dead letter; it may have been sent all the same. What never was an item was not."""
    kafka = topic_of(4)
    kafka.put(INPUT, b'{"text":1}')
    kafka.put(INPUT, b'{"text":"%s"}' % (b"a" * 1_000))
    commit(kafka, 2, codec.intent_metadata(replace(INTENT, end=6)))
    found = (await begin(kafka)).found
    assert found is not None
    _, batch = found
    assert [letter.record.offset for letter in batch.dead_letters] == [3, 4, 5]
    assert [item.record.offset for item in batch.possible] == [4, 5]


class LateLeader(MemoryKafka):
    """Whoever leads the input's partitions tells at first that their logs end earlier than they do."""

    async def end_offsets(self, topic: str, partitions: Collection[int] = ()) -> Mapping[int, int]:
        """See `daemon.ports.Kafka.end_offsets`."""
        ends = await super().end_offsets(topic, partitions)
        is_late = topic == INPUT and asyncio.get_running_loop().time() < 1
        return {partition: end - 1 for partition, end in ends.items()} if is_late else ends


@in_virtual_time
async def test_an_offset_is_not_called_astray_by_a_leader_that_does_not_know_its_log_yet() -> None:
    """It would be held until somebody commits one by hand."""
    kafka = LateLeader.usual()
    for _ in range(10):
        kafka.put(INPUT, b'{"text":"a"}')
    commit(kafka, 10)
    assert await begin(kafka) == Beginning(10)
    assert kafka.offsets[GROUP, INPUT, 0] == Committed(10, "")
