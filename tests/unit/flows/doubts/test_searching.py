"""An intent in doubt: what is there is adopted, and only what is certainly absent is sent again."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
import pytest

from daemon.errors import Fenced, Held
from daemon.flows.doubts.resolving import Resolver
from daemon.flows.doubts.searching import Patience, Search
from daemon.flows.holding import Hold
from daemon.flows.records import codec, ledger_records, tombstones
from daemon.flows.skew import SKEW
from daemon.model import Batch, Committed, Created, DeadLetter, Flaw, Intent, Outcome, PlacedRecord
from daemon.ports import Wanted
from tests.doubles import (
    GROUP,
    INPUT,
    LEDGER,
    START,
    FakeTime,
    MemoryKafka,
    ScriptedSubmissions,
    created,
    fresh_holds,
    in_virtual_time,
    item,
    packed_items,
    place,
    seeded,
)

INTENT = Intent("a-1", 3, START, START)
QUARANTINE_SECONDS = 120.0
COARSE_SECONDS = 1.0
PATIENCE = Patience(timedelta(seconds=20), timedelta(seconds=QUARANTINE_SECONDS))
LISTING_FAILED = Held("listing_failed", "Toloka does not answer")


def body(name: str) -> bytes:
    """Content."""
    return b'{"text":"%s"}' % name.encode()


def batch_of(contents: str, partition: int = 1, *, identified: bool = True) -> Batch:
    """A batch with one item for each letter, its content."""
    items = [item(index, body(name), partition, identified=identified) for index, name in enumerate(contents)]
    return Batch(INPUT, partition, 0, len(items), tuple(items))


class Doubt:
    """A resolver of partition 1, and the world around it."""

    def __init__(self, *listing: Sequence[Created] | Exception, partition: int = 1) -> None:
        self.kafka = MemoryKafka.usual(partitions=3)
        self.api = ScriptedSubmissions()
        self.api.listing.extend(listing)
        self.holds, self.metrics = fresh_holds()
        self.stopping = asyncio.Event()
        self.written: list[Intent] = []
        self.noted: Callable[[Intent], Awaitable[None]] = self._noted
        self._partition = partition
        here, clock = place(partition), FakeTime()
        self.time = clock
        search = Search(self.kafka, self.api, clock, here, PATIENCE, self.holds, self.metrics, seeded())
        self.resolver = Resolver(self.kafka, here, search, self.metrics, seeded())

    async def _noted(self, written: Intent) -> None:
        self.written.append(written)
        self.intend(self._partition, written)

    async def resolve(self, batch: Batch, intent: Intent = INTENT) -> Batch | None:
        """Resolve it, as its intent stands in Kafka."""
        self.intend(batch.partition, intent, batch.first)

        return await self.resolver.resolve(batch, intent, _never, self.noted, self.stopping)

    def intend(self, partition: int, intent: Intent | None, offset: int = 0) -> None:
        """What another partition's way has announced."""
        metadata = "" if intent is None else codec.intent_metadata(intent)
        self.kafka.offsets[GROUP, INPUT, partition] = Committed(offset, metadata)

    def settle(self, item_id: str, offset: int, partition: int) -> None:
        """What another batch has settled."""
        (packed,) = packed_items([item(offset, partition=partition)], offset + 1, START)
        self.kafka.put(LEDGER, packed, 0, key=item_id.encode())

    def outcomes(self) -> dict[str, float]:
        """How doubts ended."""
        metric = self.metrics.intents_resolved
        names = ("adopted", "resubmitted", "partial", "held")
        return {name: count for name in names if (count := metric.labels(name)._value.get())}


async def _never(_: Batch) -> tuple[Intent, Outcome] | None:
    raise AssertionError("sent again, though it could be carried out twice")


def pairs(resolved: Batch | None) -> dict[int, str]:
    """Offsets that were adopted, with their ids."""
    assert resolved is not None
    return {found.record.offset: item_id for found, item_id in resolved.adopted}


def left(resolved: Batch | None) -> list[int]:
    """Offsets that are still to be sent."""
    assert resolved is not None
    return [found.record.offset for found in resolved.items]


def seconds() -> float:
    """Since the attempt was announced."""
    return asyncio.get_running_loop().time()


# --- what an operator decides -------------------------------------------------------------------------


@in_virtual_time
@pytest.mark.parametrize("decided", [None, Intent("a-2", 3, START, START, decided=True)])
async def test_a_decision_meanwhile_ends_the_doubt(decided: Intent | None) -> None:
    """Who holds hears of it at the next look, and takes the partition over anew."""
    doubt = Doubt(LISTING_FAILED)
    resolving = asyncio.create_task(doubt.resolve(batch_of("a")))
    await asyncio.sleep(60)
    doubt.intend(1, decided)
    with pytest.raises(Fenced, match="decided"):
        await resolving
    assert not list(doubt.holds)


# --- what is there ------------------------------------------------------------------------------------


@in_virtual_time
async def test_what_is_all_there_is_adopted_at_once() -> None:
    """Presence needs no patience; ids may come in any order, among other people's items."""
    names = {"x": "c", "other": "q", "y": "a", "z": "b"}
    doubt = Doubt([created(item_id, body(name)) for item_id, name in names.items()])
    resolved = await doubt.resolve(batch_of("abc"))
    assert pairs(resolved) == {0: "y", 1: "z", 2: "x"}
    assert left(resolved) == []
    assert seconds() == 0
    assert doubt.outcomes() == {"adopted": 1}


