"""One partition's way, from take-over to drain: what is written, what is sent, and in which order."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from daemon.errors import Fenced, Transient
from daemon.flows.batches.spending import Spent, read_spent, spent_value
from daemon.flows.holding import LONGEST_PROBE_SECONDS
from daemon.flows.partitions.taking_over import AGAIN_SECONDS
from daemon.flows.records import codec
from daemon.flows.waiting import REST_SECONDS
from daemon.model import (
    Committed,
    Divided,
    Flaw,
    InDoubt,
    Item,
    NotNow,
    Outcome,
    Rejected,
    Tally,
    TooLarge,
    Transaction,
)
from tests.doubles import (
    DEAD,
    GROUP,
    INPUT,
    LEDGER,
    START,
    created,
    in_virtual_time,
    place,
    turns,
)
from tests.unit.flows.ways import BUDGET, QUARANTINE_SECONDS, Way, body, kafka_of, ran, running

FLAW = Flaw("VALUE_REQUIRED", "text: the value must be present", "r-1")
OPAQUE = Rejected({}, FLAW)
AWAY = NotNow("unreachable", "connection refused")


@in_virtual_time
async def test_a_batch_is_announced_sent_and_settled() -> None:
    """In this order: first offset, intent, request, settlement."""
    way = await ran(Way(kafka_of("a", "b", "c")))
    assert way.posted() == ["abc"]
    assert way.kinds() == ["intent", "intent", "settle"]
    intent = codec.read_intent(way.kafka.commits()[1][1])
    assert intent == way.api.intents[0]
    assert way.committed == Committed(3, "")
    assert way.open() == {0: "t-0", 1: "t-1", 2: "t-2"}


@in_virtual_time
async def test_batches_follow_each_other() -> None:
    """Under a backlog the transaction that settles one announces the next; the last leaves nothing behind."""
    way = await ran(Way(kafka_of(*"abcdefghij")))
    assert way.posted() == ["abcd", "efgh", "ij"]
    assert way.kinds()[1:] == ["intent", "settle", "settle", "intent", "settle"]
    assert [offset for offset, _ in way.kafka.commits()] == [0, 0, 4, 8, 8, 10]
    announced = [codec.read_intent(metadata) for _, metadata in way.kafka.commits() if metadata]
    assert announced == way.api.intents
    assert way.committed == Committed(10, "")


@in_virtual_time
async def test_a_batch_that_must_wait_is_not_announced_along() -> None:
    """Its predecessor is settled at once; it is announced once Toloka can be asked."""
    way = Way(kafka_of(*"abcdefgh"))
    way.api.readies = deque([None, AWAY, AWAY])
    async with running(way, 0.1):
        assert (way.posted(), way.committed) == (["abcd"], Committed(4, ""))
        await asyncio.sleep(5)
    assert (way.posted(), way.committed) == (["abcd", "efgh"], Committed(8, ""))


@in_virtual_time
async def test_a_settlement_does_not_wait_until_the_next_batch_may_be_sent() -> None:
    """A place under the limits that is not free now is waited for after the settlement."""
    way = Way(kafka_of(*"abcdefgh"))
    usual, asked = way.api.ready, 0

    async def ready(count: int) -> NotNow | None:
        nonlocal asked
        asked += 1
        if asked > 1:
            await asyncio.sleep(3)
        return await usual(count)

    way.api.ready = ready  # type: ignore[method-assign]  # on purpose
    async with running(way):
        assert (way.posted(), way.committed) == (["abcd"], Committed(4, ""))
        await asyncio.sleep(5)
    assert (way.posted(), way.committed) == (["abcd", "efgh"], Committed(8, ""))


@in_virtual_time
async def test_a_batch_behind_a_shut_door_is_not_announced_along() -> None:
    """Another way was told to wait while this one's request was under way."""
    way = Way(kafka_of(*"abcdefgh"))

    usual = way.api.submit

    async def submit(*args: object) -> Outcome:
        outcome = await usual(*args)  # type: ignore[arg-type]  # handed on
        await asyncio.sleep(0.01)
        way.gate.shut(NotNow("throttled", "429", 1000))
        return outcome

    way.api.submit = submit  # type: ignore[method-assign,assignment]  # on purpose
    await ran(way)
    assert (way.posted(), way.committed) == (["abcd"], Committed(4, ""))


@in_virtual_time
async def test_a_drain_sends_what_was_announced_along_and_no_more() -> None:
    """It is settled, too: whoever takes over is in no doubt."""
    way = Way(kafka_of(*"abcdefghijkl"))

    def stop_meanwhile(transaction: Transaction) -> None:
        if transaction.kind == "settle":
            way.stopping.set()

    way.kafka.spoil = stop_meanwhile
    await ran(way)
    assert (way.posted(), way.committed) == (["abcd", "efgh"], Committed(8, ""))


