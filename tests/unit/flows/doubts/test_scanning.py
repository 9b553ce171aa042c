"""Whose items are: what the ledger says of some offsets and ids."""

import asyncio
from collections.abc import Collection
from datetime import datetime, timedelta

import pytest

from daemon.errors import Held
from daemon.flows.doubts.scanning import Taken, scan
from daemon.flows.records import codec, tombstones
from daemon.flows.records.ledger_records import Origin
from tests.doubles import INPUT, LEDGER, START, START_MS, MemoryKafka, in_virtual_time, item, packed_items


def opened(kafka: MemoryKafka, item_id: str, offset: int, partition: int = 0, ledger: int = 0) -> None:
    """A ledger record."""
    (packed,) = packed_items([item(offset, partition=partition)], offset + 1, START)
    kafka.put(LEDGER, packed, ledger, key=item_id.encode())


def closed(
    kafka: MemoryKafka,
    item_id: str,
    offset: int,
    partition: int = 0,
    ledger: int = 0,
    as_of_ms: int | None = None,
) -> None:
    """A tombstone; it need not say as of when."""
    headers = (tombstones.origin_header(Origin(INPUT, partition, offset, 0)),)
    told = () if as_of_ms is None else (tombstones.closed_header(as_of_ms),)
    kafka.put(LEDGER, None, ledger, key=item_id.encode(), headers=(*headers, *told))


async def ask(
    kafka: MemoryKafka, ids: Collection[str] = (), offsets: range = range(5, 10), since: datetime = START
) -> Taken:
    """What is known of partition 0's offsets, first sent then, and these ids."""
    return await scan(kafka, LEDGER, INPUT, 0, offsets, ids, since)


@in_virtual_time
async def test_an_empty_ledger_knows_nothing() -> None:
    """Nothing is accounted for, and nothing taken."""
    assert await ask(MemoryKafka.usual(), ["x"]) == Taken(
        {}, frozenset(), altered=False, marked=False, partitions=frozenset()
    )


@in_virtual_time
async def test_the_asked_offsets_are_accounted_for_open_or_closed() -> None:
    """With their ids; other offsets, partitions and topics are not ours."""
    kafka = MemoryKafka.usual()
    opened(kafka, "a", 5)
    opened(kafka, "b", 6, ledger=1)
    closed(kafka, "b", 6, ledger=1)
    closed(kafka, "c", 9)
    opened(kafka, "before", 4)
    opened(kafka, "behind", 10)
    opened(kafka, "other", 5, partition=1)
    taken = await ask(kafka)
    assert taken.accounted == {5: "a", 6: "b", 9: "c"}
    assert set(taken.elsewhere) == set()


@in_virtual_time
async def test_asked_ids_of_other_origins_are_taken_open_or_closed() -> None:
    """Another partition's, another offset's, and those that were foreign."""
    kafka = MemoryKafka.usual()
    opened(kafka, "a", 3)
    closed(kafka, "b", 5, partition=1)
    kafka.put(LEDGER, None, key=b"c", headers=(tombstones.origin_header(None),))
    opened(kafka, "unasked", 4)
    taken = await ask(kafka, ["a", "b", "c", "d"])
    assert set(taken.elsewhere) == {"a", "b", "c"}
    assert taken.accounted == {}


@in_virtual_time
async def test_the_last_record_of_an_id_says_whose_it_is() -> None:
    """Two records that changed places are written again."""
    kafka = MemoryKafka.usual()
    opened(kafka, "a", 5)
    opened(kafka, "b", 50)
    opened(kafka, "b", 5)
    closed(kafka, "a", 50)
    taken = await ask(kafka, ["a", "b"])
    assert taken.accounted == {5: "b"}
    assert set(taken.elsewhere) == {"a"}


@in_virtual_time
async def test_what_has_moved_on_to_another_origin_is_not_accounted_for() -> None:
    """Also where nobody asked for its id."""
    kafka = MemoryKafka.usual()
    opened(kafka, "a", 5)
    opened(kafka, "a", 50)
    assert (await ask(kafka)).accounted == {}


@in_virtual_time
async def test_what_was_there_before_a_topic_was_made_anew_is_not_accounted_for() -> None:
    """Its offsets begin at 0 again: what was opened or closed long before is of other records."""
    kafka = MemoryKafka.usual()
    opened(kafka, "a", 5)
    closed(kafka, "b", 6)
    closed(kafka, "c", 7, as_of_ms=START_MS)
    since = START + timedelta(hours=1)
    closed(kafka, "d", 8, as_of_ms=START_MS + 3_600_000)
    assert (await ask(kafka, since=START)).accounted == {5: "a", 6: "b", 7: "c", 8: "d"}
    taken = await ask(kafka, ["a"], since=since)
    assert taken.accounted == {6: "b", 8: "d"}
    assert "a" in taken.elsewhere