@in_virtual_time
async def test_the_listing_reaches_back_to_the_first_attempt_and_beyond_the_clocks_skew() -> None:
    """And on to now, while something may still be created."""
    doubt = Doubt([created("x", body("a"))])
    await doubt.resolve(batch_of("a"), replace(INTENT, since=START - timedelta(hours=3)))
    assert doubt.api.asked == [(START - timedelta(hours=3) - SKEW, None)]


@in_virtual_time
async def test_long_afterwards_the_listing_ends_behind_the_quarantine() -> None:
    """Nothing of the range was created later, and there may be days of other items."""
    doubt = Doubt([created("x", body("a"))])
    await asyncio.sleep(1000)
    await doubt.resolve(batch_of("a"))
    end = START + timedelta(seconds=QUARANTINE_SECONDS) + SKEW
    assert doubt.api.asked == [(START - SKEW, end)]


@pytest.mark.parametrize(("identified", "before"), [(True, SKEW), (False, 3 * SKEW)])
@in_virtual_time
async def test_before_absence_is_believed_another_clock_is_reckoned_with(
    identified: bool,  # noqa: FBT001 - a parameter of the test
    before: timedelta,
) -> None:
    """What was created while the batch is in doubt is listed, by whichever clock that is told."""
    doubt = Doubt([])
    await asyncio.sleep(1000)
    assert left(await doubt.resolve(batch_of("a", identified=identified))) == [0]
    assert doubt.api.asked[-1] == (START - before, None)
    assert doubt.api.within[-1] == timedelta(seconds=1000) + before


@pytest.mark.parametrize(
    ("listed", "listings"),
    [
        ([created("x", body("a")), created("y", body("b"))], 1),
        ([created("x", b"{}")._replace(own_id=f"{INPUT}-1-0"), created("y", body("b"))], 1),
        ([created("x", body("a"))], 2),
    ],
)
@in_virtual_time
async def test_more_is_listed_only_where_something_is_missing(listed: list[Created], listings: int) -> None:
    """There may be days of other items; what is there by another clock alone is not sent again."""
    doubt = Doubt(listed, [created("x", body("a")), created("y", body("b"), 990.0)])
    await asyncio.sleep(1000)
    assert pairs(await doubt.resolve(batch_of("ab"))) == {0: "x", 1: "y"}
    assert len(doubt.api.asked) == listings


def long_ago(names: str, *, seconds_apart: float = 0.0) -> list[Created]:
    """Items that were created hours before the batch was announced, by their clock."""
    return [created(f"x{i}", body(name), i * seconds_apart - 7200) for i, name in enumerate(names)]


@pytest.mark.parametrize(
    ("contents", "listed", "adopted"),
    [
        ("ab", long_ago("ab"), 2),
        ("aab", long_ago("baa"), 3),
        ("a", long_ago("a"), 0),
        ("aa", long_ago("aa"), 0),
        ("ab", long_ago("a"), 0),
        ("ab", long_ago("ab", seconds_apart=61), 0),
    ],
)
@in_virtual_time
async def test_what_is_like_the_batch_and_from_long_ago_is_its_own_only_as_a_whole(
    contents: str, listed: list[Created], adopted: int
) -> None:
    """By a clock that is hours behind; but somebody else may have sent the same before."""
    doubt = Doubt(listed)
    await asyncio.sleep(1000)
    resolved = await doubt.resolve(batch_of(contents, identified=False))
    assert (len(pairs(resolved)), len(left(resolved))) == (adopted, len(contents) - adopted)


@in_virtual_time
async def test_what_has_an_id_of_ours_is_ours_by_whichever_clock() -> None:
    """Nobody else has sent it."""
    doubt = Doubt(long_ago("a"))
    await asyncio.sleep(1000)
    assert pairs(await doubt.resolve(batch_of("a"))) == {0: "x0"}


@in_virtual_time
async def test_nothing_is_absent_before_the_quarantine_is_over() -> None:
    """Looked for again and again; only then is it believed, and a new attempt may be made.

    The clock by which the intent was written may have been a second behind ours. Nobody waits for longer than
    that: there is a look just then.
    """
    doubt = Doubt([])
    resolved = await doubt.resolve(batch_of("ab"))
    assert left(resolved) == [0, 1]
    assert 0 <= seconds() - QUARANTINE_SECONDS - COARSE_SECONDS < 0.1
    assert len(doubt.api.asked) > 10
    assert doubt.outcomes() == {"resubmitted": 1}


@in_virtual_time
async def test_a_clock_that_is_set_forward_meanwhile_ends_no_quarantine() -> None:
    """Toloka's may be, by an hour: a request that is under way lands as late as it would have."""
    doubt = Doubt([])

    async def set_and_land() -> None:
        await asyncio.sleep(10)
        doubt.time.moved += 3600
        await asyncio.sleep(80)
        doubt.api.listing.append([created("x", body("a"), 3690)])

    landing = asyncio.create_task(set_and_land())
    assert pairs(await doubt.resolve(batch_of("a"))) == {0: "x"}
    await landing


