"""A guard against pouring a whole topic into the dead letter topic."""

import pytest

from daemon.errors import Held
from daemon.flows.batches.guarding import RejectionGuard
from daemon.model import Batch, Committed, DeadLetter, Flaw
from tests.doubles import INPUT, FakeRecord, in_virtual_time, item
from tests.unit.flows.ways import Way, kafka_of, running

FLAW = Flaw("VALUE_REQUIRED", "text: the value must be present")


def batch(dead: int, good: int, skipped: int = 0) -> Batch:
    """A batch of so many."""
    letters = tuple(DeadLetter(FakeRecord(offset), FLAW) for offset in range(dead))
    items = tuple(item(offset) for offset in range(dead, dead + good))
    return Batch(INPUT, 0, 0, dead + good + skipped, items, letters, skipped)


def passes(guard: RejectionGuard, tried: Batch) -> bool:
    """Whether the guard lets a batch through; it counts then."""
    try:
        guard.insist(tried)
    except Held:
        return False
    guard.count(tried)
    return True


@pytest.mark.parametrize(("dead", "expected"), [(50, True), (51, False), (100, False), (0, True)])
def test_a_share_of_dead_letters_above_the_limit_is_held(dead: int, *, expected: bool) -> None:
    """The limit itself is still believed."""
    assert passes(RejectionGuard(0.5, 100), batch(dead, 100 - dead)) is expected


def test_the_hold_says_what_is_wrong_and_which_setting_says_so() -> None:
    """The operator learns the share, the last reason, and the way out."""
    with pytest.raises(Held) as held:
        RejectionGuard(0.5, 10).insist(batch(9, 1))
    assert held.value.reason == "rejected_ratio"
    assert "90%" in held.value.detail
    assert "MAX_REJECTED_RATIO" in held.value.detail
    assert FLAW.message in held.value.detail


def test_few_items_say_nothing() -> None:
    """Three bad records in a quiet night are three dead letters."""
    guard = RejectionGuard(0.5, 100)
    assert all(passes(guard, batch(3, 0)) for _ in range(30))
    assert not all(passes(guard, batch(3, 0)) for _ in range(10))


def test_only_the_last_items_count() -> None:
    """What was good long ago does not hide that everything is bad now."""
    guard = RejectionGuard(0.5, 100)
    for _ in range(50):
        assert passes(guard, batch(0, 100))
    refused = 0
    for _ in range(4):
        refused += not passes(guard, batch(40, 0))
    assert refused > 0


def test_good_items_pass_whatever_came_before() -> None:
    """A batch without dead letters makes nothing worse."""
    guard = RejectionGuard(0.1, 10)
    guard.count(batch(10, 0))
    assert passes(guard, batch(0, 1))


def test_one_switches_the_guard_off() -> None:
    """For those who mean it."""
    assert passes(RejectionGuard(1.0, 10), batch(1000, 0))


def test_tombstones_are_no_items() -> None:
    """They neither help nor harm, and there may be nothing else."""
    guard = RejectionGuard(0.5, 10)
    for _ in range(5):
        assert passes(guard, batch(0, 0, skipped=1000))
    assert not passes(guard, batch(10, 0))


def test_batches_without_items_take_no_memory() -> None:
    """A topic of nothing but tombstones may be read for months."""
    guard = RejectionGuard(0.5, 1000)
    for _ in range(2000):
        guard.count(batch(0, 0, skipped=5))
    assert len(guard._window) <= 1000


def test_a_batch_is_judged_along_with_the_one_before_it() -> None:
    """What is about to be counted counts already: neither alone says enough."""
    guard = RejectionGuard(0.5, 100)
    assert guard.allows(batch(60, 0))
    assert guard.allows(batch(60, 0), batch(0, 60))
    assert not guard.allows(batch(60, 0), batch(60, 0))


@in_virtual_time
async def test_a_topic_of_nothing_but_bad_records_is_held() -> None:
    """None of them becomes a dead letter: batches that come to no request are judged like any other."""
    way = Way(kafka_of(*"!!!!!!!!"), guard=RejectionGuard(0.5, 4))
    async with running(way):
        assert [hold.reason for hold in way.holds] == ["rejected_ratio"]
    assert (way.dead(), way.committed) == ([], Committed(0, ""))


@in_virtual_time
async def test_a_good_record_among_bad_ones_does_not_get_them_through() -> None:
    """It is not sent either: its batch is judged before anything is announced."""
    way = Way(kafka_of(*"a!!!"), guard=RejectionGuard(0.5, 4))
    async with running(way):
        assert [hold.reason for hold in way.holds] == ["rejected_ratio"]
    assert (way.posted(), way.dead(), way.committed) == ([], [], Committed(0, ""))


@in_virtual_time
async def test_what_was_settled_before_is_judged_along() -> None:
    """Good batches speak for the bad one behind them, as far as the window reaches."""
    way = Way(kafka_of(*"abcdefgh!!!!"), guard=RejectionGuard(0.5, 12))
    async with running(way):
        assert list(way.holds) == []
    assert (way.dead(), way.committed) == ([8, 9, 10, 11], Committed(12, ""))
    way = Way(kafka_of(*"abcd!!!!!!!!"), guard=RejectionGuard(0.5, 12))
    async with running(way):
        assert [hold.reason for hold in way.holds] == ["rejected_ratio"]
    assert (way.dead(), way.committed) == ([4, 5, 6, 7], Committed(8, ""))


@in_virtual_time
async def test_a_batch_that_would_be_held_is_not_sent_ahead() -> None:
    """Nor announced along: it is judged with the one before it, whose settlement would do so."""
    way = Way(kafka_of(*"abcd!!!e"), guard=RejectionGuard(0.3, 4))
    async with running(way):
        assert [hold.reason for hold in way.holds] == ["rejected_ratio"]
    assert (way.posted(), way.dead(), way.committed) == (["abcd"], [], Committed(4, ""))
