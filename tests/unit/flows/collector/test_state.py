"""The collector's state: memory follows what is committed, and nothing else."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from msgspec import structs

from daemon.errors import ConfigurationError, Fenced, Transient
from daemon.flows.collector import early
from daemon.flows.collector.state import PARTITIONS_SECONDS
from daemon.flows.records import codec, tombstones
from daemon.flows.skew import SKEW
from daemon.model import Cursor, DeadLetter, Flaw
from tests.doubles import (
    CURSORS,
    DEAD,
    INPUT,
    LEDGER,
    OUTPUT,
    START,
    START_MS,
    FakeRecord,
    MemoryKafka,
    MemoryWriter,
    finished,
    in_virtual_time,
    item,
    turns,
)
from tests.unit.flows.collector.states import OVERLAP, body, cursors, opened, put_cursor, settle


def published(kafka: MemoryKafka) -> list[int | None]:
    """The offsets that have results, in order of publishing."""
    found = [
        append
        for _, transaction in kafka.transactions
        for append in transaction.appends
        if append.topic == OUTPUT
    ]
    origins = [msgspec.json.decode(append.value or b"")["origin"] for append in found]
    return [origin and origin["offset"] for origin in origins]


# --- publishing ----------------------------------------------------------------------------------------
@in_virtual_time
async def test_results_tombstones_and_cursor_are_one_transaction() -> None:
    """And then memory says the same."""
    kafka = MemoryKafka.usual()
    settle(kafka, ["a", "b"])
    async with opened(kafka) as (state, _):
        cursor = Cursor("b", START + OVERLAP)
        count = await state.publish([finished("a", body("a")), finished("b", body("b"))], "tail", cursor)
        _, transaction = kafka.transactions[-1]
        assert {append.topic for append in transaction.appends} == {OUTPUT, LEDGER, CURSORS}
        assert (count, published(kafka), len(state.ledger)) == (2, [0, 1], 0)
        assert state.cursor == replace(cursor, published=2) == cursors(kafka)[-1]


@in_virtual_time
async def test_a_cursor_that_moves_keeps_how_far_the_second_looks_have_come() -> None:
    """A successor forgets by it what was closed, and a result would be seen by it as new."""
    kafka = MemoryKafka.usual()
    settle(kafka, ["a"])
    async with opened(kafka) as (state, _):
        state.looked_until(START)
        await state.publish([finished("a", body("a"))], "tail", Cursor("a", START + OVERLAP))
        assert cursors(kafka)[-1].looked_until == START


@in_virtual_time
async def test_memory_stays_as_it_is_when_a_transaction_fails() -> None:
    """What was not committed did not happen."""
    kafka = MemoryKafka.usual()
    settle(kafka, ["a"])
    async with opened(kafka) as (state, _):
        kafka.spoil = lambda _: Transient("no answer")
        before = state.cursor
        with pytest.raises(Transient):
            await state.publish(
                [finished("a", body("a")), finished("new", body("n"))], "tail", Cursor("a", START)
            )
        assert (len(state.ledger), state.cursor, state.waiting) == (1, before, {})
        assert state.ledger.was_closed("a") is False


@in_virtual_time
async def test_where_nothing_changes_nothing_is_written() -> None:
    """A poll that brings nothing costs no transaction."""
    kafka = MemoryKafka.usual()
    put_cursor(kafka, Cursor("x", START, 5))
    async with opened(kafka) as (state, _):
        await state.publish([finished("foreign", body("f"))], "overlap")
        await state.publish([], "tail", Cursor("x", START))
        assert kafka.transactions == []


@in_virtual_time
async def test_a_second_look_publishes_nothing_again() -> None:
    """Also long afterwards, as far as second looks reach back."""
    kafka = MemoryKafka.usual()
    settle(kafka, ["a"])
    async with opened(kafka) as (state, _):
        await state.publish([finished("a", body("a"))], "tail", Cursor("a", START))
        await state.publish([finished("a", body("a"))], "overlap")
        assert (published(kafka), state.waiting) == ([0], {})
        await state.publish([], "tail", Cursor("z", START + OVERLAP + SKEW + SKEW))
        state.looked_until(START + OVERLAP + SKEW)
        assert state.ledger.was_closed("a")
        state.looked_until(START + OVERLAP + SKEW + SKEW)
        assert not state.ledger.was_closed("a")


@in_virtual_time
async def test_what_was_closed_while_toloka_told_a_wrong_year_is_forgotten_like_anything_else() -> None:
    """Its `Date` was believed once: what was closed then is not kept in memory for that year."""
    kafka = MemoryKafka.usual()
    year_ms = START_MS + 365 * 86_400_000
    kafka.put(LEDGER, None, key=b"a", headers=(tombstones.closed_header(year_ms),))
    async with opened(kafka) as (state, _):
        for minutes in range(0, 15, 5):
            assert state.ledger.was_closed("a")
            state.looked_until(START + timedelta(minutes=minutes))
            await asyncio.sleep(300)
        assert not state.ledger.was_closed("a")


@in_virtual_time
async def test_a_result_that_its_topic_would_refuse_becomes_a_dead_letter() -> None:
    """With the record as it was read, in the transaction that closes the item."""
    kafka = MemoryKafka.usual()
    kafka.put(INPUT, b"original", key=b"k-0")
    settle(kafka, ["a"])
    async with opened(kafka) as (state, _):
        large = msgspec.structs.replace(finished("a", body("a")), raw=b'"' + b"x" * 200_000 + b'"')
        await state.publish([large], "tail", Cursor("a", START))
        (letter,) = kafka.written(DEAD)
        assert (letter.key, letter.value) == (b"k-0", b"original")
        assert dict(letter.headers)["tolokad-error-code"] == b"RESULT_TOO_LARGE"
        assert (published(kafka), len(state.ledger)) == ([], 0)


@in_virtual_time
async def test_what_is_decided_while_a_page_is_being_written_is_decided_after_it() -> None:
    """An item that is just being published is not buried as well, nor given another record, nor foreign."""
    kafka = MemoryKafka.usual()
    settle(kafka, ["a", "b"])
    async with opened(kafka) as (state, _):
        letter = DeadLetter(FakeRecord(0), Flaw("ITEM_VANISHED", "gone"))
        swapped = {"a": item(0, body("b")).content_hash, "b": item(0, body("a")).content_hash}
        await kafka.gate.acquire()
        writing = [
            asyncio.ensure_future(each)
            for each in (
                state.publish([finished("a", body("a"))], "tail"),
                state.bury([("a", letter)]),
                state.rearrange((0, 2), swapped),
                state.publish_foreign([finished("a", body("a")), finished("x", body("x"))]),
                state.publish_foreign([finished("x", body("x"))]),
            )
        ]
        await turns()
        kafka.gate.release()
        await asyncio.gather(*writing)
        assert (published(kafka), kafka.written(DEAD)) == ([0, None], [])
        assert ("a" in state.ledger, "b" in state.ledger) == (False, True)


@in_virtual_time
async def test_no_page_is_written_while_what_was_written_is_sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer does one thing at a time, and is done for where it is asked for two."""
    kafka, sealing, sealed = MemoryKafka.usual(), asyncio.Event(), asyncio.Event()
    settle(kafka, ["a"])
    async with opened(kafka, follow=True) as (state, _):
        usual = MemoryWriter.seal

        async def slow(writer: MemoryWriter, partitions: Collection[tuple[str, int]]) -> None:
            sealing.set()
            await sealed.wait()
            await usual(writer, partitions)

        monkeypatch.setattr(MemoryWriter, "seal", slow)
        await sealing.wait()
        before = list(kafka.transactions)
        writing = asyncio.ensure_future(state.publish([finished("a", body("a"))], "tail"))
        await turns()
        assert kafka.transactions == before
        sealed.set()
        await writing
        assert published(kafka) == [0]


