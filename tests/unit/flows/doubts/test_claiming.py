"""The other partitions' doubts: whose turn it is where items are alike, and who is waited for."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from daemon.flows.skew import SKEW
from daemon.model import Batch, Committed, Intent
from tests.doubles import GROUP, INPUT, START, created, in_virtual_time
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
async def test_a_clock_that_is_set_forward_ends_no_other_partitions_attempt() -> None:
    """Toloka's may be, by an hour: what we see may be theirs for as long as it could have been."""
    doubt = Doubt([created("x", body("a"))])
    doubt.intend(2, young())
    resolving = asyncio.ensure_future(doubt.resolve(batch_of("a", identified=False), old("a-1")))
    await asyncio.sleep(10)
    doubt.time.moved += 3600
    await asyncio.sleep(20)
    assert not resolving.done()
    doubt.settle("x", 5, 2)
    doubt.intend(2, None, 10)
    assert left(await resolving) == [0]


@in_virtual_time
async def test_a_clock_that_was_set_back_prolongs_no_other_partitions_attempt() -> None:
    """It was announced by Toloka's old time, an hour ahead, which the new one is far from."""
    doubt = Doubt([created("x", body("a"))])
    ahead = START + timedelta(hours=1)
    doubt.intend(2, replace(young(), at=ahead, since=ahead))
    assert pairs(await doubt.resolve(batch_of("a", identified=False), old("a-1"))) == {0: "x"}
    assert 60 < seconds() < QUARANTINE_SECONDS


@in_virtual_time
async def test_another_partitions_next_attempt_is_waited_for_as_long_as_the_one_before() -> None:
    """What was sent behind the first was announced by a clock that was ahead: so was the last of both."""
    doubt = Doubt([created("x", body("a"))])
    ahead = START + timedelta(hours=1)
    behind = replace(young(), at=ahead, since=ahead, doubt_end=20, doubt_at=ahead)
    doubt.intend(2, behind)
    resolving = asyncio.ensure_future(doubt.resolve(batch_of("a", identified=False), old("a-1")))
    await asyncio.sleep(60)
    doubt.intend(2, replace(behind, attempt="a-3", at=START + timedelta(seconds=60)))
    await asyncio.sleep(30)
    assert not resolving.done()
    doubt.settle("x", 5, 2)
    doubt.intend(2, None, 20)
    assert left(await resolving) == [0]


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
async def test_one_item_without_an_id_of_ours_is_enough_to_wait_for_others() -> None:
    """Its equal may be theirs, whatever the rest of the batch has."""
    doubt = Doubt([created("x", body("a")), created("y", body("b"))])
    doubt.intend(0, young())
    resolving = asyncio.ensure_future(doubt.resolve(mixed("ab")))
    await asyncio.sleep(5)
    assert not resolving.done()
    doubt.settle("y", 5, 0)
    doubt.intend(0, None, 10)
    resolved = await resolving
    assert (pairs(resolved), left(resolved)) == ({0: "x"}, [1])


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


@in_virtual_time
async def test_one_that_another_way_took_meanwhile_is_enough_to_look_again() -> None:
    """Whatever else is there for us: what is left of the batch may be visible only now."""
    x, y, z = (created(name, body("a"), -3590) for name in "xyz")
    doubt = Doubt([x, z], [x, y, z])
    doubt.intend(0, old("b-1"))
    resolving = asyncio.ensure_future(doubt.resolve(batch_of("aa", identified=False), old()))
    await asyncio.sleep(5)
    doubt.settle("x", 5, 0)
    doubt.intend(0, None, 10)
    assert set(pairs(await resolving).values()) == {"y", "z"}


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
