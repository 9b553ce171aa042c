"""A page of finished items becomes one transaction, each result under the record that asked for it."""

from collections.abc import Iterable, Sequence
from itertools import permutations

import msgspec
import pytest

from daemon.flows.collector.exchanging import rearranged
from daemon.flows.collector.ledger import Ledger
from daemon.flows.collector.publishing import Publication, Publisher
from daemon.flows.records import codec, ledger_records, tombstones
from daemon.model import Append, Cursor, DeadLetter, Finished, Flaw, Item
from tests.doubles import (
    CURSORS,
    DEAD,
    LEDGER,
    OUTPUT,
    PROJECT,
    START,
    START_MS,
    FakeRecord,
    FakeTime,
    finished,
    item,
    outlets,
    packed_items,
)


def body(name: str) -> bytes:
    """Content."""
    return b'{"text":"%s"}' % name.encode()


class Table:
    """A ledger and its publisher; items are named by their content, offsets count up."""

    def __init__(self) -> None:
        self.ledger = Ledger("me", 0)
        self.time = FakeTime()
        self.publisher = Publisher(outlets(), self.ledger, self.time)
        self.origins: dict[int, str] = {}
        self.results: list[tuple[int, str]] = []
        self.altered = False

    def settle(
        self,
        contents: Sequence[str],
        ids: Sequence[str],
        end: int = 100,
        partition: int = 0,
        *,
        whole: bool = True,
    ) -> None:
        """What a way writes when Toloka answers these ids for items of this content."""
        items = []
        for content in contents:
            offset = len(self.origins)
            self.origins[offset] = content
            items.append(Item(FakeRecord(offset), body(content), item(0, body(content)).content_hash))
        for item_id, packed in zip(ids, packed_items(items, end, START), strict=True):
            self.ledger.note(FakeRecord(0, packed, LEDGER, partition, key=item_id.encode()))
        if whole:
            mark = codec.mark_key("moderation.items", 0)
            self.ledger.note(FakeRecord(0, codec.mark_value(end), LEDGER, partition, key=mark))

    def publish(self, items: Iterable[Finished]) -> Publication:
        """Publish a page and follow it."""
        publication = self.publisher.publication(items)
        self.ledger.apply(publication.changes, publication.closed_ms)
        for append in publication.appends:
            if append.topic == OUTPUT:
                fields = msgspec.json.decode(append.value or b"")
                self.results.append((fields["origin"]["offset"], fields["item"]["input_data"]["text"]))
        self.altered |= publication.altered
        return publication


def tombstones_in(publication: Publication) -> list[Append]:
    """What it closes."""
    return [append for append in publication.appends if append.topic == LEDGER and append.value is None]


@pytest.mark.parametrize("status", ["COMPLETED", "ERROR", "CANCELLED", "ARCHIVE", "ARCHIVED"])
def test_a_terminal_item_that_is_open_is_a_result(status: str) -> None:
    """One result, and the tombstone that closes it, with its origin and our signature."""
    table = Table()
    table.settle("a", ["x"], partition=1)
    publication = table.publish([finished("x", body("a"), status=status)])
    assert table.results == [(0, "a")]
    (tombstone,) = tombstones_in(publication)
    assert (tombstone.key, tombstone.partition) == (b"x", 1)
    assert tombstones.closed_header(START_MS) in tombstone.headers
    assert tombstones.origin_of(tombstone.headers) == ("moderation.items", 0, 0)
    assert set(table.ledger.signature()) <= set(tombstone.headers)
    assert publication.changes == {"x": None}
    assert len(publication.appends) == 2


@pytest.mark.fault(54)
@pytest.mark.parametrize("status", ["NEW", "PROCESSING", "NO_MONEY", "STOPPED", "SOMETHING_NEW"])
def test_an_item_that_is_not_at_its_end_is_left_open(status: str) -> None:
    """Also in a status that this release does not know."""
    table = Table()
    table.settle("a", ["x"])
    publication = table.publish([finished("x", body("a"), status=status)])
    assert (publication.appends, publication.changes, len(table.ledger)) == ([], {}, 1)


