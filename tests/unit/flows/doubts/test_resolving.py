"""An attempt that Toloka carries out once at most is sent again until it is clear what became of it."""

import asyncio
from collections import deque
from dataclasses import replace
from datetime import timedelta

import pytest

from daemon.flows.doubts.quarantine import Patience
from daemon.flows.doubts.resolving import Resolver
from daemon.flows.doubts.searching import Search
from daemon.flows.records import codec, ledger_records, tombstones
from daemon.model import (
    Accepted,
    Batch,
    Committed,
    Divided,
    Flaw,
    InDoubt,
    Intent,
    NotNow,
    Outcome,
    Rejected,
    TooLarge,
)
from tests.doubles import (
    GROUP,
    INPUT,
    LEDGER,
    START,
    FakeTime,
    MemoryKafka,
    ScriptedSubmissions,
    created,
    fresh_holds,
    in_virtual_time,
    item,
    packed_items,
    place,
    seeded,
)

FLAW = Flaw("VALUE_REQUIRED", "text: missing")
INTENT = Intent("a-1", 3, START, START, once=True)
BATCH = Batch(INPUT, 0, 0, 3, tuple(item(offset) for offset in range(3)), since=START)
QUARANTINE = timedelta(seconds=120)
SILENCE = InDoubt("no answer in time")


async def noted(_: Intent) -> None:
    """Written down."""


class Doubt:
    """A resolution of partition 0, and what the requests that it makes come to."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.kafka = MemoryKafka.usual()
        self.api = ScriptedSubmissions()
        self.outcomes = deque(outcomes)
        self.sent: list[list[int]] = []
        self.stopping = asyncio.Event()
        holds, self.metrics = fresh_holds()
        here, clock = place(), FakeTime()
        self.time = clock
        patience = Patience(timedelta(seconds=20), QUARANTINE)
        search = Search(self.kafka, self.api, clock, here, patience, holds, self.metrics, seeded())
        self.resolver = Resolver(self.kafka, here, search, self.metrics, seeded())

    async def resolve(self, batch: Batch = BATCH) -> Batch:
        """Resolve it; it must come to an end."""
        resolved = await self.resolver.resolve(batch, INTENT, self.again, noted, self.stopping)
        assert resolved is not None
        return resolved

    async def again(self, batch: Batch) -> tuple[Intent, Outcome] | None:
        """Announce it, send it, and hear what a test has written down."""
        self.sent.append([item.record.offset for item in batch.items])
        now = START + timedelta(seconds=asyncio.get_running_loop().time())
        return replace(INTENT, at=now), self.outcomes.popleft()

    def resolutions(self) -> dict[str, float]:
        """How doubts ended."""
        metric = self.metrics.intents_resolved
        names = ("adopted", "resubmitted", "partial", "held")
        return {name: count for name in names if (count := metric.labels(name)._value.get())}


def left(batch: Batch) -> list[int]:
    """Offsets that are still to be sent."""
    return [item.record.offset for item in batch.items]


@in_virtual_time
async def test_it_is_sent_until_there_is_an_answer() -> None:
    """The same items each time; what was created is adopted."""
    doubt = Doubt(SILENCE, SILENCE, Accepted(("x", "y", "z")))
    resolved = await doubt.resolve()
    assert doubt.sent == [[0, 1, 2]] * 3
    assert [(item.record.offset, item_id) for item, item_id in resolved.adopted] == [
        (0, "x"),
        (1, "y"),
        (2, "z"),
    ]
    assert (resolved.items, doubt.resolutions()) == ((), {"adopted": 1.0})


@in_virtual_time
async def test_an_answer_item_by_item() -> None:
    """What was created is adopted, what is flawed is a dead letter, and the rest is still to be sent."""
    resolved = await Doubt(Divided({2: "z"}, {0: FLAW})).resolve()
    assert [(item.record.offset, item_id) for item, item_id in resolved.adopted] == [(2, "z")]
    assert [(letter.record.offset, letter.flaw) for letter in resolved.dead_letters] == [(0, FLAW)]
    assert (left(resolved), resolved.since) == ([1], START)


@in_virtual_time
async def test_the_end_of_the_attempt_is_believed_at_once() -> None:
    """Under it nothing was created, and nothing will be."""
    resolved = await Doubt(Rejected({1: FLAW}, FLAW, over=True)).resolve()
    assert (left(resolved), len(resolved.dead_letters)) == ([0, 2], 1)
    doubt = Doubt(NotNow("refused", "it failed", over=True))
    assert left(await doubt.resolve()) == [0, 1, 2]
    assert doubt.resolutions() == {"resubmitted": 1.0}
    assert asyncio.get_running_loop().time() == 0


@pytest.mark.parametrize("no", [Rejected({}, FLAW), TooLarge(FLAW)])
@in_virtual_time
async def test_a_no_to_one_request_says_nothing_of_the_one_before(no: Outcome) -> None:
    """Until the quarantine is over, for until then that one may yet be carried out."""
    doubt = Doubt(*[no] * 1000)
    assert left(await doubt.resolve()) == [0, 1, 2]
    assert asyncio.get_running_loop().time() >= QUARANTINE.total_seconds()
    assert len(doubt.sent) > 2


@in_virtual_time
async def test_a_clock_that_is_set_forward_meanwhile_makes_no_refusal_believable() -> None:
    """Toloka's may be, by an hour: the request before, which has no answer, is carried out for all that."""
    doubt = Doubt(SILENCE, *[Rejected({0: FLAW}, FLAW)] * 20)

    async def set_and_land() -> None:
        await asyncio.sleep(10)
        doubt.time.moved += 3600
        await asyncio.sleep(80)
        doubt.outcomes.appendleft(Accepted(("x", "y", "z")))

    landing = asyncio.create_task(set_and_land())
    resolved = await doubt.resolve()
    assert (left(resolved), len(resolved.adopted), resolved.dead_letters) == ([], 3, ())
    await landing


