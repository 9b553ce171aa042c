"""Partitions in doubt whose items are alike: each ends with one, whichever it was that it had sent."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from daemon.errors import Held
from daemon.model import Accepted, Created, InDoubt, Item, Outcome
from daemon.ports import Wanted
from tests.doubles import INPUT, START, in_virtual_time
from tests.unit.flows.doubts.test_ahead_doubts import both, late, two
from tests.unit.flows.ways import Way, body, running


class OneToloka:
    """Takes items of all ways in, with their times, and lists by these times what it has."""

    def __init__(self, *ways: Way, behind_seconds: float = 0.0) -> None:
        self.made: list[Created] = []
        self.lists_from = 0.0
        self._behind_seconds = behind_seconds
        for way in ways:
            way.created = self.made
            for part, name, own in (
                (way, "accept", self.accept),
                (way.api, "accept", self.accept),
                (way.api, "created", self.listed),
            ):
                setattr(part, name, own)

    def accept(self, items: Sequence[Item]) -> Accepted:
        """New items for these."""
        now = START + timedelta(seconds=asyncio.get_running_loop().time() - self._behind_seconds)
        ids = tuple(f"t-{len(self.made) + index}" for index in range(len(items)))
        self.made.extend(
            Created(item_id, now, item.content_hash, "NEW") for item_id, item in zip(ids, items, strict=True)
        )
        return Accepted(ids)

    def lost(self) -> Callable[[Sequence[Item]], Outcome]:
        """Takes them in, and the answer is lost."""

        def posted(items: Sequence[Item]) -> Outcome:
            self.accept(items)
            return InDoubt("reset")

        return posted

    async def listed(
        self,
        since: datetime,
        until: datetime | None,
        _: timedelta | None = None,
        wanted: Wanted | None = None,
    ) -> Sequence[Created]:
        """See `daemon.ports.Submissions.created`."""
        if asyncio.get_running_loop().time() < self.lists_from:
            raise Held("listing_failed", "503")
        shown = [each for each in self.made if since <= each.created_at <= (until or each.created_at)]
        return [each for each in shown if wanted is None or wanted(each)]


@in_virtual_time
async def test_what_replaces_an_item_may_be_younger_than_its_own_quarantine() -> None:
    """A lower partition takes the older of two, and leaves the later one: it is seen all the same."""
    kafka = both("", "a")
    lower, higher = two(kafka), two(kafka, partition=1)
    toloka = OneToloka(lower, higher)
    lower.script(late(lower, 104.5))
    higher.script(late(higher, 109.5))
    async with running(higher, 100), running(lower, 0.1):
        kafka.put(INPUT, body("a"))
        await asyncio.sleep(600)
    assert len(toloka.made) == 2


@in_virtual_time
async def test_ones_own_item_may_look_older_than_its_intent() -> None:
    """Toloka's `created_at` may be behind its `Date`; each takes the one that is nearest to its own time."""
    kafka = both("a", "")
    lower, higher = two(kafka), two(kafka, partition=1)
    toloka = OneToloka(lower, higher, behind_seconds=3)
    toloka.lists_from = 300
    for way in (lower, higher):
        way.script(toloka.lost())
    async with running(lower, 100), running(higher, 0.1):
        kafka.put(INPUT, body("a"), partition=1)
        await asyncio.sleep(600)
    assert len(toloka.made) == 2