@in_virtual_time
async def test_what_was_open_when_a_topic_was_made_anew_accounts_for_nothing_when_it_is_closed() -> None:
    """Its result may come while a batch with the same offsets is in doubt, and is of another record."""
    kafka = MemoryKafka.usual()
    opened(kafka, "a", 5)
    since = START + timedelta(hours=1)
    closed(kafka, "a", 5, as_of_ms=START_MS + 3_660_000)
    taken = await ask(kafka, ["a"], since=since)
    assert taken.accounted == {}
    assert "a" in taken.elsewhere


@in_virtual_time
async def test_an_id_that_has_changed_places_accounts_for_its_new_record() -> None:
    """Its old one was of the topic before; what is open now was submitted with this range."""
    kafka = MemoryKafka.usual()
    opened(kafka, "a", 5)
    since = START + timedelta(hours=1)
    (packed,) = packed_items([item(6)], 7, since)
    kafka.put(LEDGER, packed, key=b"a")
    assert (await ask(kafka, since=since)).accounted == {6: "a"}


@in_virtual_time
async def test_a_tombstone_that_names_nobody_says_nothing() -> None:
    """An operator's tool may have written it."""
    kafka = MemoryKafka.usual()
    kafka.put(LEDGER, None, key=b"a")
    assert (await ask(kafka, ["a"])).elsewhere == frozenset()


@pytest.mark.parametrize(("partition", "marked"), [(0, True), (1, False), (10, False)])
@in_virtual_time
async def test_only_the_partitions_own_mark_counts(partition: int, *, marked: bool) -> None:
    """Another partition's says nothing of this one."""
    kafka = MemoryKafka.usual()
    kafka.put(LEDGER, codec.mark_value(7), key=codec.mark_key(INPUT, partition))
    assert (await ask(kafka)).marked is marked


@in_virtual_time
async def test_another_topics_mark_does_not_count() -> None:
    """The group has had another input before: nothing of this one was settled."""
    kafka = MemoryKafka.usual()
    kafka.put(LEDGER, codec.mark_value(7), key=codec.mark_key("another", 0))
    taken = await ask(kafka)
    assert (taken.marked, set(taken.partitions)) == (False, set())


@in_virtual_time
async def test_that_content_is_altered_is_seen() -> None:
    """Wherever it stands in the ledger."""
    kafka = MemoryKafka.usual()
    kafka.put(LEDGER, b"{}", key=codec.ALTERED_KEY)
    opened(kafka, "a", 5)
    assert (await ask(kafka)).altered


@in_virtual_time
async def test_an_operator_can_take_back_that_content_is_altered() -> None:
    """By a tombstone; otherwise every doubt would be held for ever."""
    kafka = MemoryKafka.usual()
    kafka.put(LEDGER, b"{}", key=codec.ALTERED_KEY)
    kafka.put(LEDGER, None, key=codec.ALTERED_KEY)
    assert not (await ask(kafka)).altered


@in_virtual_time
async def test_the_scan_waits_for_transactions_that_are_open_at_its_start() -> None:
    """A predecessor's settling may still come out either way."""
    kafka = MemoryKafka.usual()
    opened(kafka, "a", 5)
    kafka.stable[LEDGER, 0] = 0
    scanning = asyncio.ensure_future(ask(kafka))
    await asyncio.sleep(20)
    assert not scanning.done()
    kafka.stable.clear()
    kafka.wake()
    assert (await scanning).accounted == {5: "a"}


@in_virtual_time
async def test_the_scan_ends_where_the_ledger_ended_at_its_start() -> None:
    """A ledger that grows all the time is no reason to read for ever; aborted records are passed over."""
    kafka = MemoryKafka.usual()
    opened(kafka, "a", 5)
    kafka.logs[LEDGER][0] += [None, None]
    kafka.stable[LEDGER, 0] = 3
    scanning = asyncio.ensure_future(ask(kafka))
    await asyncio.sleep(0)
    opened(kafka, "later", 6)
    assert (await scanning).accounted == {5: "a"}


@pytest.mark.parametrize("version", [codec.VERSION + 2, 0])
@in_virtual_time
async def test_a_record_of_a_newer_release_is_not_guessed_at(version: int) -> None:
    """Its origin may stand elsewhere: what it takes would be taken again."""
    kafka = MemoryKafka.usual()
    opened(kafka, "a", 5)
    record = kafka.written(LEDGER)[0]
    kafka.put(LEDGER, bytes([version]) + (record.value or b"")[1:], key=b"b")
    with pytest.raises(Held, match="ledger_unreadable"):
        await ask(kafka, ["b"])


@in_virtual_time
async def test_a_damaged_record_is_said_to_be_unreadable() -> None:
    """And not a defect of ours."""
    kafka = MemoryKafka.usual()
    kafka.put(LEDGER, b"\x01", key=b"a")
    with pytest.raises(Held, match="ledger_unreadable"):
        await ask(kafka, ["a"])