@in_virtual_time
async def test_only_what_the_tail_must_have_shown_before_does_not_wait_for_its_record() -> None:
    """What became visible late may be seen for the first time: its record may still be on its way."""
    kafka = MemoryKafka.usual()
    settle(kafka, ["open"])
    async with opened(kafka) as (state, _):
        state.tailed(START + OVERLAP + timedelta(seconds=10))
        shown = {"seen": 10, "new": 11}
        items = [
            structs.replace(finished(item_id, body(item_id)), shown_since=START + timedelta(seconds=seconds))
            for item_id, seconds in shown.items()
        ]
        await state.publish(items, "tail")
        assert list(state.waiting) == ["new"]
        assert [state.knows(item_id) for item_id in ("open", "new")] == [True, False]


# --- following -----------------------------------------------------------------------------------------
@in_virtual_time
async def test_an_item_that_finished_before_its_record_came_is_published_with_it() -> None:
    """A fast crowd and a slow settlement."""
    kafka = MemoryKafka.usual()
    async with opened(kafka, follow=True) as (state, _):
        await state.publish([finished("a", body("a"))], "tail", Cursor("a", START))
        assert (published(kafka), list(state.waiting)) == ([], ["a"])
        settle(kafka, ["a"])
        await turns()
        assert (published(kafka), state.waiting, len(state.ledger)) == ([0], {}, 0)