@in_virtual_time
async def test_what_nobody_looks_for_is_not_kept() -> None:
    """Others may create a million while a batch is in doubt: they are left out of what is listed."""
    doubt = Doubt([created("x", body("b")), created("y", body("q"))])
    assert left(await doubt.resolve(batch_of("ab"))) == [0]
    assert {len(answer) for answer in doubt.api.answers} == {1}


@in_virtual_time
async def test_what_appears_late_is_adopted_when_it_does() -> None:
    """A request may land long after its answer was given up."""
    doubt = Doubt([], [], [], [created("x", body("a"))])
    resolved = await doubt.resolve(batch_of("a"))
    assert pairs(resolved) == {0: "x"}
    assert 0 < seconds() < QUARANTINE_SECONDS


@in_virtual_time
async def test_what_is_there_in_part_is_adopted_and_the_rest_sent_again() -> None:
    """Once absence is believed."""
    doubt = Doubt([created("x", body("b"))])
    resolved = await doubt.resolve(batch_of("abc"))
    assert (pairs(resolved), left(resolved)) == ({1: "x"}, [0, 2])
    assert seconds() >= QUARANTINE_SECONDS
    assert doubt.outcomes() == {"partial": 1}


@in_virtual_time
async def test_after_the_quarantine_one_look_is_enough() -> None:
    """A take-over hours later does not wait again."""
    doubt = Doubt([])
    await asyncio.sleep(QUARANTINE_SECONDS + COARSE_SECONDS)
    assert left(await doubt.resolve(batch_of("a"))) == [0]
    assert seconds() == QUARANTINE_SECONDS + COARSE_SECONDS


@pytest.mark.parametrize("there", [0, 1])
@in_virtual_time
async def test_absence_that_was_seen_before_the_quarantine_was_over_is_not_believed(there: int) -> None:
    """A listing that takes long says what was there when it was asked, be it nothing or a part."""
    whole = [created("x", body("a")), created("y", body("b"))]
    doubt = Doubt(whole[:there], whole)
    usual = doubt.api.created

    async def slow(
        since: datetime,
        until: datetime | None,
        within: timedelta | None = None,
        wanted: Wanted | None = None,
    ) -> Sequence[Created]:
        found = await usual(since, until, within, wanted)
        await asyncio.sleep(60)
        return found

    doubt.api.created = slow  # type: ignore[method-assign]  # on purpose
    await asyncio.sleep(QUARANTINE_SECONDS - 30)
    assert pairs(await doubt.resolve(batch_of("ab"))) == {0: "x", 1: "y"}


@pytest.mark.parametrize("count", [1, 2, 3])
@in_virtual_time
async def test_repeated_content_is_matched_as_often_as_it_is_there(count: int) -> None:
    """Each id once, whatever the number of equal items."""
    doubt = Doubt([created(f"x{index}", body("a")) for index in range(count)])
    await asyncio.sleep(QUARANTINE_SECONDS)
    resolved = await doubt.resolve(batch_of("aab", identified=False))
    found = pairs(resolved)
    assert len(set(found.values())) == len(found) == min(count, 2)
    assert len(left(resolved)) == 3 - len(found)


@in_virtual_time
async def test_numbers_are_compared_as_numbers() -> None:
    """Toloka may spell them otherwise than we do."""
    doubt = Doubt([created("x", b'{"n":1.0}')])
    batch = Batch(INPUT, 1, 0, 1, (item(0, b'{"n":1}', 1, identified=True),))
    assert pairs(await doubt.resolve(batch)) == {0: "x"}


@in_virtual_time
async def test_a_range_without_items_comes_out_as_it_is() -> None:
    """Nothing can be missing."""
    doubt = Doubt([created("x", body("a"))])
    assert await doubt.resolve(batch_of("")) == batch_of("")


def stricter(contents: str, refused: str) -> Batch:
    """A batch of a predecessor's; today's checks refuse the items of these contents."""
    whole = batch_of(contents, identified=False)
    possible = tuple(i for i in whole.items if i.body in map(body, refused))
    flaw = Flaw("TOO_LARGE", "above the limit of today")
    letters = tuple(DeadLetter(PlacedRecord.of(INPUT, 1, i.record), flaw) for i in possible)
    kept = tuple(i for i in whole.items if i not in possible)
    return replace(whole, items=kept, dead_letters=letters, possible=possible)


@pytest.mark.parametrize("refused", ["b", "ab"])
@in_virtual_time
async def test_what_todays_checks_refuse_is_adopted_where_it_was_sent_by_others(refused: str) -> None:
    """It is paid for, and its result comes: it is no dead letter."""
    doubt = Doubt([created("x", body("a")), created("y", body("b"))])
    resolved = await doubt.resolve(stricter("ab", refused))
    assert (pairs(resolved), left(resolved)) == ({0: "x", 1: "y"}, [])
    assert resolved is not None
    assert not resolved.dead_letters
    assert seconds() == 0


@in_virtual_time
async def test_what_todays_checks_refuse_and_was_not_sent_stays_a_dead_letter() -> None:
    """Nobody waits for it where all else of the batch is there."""
    doubt = Doubt([created("x", body("a"))])
    resolved = await doubt.resolve(stricter("ab", "b"))
    assert (pairs(resolved), left(resolved)) == ({0: "x"}, [])
    assert resolved is not None
    assert [letter.record.offset for letter in resolved.dead_letters] == [1]
    assert seconds() == 0


