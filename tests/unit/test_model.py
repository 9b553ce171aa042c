"""A batch is cut and sorted without losing or doubling an item; a deadline knows the older clock."""

from dataclasses import FrozenInstanceError, replace

import pytest

from daemon.model import Batch, DeadLetter, Deadline, Flaw
from tests.doubles import INPUT, START, FakeRecord, item

FLAW = Flaw("VALUE_REQUIRED", "text: the value must be present")


def batch(*offsets: int, first: int = 0, end: int | None = None) -> Batch:
    """A batch of items at these offsets."""
    return Batch(
        INPUT, 0, first, offsets[-1] + 1 if end is None else end, tuple(item(offset) for offset in offsets)
    )


def offsets_of(of: Batch) -> list[int]:
    """Where its items come from."""
    return [item.record.offset for item in of.items]


def test_culprits_become_dead_letters_and_the_rest_keeps_its_order() -> None:
    """What is left is what was not named; what was named keeps its own reason."""
    other = Flaw("STRING_EXPECTED", "text: no string")
    left = batch(3, 4, 5, 6).without({3: other, 0: FLAW})
    assert offsets_of(left) == [4, 5]
    letters = {letter.record.offset: letter.flaw for letter in left.dead_letters}
    assert letters == {3: FLAW, 6: other}
    assert (left.first, left.end) == (0, 7)


def test_further_culprits_join_the_earlier_ones() -> None:
    """Dead letters are never dropped by a second refusal."""
    left = batch(0, 1, 2).without({0: FLAW}).without({1: FLAW})
    assert offsets_of(left) == [1]
    assert [letter.record.offset for letter in left.dead_letters] == [0, 2]


def test_adopted_items_leave_with_their_ids() -> None:
    """Each id stays with the item it was found for."""
    left = batch(0, 1, 2).adopting({2: "c", 0: "a"})
    assert offsets_of(left) == [1]
    assert {found.record.offset: item_id for found, item_id in left.adopted} == {0: "a", 2: "c"}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_split_gives_two_ranges_that_meet_and_hold_everything(count: int) -> None:
    """Between the halves no offset, item, letter, adoption or tombstone is lost or doubled."""
    whole = replace(
        batch(2, 5, 6, 9, first=1, end=12).adopting({}),
        dead_letters=tuple(DeadLetter(FakeRecord(offset), FLAW) for offset in (1, 4, 7, 11)),
        adopted=tuple((item(offset), f"id-{offset}") for offset in (3, 8, 10)),
        skipped=2,
        since=START,
    )
    early, late = whole.split(count)
    assert (early.first, early.end, late.end) == (whole.first, late.first, whole.end)
    assert offsets_of(early) + offsets_of(late) == offsets_of(whole)
    assert len(early.items) == count
    for half in (early, late):
        decided = [letter.record.offset for letter in half.dead_letters]
        decided += [found.record.offset for found, _ in half.adopted]
        assert all(half.first <= offset < half.end for offset in (*decided, *offsets_of(half)))
        assert half.since == START
    assert early.dead_letters + late.dead_letters == whole.dead_letters
    assert early.adopted + late.adopted == whole.adopted
    assert early.skipped + late.skipped == whole.skipped


@pytest.mark.parametrize(
    ("elapsed", "wall", "left"),
    [
        (100.0, 5_000.0, 20.0),
        (105.0, 5_005.0, 15.0),
        (105.0, 5_019.0, 1.0),  # suspended, or the wall clock was set forward
        (119.0, 4_000.0, 1.0),  # the wall clock was set back
        (125.0, 5_000.0, -5.0),
        (100.0, 5_060.0, -40.0),
    ],
)
def test_a_deadline_believes_the_clock_that_moved_further(elapsed: float, wall: float, left: float) -> None:
    """A frozen process cannot overlook its age, whichever clock stood still with it."""
    assert Deadline(elapsed=100.0, wall=5_000.0, seconds=20.0).left(elapsed, wall) == left


def test_a_batch_cannot_be_changed() -> None:
    """Every step makes a new one."""
    with pytest.raises(FrozenInstanceError):
        batch(0).end = 5  # type: ignore[misc]  # what the test is about