def test_an_item_that_is_not_open_is_left_alone() -> None:
    """Closed or never ours: nothing is written."""
    table = Table()
    table.settle("a", ["x"])
    table.publish([finished("x", body("a"))])
    again = table.publish([finished("x", body("a")), finished("foreign", body("a"))])
    assert again.appends == []
    assert table.results == [(0, "a")]


def test_an_item_that_a_page_shows_twice_is_published_once() -> None:
    """As the page showed it last; ties at a page's edge can do that."""
    table = Table()
    table.settle("a", ["x"])
    publication = table.publish([finished("x", body("a"), status="ERROR"), finished("x", body("a"))])
    assert table.results == [(0, "a")]
    assert [found.status for _, found in publication.results] == ["COMPLETED"]


def shuffled(order: Sequence[str], arrival: Sequence[str], size: int) -> Table:
    """Settle a, b and c as x, y and z; finish them with other contents, in other order, in pages."""
    table = Table()
    table.settle("abc", "xyz")
    content = dict(zip("xyz", order, strict=True))
    items = [finished(item_id, body(content[item_id])) for item_id in arrival]
    for start in range(0, len(items), size):
        table.publish(items[start : start + size])
    return table


def found_their_records(table: Table) -> bool:
    """Whether each record has its own result, and nothing is said to be altered."""
    return sorted(table.results) == [(0, "a"), (1, "b"), (2, "c")] and not table.altered


@pytest.mark.parametrize("order", list(permutations("abc")))
def test_shuffled_ids_find_their_records_when_they_finish_one_by_one(order: tuple[str, ...]) -> None:
    """However they were shuffled, and in whatever order they finish."""
    for arrival in permutations("xyz"):
        table = shuffled(order, arrival, size=1)
        assert found_their_records(table), arrival
        assert len(table.ledger) == 0


@pytest.mark.parametrize("order", [("b", "c", "a"), ("c", "a", "b")])
def test_shuffled_ids_find_their_records_when_they_finish_together(order: tuple[str, ...]) -> None:
    """A page in which a record has moved on twice still knows where it is."""
    wrong = [
        arrival for arrival in permutations("xyz") if not found_their_records(shuffled(order, arrival, 3))
    ]
    assert wrong == []


def test_two_records_change_places_durably() -> None:
    """The one that stays open is written anew under the other id, signed, in the same transaction."""
    table = Table()
    table.settle("ab", ["x", "y"])
    publication = table.publish([finished("x", body("b"))])
    assert table.results == [(1, "b")]
    (moved,) = [append for append in publication.appends if append.topic == LEDGER and append.value]
    assert (moved.key, tuple(moved.headers)) == (b"y", tuple(table.ledger.signature()))
    assert ledger_records.peek_origin(moved.value or b"") == ("moderation.items", 0, 0)
    (tombstone,) = tombstones_in(publication)
    assert tombstones.origin_of(tombstone.headers) == ("moderation.items", 0, 1)
    table.publish([finished("y", body("a"))])
    assert sorted(table.results) == [(0, "a"), (1, "b")]


def test_each_record_keeps_to_the_partition_of_its_id() -> None:
    """A tombstone in another partition would close nothing."""
    table = Table()
    table.settle("a", ["x"], partition=0)
    table.settle("b", ["y"], partition=1)
    publication = table.publish([finished("x", body("b"))])
    places = {append.key: append.partition for append in publication.appends if append.topic == LEDGER}
    assert places == {b"y": 1, b"x": 0}


def test_repeated_contents_are_interchangeable() -> None:
    """Each record gets one result, whichever of the equal items finished."""
    table = Table()
    table.settle("aaba", ["w", "x", "y", "z"])
    page = [finished(item_id, body(content)) for item_id, content in zip("wxyz", "baaa", strict=True)]
    table.publish(page)
    assert sorted(table.results) == [(0, "a"), (1, "a"), (2, "b"), (3, "a")]
    assert not table.altered


def test_only_records_of_the_same_batch_change_places() -> None:
    """Ids of one answer can be shuffled among themselves, and with no others."""
    table = Table()
    table.settle("a", ["x"], end=10)
    table.settle("b", ["y"], end=20)
    publication = table.publish([finished("x", body("b"))])
    assert publication.altered
    assert table.results == [(0, "b")]