@in_virtual_time
async def test_a_batch_that_was_announced_along_long_ago_is_announced_anew() -> None:
    """The settlement took long: the request must be over soon after its intent."""
    way = Way(kafka_of(*"abcdefgh"))

    def delay(transaction: Transaction) -> None:
        if transaction.kind == "settle" and transaction.offset and transaction.offset.offset == 4:
            way.time.moved += 11.0

    way.kafka.spoil = delay
    await ran(way)
    assert way.posted() == ["abcd", "efgh"]
    assert way.kinds()[2:] == ["settle", "intent", "intent", "settle"]
    assert way.api.intents[1].at >= START + timedelta(seconds=11)


@in_virtual_time
async def test_a_successor_resolves_what_was_announced_along() -> None:
    """It is an intent like any other."""
    first = Way(kafka_of(*"abcdefgh"))
    first.script(first.accept, first.lost)
    await ran(first, 10)
    assert (first.posted(), first.committed.offset) == (["abcd", "efgh"], 4)
    second = Way(first.kafka)
    second.created = [*first.created, *(created(f"t-{name}", body(name)) for name in "efgh")]
    second.api.listing = deque([list(second.created)])
    await ran(second)
    assert (second.posted(), second.committed) == ([], Committed(8, ""))
    assert sorted(second.open()) == list(range(8))


@in_virtual_time
async def test_the_days_count_goes_on_after_a_restart() -> None:
    """A successor finds what was submitted today, tells the limits, and counts on."""
    kafka = kafka_of("a", "b", "!")
    await ran(Way(kafka))
    kafka.put(INPUT, body("c"))
    successor = await ran(Way(kafka))
    marks = [
        record.value or b"" for record in kafka.written(LEDGER) if record.key == codec.mark_key(INPUT, 0)
    ]
    assert [tally.items for tally in map(codec.read_tally, marks) if tally is not None] == [0, 2, 3]
    assert successor.api.resumed == [Tally(START.date(), 2)]


@in_virtual_time
async def test_an_answer_item_by_item() -> None:
    """What was created is open, what is flawed is a dead letter, and the rest goes out again at once."""
    way = Way(kafka_of("a", "b", "c"))
    way.api.outcomes.append(Divided({0: "t-a"}, {1: Flaw("VALUE_REQUIRED", "text: missing")}))
    await ran(way)
    assert (way.posted(), way.dead()) == (["abc", "c"], [1])
    assert way.open()[0] == "t-a"
    assert (sorted(way.open()), way.committed) == ([0, 2], Committed(3, ""))


@in_virtual_time
async def test_what_cannot_be_an_item_is_settled_without_asking_toloka() -> None:
    """Dead letters and tombstones need no intent."""
    way = await ran(Way(kafka_of("!", "-", "!")))
    assert (way.posted(), way.dead(), way.committed) == ([], [0, 2], Committed(3, ""))
    assert way.kinds() == ["intent", "settle"]


@in_virtual_time
async def test_nor_is_it_sent_ahead() -> None:
    """A request without items would ask for nothing."""
    way = await ran(Way(kafka_of(*"abcd!!!!efgh"), connections=2))
    assert (way.posted(), way.dead(), way.committed) == (["abcd", "efgh"], [4, 5, 6, 7], Committed(12, ""))


@in_virtual_time
async def test_what_was_refused_by_name_leaves_nothing_in_doubt() -> None:
    """The rest may have to wait for long: a successor need not look for it."""
    way = Way(kafka_of(*"abc"))
    way.script(Rejected({1: FLAW}, FLAW))
    way.api.readies = deque([None, NotNow("throttled", "429", 1000)])
    async with running(way, 5):
        assert (way.posted(), way.committed) == (["abc"], Committed(0, ""))


@in_virtual_time
async def test_culprits_that_are_named_become_dead_letters_and_the_rest_is_sent_again() -> None:
    """As a new attempt, in the same range; settled together."""
    way = Way(kafka_of(*"abcd"))
    way.script(Rejected({1: FLAW, 3: FLAW}, FLAW))
    await ran(way)
    assert way.posted() == ["abcd", "ac"]
    assert (sorted(way.open()), way.dead()) == ([0, 2], [1, 3])
    assert way.kinds().count("settle") == 1
    assert way.api.intents[0].attempt != way.api.intents[1].attempt
    headers = dict(way.kafka.written(DEAD)[0].headers)
    assert (headers["tolokad-error-code"], headers["tolokad-request-id"]) == (b"VALUE_REQUIRED", b"r-1")


@in_virtual_time
async def test_a_batch_of_culprits_is_all_dead_letters() -> None:
    """Nothing is sent a second time."""
    way = Way(kafka_of(*"ab"))
    way.script(Rejected({0: FLAW, 1: FLAW}, FLAW))
    await ran(way)
    assert (way.posted(), way.dead(), way.committed) == (["ab"], [0, 1], Committed(2, ""))


