"""Two batches of a partition under way: each outcome of the first meets each of the one sent behind it."""

import asyncio
from collections import deque
from contextlib import suppress

import pytest

from daemon.flows.batches.delivering import PROMPT_SECONDS
from daemon.flows.records import codec
from daemon.model import Committed, Divided, Flaw, NotNow, Outcome, Rejected, TooLarge, Transaction
from tests.doubles import INPUT, START, MemoryKafka, MemoryWriter, in_virtual_time
from tests.unit.flows.ways import QUARANTINE_SECONDS, Way, body, kafka_of, ran, running

FLAW = Flaw("VALUE_REQUIRED", "text: the value must be present", "r-1")
BUSY = NotNow("throttled", "429", 1.0)
LONG = QUARANTINE_SECONDS + 20.0


def two_batches(contents: str = "abcdefgh", *seconds: float) -> Way:
    """A way with two connections whose answers come after so long, half a second where nothing is said."""
    way = Way(kafka_of(*contents), connections=2)
    usual, delays = way.api.submit, deque(seconds)

    async def submit(*given: object) -> Outcome:
        outcome = await usual(*given)  # type: ignore[arg-type]  # handed on
        await asyncio.sleep(delays.popleft() if delays else 0.5)
        return outcome

    way.api.submit = submit  # type: ignore[method-assign,assignment]  # on purpose
    return way


def standing(way: Way) -> tuple[int, int, int]:
    """The committed offset, and how far the intent there reaches, for itself and in all."""
    intent = codec.read_intent(way.committed.metadata)
    return (way.committed.offset, intent.end, intent.reach) if intent else (way.committed.offset, 0, 0)


async def crashed(way: Way) -> Way:
    """Let it end with two requests under way; returns its successor."""
    task = asyncio.ensure_future(way.submitting.run(way.stopping))
    await asyncio.sleep(0.1)
    assert len(way.posted()) == 2
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return Way(way.kafka, connections=2)


@in_virtual_time
async def test_while_an_answer_takes_its_time_the_next_batch_is_sent() -> None:
    """Announced behind the first and settled after it; each settlement announces one more."""
    way = two_batches("abcdefghijkl")
    async with running(way, 0.1):
        assert (way.posted(), standing(way)) == (["abcd", "efgh"], (0, 4, 8))
        await asyncio.sleep(0.41)
        assert (way.posted(), standing(way)) == (["abcd", "efgh", "ijkl"], (4, 8, 12))
    assert way.kinds()[1:] == ["intent", "intent", "settle", "settle", "settle"]
    assert (way.committed, sorted(way.open())) == (Committed(12, ""), list(range(12)))


@in_virtual_time
async def test_an_intent_tells_of_both_requests_when_they_were_announced() -> None:
    """Others believe them to be over only by the later one, which may be much younger."""
    way = two_batches("abcdefghijkl", 15.0, 30.0, 30.0)
    async with running(way, 16):
        intent = codec.read_intent(way.committed.metadata)
        assert intent is not None
        ages = [(at - START).total_seconds() for at in (intent.at, intent.last_at)]
        assert standing(way) == (4, 8, 12)
        assert ages == pytest.approx([0.02, 15.0])


@in_virtual_time
async def test_no_batch_is_announced_by_itself_where_answers_come_soon() -> None:
    """The settlement announces it, which costs nothing."""
    way = two_batches("abcdefgh", PROMPT_SECONDS / 2, PROMPT_SECONDS / 2)
    await ran(way)
    assert way.kinds()[1:] == ["intent", "settle", "settle"]


@in_virtual_time
async def test_nor_where_answers_come_sooner_than_it_would_be_announced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A transaction that takes its time, as on a machine that is busy, is not made for nothing."""
    usual = MemoryWriter.transact

    async def slow(writer: MemoryWriter, transaction: Transaction) -> None:
        await asyncio.sleep(4 * PROMPT_SECONDS)
        await usual(writer, transaction)

    monkeypatch.setattr(MemoryWriter, "transact", slow)
    way = two_batches("abcdefgh", 3 * PROMPT_SECONDS, 3 * PROMPT_SECONDS)
    await ran(way)
    assert way.kinds()[1:] == ["intent", "settle", "settle"]


@in_virtual_time
async def test_a_settlement_waits_for_what_is_nearly_full_and_announces_it() -> None:
    """Under a backlog there is one transaction for a batch."""
    way = two_batches("abcdefg", 0.01, 0.01)
    asyncio.get_running_loop().call_later(0.02, way.kafka.put, INPUT, body("h"))
    await ran(way)
    assert way.kinds()[1:] == ["intent", "settle", "settle"]


@in_virtual_time
async def test_what_a_later_answer_created_is_in_the_ledger_before_the_first_is_looked_for() -> None:
    """An equal item would be taken for the first's otherwise, and be paid for twice."""
    way = two_batches("abcdabcd")
    way.script(way.lost, way.accept)
    async with running(way, 5):
        assert (sorted(way.open()), standing(way)) == ([4, 5, 6, 7], (0, 4, 8))
        await asyncio.sleep(LONG)
    assert (way.posted(), len(way.created)) == (["abcd", "abcd", "abcd"], 8)
    assert (way.committed, sorted(way.open())) == (Committed(8, ""), list(range(8)))
    assert len(set(way.open().values())) == way.metrics.items_submitted._value.get() == 8