@in_virtual_time
async def test_a_wait_is_no_answer() -> None:
    """However long Toloka says so: what was sent before may have been carried out."""
    throttled = NotNow("throttled", "too many requests")
    doubt = Doubt(*[throttled] * 100, Accepted(("x", "y", "z")))
    await doubt.resolve()
    assert (len(doubt.sent), asyncio.get_running_loop().time() > 200) == (101, True)


@in_virtual_time
async def test_where_only_a_listing_can_tell() -> None:
    """It was carried out, and Toloka has forgotten how: what it created is found by its content."""
    doubt = Doubt(InDoubt("the log is gone", listing=True))
    bodies = [item.body for item in BATCH.items]
    doubt.api.listing.append([created(name, body) for name, body in zip("xyz", bodies, strict=True)])
    resolved = await doubt.resolve()
    assert (left(resolved), len(resolved.adopted)) == ([], 3)


@in_virtual_time
async def test_the_last_request_may_be_carried_out_as_late_as_the_first() -> None:
    """However long the doubt has been: what only a listing can tell is not absent so soon after it."""
    doubt = Doubt(*[SILENCE] * 1000)
    bodies = [item.body for item in BATCH.items]
    shown = [created(name, body) for name, body in zip("xyz", bodies, strict=True)]
    doubt.kafka.offsets[GROUP, INPUT, 0] = Committed(0, codec.intent_metadata(INTENT))
    doubt.api.listing.append([])
    resolving = asyncio.ensure_future(doubt.resolve())
    await asyncio.sleep(QUARANTINE.total_seconds() * 2)
    doubt.outcomes.appendleft(InDoubt("it does not show what it has created", listing=True))
    await asyncio.sleep(QUARANTINE.total_seconds() / 2)
    doubt.api.listing.append(shown)
    assert left(await resolving) == []


@in_virtual_time
async def test_when_told_to_stop_the_intent_is_left_to_a_successor() -> None:
    """Nothing is sent any more."""
    doubt = Doubt(SILENCE)
    doubt.stopping.set()
    assert await doubt.resolver.resolve(BATCH, INTENT, doubt.again, noted, doubt.stopping) is None
    assert (doubt.sent, doubt.metrics.intents_in_doubt._value.get()) == ([], 0)


@in_virtual_time
async def test_what_an_earlier_attempt_created_is_not_sent_again() -> None:
    """A successor finds it in the ledger, open or closed; the rest is what the attempt holds."""
    doubt = Doubt()
    (packed,) = packed_items([item(0)], 3, START)
    doubt.kafka.put(LEDGER, packed, 0, key=b"x")
    headers = (tombstones.origin_header(ledger_records.Origin(INPUT, 0, 2, 0)),)
    doubt.kafka.put(LEDGER, None, 0, key=b"z", headers=headers)
    for intent in (INTENT, replace(INTENT, once=False, decided=True)):
        assert left(await doubt.resolver.unaccounted(BATCH, intent)) == [1]
    assert await doubt.resolver.unaccounted(BATCH, replace(INTENT, once=False)) == BATCH
