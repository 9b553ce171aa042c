"""One partition's way, from take-over to drain: what is written, what is sent, and in which order."""

import asyncio
from collections import deque
from itertools import pairwise

import pytest

from daemon.errors import Fenced, Transient
from daemon.flows.partitions.taking_over import AGAIN_SECONDS
from daemon.flows.records import codec
from daemon.flows.waiting import LONGEST_PROBE_SECONDS, REST_SECONDS
from daemon.model import Committed, Divided, Flaw, NotNow, Outcome, Rejected, Tally, TooLarge, Transaction
from tests.doubles import DEAD, GROUP, INPUT, LEDGER, START, in_virtual_time, place, turns
from tests.unit.flows.ways import Way, body, kafka_of, ran, running

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
async def test_what_toloka_said_is_not_shown_where_nothing_is_submitted_any_more() -> None:
    """A replica that has lost its last partition would never ask again."""
    way = Way(kafka_of(*"ab"))
    way.script(*[AWAY] * 100)
    async with running(way, 2):
        assert [hold.reason for hold in way.holds] == ["unreachable"]
    assert list(way.holds) == []


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
async def test_a_drain_behind_a_shut_door_ends_at_once_and_leaves_nothing_in_doubt() -> None:
    """Whoever takes over starts with the same batch."""
    way = Way(kafka_of(*"ab"))
    way.script(NotNow("throttled", "429", 1000))
    await ran(way, 10)
    assert asyncio.get_running_loop().time() == 10
    assert way.committed == Committed(0, "")


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
async def test_a_predecessor_at_work_is_not_fenced() -> None:
    """A partition is taken over once it has been handed over."""
    way = Way(kafka_of("a"))
    way.handed_over.clear()
    async with running(way):
        assert way.kafka.epochs == {}
        way.handed_over.set()
        await asyncio.sleep(1)
        assert way.posted() == ["a"]