@in_virtual_time
async def test_a_record_that_comes_while_its_item_is_being_looked_at_is_not_missed() -> None:
    """Whichever of the two is first to the pen."""
    kafka = MemoryKafka.usual()
    settle(kafka, ["z"], first=50)
    async with opened(kafka, follow=True) as (state, _):
        await kafka.gate.acquire()
        page = [finished("z", body("z")), finished("a", body("a"))]
        publishing = asyncio.ensure_future(state.publish(page, "tail", Cursor("a", START)))
        await turns()
        settle(kafka, ["a"])
        await turns()
        kafka.gate.release()
        await publishing
        await turns()
        assert (published(kafka), state.waiting) == ([50, 0], {})


@in_virtual_time
async def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest are kept; the rest is found by a sweep once its record comes."""
    monkeypatch.setattr(early, "WAITING_ITEMS", 3)
    async with opened(MemoryKafka.usual()) as (state, _):
        await state.publish([finished(name, body(name)) for name in "abcde"], "tail")
        assert list(state.waiting) == ["c", "d", "e"]


@in_virtual_time
async def test_the_results_of_one_task_that_wait_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that others created may be worked on any number of times while something is in doubt."""
    monkeypatch.setattr(early, "WAITING_ITEMS", 3)
    async with opened(MemoryKafka.usual()) as (state, _):
        for number in range(10):
            result = structs.replace(finished("a", body("a")), share=f"s-{number}")
            await state.publish([result], "tail")
            assert sum(map(len, state.waiting.values())) <= 3


@in_virtual_time
async def test_only_what_is_at_its_end_waits() -> None:
    """The others will be seen again."""
    async with opened(MemoryKafka.usual()) as (state, _):
        await state.publish([finished("a", body("a"), status="PROCESSING")], "tail")
        assert state.waiting == {}


@in_virtual_time
async def test_a_record_for_a_time_long_passed_is_overdue() -> None:
    """Its item may have finished where nobody looks again: it is asked for at once."""
    kafka = MemoryKafka.usual()
    put_cursor(kafka, Cursor("x", START))
    async with opened(kafka, follow=True) as (state, _):
        settle(kafka, ["late"], seconds=-61)
        settle(kafka, ["fresh"], seconds=-59, first=5)
        await turns()
        assert state.overdue == {"late"}


@in_virtual_time
async def test_what_the_collector_wrote_itself_changes_nothing_when_it_comes_back() -> None:
    """A swap that is read late must not open an item that is closed."""
    kafka = MemoryKafka.usual()
    settle(kafka, ["a", "b"])
    async with opened(kafka, follow=True) as (state, _):
        swapped = [finished("a", body("b")), finished("b", body("a"))]
        for each in swapped:
            await state.publish([each], "tail")
        await turns()
        assert (sorted(map(str, published(kafka))), len(state.ledger)) == (["0", "1"], 0)


@in_virtual_time
async def test_a_successor_reads_what_was_written_as_it_was_meant() -> None:
    """Swapped records, tombstones and the cursor, from the log alone."""
    kafka = MemoryKafka.usual()
    settle(kafka, ["a", "b", "c"])
    async with opened(kafka) as (state, _):
        await state.publish([finished("a", body("b"))], "tail", Cursor("a", START))
    async with opened(kafka, incarnation="next") as (state, _):
        assert (len(state.ledger), state.cursor) == (2, Cursor("a", START, 1))
        await state.publish([finished("b", body("a")), finished("c", body("c"))], "tail")
        assert published(kafka) == [1, 0, 2]


@in_virtual_time
async def test_content_that_differs_waits_until_its_whole_batch_has_been_read() -> None:
    """The record with that content may be the next to come."""
    kafka = MemoryKafka.usual()
    settle(kafka, ["a", "b"])
    rest = [kafka.logs[LEDGER][0].pop() for _ in range(2)]
    async with opened(kafka, follow=True) as (state, _):
        await state.publish([finished("a", body("b"))], "tail", Cursor("a", START))
        assert (published(kafka), state.ledger.altered) == ([], False)
        kafka.logs[LEDGER][0] += reversed(rest)
        kafka.wake()
        await turns()
        assert (published(kafka), state.ledger.altered) == ([1], False)


