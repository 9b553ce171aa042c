"""The collector begins anew: after a failure, a fence or a word of an operator, or as a successor."""

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from daemon.errors import Held, Transient
from daemon.flows.records import codec
from daemon.flows.waiting import LONGEST_PROBE_SECONDS, REST_SECONDS
from daemon.model import Cursor, Transaction
from tests.doubles import CURSORS, DEAD, LEDGER, OUTPUT, PROJECT, START, in_virtual_time
from tests.unit.flows.collectors import ID, INTERVAL_SECONDS, Collector, ended, page, ran, running

EARLIER = START - timedelta(hours=1)


@pytest.mark.parametrize("written", [False, True])
@in_virtual_time
async def test_a_transaction_whose_end_is_unknown_is_looked_up(*, written: bool) -> None:
    """A new writer, and what the log says: published once, whichever way it ended."""
    ours = Collector("a", "b")
    first = page(ended("a", "b"))
    ours.script(first)

    def fail_once(transaction: Transaction) -> Exception:
        ours.kafka.spoil = lambda _: None
        if written:
            ours.kafka.transactions.append((ID, transaction))
            ours.kafka.put_all(transaction.appends)
        else:
            ours.api.pages.append(first)
        return Transient("no answer")

    ours.kafka.spoil = fail_once
    await ran(ours, 30)
    assert sorted(ours.results()) == ["a", "b"]
    assert ours.kafka.epochs[ID] == 2
    assert ours.cursor().item_id == "b"


@in_virtual_time
async def test_who_opens_the_book_seals_what_its_predecessors_wrote() -> None:
    """Results that a broker forgot to show are seen by readers, and by the one who would repeat them."""
    ours = Collector("a")
    await ran(ours, 1)
    [(name, places, group)] = ours.kafka.sealed
    assert (name, {topic for topic, _ in places}, group) == (ID, {OUTPUT, LEDGER, CURSORS, DEAD}, None)


@in_virtual_time
async def test_a_collector_at_rest_seals_what_it_wrote_itself() -> None:
    """Once: the next result, which would do it, may be long in coming."""
    ours = Collector("a")
    await ran(ours, 100)
    assert len(ours.kafka.sealed) == 2


@in_virtual_time
async def test_what_is_published_after_a_rest_is_sealed_in_its_turn() -> None:
    """Not while more may follow; once, after another rest."""
    ours = Collector(*"ab")
    async with running(ours, 100):
        ours.script(page(ended("a")))
        await asyncio.sleep(REST_SECONDS - 2)
        ours.script(page(ended("b", first=1)))
        await asyncio.sleep(REST_SECONDS - 2)
        assert (ours.results(), len(ours.kafka.sealed)) == (["a", "b"], 2)
        await asyncio.sleep(100)
    assert len(ours.kafka.sealed) == 3


@in_virtual_time
async def test_a_collector_goes_on_seconds_after_kafka_is_back() -> None:
    """However long it was away: it never waits for longer between two tries."""
    ours, tries = Collector("a"), list[float]()

    def away(_transaction: Transaction) -> Exception:
        tries.append(asyncio.get_running_loop().time())
        return Transient("no answer")

    ours.kafka.spoil = away
    ours.script(*[page(ended("a"))] * 1000)
    async with running(ours, 600):
        ours.kafka.spoil = lambda _: None
        await asyncio.sleep(LONGEST_PROBE_SECONDS + INTERVAL_SECONDS)
        assert ours.results() == ["a"]
    assert (
        max(later - earlier for earlier, later in pairwise(tries)) <= LONGEST_PROBE_SECONDS + INTERVAL_SECONDS
    )


@in_virtual_time
async def test_a_collector_that_starts_over_again_and_again_is_seen_to() -> None:
    """As where the output topic refuses a result each time: the hold says why, until a page is through."""
    ours = Collector("a")
    ours.kafka.spoil = lambda _: Transient("InvalidRecordError")
    ours.script(*[page(ended("a"))] * 1000)
    async with running(ours, 20):
        (hold,) = ours.holds
        assert (hold.flow, hold.reason) == ("collect", "kafka")
        assert hold.detail.endswith("InvalidRecordError")
        ours.kafka.spoil = lambda _: None
        await asyncio.sleep(LONGEST_PROBE_SECONDS + 2 * INTERVAL_SECONDS)
        assert (ours.results(), list(ours.holds)) == (["a"], [])


@in_virtual_time
async def test_an_operator_who_sets_the_cursor_is_no_successor() -> None:
    """The group confirms that we collect, and the collector goes on from the cursor that was set."""
    ours = Collector("a")
    async with running(ours, 0.5):
        ours.kafka.put(CURSORS, codec.cursor_value(Cursor(None, EARLIER)), key=PROJECT.encode())
        ours.kafka.put(LEDGER, None, key=codec.REOPEN_KEY)
        await asyncio.sleep(2)
        assert (ours.confirmed, ours.api.tails[-1]) == (1, Cursor(None, EARLIER))


@in_virtual_time
async def test_a_fenced_collector_asks_the_group_before_it_goes_on() -> None:
    """It must not fence its successor in turn."""
    ours = Collector("a")
    async with running(ours, 0.5):
        ours.kafka.epochs[ID] += 1
        ours.api.pages.append(page(ended("a")))
        await asyncio.sleep(1)
        assert (ours.confirmed, ours.results()) == (1, [])
        ours.api.pages.append(page(ended("a")))
        await asyncio.sleep(2)
    assert ours.results() == ["a"]


@in_virtual_time
async def test_what_holds_the_collector_is_shown_until_it_gets_on() -> None:
    """Without gaps between the tries."""
    ours = Collector("a")
    ours.kafka.spoil = lambda _: Held("not_permitted", "the topic moderation.results")
    ours.script(*[page(ended("a"))] * 100)
    async with running(ours, 1):
        for _ in range(60):
            await asyncio.sleep(1)
            assert [hold.reason for hold in ours.holds] == ["not_permitted"]
        ours.kafka.spoil = lambda _: None
        await asyncio.sleep(60)
        assert (ours.results(), list(ours.holds)) == (["a"], [])


@in_virtual_time
async def test_a_successor_goes_on_where_its_predecessor_stood() -> None:
    """From the log alone: what was published is not published again, what was open still is."""
    first = Collector(*"abc")
    first.script(page(ended("a", "b")))
    await ran(first, 0.5)
    before = first.cursor()
    second = Collector(kafka=first.kafka)
    second.script(page(ended("b", "c", first=1)))
    await ran(second, 0.5)
    assert second.results() == ["a", "b", "c"]
    assert second.api.tails[0] == before