@in_virtual_time
async def test_where_todays_checks_refuse_all_their_absence_is_waited_for() -> None:
    """The request may be under way still."""
    doubt = Doubt([], *[[created("x", body("a"))]] * 100)
    resolved = await doubt.resolve(stricter("ab", "ab"))
    assert (pairs(resolved), left(resolved)) == ({0: "x"}, [])
    assert seconds() > QUARANTINE_SECONDS


@in_virtual_time
async def test_what_the_ledger_has_is_no_dead_letter_by_todays_checks() -> None:
    """A predecessor's torn transaction wrote it."""
    doubt = Doubt([created("x", body("a")), created("y", body("b"))])
    doubt.settle("y", 1, partition=1)
    resolved = await doubt.resolve(stricter("ab", "b"))
    assert (pairs(resolved), left(resolved)) == ({0: "x"}, [])
    assert resolved is not None
    assert (resolved.dead_letters, resolved.known) == ((), 1)


# --- what the ledger knows -----------------------------------------------------------------------------


@pytest.mark.fault(23)
@in_virtual_time
async def test_what_a_torn_transaction_wrote_is_accounted_for() -> None:
    """The ledger's word comes first: nothing is sent or written for those items again."""
    doubt = Doubt([created("x", body("a")), created("y", body("b"))])
    doubt.settle("x", 0, partition=1)
    resolved = await doubt.resolve(batch_of("ab"))
    assert (pairs(resolved), left(resolved)) == ({1: "y"}, [])


@in_virtual_time
async def test_what_a_torn_transaction_wrote_is_not_adopted_for_an_equal_item() -> None:
    """It is one item at Toloka, and the other is still to be sent."""
    doubt = Doubt([created("x", body("a"))])
    doubt.settle("x", 0, partition=1)
    resolved = await doubt.resolve(batch_of("aa", identified=False))
    assert (pairs(resolved), left(resolved)) == ({}, [1])


@in_virtual_time
async def test_what_was_published_already_is_accounted_for() -> None:
    """Its tombstone names the origin."""
    doubt = Doubt([created("x", body("a"), status="COMPLETED")])
    origin = ledger_records.Origin(INPUT, 1, 0, 0)
    doubt.kafka.put(LEDGER, None, key=b"x", headers=(tombstones.origin_header(origin),))
    resolved = await doubt.resolve(batch_of("a"))
    assert (pairs(resolved), left(resolved), seconds()) == ({}, [], 0)


@pytest.mark.parametrize("closed", [False, True])
@in_virtual_time
async def test_what_belongs_to_another_record_is_not_adopted(*, closed: bool) -> None:
    """By its ledger record or its tombstone; equal content is no proof."""
    doubt = Doubt([created("x", body("a"))])
    if closed:
        headers = (tombstones.origin_header(ledger_records.Origin(INPUT, 0, 77, 0)),)
        doubt.kafka.put(LEDGER, None, key=b"x", headers=headers)
    else:
        doubt.settle("x", 77, partition=1)
    assert left(await doubt.resolve(batch_of("a", identified=False))) == [0]


@in_virtual_time
async def test_what_the_batch_has_adopted_before_is_not_adopted_again() -> None:
    """The rest of a batch that was adopted in part has come into doubt in its turn."""
    doubt = Doubt([created("x", body("a"))])
    await asyncio.sleep(QUARANTINE_SECONDS)
    batch = batch_of("aa", identified=False).adopting({0: "x"})
    resolved = await doubt.resolve(batch)
    assert pairs(resolved) == {0: "x"}
    assert left(resolved) == [1]


@in_virtual_time
async def test_an_item_with_an_id_of_ours_is_ours_whatever_else_it_holds() -> None:
    """It may come back with null for a field that was not sent: no other item has an id that tolokad gave."""
    altered = created("x", b'{"text":"a","score":null}')._replace(own_id=f"{INPUT}-1-0")
    stranger = created("y", b'{"text":"c"}')._replace(own_id=f"{INPUT}-2-1")
    doubt = Doubt([altered, created("z", body("b")), stranger])
    assert pairs(await doubt.resolve(batch_of("ab"))) == {0: "x", 1: "z"}


@in_virtual_time
async def test_an_id_that_was_given_long_ago_is_of_another_record() -> None:
    """The topic, and the ledger with it, was made anew: the same offset has another record, to be sent."""
    old = created("x", b'{"text":"old"}', -86_400, "COMPLETED")._replace(own_id=f"{INPUT}-1-0")
    doubt = Doubt([old])
    await asyncio.sleep(QUARANTINE_SECONDS + 1)
    resolved = await doubt.resolve(replace(batch_of("a"), since=START))
    assert (pairs(resolved), left(resolved)) == ({}, [0])