@in_virtual_time
async def test_a_record_that_cannot_be_read_ends_the_program_as_at_the_start() -> None:
    """A newer release writes while this one still collects: 78 and a sentence, not a defect."""
    kafka = MemoryKafka.usual()
    async with opened(kafka) as (state, reader):
        kafka.put(LEDGER, b"\x09" + b"\x00" * 60, key=b"a")
        with pytest.raises(ConfigurationError):
            await state.follow(reader, (0, 1))


@in_virtual_time
async def test_what_came_while_nobody_collected_is_overdue_as_well() -> None:
    """It settled after the cursor had passed its end, and then the collector was away; not what is closed."""
    kafka = MemoryKafka.usual()
    put_cursor(kafka, Cursor("x", START))
    settle(kafka, ["patient"], seconds=-600)
    settle(kafka, ["late", "closed"], seconds=-600, first=5, ledger=1)
    kafka.put(LEDGER, None, 1, key=b"closed")
    log = kafka.logs[LEDGER][1]
    log[:] = [replace(record, timestamp=START_MS + 5_000) for record in log if record is not None]
    async with opened(kafka) as (state, _):
        assert state.overdue == {"late"}


@in_virtual_time
async def test_a_ledger_that_has_been_given_partitions_is_read_anew() -> None:
    """Within half a minute: who starts later writes to them, and their results would never come."""
    kafka = MemoryKafka.usual()
    async with opened(kafka) as (state, reader):
        following = asyncio.ensure_future(state.follow(reader, (0, 1)))
        await asyncio.sleep(2 * PARTITIONS_SECONDS)
        assert not following.done()
        kafka.logs[LEDGER].append([])
        with pytest.raises(Transient, match=r"\[2\]"):
            await following


@in_virtual_time
async def test_whether_the_ledger_has_been_given_partitions_is_asked_now_and_then() -> None:
    """And not with each read."""
    kafka, asked = MemoryKafka.usual(), list[str]()
    async with opened(kafka) as (state, reader):
        usual = kafka.end_offsets

        async def counted(topic: str, partitions: Collection[int] = ()) -> Mapping[int, int]:
            asked.append(topic)
            return await usual(topic, partitions)

        kafka.end_offsets = counted  # type: ignore[method-assign]  # on purpose
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(10.5 * PARTITIONS_SECONDS):
                await state.follow(reader, (0, 1))
    assert asked == [LEDGER] * 10


@in_virtual_time
async def test_an_operator_who_sets_the_cursor_has_the_collector_begin_anew() -> None:
    """Its next transaction would undo what was set: it notices before that, by the ledger."""
    kafka = MemoryKafka.usual()
    async with opened(kafka) as (state, reader):
        kafka.put(LEDGER, None, key=codec.REOPEN_KEY)
        with pytest.raises(Fenced, match="an operator has set the cursor"):
            await state.follow(reader, (0, 1))


@in_virtual_time
async def test_that_toloka_alters_content_is_written_down_once() -> None:
    """And not with each page: compaction would have to take it all away again."""
    kafka = MemoryKafka.usual()
    settle(kafka, ["a", "b", "c"])
    async with opened(kafka) as (state, _):
        for item_id, content in ("aA", "bb", "cC"):
            await state.publish([finished(item_id, body(content))], "tail")
            assert state.ledger.altered
    assert published(kafka) == [0, 1, 2]
    assert [record.key for record in kafka.written(LEDGER)].count(codec.ALTERED_KEY) == 1


@in_virtual_time
async def test_what_was_shown_before_with_an_earlier_status_waits_for_no_record() -> None:
    """A task that had all its results is closed: it would be called somebody else's, and published again."""
    async with opened(MemoryKafka.usual()) as (state, _):
        accepted = structs.replace(finished("a", body("a"), status="ACCEPTED"), share="s-1")
        shown_since = START - timedelta(days=1)
        await state.publish([structs.replace(accepted, shown_since=shown_since)], "tail")
        assert state.waiting == {}
        await state.publish([accepted], "tail")
        assert list(state.waiting) == ["a"]