@in_virtual_time
@pytest.mark.parametrize(("first", "second"), [("landed", "lost"), ("lost", "landed"), ("lost", "lost")])
async def test_two_in_doubt_are_looked_for_one_after_the_other(first: str, second: str) -> None:
    """What is there is adopted; what is not is sent once more."""
    way = two_batches()
    way.script(getattr(way, first), getattr(way, second))
    await ran(way, 2 * LONG)
    assert way.posted()[:2] == ["abcd", "efgh"]
    again = [name for name, came in (("abcd", first), ("efgh", second)) if came == "lost"]
    assert (way.posted()[2:], len(way.created)) == (again, 8)
    assert (way.committed, sorted(way.open())) == (Committed(8, ""), list(range(8)))


@in_virtual_time
async def test_two_that_are_told_to_wait_leave_nothing_behind() -> None:
    """Nothing was created of either: no intent stands, and both are sent again."""
    way = two_batches()
    way.script(BUSY, BUSY)
    async with running(way, 0.6):
        assert (way.posted(), way.committed) == (["abcd", "efgh"], Committed(0, ""))
        await asyncio.sleep(30)
    assert way.posted() == ["abcd", "efgh", "abcd", "efgh"]
    assert (way.committed, len(way.created)) == (Committed(8, ""), 8)


@in_virtual_time
async def test_what_was_created_behind_a_no_is_not_sent_again() -> None:
    """The first waits with its intent standing, for a crash would leave the second in doubt."""
    way = two_batches()
    way.script(BUSY, way.accept)
    async with running(way, 0.9):
        assert (sorted(way.open()), standing(way)) == ([4, 5, 6, 7], (0, 4, 8))
        await asyncio.sleep(30)
    assert way.posted() == ["abcd", "efgh", "abcd"]
    assert (way.committed, sorted(way.open())) == (Committed(8, ""), list(range(8)))


@in_virtual_time
@pytest.mark.parametrize("no", [BUSY, Rejected({1: FLAW}, FLAW), Rejected({}, FLAW), TooLarge(FLAW)], ids=str)
async def test_a_no_to_the_second_waits_for_its_turn(no: Outcome) -> None:
    """The first is settled, and nothing is announced behind what did not succeed."""
    way = two_batches("abcdefghijkl", 0.5, 0.1)
    way.script(way.accept, no)
    async with running(way, 0.55):
        assert (way.posted()[:2], way.committed.offset) == (["abcd", "efgh"], 4)
        await asyncio.sleep(30)
    assert (way.posted().count("abcd"), way.posted()[-1]) == (1, "ijkl")
    assert way.committed == Committed(12, "")
    assert sorted([*way.open(), *way.dead()]) == list(range(12))


@in_virtual_time
async def test_a_refused_batch_is_narrowed_down_with_another_behind_it() -> None:
    """The bad item becomes a dead letter; what was created behind its batch stays as it is."""
    way = two_batches()
    way.script(Rejected({}, FLAW), way.accept, Rejected({}, FLAW), Rejected({}, FLAW))
    await ran(way, 30)
    assert (way.dead(), len(way.created)) == ([0], 7)
    assert (way.committed, sorted(way.open())) == (Committed(8, ""), list(range(1, 8)))


@in_virtual_time
async def test_what_is_left_of_a_divided_batch_is_sent_in_its_turn() -> None:
    """What it created is in the ledger, though its predecessor is still looked for."""
    way = two_batches()
    way.script(way.lost, Divided({0: "t-e"}, {1: FLAW}))
    async with running(way, 5):
        assert (way.open(), standing(way)) == ({4: "t-e"}, (0, 4, 8))
        await asyncio.sleep(LONG)
    assert way.posted() == ["abcd", "efgh", "abcd", "gh"]
    assert (way.committed, way.dead()) == (Committed(8, ""), [5])