@in_virtual_time
async def test_a_refusal_that_names_nobody_is_narrowed_down() -> None:
    """Each attempt has an intent of its own; each piece is settled in order."""
    way = Way(kafka_of(*"abXd"))
    way.script(*[lambda items: OPAQUE if any(b"X" in it.body for it in items) else way.accept(items)] * 9)
    await ran(way)
    assert way.posted() == ["abXd", "ab", "X", "d"]
    assert (sorted(way.open()), way.dead(), way.committed) == ([0, 1, 3], [2], Committed(4, ""))
    ends = [intent.end for intent in way.api.intents]
    assert ends == [4, 2, 3, 4]


@in_virtual_time
async def test_what_is_too_large_is_halved_and_the_next_batch_is_smaller() -> None:
    """The size is remembered, and grows back with what is accepted."""
    way = Way(kafka_of(*"abcdefgh"), max_items=8)
    way.script(TooLarge(FLAW))
    async with running(way):
        for name in "ijklmnop":
            way.kafka.put(INPUT, body(name))
        await asyncio.sleep(2)
    assert way.posted()[:3] == ["abcdefgh", "abcd", "efgh"]
    assert 4 < max(map(len, way.posted()[3:])) < 8
    assert sorted(way.open()) == list(range(16))


@in_virtual_time
async def test_no_for_now_takes_the_intent_back_and_shows_why() -> None:
    """Nothing was created: a successor need not look for it."""
    way = Way(kafka_of(*"ab"))
    way.script(AWAY)
    task = asyncio.ensure_future(way.submitting.run(way.stopping))
    await asyncio.sleep(0.6)
    assert way.committed == Committed(0, "")
    assert [hold.reason for hold in way.holds] == ["unreachable"]
    await asyncio.sleep(5)
    assert (way.posted(), way.committed) == (["ab", "ab"], Committed(2, ""))
    assert list(way.holds) == []
    way.stopping.set()
    await task


@in_virtual_time
async def test_before_toloka_answers_nothing_is_announced() -> None:
    """An outage leaves no intents behind."""
    way = Way(kafka_of(*"ab"))
    way.api.readies = deque([AWAY] * 3)
    async with running(way, 0.9):
        assert way.kinds() == ["intent"]
        await asyncio.sleep(30)
    assert (way.posted(), way.committed) == (["ab"], Committed(2, ""))


@in_virtual_time
async def test_a_drain_behind_a_shut_door_ends_at_once_and_leaves_nothing_in_doubt() -> None:
    """Whoever takes over starts with the same batch."""
    way = Way(kafka_of(*"ab"))
    way.script(NotNow("throttled", "429", 1000))
    await ran(way, 10)
    assert asyncio.get_running_loop().time() == 10
    assert way.committed == Committed(0, "")


@in_virtual_time
async def test_what_landed_without_an_answer_is_adopted() -> None:
    """And not sent again."""
    way = Way(kafka_of(*"abc"))
    way.script(way.landed)
    await ran(way)
    assert way.posted() == ["abc"]
    assert (way.open(), way.committed) == ({0: "t-0", 1: "t-1", 2: "t-2"}, Committed(3, ""))


@in_virtual_time
async def test_what_gets_no_clear_answer_again_and_again_is_halved_so_that_the_others_get_on() -> None:
    """Each time after a quarantine; the one that is left is named, and tried on."""
    way = Way(kafka_of(*"abXd"))
    way.script(*[lambda it: way.lost(it) if any(b"X" in i.body for i in it) else way.accept(it)] * 9)
    async with running(way, 4 * QUARANTINE_SECONDS + 60):
        assert way.posted()[:5] == ["abXd", "abXd", "ab", "Xd", "X"]
        assert set(way.posted()[5:]) <= {"X"}
        assert (sorted(way.open()), way.committed.offset) == ([0, 1], 2)
        (hold,) = way.holds
        assert (hold.reason, "offsets 2 to 2" in hold.detail) == ("unreachable", True)
        way.script()
        await asyncio.sleep(2 * QUARANTINE_SECONDS)
    assert (sorted(way.open()), way.dead(), way.committed) == ([0, 1, 2, 3], [], Committed(4, ""))
    assert not list(way.holds)


@in_virtual_time
async def test_what_got_lost_is_sent_again_after_the_quarantine() -> None:
    """In an attempt of its own, whose doubt is as old as the first."""
    way = Way(kafka_of(*"abc"))
    way.script(way.lost)
    await ran(way, QUARANTINE_SECONDS + 20)
    assert way.posted() == ["abc", "abc"]
    first, second = way.api.intents
    assert (second.since, second.attempt != first.attempt) == (first.since, True)
    assert second.at >= first.at + timedelta(seconds=QUARANTINE_SECONDS)
    assert (sorted(way.open()), way.committed) == ([0, 1, 2], Committed(3, ""))