@in_virtual_time
async def test_an_id_like_ours_that_somebody_else_gave_makes_no_item_two() -> None:
    """A record's own id may look like one of ours: its content tells whose the item is, and once."""
    own = item(0, b'{"id":"%s-1-1","text":"a"}' % INPUT.encode())
    batch = batch_of("ab")
    batch = replace(batch, items=(own, batch.items[1]))
    doubt = Doubt([created("x", own.body)._replace(own_id=f"{INPUT}-1-1")])
    await asyncio.sleep(QUARANTINE_SECONDS + 1)
    resolved = await doubt.resolve(batch)
    assert (pairs(resolved), left(resolved)) == ({0: "x"}, [1])


@in_virtual_time
async def test_altered_content_does_not_hide_what_has_an_id_of_ours() -> None:
    """What is there is adopted by it; what is not is held, for the id may be what was altered."""
    doubt = Doubt([created("x", b'{"text":"?"}')._replace(own_id=f"{INPUT}-1-0")])
    doubt.kafka.put(LEDGER, b"{}", key=codec.ALTERED_KEY)
    assert pairs(await doubt.resolve(batch_of("a"))) == {0: "x"}
    doubt.api.listing[0] = []
    await asyncio.sleep(QUARANTINE_SECONDS + 1)
    resolving = asyncio.ensure_future(doubt.resolve(batch_of("a")))
    await asyncio.sleep(1)
    assert [hold.reason for hold in doubt.holds] == ["content_altered"]
    doubt.stopping.set()
    assert await resolving is None


# --- what cannot be decided -----------------------------------------------------------------------------


@in_virtual_time
async def test_altered_content_is_held_whatever_the_listing_shows() -> None:
    """Comparing proves nothing then, neither presence nor absence."""
    doubt = Doubt([created("x", body("a"))])
    doubt.kafka.put(LEDGER, b"{}", key=codec.ALTERED_KEY)
    await asyncio.sleep(QUARANTINE_SECONDS)
    resolving = asyncio.ensure_future(doubt.resolve(batch_of("a", identified=False)))
    await asyncio.sleep(1)
    assert [(hold.flow, hold.reason, hold.partition) for hold in doubt.holds] == [
        ("submit", "content_altered", 1)
    ]
    doubt.stopping.set()
    assert await resolving is None
    assert list(doubt.holds) == []


@in_virtual_time
async def test_a_listing_that_fails_is_held_and_asked_again() -> None:
    """However long: without an answer nothing is absent."""
    doubt = Doubt(*[LISTING_FAILED] * 30, [created("x", body("a"))])
    shown: list[Hold] = []
    resolving = asyncio.ensure_future(doubt.resolve(batch_of("a")))
    while not resolving.done():
        shown += doubt.holds
        await asyncio.sleep(1)
    assert pairs(await resolving) == {0: "x"}
    assert {hold.reason for hold in shown} == {"listing_failed"}
    assert seconds() > QUARANTINE_SECONDS
    assert list(doubt.holds) == []


@in_virtual_time
async def test_a_drain_leaves_the_doubt_to_the_next_owner() -> None:
    """The intent stands in Kafka."""
    doubt = Doubt([])
    asyncio.get_running_loop().call_later(30, doubt.stopping.set)
    assert await doubt.resolve(batch_of("a")) is None
    assert seconds() == 30
    assert doubt.outcomes() == {}
    assert doubt.metrics.intents_in_doubt._value.get() == 0


@in_virtual_time
async def test_the_doubt_shows_while_it_lasts() -> None:
    """In the metric, whichever way it ends."""
    doubt = Doubt([])
    resolving = asyncio.ensure_future(doubt.resolve(batch_of("a")))
    await asyncio.sleep(1)
    assert doubt.metrics.intents_in_doubt._value.get() == 1
    resolving.cancel()
    await asyncio.wait({resolving})
    assert doubt.metrics.intents_in_doubt._value.get() == 0


@in_virtual_time
async def test_a_hold_is_counted_once() -> None:
    """The metric counts batches in doubt, not looks."""
    doubt = Doubt(*[LISTING_FAILED] * 5, [created("x", body("a"))])
    await doubt.resolve(batch_of("a"))
    assert doubt.outcomes() in ({"adopted": 1}, {"adopted": 1, "held": 1})


@in_virtual_time
async def test_a_hold_is_shown_until_the_doubt_gets_on() -> None:
    """An alert that asks for five minutes of it must not be put off by every look in between."""
    doubt = Doubt(*[LISTING_FAILED] * 10, [created("x", body("a"))])
    resolving = asyncio.ensure_future(doubt.resolve(batch_of("a")))
    gaps = 0
    await asyncio.sleep(1)
    while not resolving.done():
        gaps += len(list(doubt.holds)) == 0
        await asyncio.sleep(0.25)
    assert gaps <= 1


# --- the other partitions' doubts ------------------------------------------------------------------------


def young(attempt: str = "b-1") -> Intent:
    """Another partition's attempt, made now."""
    now = START + timedelta(seconds=seconds())
    return Intent(attempt, 10, now, now)


def old(attempt: str = "b-1", *, doubted: bool = False, claiming: bool = False) -> Intent:
    """Another partition's attempt that has been in doubt for long."""
    long_ago = START - timedelta(hours=1)
    return Intent(attempt, 10, long_ago, long_ago, doubted=doubted, claiming=claiming)