@in_virtual_time
async def test_a_successor_finds_both() -> None:
    """A crash with two requests under way leaves both in doubt, one behind the other."""
    way = two_batches()
    successor = await crashed(way)
    successor.created = [*way.created]
    successor.api.listing = deque([list(way.created)])
    await ran(successor)
    assert successor.posted() == []
    assert (way.committed, sorted(way.open())) == (Committed(8, ""), list(range(8)))


@in_virtual_time
async def test_a_successor_waits_one_quarantine_for_both() -> None:
    """The second was announced soon after the first: its quarantine is not counted anew."""
    way = two_batches()
    successor = await crashed(way)
    successor.api.listing = deque([[]])
    async with running(successor, LONG):
        assert (successor.posted(), way.committed) == (["abcd", "efgh"], Committed(8, ""))


@in_virtual_time
async def test_a_drain_waits_for_both_answers() -> None:
    """Nothing is left in doubt, and nothing more is sent."""
    way = two_batches("abcdefghijkl")
    await ran(way, 0.1)
    assert (way.posted(), way.committed) == (["abcd", "efgh"], Committed(8, ""))
    assert way.metrics.items_consumed._value.get() == 8


@in_virtual_time
async def test_nothing_is_sent_behind_a_batch_in_doubt() -> None:
    """What comes behind it has to be settled after it, and could only add to the doubt."""
    way = two_batches("abcdefghijkl")
    way.script(way.landed, way.accept)
    way.api.listing = deque([[]])

    async def first_nothing(*_: object) -> list[object]:
        return [] if asyncio.get_running_loop().time() < 10 else list(way.created)

    way.api.created = first_nothing  # type: ignore[method-assign,assignment]  # on purpose
    async with running(way, 9):
        assert (way.posted(), standing(way)) == (["abcd", "efgh"], (0, 4, 8))
        await asyncio.sleep(20)
    assert (way.posted(), way.committed) == (["abcd", "efgh", "ijkl"], Committed(12, ""))


@in_virtual_time
async def test_nothing_is_sent_behind_what_is_sent_again() -> None:
    """It may come to be in doubt once more, for as long as before."""
    way = two_batches("abcd", 0.5, 60.0)
    way.script(way.lost)
    async with running(way, 5):
        for name in "efgh":
            way.kafka.put(INPUT, body(name))
        await asyncio.sleep(LONG)
        assert (way.posted(), standing(way)) == (["abcd", "abcd"], (0, 4, 4))
        await asyncio.sleep(60)
    assert (way.posted(), way.committed) == (["abcd", "abcd", "efgh"], Committed(8, ""))


@in_virtual_time
async def test_a_cold_connection_is_not_waited_for_for_long() -> None:
    """A second one that does not come to work must not hold the first answer up."""
    way = two_batches()
    usual, asked = way.api.ready, 0

    async def ready(count: int) -> NotNow | None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(1000 if asked == 2 else 0)
        return await usual(count)

    way.api.ready = ready  # type: ignore[method-assign]  # on purpose
    async with running(way, 1.2):
        assert (way.posted(), way.committed) == (["abcd", "efgh"], Committed(4, way.committed.metadata))
    assert way.committed == Committed(8, "")


@in_virtual_time
async def test_a_no_to_what_was_sent_behind_is_obeyed_at_once() -> None:
    """By all ways, though the turn of its batch comes only later; by then the waiting is over."""
    way = two_batches("abcdefgh", 30.0, 0.1)
    way.script(way.accept, NotNow("throttled", "429", 5.0))
    async with running(way, 1):
        assert (way.posted(), way.gate.is_open) == (["abcd", "efgh"], False)
        await asyncio.sleep(30)
        assert (way.posted(), way.committed) == (["abcd", "efgh", "efgh"], Committed(8, ""))


@in_virtual_time
async def test_who_tries_the_door_and_is_in_doubt_holds_nobody_up() -> None:
    """What was sent may have to be looked for for minutes; another way tries meanwhile."""
    kafka = MemoryKafka.usual(partitions=2)
    for partition in (0, 1):
        kafka.put(INPUT, body("a"), partition=partition)
    first = Way(kafka, connections=2)
    second = Way(kafka, connections=2, partition=1, shared=first)
    first.gate.shut(NotNow("throttled", "429", 1.0))
    first.script(first.lost)
    async with running(first, 5):
        assert first.posted() == ["a"]
        async with running(second, 60):
            assert second.posted() == ["a"]
