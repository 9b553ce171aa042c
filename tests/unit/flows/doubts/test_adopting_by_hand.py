"""What an operator adopts: all that Toloka shows now, where it is this partition's turn."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from daemon.flows.doubts.searching import Search
from daemon.model import Batch, Intent
from tests.doubles import START, created, in_virtual_time, place, seeded
from tests.unit.flows.doubts.doubting import INTENT, PATIENCE, Doubt, batch_of, body, left, pairs

OLD = Intent("b-1", 10, START - timedelta(hours=1), START - timedelta(hours=1), doubted=True)


async def adopted(doubt: Doubt, batch: Batch) -> Batch | None:
    """What is present; nobody is waited for longer than two seconds."""
    search = Search(
        doubt.kafka, doubt.api, doubt.time, place(1), PATIENCE, doubt.holds, doubt.metrics, seeded()
    )
    doubt.intend(1, INTENT)
    until = asyncio.Event()
    asyncio.get_running_loop().call_later(2, until.set)
    return await search.present(batch, INTENT, doubt.noted, until)


@in_virtual_time
async def test_what_is_there_is_adopted_before_the_quarantine_is_over() -> None:
    """The rest is left, for the daemon to look for; the claim stands, for what follows writes it down."""
    doubt = Doubt([created("x", body("a"))])
    found = await adopted(doubt, batch_of("ab", identified=False))
    assert pairs(found) == {0: "x"}
    assert left(found) == [1]
    assert doubt.written == [
        replace(INTENT, doubted=True),
        replace(INTENT, doubted=True, claiming=True),
    ]


@in_virtual_time
async def test_where_nothing_of_ours_is_there_nothing_stays_claimed() -> None:
    """Others with equal items would wait for it."""
    doubt = Doubt([created("x", body("a"))])
    doubt.settle("x", 5, 2)
    found = await adopted(doubt, batch_of("a", identified=False))
    assert left(found) == [0]
    assert [intent.claiming for intent in doubt.written] == [False, True, False]


@in_virtual_time
async def test_what_may_be_a_lower_partitions_is_not_adopted() -> None:
    """That one's doubt ends first, and nothing stays claimed until then."""
    doubt = Doubt([created("x", body("a"))])
    doubt.intend(0, OLD)
    assert await adopted(doubt, batch_of("a", identified=False)) is None
    assert doubt.written[-1] == replace(INTENT, doubted=True)