def test_content_that_was_never_sent_is_published_and_remembered_as_altered() -> None:
    """The id says whose it is; but from now on comparing proves nothing, and the ledger says so."""
    table = Table()
    table.settle("a", ["x"])
    publication = table.publish([finished("x", body("trimmed"))])
    assert publication.altered
    assert table.results == [(0, "trimmed")]
    transaction = table.publisher.transaction(publication, None)
    (note,) = [append for append in transaction.appends if append.key == codec.ALTERED_KEY]
    assert (note.topic, note.value is not None) == (LEDGER, True)


def test_content_that_two_items_show_is_the_record_of_one() -> None:
    """The other keeps its own: what the first has left to a third item is not this one's either."""
    table = Table()
    table.settle("abc", "xyz")
    table.publish([finished("y", body("a")), finished("z", body("a"))])
    assert table.results == [(0, "a"), (2, "a")]
    assert table.altered
    assert "x" in table.ledger


def test_an_item_whose_content_no_record_has_keeps_its_own_while_nobody_else_has_it() -> None:
    """Others of its batch find theirs first; it is left with one that nobody claims."""
    table = Table()
    table.settle("abc", "xyz")
    mates = dict(table.ledger.of_batches(frozenset({(0, 100)})))
    a, b, c = (mates[item_id].content_hash for item_id in "xyz")
    odd = a ^ b ^ c
    for contents, expected in (
        ({"x": c, "y": odd, "z": a}, {"x": c, "z": a}),
        ({"x": b, "y": odd, "z": c}, {"x": b, "y": a}),
    ):
        moved = {item_id: entry.content_hash for item_id, entry in rearranged(mates, contents)}
        assert moved == expected


def with_our_id(offset: int) -> bytes:
    """Content that Toloka has altered, but for the id that it was given."""
    return b'{"id":"moderation.items-0-%d","text":"%d","more":null}' % (offset, offset)


@pytest.mark.parametrize("ids", list(permutations("xyz")))
def test_altered_content_finds_its_record_by_the_id_that_it_was_given(ids: tuple[str, ...]) -> None:
    """Ids in any order, items in any order: nobody gets another's result, and it is said to be altered."""
    for arrival in permutations(range(3)):
        for size in (1, 2, 3):
            table = Table()
            table.settle("abc", ids)
            pages = [arrival[first : first + size] for first in range(0, 3, size)]
            for page in pages:
                table.publish([finished(ids[offset], with_our_id(offset)) for offset in page])
            assert sorted(table.results) == [(0, "0"), (1, "1"), (2, "2")]
            assert table.altered
            assert len(table.ledger) == 0


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_altered_content_under_shuffled_ids_finds_its_record(order: tuple[int, ...]) -> None:
    """What was answered for one item is another's: its own id tells whose."""
    for arrival in permutations(range(3)):
        for size in (1, 2, 3):
            table = Table()
            table.settle("abc", "xyz")
            items = [finished("xyz"[place], with_our_id(order[place])) for place in arrival]
            for first in range(0, 3, size):
                table.publish(items[first : first + size])
            assert sorted(table.results) == [(0, "0"), (1, "1"), (2, "2")], (arrival, size)
            assert len(table.ledger) == 0


def test_an_id_of_another_batch_moves_nothing() -> None:
    """Ids of one answer can be shuffled among themselves only, whatever an item says."""
    table = Table()
    table.settle("a", ["x"], end=10)
    table.settle("b", ["y"], end=20)
    table.publish([finished("x", with_our_id(1))])
    assert table.results == [(0, "1")]


def test_content_is_not_called_altered_before_its_whole_batch_is_known() -> None:
    """The record with that content may be the next to be read."""
    table = Table()
    table.settle("a", ["x"], whole=False)
    publication = table.publish([finished("x", body("b"))])
    assert ([one.item_id for one in publication.unsure], publication.altered) == (["x"], False)
    assert (publication.appends, len(table.ledger)) == ([], 1)


