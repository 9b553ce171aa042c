"""An intent in doubt: what is there is adopted, and only what is certainly absent is sent again."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec
import pytest

from daemon.errors import Fenced, Held
from daemon.flows.holding import Hold
from daemon.flows.records import codec
from daemon.flows.skew import SKEW
from daemon.model import Batch, Committed, Created, DeadLetter, Flaw, Intent, PlacedRecord
from daemon.ports import Wanted
from tests.doubles import GROUP, INPUT, LEDGER, START, created, in_virtual_time, item
from tests.unit.flows.doubts.doubting import (
    INTENT,
    QUARANTINE_SECONDS,
    Doubt,
    batch_of,
    body,
    left,
    mixed,
    pairs,
    seconds,
)

COARSE_SECONDS = 1.0
LISTING_FAILED = Held("listing_failed", "Toloka does not answer")


# --- what an operator decides -------------------------------------------------------------------------
@in_virtual_time
@pytest.mark.parametrize("decided", [None, Intent("a-2", 3, START, START, decided=True)])
async def test_a_decision_meanwhile_ends_the_doubt(decided: Intent | None) -> None:
    """A way that holds hears of it at the next look, and takes the partition over anew."""
    doubt = Doubt(LISTING_FAILED)
    resolving = asyncio.create_task(doubt.resolve(batch_of("a")))
    await asyncio.sleep(60)
    doubt.intend(1, decided)
    with pytest.raises(Fenced, match="decided"):
        await resolving
    assert not list(doubt.holds)


@in_virtual_time
async def test_what_a_newer_release_has_announced_meanwhile_ends_the_doubt() -> None:
    """It has gone on with the partition, and nothing is adopted by what we know."""
    doubt = Doubt(LISTING_FAILED)
    resolving = asyncio.create_task(doubt.resolve(batch_of("a")))
    await asyncio.sleep(60)
    doubt.kafka.offsets[GROUP, INPUT, 1] = Committed(0, '{"v":99}')
    with pytest.raises(Fenced, match="newer release"):
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


@pytest.mark.parametrize(
    ("batch", "before"),
    [
        (batch_of("a"), SKEW),
        (batch_of("a", identified=False), 3 * SKEW),
        (mixed("ab"), 3 * SKEW),
    ],
)
@in_virtual_time
async def test_before_absence_is_believed_another_clock_is_reckoned_with(
    batch: Batch, before: timedelta
) -> None:
    """What was created while the batch is in doubt is listed, by whichever clock that is told."""
    doubt = Doubt([])
    await asyncio.sleep(1000)
    assert left(await doubt.resolve(batch)) == list(range(batch.end))
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
async def test_a_doubt_that_is_resolved_once_more_is_counted_once() -> None:
    """What it came to could not be written down, for Kafka was away or the process frozen."""
    doubt = Doubt([created("x", body("a"))])
    for attempt in ("a-1", "a-1", "a-2"):
        await doubt.resolve(batch_of("a"), replace(INTENT, attempt=attempt))
    assert doubt.outcomes() == {"adopted": 2}


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
async def test_a_clock_that_the_look_itself_sets_right_has_ended_no_quarantine() -> None:
    """By one answer that somebody else wrote it was an hour ahead, until Toloka answered the listing."""
    doubt = Doubt([])
    doubt.time.moved += 3600

    class Answer(list[Created]):
        """Nothing; its coming sets the clock right."""

        def __iter__(self) -> Iterator[Created]:
            doubt.time.moved = 0
            return super().__iter__()

    doubt.api.listing.appendleft(Answer())
    assert left(await doubt.resolve(batch_of("a"))) == [0]
    assert 0 <= seconds() - QUARANTINE_SECONDS - COARSE_SECONDS < 0.1


@in_virtual_time
async def test_a_clock_that_was_behind_and_is_set_right_prolongs_no_quarantine() -> None:
    """Toloka's may be, by a day: however far off it was at first, no request lands later for it."""
    doubt = Doubt([])
    doubt.time.moved -= 86_400

    async def set_right() -> None:
        await asyncio.sleep(10)
        doubt.time.moved += 86_400

    setting = asyncio.create_task(set_right())
    assert left(await doubt.resolve(batch_of("a"))) == [0]
    assert seconds() < QUARANTINE_SECONDS * 1.5
    await setting


@pytest.mark.parametrize("begun", [True, False])
@in_virtual_time
async def test_a_clock_that_is_set_back_prolongs_no_quarantine_and_hides_nothing(*, begun: bool) -> None:
    """Before we look or meanwhile: what it dates from then on is hours older than the newest item."""
    doubt = Doubt([])

    async def set_back() -> None:
        await asyncio.sleep(10 if begun else 0)
        doubt.time.moved -= 7200

    setting = asyncio.create_task(set_back())
    await asyncio.sleep(1)
    assert left(await doubt.resolve(batch_of("a"))) == [0]
    assert seconds() < QUARANTINE_SECONDS * 1.5
    assert (doubt.api.within[-1] or timedelta()) >= timedelta(hours=2)
    await setting


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


# --- what cannot be decided -----------------------------------------------------------------------------
@pytest.mark.parametrize("batch", [batch_of("a", identified=False), mixed("ab")])
@in_virtual_time
async def test_altered_content_is_held_whatever_the_listing_shows(batch: Batch) -> None:
    """Comparing proves nothing then, neither presence nor absence."""
    doubt = Doubt([created("x", body("a")), created("y", body("b"))])
    doubt.kafka.put(LEDGER, b"{}", key=codec.ALTERED_KEY)
    await asyncio.sleep(QUARANTINE_SECONDS)
    resolving = asyncio.ensure_future(doubt.resolve(batch))
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
async def test_a_look_that_toloka_puts_off_is_put_off() -> None:
    """It may ask to wait for a minute, and is asked nothing before; an operator's decision ends the wait."""
    throttled = Held("listing_failed", "Toloka answered 429", wait_seconds=60)
    doubt = Doubt(throttled, [created("x", body("a"))])
    assert pairs(await doubt.resolve(batch_of("a"))) == {0: "x"}
    assert 60 <= seconds() < 70
    doubt = Doubt(throttled)
    resolving = asyncio.create_task(doubt.resolve(batch_of("a")))
    await asyncio.sleep(5)
    doubt.intend(1, None)
    with pytest.raises(Fenced, match="decided"):
        await resolving
    assert seconds() < 90


@in_virtual_time
async def test_a_hold_is_counted_once() -> None:
    """The metric counts batches in doubt, not looks."""
    doubt = Doubt(*[LISTING_FAILED] * 5, [created("x", body("a"))])
    await doubt.resolve(batch_of("a"))
    assert doubt.outcomes() == {"adopted": 1, "held": 1}


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


@in_virtual_time
async def test_a_hold_is_taken_back_by_the_next_look_that_succeeds() -> None:
    """However long it is still too early to say what is absent."""
    doubt = Doubt(LISTING_FAILED, [])
    resolving = asyncio.ensure_future(doubt.resolve(batch_of("a")))
    await asyncio.sleep(0.01)
    assert [hold.reason for hold in doubt.holds] == ["listing_failed"]
    await asyncio.sleep(60)
    assert list(doubt.holds) == []
    assert not resolving.done()
    doubt.stopping.set()
    await resolving


# --- which of equal items -------------------------------------------------------------------------------


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