@in_virtual_time
async def test_what_is_sent_again_without_an_answer_is_held_visibly() -> None:
    """One lost answer is waited out; at the next the hold names the way out, until there is a clear one."""
    way = Way(kafka_of("a", "b"))
    way.script(way.lost, way.lost)
    async with running(way, QUARANTINE_SECONDS - 1):
        assert list(way.holds) == []
        await asyncio.sleep(5)
        (hold,) = way.holds
        assert (hold.reason, hold.partition) == ("unreachable", 0)
        assert "offsets 0 to 1 was sent again, and again without a clear answer" in hold.detail
        assert "timeout" in hold.detail
        assert "tolokad resolve --partition 0" in hold.detail
        await asyncio.sleep(QUARANTINE_SECONDS)
        assert list(way.holds) == []
    assert way.posted() == ["ab", "ab", "a", "b"]
    assert way.committed == Committed(2, "")


@in_virtual_time
async def test_what_an_operator_has_decided_is_held_no_longer() -> None:
    """A way that finds its doubt decided by somebody else shows nothing of it any more."""
    way = Way(kafka_of("a"))
    way.script(way.lost, way.lost)
    async with running(way, QUARANTINE_SECONDS + 5):
        assert [hold.reason for hold in way.holds] == ["unreachable"]
        way.kafka.offsets[GROUP, INPUT, 0] = Committed(1, "")
        await asyncio.sleep(15)
        assert list(way.holds) == []


@in_virtual_time
async def test_a_range_in_doubt_keeps_its_intent_when_toloka_says_not_now() -> None:
    """What the first attempt may have created has to be looked for by a successor, too."""
    way = Way(kafka_of(*"abc"))
    way.script(way.lost, NotNow("throttled", "429", 1000))
    await ran(way, QUARANTINE_SECONDS + 20)
    intent = codec.read_intent(way.committed.metadata)
    assert intent is not None
    assert (intent.since, way.committed.offset) == (way.api.intents[0].since, 0)


@in_virtual_time
async def test_a_successor_resolves_what_its_predecessor_left() -> None:
    """It adopts, and goes on behind."""
    first = Way(kafka_of(*"abcde"))
    first.script(first.lost)
    await ran(first, 10)
    assert first.committed.metadata
    second = Way(first.kafka)
    second.created = [created(f"t-{name}", body(name)) for name in "abcd"]
    second.api.listing = deque([list(second.created)])
    await ran(second)
    assert second.posted() == ["e"]
    assert sorted(second.open()) == [0, 1, 2, 3, 4]
    assert second.committed == Committed(5, "")


@in_virtual_time
async def test_a_drain_in_doubt_leaves_the_intent() -> None:
    """It ends at once."""
    way = Way(kafka_of(*"abc"))
    way.script(way.lost)
    await ran(way, 10)
    assert asyncio.get_running_loop().time() == 10
    assert codec.read_intent(way.committed.metadata) == replace(way.api.intents[0], doubted=True)


@pytest.mark.parametrize("written", [False, True])
@in_virtual_time
async def test_a_settlement_whose_end_is_unknown_is_looked_up(*, written: bool) -> None:
    """A new writer, and Kafka's word: settled or in doubt; nothing is sent twice."""
    way = Way(kafka_of(*"abc"))

    def fail_once(transaction: Transaction) -> Exception | None:
        if transaction.kind != "settle":
            return None
        way.kafka.spoil = lambda _: None
        if written:
            way.kafka.put_all(transaction.appends)
            assert transaction.offset is not None
            way.kafka.offsets[GROUP, INPUT, 0] = Committed(transaction.offset.offset, "")
        way.api.listing = deque([list(way.created)])
        return Transient("no answer")

    way.kafka.spoil = fail_once
    await ran(way, 10)
    assert way.posted() == ["abc"]
    assert (way.open(), way.committed) == ({0: "t-0", 1: "t-1", 2: "t-2"}, Committed(3, ""))
    assert way.kafka.epochs[place().transactional_id] == 2


@in_virtual_time
async def test_who_takes_over_seals_what_its_predecessors_wrote() -> None:
    """Each new writer does: a broker may have forgotten the end of what was committed last."""
    way = Way(kafka_of(*"abc"))
    async with running(way, 0.2):
        way.kafka.epochs[place().transactional_id] += 1
        await asyncio.sleep(1)
    sealed = (place().transactional_id, frozenset({(LEDGER, 0), (DEAD, 0)}), GROUP)
    assert way.kafka.sealed == [sealed] * 2


@in_virtual_time
async def test_a_way_at_rest_seals_what_it_wrote_itself() -> None:
    """Once: the next batch, which would do it, may be long in coming."""
    way = Way(kafka_of(*"abc"))
    await ran(way, 100)
    assert [places for _, places, _ in way.kafka.sealed] == [frozenset({(LEDGER, 0), (DEAD, 0)})] * 2