async def resolved_only_after(doubt: Doubt, batch: Batch, ending: float) -> Batch | None:
    """Resolve; nothing must come of it before the other's intent ends."""
    resolving = asyncio.ensure_future(doubt.resolve(batch))
    await asyncio.sleep(ending)
    assert not resolving.done()
    doubt.intend(2, None, 10)
    doubt.intend(0, None, 10)
    return await resolving


@pytest.mark.parametrize("partition", [0, 2])
@in_virtual_time
async def test_equal_content_waits_for_what_another_partition_is_sending(partition: int) -> None:
    """What we see may be theirs; once their intent has ended, the ledger says so."""
    doubt = Doubt([created("x", body("a"))])
    doubt.intend(partition, young())
    resolving = asyncio.ensure_future(doubt.resolve(batch_of("a", identified=False)))
    await asyncio.sleep(5)
    assert not resolving.done()
    doubt.settle("x", 5, partition)
    doubt.intend(partition, None, 10)
    assert left(await resolving) == [0]
    assert seconds() >= QUARANTINE_SECONDS


@in_virtual_time
async def test_content_with_an_id_of_ours_waits_for_nobody() -> None:
    """No other item can have it."""
    doubt = Doubt([created("x", body("a"))])
    doubt.intend(0, young())
    assert pairs(await doubt.resolve(batch_of("a"))) == {0: "x"}
    assert seconds() == 0


@in_virtual_time
@pytest.mark.parametrize("doubted", [False, True])
async def test_the_lowest_partition_in_doubt_goes_first(doubted: bool) -> None:  # noqa: FBT001 - pytest's way
    """A higher one's doubt that cannot be a request any more does not stop it for longer than its own."""
    doubt = Doubt([created("x", body("a"))])
    doubt.intend(2, old(doubted=doubted))
    assert pairs(await doubt.resolve(batch_of("a", identified=False))) == {0: "x"}
    assert QUARANTINE_SECONDS <= seconds() < QUARANTINE_SECONDS + 20


@in_virtual_time
async def test_what_another_looks_for_is_not_taken_while_our_own_may_still_land() -> None:
    """It would believe its own to be absent, and send it again: with ours there would be one too many."""
    doubt = Doubt(
        [created("theirs", body("a"), -20.0)],
        [created("theirs", body("a"), -20.0), created("ours", body("a"), 2.0)],
    )
    doubt.intend(2, old(doubted=True))
    batch = replace(batch_of("a", identified=False), since=START)
    assert pairs(await doubt.resolve(batch)) == {0: "ours"}


@in_virtual_time
async def test_a_higher_partition_that_says_it_is_in_doubt_is_not_waited_for() -> None:
    """No answer can settle its attempt any more, however young that is, and its turn comes after ours."""
    doubt = Doubt([created("x", body("a"))])
    doubt.intend(2, replace(young(), at=START + timedelta(days=1), doubted=True))
    assert pairs(await doubt.resolve(batch_of("a", identified=False))) == {0: "x"}
    assert QUARANTINE_SECONDS <= seconds() < QUARANTINE_SECONDS + 20


@in_virtual_time
async def test_a_higher_partition_that_claims_what_we_see_is_waited_for() -> None:
    """It looked around before we were in doubt, and may be adopting our item: the ledger says so then."""
    doubt = Doubt([created("x", body("a"))])
    doubt.intend(2, old(doubted=True, claiming=True))
    resolved = await resolved_only_after(doubt, batch_of("a", identified=False), ending=900)
    assert pairs(resolved) == {0: "x"}


@in_virtual_time
@pytest.mark.parametrize(("partition", "claiming"), [(0, False), (2, True)])
async def test_who_claims_and_then_sees_another_steps_back(partition: int, claiming: bool) -> None:  # noqa: FBT001 - pytest's way
    """The other may have looked before the claim was written: of two who adopt, one would be wrong."""
    doubt = Doubt([created("x", body("a"))])
    steps = []

    async def meanwhile(written: Intent) -> None:
        steps.append(written.claiming)
        doubt.intend(1, written)
        if steps == [False, True]:
            doubt.intend(partition, replace(young(), doubted=True, claiming=claiming))
        if steps[-2:] == [True, False]:
            doubt.intend(partition, None)

    doubt.noted = meanwhile
    assert pairs(await doubt.resolve(batch_of("a", identified=False))) == {0: "x"}
    assert steps == [False, True, False, True]


@in_virtual_time
async def test_who_can_wait_no_longer_steps_back_for_a_claim_all_the_same() -> None:
    """Its quarantine is over, and a higher partition adopts just now what it sees itself: this is shown."""
    doubt = Doubt([created("x", body("a"))])
    steps, shown = list[bool](), list[list[str]]()

    async def meanwhile(written: Intent) -> None:
        steps.append(written.claiming)
        shown.append([hold.reason for hold in doubt.holds])
        doubt.intend(1, written)
        doubt.intend(2, old(doubted=True, claiming=True) if steps == [False, True] else None)

    doubt.noted = meanwhile
    assert pairs(await doubt.resolve(batch_of("ab", identified=False))) == {0: "x"}
    assert (steps, shown[:3]) == ([False, True, False, True], [[], [], ["others_in_doubt"]])


