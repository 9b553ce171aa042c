"""A refusal that names nobody is narrowed down in few requests, and every item settled once."""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import log2

import pytest

from daemon.flows.batches.pieces import Pieces, dead
from daemon.model import Batch, DeadLetter, Flaw
from tests.doubles import INPUT, FakeRecord, item

FLAW = Flaw("VALIDATION_ERROR", "something is wrong")


def batch(count: int) -> Batch:
    """A batch of so many items."""
    return Batch(INPUT, 0, 0, count, tuple(item(offset) for offset in range(count)))


@dataclass
class Run:
    """What sending a batch piece by piece came to."""

    requests: list[tuple[int, int]] = field(default_factory=list)
    settled: list[tuple[int, int]] = field(default_factory=list)
    good: list[int] = field(default_factory=list)
    dead: list[int] = field(default_factory=list)


def settle(run: Run, piece: Batch) -> None:
    """Note what a piece has come to."""
    run.settled.append((piece.first, piece.end))
    run.good += [it.record.offset for it in piece.items]
    run.dead += [letter.record.offset for letter in piece.dead_letters]


def send(whole: Batch, bad: Collection[int], largest: int = 10**9) -> Run:
    """Send a batch to a server that refuses bad items without naming them, and what is too large."""
    pieces, run = Pieces(whole), Run()
    while (piece := pieces.next()) is not None:
        if not piece.items:
            settle(run, piece)
            continue
        run.requests.append((piece.first, piece.end))
        if len(piece.items) > largest:
            pieces.too_large(piece, FLAW)
        elif any(it.record.offset in bad for it in piece.items):
            pieces.refused(piece, FLAW)
        else:
            settle(run, piece)
    return run


def insist_on_order(run: Run, count: int) -> None:
    """What is settled covers the whole range, from its first offset to its last, without gap or overlap."""
    assert run.settled[0][0] == 0
    assert run.settled[-1][1] == count
    assert all(before[1] == after[0] for before, after in pairwise(run.settled))


@pytest.mark.parametrize("count", range(1, 34))
def test_one_bad_item_is_found_in_few_requests_wherever_it_is(count: int) -> None:
    """At most 2·log2(n) + 1 of them, whatever n and whichever item."""
    for bad in range(count):
        run = send(batch(count), {bad})
        assert run.dead == [bad]
        assert run.good == [offset for offset in range(count) if offset != bad]
        assert len(run.requests) <= 2 * log2(count) + 1
        insist_on_order(run, count)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 21])
def test_a_batch_of_bad_items_ends_with_each_of_them_dead(count: int) -> None:
    """The bound holds for each bad item, also where there is nothing else."""
    run = send(batch(count), range(count))
    assert (run.dead, run.good) == (list(range(count)), [])
    assert len(run.requests) <= count * (2 * log2(count) + 1)
    insist_on_order(run, count)


def test_until_the_culprit_is_out_no_piece_reaches_past_the_one_that_was_refused() -> None:
    """What is known to be bad is halved unsent."""
    assert send(batch(8), {6}).requests == [(0, 8), (0, 4), (4, 6), (6, 7), (7, 8)]


def test_behind_the_culprit_the_rest_goes_out_whole() -> None:
    """Once the bad item is out, what was never said to be bad is not cut further."""
    assert send(batch(8), {0}).requests == [(0, 8), (0, 4), (0, 2), (0, 1), (1, 2), (2, 4), (4, 8)]


@pytest.mark.parametrize(("count", "largest"), [(1, 1), (10, 3), (16, 4), (17, 1)])
def test_what_is_too_large_is_halved_until_it_fits(count: int, largest: int) -> None:
    """Everything is settled in order, and nothing dies of its company's size."""
    run = send(batch(count), (), largest)
    assert (run.good, run.dead) == (list(range(count)), [])
    insist_on_order(run, count)


def test_one_item_that_is_too_large_for_any_request_is_a_dead_letter() -> None:
    """Alone, it cannot be halved."""
    run = send(batch(1), (), largest=0)
    assert (run.good, run.dead) == ([], [0])


def test_what_is_too_large_and_bad_is_narrowed_down_all_the_same() -> None:
    """Both reasons to halve go together."""
    run = send(batch(16), {3, 11}, largest=8)
    assert run.dead == [3, 11]
    assert run.good == [offset for offset in range(16) if offset not in {3, 11}]
    insist_on_order(run, 16)


def test_a_piece_that_comes_again_is_next() -> None:
    """The earliest range is always settled first."""
    pieces = Pieces(batch(4))
    piece = pieces.next()
    assert piece is not None
    pieces.too_large(piece, FLAW)
    first = pieces.next()
    assert first is not None
    pieces.again(first.without({0: FLAW}))
    again = pieces.next()
    assert again is not None
    assert ((again.first, again.end), len(again.items)) == ((0, 2), 1)


def test_what_was_decided_before_stays_with_its_range() -> None:
    """Letters and tombstones that a batch already held are settled with the piece that covers them."""
    letters = (DeadLetter(FakeRecord(1), FLAW), DeadLetter(FakeRecord(5), FLAW))
    items = tuple(item(offset) for offset in (0, 2, 3, 4))
    run = send(replace(batch(6), items=items, dead_letters=letters, skipped=0), {4})
    assert sorted(run.dead) == [1, 4, 5]
    assert run.good == [0, 2, 3]
    insist_on_order(run, 6)


def test_dead_makes_a_dead_letter_of_everything_unsent() -> None:
    """Each with the same reason."""
    gone = dead(batch(3), FLAW)
    assert gone.items == ()
    assert [letter.flaw for letter in gone.dead_letters] == [FLAW] * 3


def test_one_item_that_gets_no_answer_again_and_again_is_sent_as_it_is() -> None:
    """There is nothing to halve: no piece is sent without items."""
    pieces = Pieces(batch(1))
    whole = pieces.next()
    assert whole is not None
    pieces.unanswered(whole, repeatedly=True)
    assert (pieces.next(), pieces.next()) == (whole, None)