@in_virtual_time
async def test_what_is_absent_keeps_no_room_from_others_at_a_limit() -> None:
    """Others wait for what is in doubt, and it for room: it says that it is absent, and lets its room go."""
    kafka = kafka_of(*"abc")
    kafka.logs[BUDGET] = [[]]
    way = Way(kafka, total=5)
    way.script(way.lost)
    following = asyncio.ensure_future(way.budget.run(way.stopping)) if way.budget else None
    async with running(way, QUARANTINE_SECONDS - 20):
        kafka.put(BUDGET, spent_value(Spent(reserved=5, attempt="another's")), key=b"in/1")
        await asyncio.sleep(60)
        intent = codec.read_intent(way.committed.metadata)
        reserved = read_spent(kafka.written(BUDGET)[-1].value).reserved
        assert intent is not None
        assert (way.posted(), intent.decided, intent.end, reserved) == (["abc"], True, 3, 0)
        assert [places for _, places, _ in kafka.sealed] == [frozenset({(LEDGER, 0), (DEAD, 0), (BUDGET, 0)})]
        count = len(kafka.transactions)
        await asyncio.sleep(60)
        assert len(kafka.transactions) == count
        kafka.put(BUDGET, spent_value(Spent(total=2)), key=b"in/1")
        await asyncio.sleep(60)
        assert (way.posted(), way.committed) == (["abc", "abc"], Committed(3, ""))
    assert following is not None
    await following


@in_virtual_time
async def test_as_much_of_a_batch_is_sent_as_there_is_room_for() -> None:
    """The rest waits, and is sent in its turn once another partition has let its room go."""
    kafka = kafka_of(*"abcdefgh")
    kafka.logs[BUDGET] = [[]]
    kafka.put(BUDGET, spent_value(Spent(reserved=3, attempt="another's")), key=b"in/1")
    way = Way(kafka, total=8)
    following = asyncio.ensure_future(way.budget.run(way.stopping)) if way.budget else None
    async with running(way, 30):
        assert (way.posted(), way.committed) == (["abcd", "e"], Committed(5, ""))
        assert [hold.reason for hold in way.holds] == ["budget"]
        kafka.put(BUDGET, spent_value(Spent()), key=b"in/1")
        await asyncio.sleep(60)
        assert (way.posted(), way.committed) == (["abcd", "e", "fgh"], Committed(8, ""))
    assert following is not None
    await following


@in_virtual_time
async def test_a_drain_at_the_limit_ends_at_once() -> None:
    """What waits for room is left as it is."""
    kafka = kafka_of(*"abc")
    kafka.logs[BUDGET] = [[]]
    way = await ran(Way(kafka, total=0), 30)
    assert (way.posted(), way.committed) == ([], Committed(0, ""))


@in_virtual_time
async def test_a_backlog_within_the_budget_waits_for_nothing() -> None:
    """What has reserved nothing is not announced ahead, where it would find the purse shut."""
    kafka = kafka_of(*"abcdefghijkl")
    kafka.logs[BUDGET] = [[]]
    way = Way(kafka, total=12)
    following = asyncio.ensure_future(way.budget.run(way.stopping)) if way.budget else None
    async with running(way, 10):
        assert (way.posted(), way.committed) == (["abcd", "efgh", "ijkl"], Committed(12, ""))
        assert way.kinds()[1:] == ["intent", "settle"] * 3
    assert following is not None
    await following


@in_virtual_time
async def test_what_another_partition_reserved_first_is_not_spent_twice() -> None:
    """Both saw room; the later one finds none, takes its intent back, and has sent nothing."""
    kafka = kafka_of(*"abc")
    kafka.logs[BUDGET] = [[]]
    way = Way(kafka, total=5)

    def overtake(transaction: Transaction) -> None:
        if any(append.topic == BUDGET for append in transaction.appends) and not kafka.written(BUDGET):
            kafka.put(BUDGET, spent_value(Spent(reserved=5, attempt="another's")), key=b"in/1")

    kafka.spoil = overtake
    following = asyncio.ensure_future(way.budget.run(way.stopping)) if way.budget else None
    async with running(way, 30):
        assert (way.posted(), way.committed) == ([], Committed(0, ""))
        kafka.put(BUDGET, spent_value(Spent(total=2)), key=b"in/1")
        await asyncio.sleep(60)
        assert (way.posted(), way.committed) == (["abc"], Committed(3, ""))
    assert following is not None
    await following


