"""Finished items that nobody here asked for: when are they certainly somebody else's?"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count

import msgspec
import pytest
from msgspec import structs
from prometheus_client import generate_latest

from daemon.errors import Transient
from daemon.flows.collector.opening import open_state
from daemon.flows.collector.state import CollectOptions, CollectorState
from daemon.flows.looks.foreign import EVERY_SECONDS, INTENTS_SECONDS, Foreign
from daemon.flows.records import codec, tombstones
from daemon.flows.watching import CollectWatch
from daemon.metrics import Metrics
from daemon.model import Committed, Cursor, Intent
from tests.doubles import (
    GROUP,
    INPUT,
    LEDGER,
    OUTPUT,
    START,
    FakeTime,
    MemoryKafka,
    finished,
    in_virtual_time,
    item,
    outlets,
    packed_items,
    turns,
)

BODY = b'{"text":"0"}'
INCARNATIONS = count()
OPENING = CollectOptions(outlets(), timedelta(seconds=60), None)


class Office:
    """A state that is followed, and who judges what waits in it."""

    def __init__(self, kafka: MemoryKafka, state: CollectorState, metrics: Metrics) -> None:
        self.kafka = kafka
        self.state = state
        self.metrics = metrics
        self.foreign = Foreign(kafka, GROUP, INPUT, CollectWatch(metrics))
        self.now = 100.0

    async def see(self, *ids: str, created: float = 0) -> None:
        """The tail brings these."""
        await self.state.publish([finished(i, BODY, created=created) for i in ids], "tail")

    async def judge(self, times: int = 2) -> None:
        """Take so many steps, each when it is due."""
        for _ in range(times):
            self.now += EVERY_SECONDS
            await self.foreign.step(self.state, self.now)
            await turns()

    def intend(self, since: float, partition: int = 0) -> None:
        """What a way has announced."""
        moment = START + timedelta(seconds=since)
        metadata = codec.intent_metadata(Intent("a", 9, moment, moment))
        self.kafka.offsets[GROUP, INPUT, partition] = Committed(0, metadata)

    def settled(self, item_id: str) -> None:
        """What a way writes when it is done."""
        (packed,) = packed_items([item(0)], 1, START)
        self.kafka.offsets[GROUP, INPUT, 0] = Committed(1, "")
        self.kafka.put(LEDGER, packed, key=item_id.encode())
        self.kafka.put(LEDGER, codec.mark_value(1), key=codec.mark_key(INPUT, 0))

    @property
    def counted(self) -> float:
        """How many foreign items were counted."""
        value: float = self.metrics.unknown_items._value.get()
        return value

    def results(self) -> list[object]:
        """The origins of what was published."""
        return [msgspec.json.decode(record.value or b"")["origin"] for record in self.kafka.written(OUTPUT)]


@asynccontextmanager
async def office(kafka: MemoryKafka | None = None, *, publish: bool = True) -> AsyncIterator[Office]:
    """An office that is open."""
    kafka, metrics = kafka or MemoryKafka.usual(), Metrics()
    opening, incarnation = replace(OPENING, publish_foreign=publish), str(next(INCARNATIONS))
    async with (
        kafka.writer("collect") as writer,
        open_state(kafka, opening, writer, FakeTime(), CollectWatch(metrics), incarnation) as (
            state,
            reader,
            partitions,
        ),
    ):
        task = asyncio.ensure_future(state.follow(reader, partitions))
        await turns()
        yield Office(kafka, state, metrics)
        task.cancel()
        await asyncio.wait({task})


@in_virtual_time
async def test_what_no_intent_can_have_made_is_foreign() -> None:
    """Nothing is under way, and the ledger, read to its end, does not have it."""
    async with office() as ours:
        await ours.see("x")
        await ours.judge()
        assert (ours.results(), ours.counted, ours.state.waiting) == ([None], 1, {})


@in_virtual_time
async def test_nothing_is_foreign_while_an_offset_is_lost() -> None:
    """The intent that may have made it is lost, too, until somebody commits the offset again."""
    async with office() as ours:
        ours.settled("before")
        await asyncio.sleep(5)
        await ours.see("x")
        del ours.kafka.offsets[GROUP, INPUT, 0]
        await ours.judge(5)
        assert "x" in ours.state.waiting
        ours.kafka.offsets[GROUP, INPUT, 0] = Committed(1, "")
        await ours.judge(5)
        assert (ours.counted, ours.state.waiting) == (1, {})


@pytest.mark.parametrize(
    ("marks", "lost"),
    [([codec.NOTHING_SETTLED], False), ([0], True), ([5, codec.NOTHING_SETTLED], True), ([None, 5], True)],
)
@in_virtual_time
async def test_an_offset_is_lost_only_where_something_was_settled(
    marks: list[int | None], *, lost: bool
) -> None:
    """A group that began behind what was there has a mark of its own, and the ledger may hold several."""
    kafka = MemoryKafka.usual()
    for partition, settled in enumerate(marks):
        value = None if settled is None else codec.mark_value(settled)
        kafka.put(LEDGER, value, partition, key=codec.mark_key(INPUT, 0))
    async with office(kafka) as ours:
        await ours.see("x")
        await ours.judge()
        assert ("x" in ours.state.waiting, ours.counted) == (lost, not lost)


@in_virtual_time
async def test_foreign_items_can_be_ignored() -> None:
    """They are counted only."""
    async with office(publish=False) as ours:
        await ours.see("x", "y")
        await ours.judge()
        assert (ours.results(), ours.counted, ours.state.waiting) == ([], 2, {})


@pytest.mark.parametrize("publish", [True, False])
@in_virtual_time
async def test_a_published_foreign_item_is_among_the_results(*, publish: bool) -> None:
    """The metric is of the results in the output topic; times from submitting there are none."""
    async with office(publish=publish) as ours:
        await ours.see("x", "y")
        await ours.judge()
        metrics = ours.metrics
        assert metrics.results_published.labels("COMPLETED")._value.get() == len(ours.results())
        assert len(ours.results()) == (2 if publish else 0)
        assert "tolokad_turnaround_seconds_count 0.0" in generate_latest(metrics.registry).decode()


@pytest.mark.parametrize(("since", "foreign"), [(-10, False), (0, False), (60, False), (61, True)])
@in_virtual_time
async def test_an_intent_from_before_an_item_may_have_made_it(since: float, *, foreign: bool) -> None:
    """Clocks may differ by a minute."""
    async with office() as ours:
        ours.intend(since)
        ours.intend(5000, partition=1)
        await ours.see("x")
        await ours.judge(5)
        assert (ours.counted == 1) is foreign
        assert ("x" in ours.state.waiting) is not foreign


@in_virtual_time
async def test_a_task_of_others_that_is_worked_on_all_the_time_does_not_wait_for_ever() -> None:
    """However young its latest result is, and the intents: the task is older than its first."""
    async with office(publish=False) as ours:
        for number in range(20):
            at = 10.0 * number
            ours.intend(at)
            result = finished("golden", BODY, at, "SUBMITTED", created=at - 5)
            await ours.state.publish([structs.replace(result, share=f"s-{number}")], "tail")
            await ours.judge()
            await asyncio.sleep(10)
        assert (ours.counted > 0, ours.state.waiting) == (True, {})


@in_virtual_time
async def test_ours_is_published_as_ours_when_its_settlement_comes() -> None:
    """However long its intent stood."""
    async with office() as ours:
        ours.intend(-10)
        await ours.see("x")
        await ours.judge(20)
        ours.settled("x")
        await turns()
        await ours.judge()
        assert ours.counted == 0
        assert [origin is not None for origin in ours.results()] == [True]


@in_virtual_time
async def test_nothing_is_judged_before_the_ledger_has_been_read_that_far() -> None:
    """The settlement that replaced the intent may be what the reader has yet to see."""
    async with office() as ours:
        await ours.see("x")
        ours.kafka.stable[LEDGER, 0] = 0
        ours.settled("x")
        await ours.judge(20)
        assert (ours.counted, list(ours.state.waiting)) == (0, ["x"])
        ours.kafka.stable.clear()
        ours.kafka.wake()
        await turns()
        await ours.judge()
        assert ours.counted == 0
        assert [origin is not None for origin in ours.results()] == [True]


@in_virtual_time
async def test_nothing_is_judged_while_a_partition_of_the_ledger_is_not_followed_yet() -> None:
    """It was added just now, and the settlement that replaced the intent may stand in it."""
    async with office() as ours:
        await ours.see("x")
        ours.kafka.logs[LEDGER].append([])
        (packed,) = packed_items([item(0)], 1, START)
        ours.kafka.put(LEDGER, packed, 2, key=b"x")
        await ours.judge()
        assert (ours.counted, list(ours.state.waiting)) == (0, ["x"])


@in_virtual_time
async def test_what_was_published_as_foreign_is_not_published_again() -> None:
    """Its tombstone remembers, for a second look and for a successor."""
    async with office() as ours:
        await ours.see("x")
        await ours.judge()
        await ours.see("x")
        await ours.judge()
        assert (ours.results(), ours.state.waiting) == ([None], {})
        (tombstone,) = ours.kafka.written(LEDGER)
        assert tombstones.origin_of(tombstone.headers) == tombstones.FOREIGN


@in_virtual_time
async def test_each_result_of_a_task_of_others_is_published_once() -> None:
    """Its workers are done one after the other, and what they submit is accepted later."""
    kafka = MemoryKafka.usual()
    async with office(kafka) as ours:
        for _ in range(2):
            for number in range(3):
                result = structs.replace(finished("x", BODY, status="SUBMITTED"), share=f"s-{number}")
                await ours.state.publish([result], "tail")
                await ours.judge()
        assert (ours.results(), ours.counted, ours.state.waiting) == ([None] * 3, 3, {})
    async with office(kafka) as successor:
        successor.state.looked_until(START + timedelta(hours=1))
        await successor.state.publish([result], "tail")
        await successor.judge()
        assert (len(successor.results()), successor.counted, successor.state.waiting) == (3, 0, {})


@in_virtual_time
async def test_a_result_of_others_that_is_seen_again_waits_for_nothing() -> None:
    """It is known by its own id, and nobody has to read the ledger to tell."""
    async with office() as ours:
        result = structs.replace(finished("x", BODY, status="SUBMITTED"), share="s-1")
        for _ in range(2):
            await ours.state.publish([result], "tail")
            assert ours.state.knows("x") is False
            seen = dict(ours.state.waiting)
            await ours.judge()
        assert (seen, ours.counted) == ({}, 1)


@in_virtual_time
async def test_judging_is_done_every_so_often() -> None:
    """It asks Kafka for every partition's offset."""
    async with office() as ours:
        await ours.see("x")
        await ours.foreign.step(ours.state, ours.now)
        await ours.foreign.step(ours.state, ours.now)
        await ours.see("y")
        await ours.foreign.step(ours.state, ours.now + EVERY_SECONDS - 1)
        assert list(ours.state.waiting) == ["y"]
        await ours.judge()
        assert ours.counted == 2


