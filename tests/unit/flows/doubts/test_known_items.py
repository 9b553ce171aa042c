"""What the ledger, or an id of ours, tells of a batch in doubt before its content is compared."""

import asyncio
from collections.abc import Collection
from dataclasses import replace

import pytest
from msgspec.structs import replace as replace_item

from daemon.flows.records import codec, ledger_records, tombstones
from tests.doubles import INPUT, LEDGER, START, created, in_virtual_time, item
from tests.unit.flows.doubts.doubting import QUARANTINE_SECONDS, Doubt, batch_of, body, left, pairs, seconds


@pytest.mark.fault(23)
@in_virtual_time
async def test_what_a_torn_transaction_wrote_is_accounted_for() -> None:
    """The ledger's word comes first: nothing is sent or written for those items again."""
    doubt = Doubt([created("x", body("a")), created("y", body("b"))])
    doubt.settle("x", 0, partition=1)
    resolved = await doubt.resolve(batch_of("ab"))
    assert (pairs(resolved), left(resolved)) == ({1: "y"}, [])


@in_virtual_time
async def test_what_a_torn_transaction_wrote_is_not_adopted_for_an_equal_item() -> None:
    """It is one item at Toloka, and the other is still to be sent."""
    doubt = Doubt([created("x", body("a"))])
    doubt.settle("x", 0, partition=1)
    resolved = await doubt.resolve(batch_of("aa", identified=False))
    assert (pairs(resolved), left(resolved)) == ({}, [1])


@in_virtual_time
async def test_what_was_published_already_is_accounted_for() -> None:
    """Its tombstone names the origin."""
    doubt = Doubt([created("x", body("a"), status="COMPLETED")])
    origin = ledger_records.Origin(INPUT, 1, 0, 0)
    doubt.kafka.put(LEDGER, None, key=b"x", headers=(tombstones.origin_header(origin),))
    resolved = await doubt.resolve(batch_of("a"))
    assert (pairs(resolved), left(resolved), seconds()) == ({}, [], 0)


@in_virtual_time
async def test_what_is_in_another_pool_is_not_adopted() -> None:
    """The same task may have gone there for another record: each has its own."""
    listed = [created(name, body("a"))._replace(pool=name) for name in ("p", "q")]
    batch = batch_of("aa", identified=False)
    one, other = (replace_item(item, pool=pool) for item, pool in zip(batch.items, "qr", strict=True))
    resolved = await Doubt(listed).resolve(replace(batch, items=(one, other)))
    assert (pairs(resolved), left(resolved)) == ({0: "q"}, [1])


@pytest.mark.parametrize("closed", [False, True])
@in_virtual_time
async def test_what_belongs_to_another_record_is_not_adopted(*, closed: bool) -> None:
    """By its ledger record or its tombstone; equal content is no proof."""
    doubt = Doubt([created("x", body("a"))])
    if closed:
        headers = (tombstones.origin_header(ledger_records.Origin(INPUT, 0, 77, 0)),)
        doubt.kafka.put(LEDGER, None, key=b"x", headers=headers)
    else:
        doubt.settle("x", 77, partition=1)
    assert left(await doubt.resolve(batch_of("a", identified=False))) == [0]


@in_virtual_time
async def test_what_the_batch_has_adopted_before_is_not_adopted_again() -> None:
    """The rest of a batch that was adopted in part has come into doubt in its turn."""
    doubt = Doubt([created("x", body("a"))])
    await asyncio.sleep(QUARANTINE_SECONDS)
    batch = batch_of("aa", identified=False).adopting({0: "x"})
    resolved = await doubt.resolve(batch)
    assert pairs(resolved) == {0: "x"}
    assert left(resolved) == [1]


@in_virtual_time
async def test_an_item_with_an_id_of_ours_is_ours_whatever_else_it_holds() -> None:
    """It may come back with null for a field that was not sent: no other item has an id that tolokad gave."""
    altered = created("x", b'{"text":"a","score":null}')._replace(own_id=f"{INPUT}-1-0")
    stranger = created("y", b'{"text":"c"}')._replace(own_id=f"{INPUT}-2-1")
    doubt = Doubt([altered, created("z", body("b")), stranger])
    assert pairs(await doubt.resolve(batch_of("ab"))) == {0: "x", 1: "z"}


@in_virtual_time
async def test_an_id_that_was_given_long_ago_is_of_another_record() -> None:
    """The topic, and the ledger with it, was made anew: the same offset has another record, to be sent."""
    old = created("x", b'{"text":"old"}', -86_400, "COMPLETED")._replace(own_id=f"{INPUT}-1-0")
    doubt = Doubt([old])
    await asyncio.sleep(QUARANTINE_SECONDS + 1)
    resolved = await doubt.resolve(replace(batch_of("a"), since=START))
    assert (pairs(resolved), left(resolved)) == ({}, [0])


@in_virtual_time
async def test_an_id_like_ours_that_somebody_else_gave_makes_no_item_two() -> None:
    """A record's own id may look like one of ours: its content tells whose the item is, and once."""
    own = item(0, b'{"id":"%s-1-1","text":"a"}' % INPUT.encode())
    batch = batch_of("ab")
    batch = replace(batch, items=(own, batch.items[1]))
    doubt = Doubt([created("x", own.body)._replace(own_id=f"{INPUT}-1-1")])
    await asyncio.sleep(QUARANTINE_SECONDS + 1)
    resolved = await doubt.resolve(batch)
    assert (pairs(resolved), left(resolved)) == ({0: "x"}, [1])


@in_virtual_time
async def test_altered_content_does_not_hide_what_has_an_id_of_ours() -> None:
    """What is there is adopted by it; what is not is held, for the id may be what was altered."""
    doubt = Doubt([created("x", b'{"text":"?"}')._replace(own_id=f"{INPUT}-1-0")])
    doubt.kafka.put(LEDGER, b"{}", key=codec.ALTERED_KEY)
    assert pairs(await doubt.resolve(batch_of("a"))) == {0: "x"}
    doubt.api.listing[0] = []
    await asyncio.sleep(QUARANTINE_SECONDS + 1)
    resolving = asyncio.ensure_future(doubt.resolve(batch_of("a")))
    await asyncio.sleep(1)
    assert [hold.reason for hold in doubt.holds] == ["content_altered"]
    doubt.stopping.set()
    assert await resolving is None


@in_virtual_time
async def test_the_ledger_is_not_read_for_nothing() -> None:
    """While nothing is listed and absence is not believed: a ledger may hold a million records."""
    doubt = Doubt([])
    reads = 0
    usual = doubt.kafka.end_offsets

    async def counted(topic: str, partitions: Collection[int] = ()) -> object:
        nonlocal reads
        reads += topic == LEDGER
        return await usual(topic, partitions)

    doubt.kafka.end_offsets = counted  # type: ignore[method-assign,assignment]  # on purpose
    await doubt.resolve(batch_of("a"))
    assert reads <= 3