@pytest.mark.parametrize("asked", [1, 2])
@in_virtual_time
async def test_what_is_left_of_an_attempt_that_created_a_part_is_not_its_own(asked: int) -> None:
    """Toloka carries that one out no more: under its name a successor would only be told of the old part."""
    way = Way(kafka_of(*"abc"), once=True)
    way.api.readies = deque([*[None] * asked, NotNow("throttled", "429", 1000)])

    def in_part(items: Sequence[Item]) -> Outcome:
        way.accept(items[:1])
        way.api.listing = deque([list(way.created)])
        return Divided({0: "t-0"}, {}) if asked == 1 else InDoubt("its log is archived", listing=True)

    way.script(*[InDoubt("reset")] * (asked - 1), in_part)
    async with running(way, QUARANTINE_SECONDS + 20):
        intent = codec.read_intent(way.committed.metadata)
        assert intent is not None
        assert (way.open(), intent.once, way.committed.offset) == ({0: "t-0"}, False, 0)


@in_virtual_time
async def test_a_no_to_an_attempt_that_is_made_again_is_obeyed() -> None:
    """By everybody; before that it is shown that it was made again without an answer."""
    way, shown = Way(kafka_of(*"abc"), once=True), list[str]()

    def busy(_: Sequence[Item]) -> Outcome:
        shown.extend(hold.reason for hold in way.holds)
        return NotNow("throttled", "429", 1000)

    way.script(InDoubt("reset"), InDoubt("reset"), busy)
    async with running(way, 60):
        assert (way.posted(), shown, way.gate.is_open) == (["abc"] * 3, ["unreachable"], False)
    assert way.committed.metadata


@in_virtual_time
async def test_a_successor_sends_only_what_the_ledger_does_not_have() -> None:
    """A part was created, and recorded and counted at once; the rest had to wait, and its way ended."""
    way = Way(kafka_of(*"abc"))

    def in_part(items: Sequence[Item]) -> Outcome:
        return Divided(dict(enumerate(way.accept(items[:1]).ids)), {})

    way.script(in_part)
    way.api.readies = deque([None, NotNow("throttled", "429", 1000)])
    await ran(way, 5)
    assert (way.open(), way.metrics.items_submitted._value.get()) == ({0: "t-0"}, 1)
    successor = Way(way.kafka)
    await ran(successor, 5)
    assert (successor.posted(), way.committed) == (["bc"], Committed(3, ""))


@in_virtual_time
async def test_a_way_goes_on_seconds_after_kafka_is_back() -> None:
    """However long it was away: it never waits for longer between two tries."""
    way, tries = Way(kafka_of(*"abc")), list[float]()

    def away(_transaction: Transaction) -> Exception:
        tries.append(asyncio.get_running_loop().time())
        return Transient("no answer")

    way.kafka.spoil = away
    async with running(way, 600):
        way.kafka.spoil = lambda _: None
        await asyncio.sleep(LONGEST_PROBE_SECONDS + 1)
        assert way.posted() == ["abc"]
    assert max(later - earlier for earlier, later in pairwise(tries)) <= LONGEST_PROBE_SECONDS + 1


@in_virtual_time
async def test_who_starts_over_again_and_again_is_seen_to() -> None:
    """The hold says what fails, stays while it is tried again, and ends once a batch is through."""
    way = Way(kafka_of(*"abc"))

    def refuses(transaction: Transaction) -> Exception | None:
        return Transient("OffsetMetadataTooLargeError") if transaction.kind == "intent" else None

    way.kafka.spoil = refuses
    async with running(way, 20):
        for _ in range(100):
            (hold,) = way.holds
            assert (hold.flow, hold.reason, hold.partition) == ("submit", "kafka", 0)
            assert hold.detail.endswith("OffsetMetadataTooLargeError")
            await asyncio.sleep(0.31)
        way.kafka.spoil = lambda _: None
        await asyncio.sleep(LONGEST_PROBE_SECONDS + 1)
        assert (way.posted(), list(way.holds)) == (["abc"], [])


@in_virtual_time
async def test_a_way_without_work_is_not_held_once_kafka_is_back() -> None:
    """It has nothing to get through, and shows that it could by being at rest."""
    way = Way(kafka_of())
    way.kafka.spoil = lambda _: Transient("no answer")
    async with running(way, 60):
        assert [hold.reason for hold in way.holds] == ["kafka"]
        way.kafka.spoil = lambda _: None
        await asyncio.sleep(LONGEST_PROBE_SECONDS + REST_SECONDS + 1)
        assert list(way.holds) == []


@in_virtual_time
async def test_a_torn_settlement_is_made_whole() -> None:
    """Its ledger records are there and its offset is not: they are accounted for, not written again."""
    way = Way(kafka_of(*"abc"))

    def tear(transaction: Transaction) -> Exception | None:
        if transaction.kind != "settle":
            return None
        way.kafka.spoil = lambda _: None
        way.kafka.put_all(transaction.appends[:2])
        way.api.listing = deque([list(way.created)])
        return Transient("torn")

    way.kafka.spoil = tear
    await ran(way, 10)
    assert way.posted() == ["abc"]
    keys = sorted(record.key or b"" for record in way.kafka.written(LEDGER))
    # The first intent left a mark as well.
    assert keys == [*[codec.mark_key(INPUT, 0)] * 2, b"t-0", b"t-1", b"t-2"]