@in_virtual_time
async def test_where_nothing_waits_nothing_is_asked() -> None:
    """A quiet collector leaves Kafka alone."""
    async with office() as ours:
        ours.kafka.offsets = None  # type: ignore[assignment]  # whoever asks fails
        assert await ours.foreign.step(ours.state, 1000.0) is False


@in_virtual_time
async def test_a_record_that_was_read_and_not_taken_in_yet_counts() -> None:
    """While the tail writes, what follows the ledger waits for the pen, records in hand.

    Publishing a page and judging follow each other without a pause, as they do in the tail's loop.
    """
    async with office() as ours:
        ours.settled("y")
        await turns()
        await ours.see("x")
        ours.kafka.stable[LEDGER, 0] = len(ours.kafka.logs[LEDGER][0])
        ours.settled("x")
        await ours.judge(times=1)

        async def tail() -> None:
            await ours.see("y")
            await ours.foreign.step(ours.state, ours.now)

        await ours.kafka.gate.acquire()
        tailing = asyncio.ensure_future(tail())
        await turns()
        ours.kafka.stable.clear()
        ours.kafka.wake()
        await turns()
        ours.kafka.gate.release()
        await tailing
        await turns()
        assert ours.counted == 0


@in_virtual_time
async def test_unreadable_metadata_makes_nothing_foreign() -> None:
    """Somebody's commit by hand is no defect of ours; what it hides may have made the item."""
    async with office() as ours:
        ours.kafka.offsets[GROUP, INPUT, 0] = Committed(0, "by hand")
        await ours.see("x")
        await ours.judge()
        assert (ours.counted, list(ours.state.waiting)) == (0, ["x"])