@in_virtual_time
async def test_what_is_in_doubt_behind_a_decided_batch_goes_last() -> None:
    """It is not looked for yet: it is left alone until our own can land no more, and no longer."""
    doubt = Doubt([created("x", body("a"))])
    doubt.intend(0, replace(young(), decided=True, doubt_end=20))
    async with asyncio.timeout(QUARANTINE_SECONDS + 20):
        assert pairs(await doubt.resolve(batch_of("a", identified=False))) == {0: "x"}
    assert seconds() >= QUARANTINE_SECONDS


@in_virtual_time
async def test_nothing_is_claimed_that_cannot_be_adopted_yet() -> None:
    """Half of a batch, before absence is believed: others need not wait for it."""
    doubt = Doubt([created("x", body("a"))])
    resolving = asyncio.ensure_future(doubt.resolve(batch_of("ab", identified=False)))
    await asyncio.sleep(QUARANTINE_SECONDS - 20)
    assert [each.claiming for each in doubt.written] == [False]
    assert pairs(await resolving) == {0: "x"}
    assert doubt.written[-1].claiming


@in_virtual_time
async def test_who_has_claimed_and_adopts_nothing_takes_it_back() -> None:
    """What is left may wait for long until it is announced: the other ways must not wait for that."""
    doubt = Doubt([created("x", body("a"))])
    doubt.settle("x", 5, 0)
    assert left(await doubt.resolve(batch_of("a", identified=False))) == [0]
    assert doubt.written[-1] == replace(INTENT, doubted=True)


@in_virtual_time
async def test_a_higher_partition_waits_for_a_lower_one_however_long_its_doubt() -> None:
    """Otherwise both would adopt the same item."""
    doubt = Doubt([created("x", body("a"))])
    doubt.intend(0, old())
    resolved = await resolved_only_after(doubt, batch_of("a", identified=False), ending=900)
    assert pairs(resolved) == {0: "x"}


@in_virtual_time
@pytest.mark.parametrize("claiming", [False, True])
async def test_who_waits_for_another_alone_says_for_whom(*, claiming: bool) -> None:
    """Not during its own quarantine, which nothing can shorten; afterwards until the other is done."""
    doubt = Doubt([created("x", body("a"))])
    other = 2 if claiming else 0
    doubt.intend(other, old(doubted=True, claiming=claiming))
    resolving = asyncio.ensure_future(doubt.resolve(batch_of("a", identified=False)))
    await asyncio.sleep(QUARANTINE_SECONDS)
    assert list(doubt.holds) == []
    await asyncio.sleep(20)
    for _ in range(50):
        (hold,) = doubt.holds
        assert (hold.flow, hold.reason, hold.partition) == ("submit", "others_in_doubt", 1)
        assert f"partition {other} " in hold.detail
        assert f"tolokad resolve --partition {other}`" in hold.detail
        await asyncio.sleep(7)
    doubt.intend(other, None, 10)
    assert pairs(await resolving) == {0: "x"}
    assert list(doubt.holds) == []


@in_virtual_time
async def test_a_partition_whose_batch_is_decided_is_not_waited_for() -> None:
    """It is sent anew without another look: nothing that is there is adopted for it."""
    doubt = Doubt([created("x", body("a"))])
    doubt.intend(0, replace(old(), decided=True))
    assert pairs(await doubt.resolve(batch_of("a", identified=False))) == {0: "x"}
    assert seconds() < 1


@in_virtual_time
async def test_only_the_intents_of_that_time_are_waited_for() -> None:
    """Others begin all the time: what they create was not in our listing."""
    doubt = Doubt([created("x", body("a"))])
    doubt.intend(0, young("b-1"))
    resolving = asyncio.ensure_future(doubt.resolve(batch_of("a", identified=False)))
    await asyncio.sleep(5)
    doubt.intend(0, young("b-2"), 10)
    assert pairs(await resolving) == {0: "x"}
    assert seconds() < 10


@in_virtual_time
async def test_a_new_attempt_at_a_range_in_doubt_does_not_end_the_doubt() -> None:
    """What its way has adopted in part is in no ledger yet: `since` is the same, and so is the doubt."""
    doubt = Doubt([created("x", body("a"))])
    first = old("b-1")
    doubt.intend(0, first)
    resolving = asyncio.ensure_future(doubt.resolve(batch_of("a", identified=False)))
    await asyncio.sleep(5)
    doubt.intend(0, replace(first, attempt="b-2", at=START + timedelta(seconds=5)))
    await asyncio.sleep(5)
    assert not resolving.done()
    doubt.settle("x", 5, 0)
    doubt.intend(0, None, 10)
    assert left(await resolving) == [0]


@in_virtual_time
async def test_what_another_partition_sent_behind_its_batch_is_waited_for_as_well() -> None:
    """It may have been listed, too, and is in the ledger only once it is settled."""
    doubt = Doubt([created("x", body("a"))])
    doubt.intend(0, replace(young(), doubt_end=20))
    resolving = asyncio.ensure_future(doubt.resolve(batch_of("a", identified=False)))
    await asyncio.sleep(5)
    doubt.intend(0, replace(young("b-2"), end=20, doubt_end=30), offset=10)
    await asyncio.sleep(5)
    assert not resolving.done()
    doubt.settle("x", 15, 0)
    doubt.intend(0, None, 20)
    assert left(await resolving) == [0]