@in_virtual_time
async def test_a_fenced_way_sends_nothing_and_asks_the_group() -> None:
    """The fence stands in front of the request."""
    way = Way(kafka_of(*"abc"))
    async with running(way, 0.2):
        way.kafka.epochs[place().transactional_id] += 1
        await asyncio.sleep(0.5)
        assert way.confirmed == 1
        await asyncio.sleep(1)
    assert way.posted() == ["abc"]


@in_virtual_time
async def test_who_is_fenced_gives_its_turn_at_the_door_back() -> None:
    """Otherwise nobody of its replica would ever try a door that was shut."""
    way = Way(kafka_of("a"))
    way.script(NotNow("throttled", "429"))

    def fence(transaction: Transaction) -> Exception | None:
        announced = transaction.offset is not None and transaction.offset.metadata
        return Fenced("by another owner") if announced and list(way.holds) else None

    way.kafka.spoil = fence
    way.submitting._still_ours = lambda stopping: stopping.wait()  # type: ignore[assignment,return-value]  # for ever
    async with running(way, 10):
        async with asyncio.timeout(60):
            await way.gate.wait(way.stopping)
        assert not way.stopping.is_set()


@in_virtual_time
async def test_an_intent_that_took_long_is_written_again_before_anything_is_sent() -> None:
    """The request must be over soon after the intent that announces it."""
    way = Way(kafka_of(*"abc"))
    slow = [0.0, 11.0, 0.0]

    def delay(transaction: Transaction) -> None:
        if transaction.kind == "intent" and slow:
            way.time.moved += slow.pop(0)

    way.kafka.spoil = delay
    await ran(way)
    assert way.posted() == ["abc"]
    assert [offset for offset, metadata in way.kafka.commits() if metadata] == [0, 0]
    assert way.kinds()[-1] == "settle"
    assert way.api.intents[0].at == START + timedelta(seconds=11.5)


@in_virtual_time
async def test_what_holds_a_partition_is_shown_until_it_gets_on() -> None:
    """Without gaps between the tries."""
    way = Way(kafka_of(*"abc"))
    way.kafka.offsets[GROUP, INPUT, 0] = Committed(77, "")
    task = asyncio.ensure_future(way.submitting.run(way.stopping))
    await asyncio.sleep(2 * AGAIN_SECONDS)
    for _ in range(100):
        await asyncio.sleep(1)
        assert [(hold.reason, hold.partition) for hold in way.holds] == [("offset_out_of_range", 0)]
    way.kafka.offsets[GROUP, INPUT, 0] = Committed(1, "")
    await asyncio.sleep(60)
    assert (list(way.holds), way.posted()) == ([], ["bc"])
    way.stopping.set()
    await task


@in_virtual_time
async def test_reading_goes_on_while_a_request_is_under_way() -> None:
    """The next batch is ready when the first is settled."""
    way = Way(kafka_of(*"abcd"))
    answered = asyncio.Event()
    usual = way.api.submit

    async def slow(*args: object) -> Outcome:
        await answered.wait()
        return await usual(*args)  # type: ignore[arg-type]  # handed on

    way.api.submit = slow  # type: ignore[method-assign,assignment]  # on purpose
    async with running(way):
        for name in "efgh":
            way.kafka.put(INPUT, body(name))
        await asyncio.sleep(5)
        answered.set()
        await turns(100)
        assert way.posted() == ["abcd", "efgh"]


@in_virtual_time
async def test_the_figures_count_what_became_of_records() -> None:
    """Consumed, submitted, skipped, dead-lettered by reason."""
    way = await ran(Way(kafka_of("a", "!", "-", "b")))
    metrics = way.metrics
    assert metrics.items_consumed._value.get() == 4
    assert metrics.items_submitted._value.get() == 2
    assert metrics.items_skipped._value.get() == 1
    assert metrics.items_dead_lettered.labels("NOT_JSON")._value.get() == 1


@in_virtual_time
async def test_the_size_of_requests_is_observed() -> None:
    """`tolokad_batch_items` has one observation for each request."""
    way = await ran(Way(kafka_of(*"abcde")))
    assert way.metrics.batch_items._sum.get() == 5