@in_virtual_time
async def test_a_foreign_item_is_counted_once() -> None:
    """The overlap shows it again and again."""
    async with office(publish=False) as ours:
        for _ in range(3):
            await ours.see("x")
            await ours.judge()
        assert ours.counted == 1


@in_virtual_time
async def test_to_call_an_item_foreign_the_ledger_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long ago it was created: it may have a million records, and the tail waits for it."""
    async with office() as ours:
        ours.state.looked_until(START + timedelta(hours=1))
        monkeypatch.setattr(ours.kafka, "reader", None)  # whoever reads fails
        for number in range(20):
            await ours.see(f"x{number}", created=-3600)
            await ours.judge()
        assert (ours.results(), ours.counted) == ([None] * 20, 20)


@in_virtual_time
async def test_an_id_that_looks_like_one_that_was_closed_is_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The ledger is read, and has nothing of it."""
    async with office() as ours:
        monkeypatch.setattr(ours.state.ledger, "may_have_closed", lambda _: True)
        await ours.see("x")
        await ours.judge()
        assert (ours.results(), ours.counted) == ([None], 1)


@pytest.mark.fault(54)
@in_virtual_time
async def test_what_ends_again_long_after_its_result_is_not_foreign() -> None:
    """The state has forgotten it; the ledger has not, and it is not published twice."""
    async with office() as ours:
        ours.settled("x")
        await turns()
        await ours.state.publish([finished("x", BODY)], "tail")
        ours.state.looked_until(START + timedelta(hours=1))
        await ours.see("x")
        await ours.judge()
        assert (len(ours.results()), ours.counted, ours.state.waiting) == (1, 0, {})