def test_that_content_is_altered_is_written_once() -> None:
    """The ledger does not grow with every such item."""
    table = Table()
    table.settle("a", ["x"])
    table.ledger.altered = True
    transaction = table.publisher.transaction(table.publish([finished("x", body("c"))]), None)
    assert codec.ALTERED_KEY not in [append.key for append in transaction.appends]


def test_a_result_that_its_topic_would_refuse_is_set_aside() -> None:
    """It is closed like any other, and its dead letter is the caller's to make."""
    table = Table()
    table.settle("a", ["x"])
    large = msgspec.structs.replace(finished("x", body("a")), raw=b"x" * 200_000)
    publication = table.publisher.publication([large])
    assert [(entry.origin.offset, found.item_id) for entry, found in publication.oversized] == [(0, "x")]
    assert publication.results == []
    assert [append.topic for append in publication.appends] == [LEDGER]
    table.publisher.point_at(publication, [DeadLetter(FakeRecord(0, b"in"), Flaw("RESULT_TOO_LARGE", "m"))])
    assert [(append.topic, append.value) for append in publication.appends] == [(LEDGER, None), (DEAD, b"in")]


def test_the_cursor_moves_in_the_same_transaction() -> None:
    """Under the project's id, in partition 0; and not at all where it stands still."""
    table = Table()
    table.settle("a", ["x"])
    publication = table.publish([finished("x", body("a"))])
    cursor = Cursor("x", START, 1)
    (*_, last) = table.publisher.transaction(publication, cursor).appends
    assert (last.topic, last.partition, last.key) == (CURSORS, 0, PROJECT.encode())
    assert codec.read_cursor(last.value or b"") == cursor
    unmoved = table.publisher.transaction(publication, None)
    assert CURSORS not in {append.topic for append in unmoved.appends}
    assert unmoved.kind == "results"


def test_a_foreign_item_is_published_with_a_tombstone_of_its_own() -> None:
    """The tombstone remembers that it was published, and closes no record of ours."""
    table = Table()
    publication = table.publisher.foreign([finished("x", body("a"))])
    result, tombstone = publication.appends
    assert msgspec.json.decode(result.value or b"")["origin"] is None
    assert tombstones.origin_of(tombstone.headers) == tombstones.FOREIGN
    table.ledger.apply(publication.changes, publication.closed_ms)
    assert table.ledger.was_closed("x")


def test_a_foreign_result_that_its_topic_would_refuse_is_closed_without_one() -> None:
    """Its transaction would fail for ever; no record asked for it that could be a dead letter."""
    large = msgspec.structs.replace(finished("x", body("a")), raw=b"x" * 200_000)
    publication = Table().publisher.foreign([large, finished("y", body("b"))])
    assert [append.topic for append in publication.appends] == [LEDGER, OUTPUT, LEDGER]
    assert ([item.item_id for item in publication.strangers], list(publication.changes)) == (
        ["y"],
        ["x", "y"],
    )


def test_what_ends_ahead_of_our_time_is_closed_as_of_its_end() -> None:
    """By another clock of Toloka's: until then it is shown again; the tombstone says so to a successor."""
    table = Table()
    table.settle("a", ["x"])
    publications = [
        table.publisher.publication([finished("x", body("a"), 240)]),
        table.publisher.foreign([finished("y", body("b"), 240)]),
    ]
    for publication in publications:
        table.ledger.apply(publication.changes, publication.closed_ms)
        (tombstone,) = tombstones_in(publication)
        assert tombstones.closed_header(START_MS + 240_000) in tombstone.headers
    table.ledger.forget_before(START_MS + 240_000, START_MS + 240_000)
    assert (table.ledger.was_closed("x"), table.ledger.was_closed("y")) == (True, True)


def test_an_open_item_that_is_gone_becomes_a_dead_letter() -> None:
    """With the tombstone that closes it; what was closed meanwhile is left alone."""
    table = Table()
    table.settle("a", ["x"], partition=1)
    letter = DeadLetter(FakeRecord(0, b"in", partition=1), Flaw("ITEM_VANISHED", "gone"))
    publication = table.publisher.ended([("x", letter), ("closed", letter)])
    dead, tombstone = publication.appends
    assert (dead.topic, dead.value) == (DEAD, b"in")
    assert (tombstone.key, tombstone.partition, tombstone.value) == (b"x", 1, None)
    assert publication.changes == {"x": None}


