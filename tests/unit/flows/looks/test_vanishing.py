"""What is gone, or has ended without a result: a dead letter, once that is certain."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

import msgspec
import pytest

from daemon.errors import Held
from daemon.flows.collector.origins import MISSING_HEADER
from daemon.flows.looks.vanishing import BY_ID_ITEMS
from daemon.flows.skew import SKEW
from daemon.model import Item, Sight
from tests.doubles import (
    DEAD,
    INPUT,
    LEDGER,
    OUTPUT,
    START,
    FakeRecord,
    finished,
    in_virtual_time,
    item,
    packed_items,
)
from tests.unit.flows.looks.lateness import LISTING_FAILED, Late, body, late


@in_virtual_time
async def test_what_toloka_does_not_know_in_two_sweeps_is_a_dead_letter() -> None:
    """With its record as it was read, and why; the first time may be a mistake."""
    async with late("a") as ours:
        await ours.sweep(61)
        assert ours.kafka.written(DEAD) == []
        await ours.sweep(121)
        (letter,) = ours.kafka.written(DEAD)
        assert (letter.key, letter.value) == (b"k", body("a"))
        headers = dict(letter.headers)
        assert (headers["h"], headers["tolokad-error-code"]) == (b"v", b"ITEM_VANISHED")
        assert headers["tolokad-origin-offset"] == b"0"
        assert len(ours.state.ledger) == 0


@in_virtual_time
async def test_a_dead_letter_whose_record_is_gone_says_that_its_value_is_missing() -> None:
    """A null value alone would look like a tombstone."""
    async with late("a") as ours:
        ours.kafka.starts[INPUT, 0] = 1
        await ours.sweep(61)
        await ours.sweep(121)
        (letter,) = ours.kafka.written(DEAD)
        assert (letter.key, letter.value) == (b"k", None)
        assert MISSING_HEADER in letter.headers


@in_virtual_time
async def test_what_is_found_again_is_not_gone() -> None:
    """Two misses count only in a row."""
    async with late("a") as ours:
        await ours.sweep(61)
        ours.finish("a", status="PROCESSING")
        await ours.sweep(121)
        ours.api.items.clear()
        await ours.sweep(241)
        assert ours.kafka.written(DEAD) == []
        await ours.sweep(481)
        assert len(ours.kafka.written(DEAD)) == 1


@in_virtual_time
async def test_what_has_vanished_after_months_does_not_wait_for_months_more() -> None:
    """Unknown to Toloka once, it is asked for again with the next sweep, not when its age has doubled."""
    async with late("a") as ours:
        ours.finish("a", status="PROCESSING")
        months = 60 * 24 * 60
        await ours.sweep(months)
        ours.api.items.clear()
        ours.state.overdue.add("a")
        await ours.sweep(months + 5)
        assert ours.kafka.written(DEAD) == []
        await ours.sweep(months + 10)
        assert len(ours.kafka.written(DEAD)) == 1


@in_virtual_time
async def test_what_toloka_did_not_answer_for_is_not_gone() -> None:
    """Silence is no absence."""
    async with late("a") as ours:
        ours.api.failing.extend([LISTING_FAILED] * 20)
        for minutes in (61, 121, 241, 481, 961):
            with pytest.raises(Held):
                await ours.sweep(minutes)
        assert ours.kafka.written(DEAD) == []


@in_virtual_time
async def test_the_dead_letters_of_vanished_items_are_counted() -> None:
    """Like all others, by reason."""
    async with late("a") as ours:
        await ours.sweep(61)
        await ours.sweep(121)
        assert ours.metrics.items_dead_lettered.labels("ITEM_VANISHED")._value.get() == 1


@in_virtual_time
async def test_two_looks_within_a_moment_are_no_two_sweeps() -> None:
    """A record that comes late is looked for at once, and by the sweep: Toloka may have one bad moment."""
    async with late("a") as ours:
        ours.state.overdue.add("a")
        await ours.sweep(120)
        ours.state.overdue.add("a")
        await ours.sweep(121)
        assert ours.kafka.written(DEAD) == []
        ours.state.overdue.add("a")
        await ours.sweep(126)
        assert len(ours.kafka.written(DEAD)) == 1


def one_batch(ours: Late, ids: Sequence[str], apart_seconds: float = 0) -> None:
    """Have the open items be of one batch, submitted so far apart: some of it was sent again."""
    for offset, item_id in enumerate(ids):
        made = Item(FakeRecord(offset), b"", item(0, body(item_id)).content_hash)
        moment = START + timedelta(seconds=offset * apart_seconds)
        (packed,) = packed_items([made], len(ids), moment)
        ours.state.ledger.note(FakeRecord(0, packed, LEDGER, key=item_id.encode()))


@in_virtual_time
async def test_a_vanished_item_dies_under_the_record_that_is_certainly_its_own() -> None:
    """Ids may have been answered out of order; what the others hold tells what it held."""
    ids = ["a", "b", "c"]
    async with late(*ids) as ours:
        one_batch(ours, ids)
        ours.api.items = {
            "b": finished("b", body("a"), None, "NEW"),
            "c": finished("c", body("c"), None, "NEW"),
        }
        await ours.sweep(61)
        await ours.sweep(121)
        (letter,) = ours.kafka.written(DEAD)
        assert dict(letter.headers)["tolokad-origin-offset"] == b"1"
        await ours.state.publish([finished("b", body("a")), finished("c", body("c"))], "tail")
        origins = [
            msgspec.json.decode(r.value or b"")["origin"]["offset"] for r in ours.kafka.written(OUTPUT)
        ]
        assert sorted(origins) == [0, 2]


@in_virtual_time
async def test_a_vanished_item_waits_for_what_another_of_its_batch_holds() -> None:
    """Of that one Toloka says nothing either, for the first time: whose record is whose nobody can tell."""
    ids = ["a", "b", "c"]
    async with late(*ids) as ours:
        one_batch(ours, ids)
        ours.api.items = {"a": finished("a", body("c"), None, "NEW")}
        for minutes in (10, 16):
            ours.state.overdue.add("b")
            await ours.sweep(minutes)
        assert ours.kafka.written(DEAD) == []
        ours.api.items["c"] = finished("c", body("b"), None, "NEW")
        ours.state.overdue.add("b")
        await ours.sweep(22)
        (letter,) = ours.kafka.written(DEAD)
        assert dict(letter.headers)["tolokad-origin-offset"] == b"0"


@in_virtual_time
async def test_what_has_ended_without_a_result_is_a_dead_letter_that_names_it() -> None:
    """It is still at Toloka, where an audit finds it and asks whose it is; what is gone is not."""
    async with late("a", "b") as ours:
        usual = ours.api.by_id

        async def by_id(item_ids: Collection[str]) -> Mapping[str, Sight | None]:
            found = await usual(item_ids)
            return {i: sight and sight._replace(results=(), over=True) for i, sight in found.items()}

        ours.api.by_id = by_id  # type: ignore[method-assign]  # on purpose
        ours.finish("a", status="NEW")
        await ours.sweep(61)
        await ours.sweep(121)
        told = {
            named["tolokad-error-code"]: named.get("toloka-item-id")
            for named in (dict(letter.headers) for letter in ours.kafka.written(DEAD))
        }
        assert told == {b"NO_RESULT": b"a", b"ITEM_VANISHED": None}


@in_virtual_time
async def test_what_has_ended_is_looked_at_twice_for_its_result_may_be_shown_late() -> None:
    """A pool may be closed by the very result that is not shown yet: its item would lose it."""
    async with late("a") as ours:
        usual = ours.api.by_id

        async def by_id(item_ids: Collection[str]) -> Mapping[str, Sight | None]:
            found = await usual(item_ids)
            return {i: sight and sight._replace(over=True) for i, sight in found.items()}

        ours.api.by_id = by_id  # type: ignore[method-assign]  # on purpose
        ours.finish("a", status="NEW")
        await ours.sweep(61)
        ours.finish("a")
        await ours.sweep(67)
        assert (ours.results(), ours.kafka.written(DEAD)) == (["a"], [])


@in_virtual_time
async def test_what_goes_on_after_its_end_has_not_ended() -> None:
    """A pool may be opened again: its next end counts from when it is seen."""
    async with late("a") as ours:
        usual = ours.api.by_id

        async def by_id(item_ids: Collection[str]) -> Mapping[str, Sight | None]:
            found, over = await usual(item_ids), ours.time.moved != 67 * 60
            return {i: sight and sight._replace(results=(), over=over) for i, sight in found.items()}

        ours.api.by_id = by_id  # type: ignore[method-assign]  # on purpose
        ours.finish("a", status="NEW")
        letters = []
        for minutes in (61, 67, 73, 79):
            ours.state.overdue.add("a")
            await ours.sweep(minutes)
            letters.append(len(ours.kafka.written(DEAD)))
        assert letters == [0, 0, 0, 1]


@in_virtual_time
async def test_a_vanished_item_dies_however_many_others_its_batch_has() -> None:
    """Where no listing shows them, as with tasks, the sweeps themselves have seen what they hold."""
    ids = [f"i-{number:03}" for number in range(100)]
    async with late(*ids) as ours:
        one_batch(ours, ids)
        ours.finish(*ids[:50], *ids[51:], status="NEW")
        await ours.sweep(61)
        await ours.sweep(121)
        (letter,) = ours.kafka.written(DEAD)
        assert dict(letter.headers)["tolokad-origin-offset"] == b"50"
        assert sum(map(len, ours.api.asked)) <= 3 * len(ids)


@in_virtual_time
async def test_the_others_of_a_vanished_items_batch_are_not_all_asked_for_at_once() -> None:
    """It waits for the sweeps to have seen them, which ask for no more than their share."""
    ids = [f"i-{number:03}" for number in range(100)]
    async with late(*ids) as ours:
        one_batch(ours, ids)
        ours.finish(*ids[1:], status="NEW")
        for minutes in (10, 16):
            ours.state.overdue.add(ids[0])
            await ours.sweep(minutes)
        assert ours.kafka.written(DEAD) == []
        assert sum(map(len, ours.api.asked)) <= 2 + BY_ID_ITEMS


@in_virtual_time
async def test_a_whole_batch_that_vanished_dies_in_two_sweeps() -> None:
    """A project was cleaned up: what is gone needs nobody to tell it apart."""
    ids = [f"i{number:02}" for number in range(BY_ID_ITEMS + 5)]
    async with late(*ids) as ours:
        one_batch(ours, ids)
        for minutes in (61, 121, 241, 481):
            await ours.sweep(minutes)
        assert len(ours.kafka.written(DEAD)) == len(ids)


@in_virtual_time
async def test_what_the_sweeps_have_seen_of_a_batch_is_remembered_until_it_is_needed() -> None:
    """Only what was doubted is due with the next sweep, and no listing shows the others."""
    ids = [f"i-{number:03}" for number in range(100)]
    async with late(*ids) as ours:
        one_batch(ours, ids)
        ours.finish(*ids[1:], status="NEW")
        await ours.sweep(61)
        asked = len(ours.api.asked)
        await ours.sweep(67)
        (letter,) = ours.kafka.written(DEAD)
        assert dict(letter.headers)["tolokad-origin-offset"] == b"0"
        assert sum(map(len, ours.api.asked[asked:])) == 1


@in_virtual_time
async def test_what_the_others_of_a_vanished_items_batch_hold_is_listed() -> None:
    """However many pages that takes, and whenever they were made; then nobody has to ask for each."""
    ids = [f"i-{number:03}" for number in range(100)]
    async with late(*ids) as ours:
        one_batch(ours, ids, apart_seconds=1)
        ours.api.listed = [finished(i, body(i), None, "NEW") for i in ids[1:]]
        ours.api.listed_at_once = 40
        for minutes in (10, 16):
            ours.state.overdue.add(ids[0])
            await ours.sweep(minutes)
        (letter,) = ours.kafka.written(DEAD)
        assert dict(letter.headers)["tolokad-origin-offset"] == b"0"
        others = (START + timedelta(seconds=1) - SKEW, START + timedelta(seconds=99) + SKEW)
        assert ours.api.windows == [others]
        assert sum(map(len, ours.api.asked)) == 2


@in_virtual_time
async def test_what_was_unknown_once_and_has_its_result_holds_up_nothing() -> None:
    """Its batch nobody can tell any more."""
    async with late("a", "b") as ours:
        await ours.sweep(61)
        await ours.state.publish([finished("a", body("a"))], "tail")
        ours.finish("b", status="NEW")
        ours.state.overdue.add("b")
        await ours.sweep(62)
        assert (ours.results(), ours.kafka.written(DEAD)) == (["a"], [])