@pytest.mark.parametrize("publish", [True, False])
@in_virtual_time
async def test_what_ends_ahead_of_our_time_is_foreign_once(*, publish: bool) -> None:
    """The tail shows it until its time has come, while the second looks come to what is older."""
    async with office(publish=publish) as ours:
        shown = finished("x", BODY, 240, created=235)
        for seconds in range(0, 240, 20):
            ours.state.looked_until(START + timedelta(seconds=seconds) + OPENING.overlap)
            await ours.state.publish([shown], "tail")
            await ours.judge()
            await asyncio.sleep(20)
        assert (ours.results(), ours.counted) == ([None] * publish, 1)


@pytest.mark.parametrize("publish", [True, False])
@in_virtual_time
async def test_a_successor_is_told_to_look_again_at_what_waits(*, publish: bool) -> None:
    """Where it would be published; the state itself need not remember more for that."""
    async with office(publish=publish) as ours:
        ours.kafka.put(LEDGER, None, key=b"closed")
        await turns()
        ours.intend(-10)
        await ours.see("x")
        far = START + timedelta(hours=1)
        ours.state.looked_until(far)
        assert ours.state.cursor.looked_until == (START if publish else far)
        assert not ours.state.ledger.was_closed("closed")
        ours.kafka.offsets[GROUP, INPUT, 0] = Committed(9, "")
        await ours.judge()
        ours.state.looked_until(far)
        assert ours.state.cursor.looked_until == far


@in_virtual_time
async def test_a_foreign_item_waits_until_its_result_is_committed() -> None:
    """What was not committed did not happen."""
    async with office() as ours:
        await ours.see("x")
        ours.kafka.spoil = lambda _: Transient("no answer")
        with pytest.raises(Transient):
            await ours.judge()
        assert (list(ours.state.waiting), ours.counted) == (["x"], 0)


@in_virtual_time
async def test_what_a_predecessor_published_long_ago_is_not_foreign() -> None:
    """The state never knew more of it than its id."""
    kafka = MemoryKafka.usual()
    async with office(kafka) as ours:
        await ours.see("x")
        await ours.judge()
        ours.state.looked_until(START + timedelta(hours=1))
        await ours.state.publish([], "tail", Cursor("y", START + timedelta(hours=1)))
    async with office(kafka) as ours:
        assert not ours.state.ledger.was_closed("x")
        await ours.see("x", created=7200)
        await ours.judge()
        assert (ours.results(), ours.counted) == ([None], 0)


@in_virtual_time
async def test_an_intent_that_is_just_being_written_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever writes it may have stopped in the middle: the tail goes on, and it is asked again later."""
    async with office() as ours:

        async def never(*_: object) -> Mapping[int, Committed]:
            await asyncio.Event().wait()
            return {}

        await ours.see("x")
        with monkeypatch.context() as patch:
            patch.setattr(ours.kafka, "committed", never)
            began = asyncio.get_running_loop().time()
            assert not await ours.foreign.step(ours.state, ours.now)
            assert asyncio.get_running_loop().time() - began == INTENTS_SECONDS
            # Not at once: each time the tail would wait for as long.
            assert not await ours.foreign.step(ours.state, ours.now + 1)
            assert asyncio.get_running_loop().time() - began == INTENTS_SECONDS
        await ours.judge()
        assert ours.counted == 1