@in_virtual_time
async def test_what_was_adopted_outlives_its_way() -> None:
    """A range that was adopted in part is cut, and its first piece settled: the rest is still in doubt."""
    way = Way(kafka_of(*"abcd"))

    def half_landed(items: Sequence[Item]) -> InDoubt:
        way.accept([items[0], items[3]])
        return way.lost(items)

    way.script(half_landed, TooLarge(FLAW), way.accept)
    way.api.readies = deque([None, None, None, NotNow("throttled", "429", 1000)])
    await ran(way, QUARANTINE_SECONDS + 20)
    assert way.posted() == ["abcd", "bc", "b"]
    successor = Way(way.kafka)
    successor.created = list(way.created)
    successor.api.listing = deque([list(way.created)])
    await asyncio.sleep(QUARANTINE_SECONDS)
    await ran(successor, 5)
    sent_again = "".join(successor.posted())
    assert "d" not in sent_again


@in_virtual_time
async def test_what_was_adopted_behind_a_piece_in_doubt_is_not_sent_again() -> None:
    """A range that was adopted in part is cut, and its way ends while the first piece is in doubt."""
    way = Way(kafka_of(*"abcd"))

    def half_landed(items: Sequence[Item]) -> InDoubt:
        way.accept([items[0], items[3]])
        return way.lost(items)

    way.script(half_landed, TooLarge(FLAW), way.lost)
    await ran(way, QUARANTINE_SECONDS + 20)
    assert way.posted() == ["abcd", "bc", "b"]
    successor = Way(way.kafka)
    successor.created = list(way.created)
    successor.api.listing = deque([list(way.created)])
    await ran(successor, 2 * QUARANTINE_SECONDS)
    assert "".join(successor.posted()) == "bc"
    assert way.committed == Committed(4, "")


@in_virtual_time
async def test_what_was_adopted_by_another_clock_is_not_sent_again() -> None:
    """Items may be created by a clock that is far behind the one that the intent was written by."""
    way = Way(kafka_of(*"abcd"), takes_id=True)

    def half_landed(items: Sequence[Item]) -> InDoubt:
        way.accept([items[0], items[3]])
        way.created[:] = [found._replace(created_at=START - timedelta(hours=1)) for found in way.created]
        return way.lost(items)

    way.script(half_landed, way.lost)
    await ran(way, QUARANTINE_SECONDS + 20)
    assert way.posted() == ["abcd", "bc"]
    successor = Way(way.kafka, takes_id=True)
    successor.created = list(way.created)
    successor.api.listing = deque([list(way.created)])
    await ran(successor, 2 * QUARANTINE_SECONDS)
    assert "".join(successor.posted()) == "bc"
    assert way.committed == Committed(4, "")


@in_virtual_time
async def test_an_intent_that_was_never_used_is_taken_back() -> None:
    """Nothing was sent under it: a successor would wait two minutes for nothing."""
    way = Way(kafka_of(*"abc"))
    slow = [0.0, 11.0]

    def delay(transaction: Transaction) -> None:
        if transaction.kind == "intent" and slow:
            way.time.moved += slow.pop(0)

    way.kafka.spoil = delay
    way.api.readies = deque([None, NotNow("throttled", "429", 1000)])
    await ran(way, 10)
    assert way.posted() == []
    assert way.committed.metadata == ""


@in_virtual_time
async def test_a_way_that_is_held_for_another_reason_does_not_keep_the_others_from_trying() -> None:
    """It was its turn at the door when its intent failed, and now its own partition is held."""
    first = Way(kafka_of("a"))
    second = Way(first.kafka, partition=1, shared=first)

    def fail_first(transaction: Transaction) -> Exception | None:
        commit = transaction.offset
        if commit is None or commit.partition != 0 or not commit.metadata:
            return None
        first.kafka.spoil = lambda _: None
        first.kafka.offsets[GROUP, INPUT, 0] = Committed(77, "")
        return Transient("no answer")

    async with running(first, 0.1):
        first.kafka.spoil = fail_first
        first.gate.shut(NotNow("throttled", "429"))
        await asyncio.sleep(30)
        assert "offset_out_of_range" in [hold.reason for hold in first.holds]
        first.kafka.put(INPUT, body("b"), 1)
        async with running(second, 600):
            assert second.posted() == ["b"]


@in_virtual_time
async def test_a_pause_is_obeyed_in_the_middle_of_a_backlog() -> None:
    """No settlement announces a further batch while an operator has said so."""
    way = Way(kafka_of(*"abcdefgh"))

    def paused_meanwhile(items: Sequence[Item]) -> Outcome:
        way.gate.pause("by hand")
        return way.accept(items)

    way.script(paused_meanwhile)
    async with running(way):
        assert (way.posted(), way.committed) == (["abcd"], Committed(4, ""))
        way.gate.resume()
        await asyncio.sleep(10)
        assert way.posted() == ["abcd", "efgh"]


@in_virtual_time
async def test_a_predecessor_at_work_is_not_fenced() -> None:
    """A partition is taken over once it has been handed over."""
    way = Way(kafka_of("a"))
    way.handed_over.clear()
    async with running(way):
        assert way.kafka.epochs == {}
        way.handed_over.set()
        await asyncio.sleep(1)
        assert way.posted() == ["a"]
