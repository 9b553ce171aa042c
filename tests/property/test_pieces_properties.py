"""However a server refuses, each good item is settled once, each bad one dies, and few requests do it."""

from itertools import pairwise
from math import log2

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.flows.batches.pieces import Pieces
from daemon.model import Batch, DeadLetter, Flaw
from tests.doubles import INPUT, FakeRecord, item

FLAW = Flaw("VALIDATION_ERROR", "something is wrong")


@st.composite
def batches(draw: st.DrawFn) -> tuple[Batch, set[int]]:
    """A batch with gaps, letters and tombstones, and the offsets of its bad items."""
    kinds = draw(
        st.lists(st.sampled_from(["good", "good", "bad", "dead", "skip", "gap"]), min_size=1, max_size=70)
    )
    offsets = {kind: [o for o, k in enumerate(kinds) if k == kind] for kind in set(kinds)}
    items = tuple(item(o) for o in sorted([*offsets.get("good", ()), *offsets.get("bad", ())]))
    letters = tuple(DeadLetter(FakeRecord(o), FLAW) for o in offsets.get("dead", ()))
    batch = Batch(INPUT, 0, 0, len(kinds), items, letters, len(offsets.get("skip", ())))
    return batch, set(offsets.get("bad", ()))


class Server:
    """Refuses what is too large, and what is bad: sometimes by name, sometimes without."""

    def __init__(self, bad: set[int], largest: int, naming: list[bool]) -> None:
        self.bad = bad
        self.largest = largest
        self.naming = naming
        self.requests = 0

    def answer(self, piece: Batch, pieces: Pieces) -> bool:
        """Whether a piece is taken; the pieces hear why not."""
        self.requests += 1
        culprits = [i for i, it in enumerate(piece.items) if it.record.offset in self.bad]
        if len(piece.items) > self.largest:
            pieces.too_large(piece, FLAW)
        elif culprits and self.naming and self.naming.pop():
            pieces.again(piece.without(dict.fromkeys(culprits[:2], FLAW)))
        elif culprits:
            pieces.refused(piece, FLAW)
        return not culprits and len(piece.items) <= self.largest


def deliver(whole: Batch, server: Server) -> list[Batch]:
    """Send a batch piece by piece; returns the pieces as they were settled."""
    pieces, settled = Pieces(whole), []
    while (piece := pieces.next()) is not None:
        if not piece.items or server.answer(piece, pieces):
            settled.append(piece)
        assert server.requests < 10_000
    return settled


@given(batches(), st.integers(1, 80), st.lists(st.booleans(), max_size=10))
@settings(max_examples=100, deadline=None)
def test_every_item_has_one_end_and_ranges_are_settled_in_order(
    made: tuple[Batch, set[int]], largest: int, naming: list[bool]
) -> None:
    """Whatever the server makes of it."""
    whole, bad = made
    settled = deliver(whole, Server(bad, largest, naming))
    assert (settled[0].first, settled[-1].end) == (whole.first, whole.end)
    assert all(a.end == b.first for a, b in pairwise(settled))
    good = [it.record.offset for piece in settled for it in piece.items]
    dead = sorted(letter.record.offset for piece in settled for letter in piece.dead_letters)
    assert good == [it.record.offset for it in whole.items if it.record.offset not in bad]
    assert dead == sorted([*bad, *(letter.record.offset for letter in whole.dead_letters)])
    assert sum(piece.skipped for piece in settled) == whole.skipped
    for piece in settled:
        offsets = [it.record.offset for it in piece.items]
        offsets += [letter.record.offset for letter in piece.dead_letters]
        assert all(piece.first <= offset < piece.end for offset in offsets)


@given(st.integers(1, 300), st.data())
@settings(max_examples=100, deadline=None)
def test_bad_items_cost_few_requests(count: int, data: st.DataObject) -> None:
    """At most 2·log2(n) + 1 for each, where the server names none."""
    bad = data.draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=8))
    server = Server(bad, count, [])
    deliver(Batch(INPUT, 0, 0, count, tuple(item(offset) for offset in range(count))), server)
    assert server.requests <= len(bad) * (2 * log2(count) + 1)