# --- several results of one item ---------------------------------------------------------------------------


def shared(share: str, status: str = "SUBMITTED") -> Finished:
    """One result of the item `x`."""
    return msgspec.structs.replace(finished("x", body("a"), status=status), share=share)


def open_for(wanted: int) -> Table:
    """A table with the item `x`, of which so many results are awaited."""
    table = Table()
    record = FakeRecord(0)
    one = Item(record, body("a"), item(0, body("a")).content_hash, wanted=wanted)
    (packed,) = packed_items([one], 1, START)
    table.ledger.note(FakeRecord(0, packed, LEDGER, 0, key=b"x"))
    return table


def outputs(publication: Publication) -> int:
    """How many results it holds."""
    return sum(append.topic == OUTPUT for append in publication.appends)


def test_an_item_of_several_results_closes_with_the_last() -> None:
    """Each is published once, whichever status it is shown with, on one page or on several."""
    table = open_for(2)
    first = table.publisher.publication([shared("s-1")])
    assert (outputs(first), tombstones_in(first)) == (1, [])
    table.ledger.apply(first.changes, first.closed_ms)
    again = table.publisher.publication([shared("s-1", "ACCEPTED")])
    assert again.appends == []
    last = table.publisher.publication([shared("s-1"), shared("s-2"), shared("s-3")])
    assert (outputs(last), len(tombstones_in(last))) == (1, 1)
    both = open_for(2).publisher.publication([shared("s-1"), shared("s-2")])
    assert (outputs(both), len(tombstones_in(both)), both.changes) == (2, 1, {"x": None})


def test_the_rewritten_record_tells_another_collector_what_is_out() -> None:
    """It stands in the transaction that publishes."""
    publication = open_for(3).publisher.publication([shared("s-1")])
    (rewritten,) = [append for append in publication.appends if append.topic == LEDGER]
    assert ledger_records.unpack(rewritten.value or b"").published == ("s-1",)


def test_an_item_without_a_number_stays_open_until_toloka_has_ended() -> None:
    """Then it closes without a word where it had a result, and with a dead letter where it had none."""
    for results, letters in (([shared("s-1")], 0), ([], 1)):
        table = open_for(0)
        publication = table.publisher.publication(results)
        table.ledger.apply(publication.changes, publication.closed_ms)
        assert len(table.ledger) == 1
        letter = DeadLetter(FakeRecord(0, b"in"), Flaw("NO_RESULT", "ended"))
        ended = table.publisher.ended([("x", letter)])
        assert [append.topic for append in ended.appends].count(DEAD) == letters
        assert (ended.changes, ended.buried.total()) == ({"x": None}, letters)


def test_one_result_that_is_too_large_closes_the_item() -> None:
    """One dead letter points at it, however many results are awaited."""
    large = [msgspec.structs.replace(shared(name), raw=b"x" * 200_000) for name in ("s-1", "s-2")]
    publication = open_for(2).publisher.publication(large)
    assert (len(publication.oversized), outputs(publication), publication.changes) == (1, 0, {"x": None})


def test_a_further_result_that_is_too_large_is_left_out() -> None:
    """A dead letter would be another answer to its record; the item stays open for the results that come."""
    table = open_for(3)
    first = table.publisher.publication([shared("s-1")])
    table.ledger.apply(first.changes, first.closed_ms)
    large = msgspec.structs.replace(shared("s-2"), raw=b"x" * 200_000)
    publication = table.publisher.publication([large])
    assert (publication.oversized, outputs(publication), publication.left_out) == ([], 0, [large])
    table.ledger.apply(publication.changes, publication.closed_ms)
    assert table.publisher.publication([large]).left_out == []
    last = table.publisher.publication([shared("s-3")])
    assert (outputs(last), last.changes) == (1, {"x": None})