@in_virtual_time
async def test_an_answer_to_what_was_sent_behind_another_may_come_later() -> None:
    """It was sent while the first one's answer could still come."""
    doubt = Doubt([created("x", body("a"))])
    ago = START - timedelta(seconds=75)
    doubt.intend(2, replace(young(), at=ago, doubt_end=20, doubt_at=ago + timedelta(seconds=20)))
    await doubt.resolve(batch_of("a", identified=False), old("a-1"))
    assert seconds() >= 15


@in_virtual_time
async def test_a_settled_piece_of_a_range_in_doubt_does_not_end_the_doubt_of_the_rest() -> None:
    """What was adopted of the rest is in no ledger yet."""
    doubt = Doubt([created("x", body("a"))])
    first = old("b-1")
    doubt.intend(0, first)
    resolving = asyncio.ensure_future(doubt.resolve(batch_of("a", identified=False)))
    await asyncio.sleep(5)
    doubt.intend(0, replace(first, attempt="b-2"), offset=4)
    await asyncio.sleep(5)
    assert not resolving.done()
    doubt.settle("x", 5, 0)
    doubt.intend(0, None, 10)
    assert left(await resolving) == [0]


@in_virtual_time
async def test_what_another_way_took_meanwhile_is_looked_for_again() -> None:
    """It may have been ours, and what that way left, visible only now, its own: nothing is sent again."""
    x, y = (created(name, body("a"), -3590) for name in "xy")
    doubt = Doubt([x], [x, y])
    doubt.intend(0, old("b-1"))
    resolving = asyncio.ensure_future(doubt.resolve(batch_of("a", identified=False), old()))
    await asyncio.sleep(5)
    doubt.settle("x", 5, 0)
    doubt.intend(0, None, 10)
    assert pairs(await resolving) == {0: "y"}


@pytest.mark.parametrize(("seconds_late", "listings"), [(0, 2), (1, 1)])
@in_virtual_time
async def test_what_another_way_took_meanwhile_was_not_ours_where_it_is_too_young(
    seconds_late: int, listings: int
) -> None:
    """Another look would be for nothing, and there might always be one more of them."""
    end = timedelta(seconds=QUARANTINE_SECONDS + seconds_late) + SKEW - timedelta(hours=1)
    doubt = Doubt([created("theirs", body("a"), end.total_seconds())])
    doubt.intend(0, old("b-1"))
    resolving = asyncio.ensure_future(doubt.resolve(batch_of("a", identified=False), old()))
    await asyncio.sleep(5)
    before = len(doubt.api.asked)
    doubt.settle("theirs", 5, 0)
    doubt.intend(0, None, 10)
    assert left(await resolving) == [0]
    assert len(doubt.api.asked) - before == listings - 1


@in_virtual_time
async def test_a_drain_ends_the_wait_for_others() -> None:
    """At once."""
    doubt = Doubt([created("x", body("a"))])
    doubt.intend(0, young())
    asyncio.get_running_loop().call_later(3, doubt.stopping.set)
    assert await doubt.resolve(batch_of("a", identified=False)) is None
    assert seconds() == 3


@in_virtual_time
async def test_unreadable_metadata_of_another_partition_is_no_defect_of_ours() -> None:
    """It is held there; here it holds, too, and does not end the program with 70."""
    doubt = Doubt([created("x", body("a"))])
    doubt.kafka.offsets[GROUP, INPUT, 0] = Committed(0, "by hand")
    resolving = asyncio.ensure_future(doubt.resolve(batch_of("a", identified=False)))
    await asyncio.sleep(1)
    doubt.stopping.set()
    assert await resolving is None


@in_virtual_time
async def test_the_ledger_is_not_read_for_nothing() -> None:
    """While nothing is listed and absence is not believed: a ledger may hold a million records."""
    doubt = Doubt([])
    reads = 0
    usual = doubt.kafka.end_offsets

    async def counted(topic: str, partitions: Collection[int] = ()) -> object:
        nonlocal reads
        reads += topic == LEDGER
        return await usual(topic, partitions)

    doubt.kafka.end_offsets = counted  # type: ignore[method-assign,assignment]  # on purpose
    await doubt.resolve(batch_of("a"))
    assert reads <= 3


@in_virtual_time
async def test_equal_content_of_which_more_results_are_awaited_is_another_item() -> None:
    """Taken for the other, it would be waited for in vain."""
    batch = batch_of("aa", identified=False)
    first, second = batch.items
    batch = replace(batch, items=(msgspec.structs.replace(first, wanted=2), second))
    listed = [created("one", body("a")), created("two", body("a"))._replace(wanted=2)]
    assert pairs(await Doubt(listed).resolve(batch)) == {0: "two", 1: "one"}


@in_virtual_time
async def test_what_was_there_before_is_taken_last() -> None:
    """Another way looks for it: of equal items the one that was created since this range was sent is ours."""
    batch = replace(batch_of("a", identified=False), since=START)
    listed = [created("another's", body("a"), -20.0), created("ours", body("a"), 2.0)]
    assert pairs(await Doubt(listed).resolve(batch)) == {0: "ours"}
    older = await Doubt(listed[:1]).resolve(batch)
    assert pairs(older) == {0: "another's"}
    assert older is not None
    # What it was created at goes to the ledger: it may have finished before this range was sent.
    assert older.oldest == listed[0].created_at
