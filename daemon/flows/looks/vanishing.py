"""Items that end without a result: each becomes a dead letter, under the record that is certainly its own."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import NamedTuple

import structlog

from daemon.flows.collector.ledger import PackedEntry
from daemon.flows.collector.origins import record_of
from daemon.flows.collector.state import CollectorState
from daemon.flows.skew import SKEW
from daemon.model import DeadLetter, Flaw, Sight
from daemon.ports import Kafka, Results

# Unknown to Toloka in this many sweeps, an item is gone.
SWEEPS_UNTIL_GONE = 2
NO_RESULT = "NO_RESULT"
BY_ID_ITEMS = 20

log = structlog.get_logger(__name__)


class Miss(NamedTuple):
    """In how many sweeps an item was unknown to Toloka, and when last, by the loop's clock."""

    sweeps: int
    at: float


class Vanishing:
    """Ends what Toloka no longer knows, or has ended without a result.

    Two looks count as two that are `apart_seconds` apart: Toloka may have one bad moment.
    """

    def __init__(self, api: Results, kafka: Kafka, apart_seconds: float) -> None:
        self._api = api
        self._kafka = kafka
        self._apart_seconds = apart_seconds
        self._missed: dict[str, Miss] = {}
        # What was seen to have come to its end, and when first: its last result may be shown a little later.
        self._over: dict[str, float] = {}
        # By id, the content hashes of what was looked at of the batches of those: asking for all of a large
        # batch once more would take too many requests, where a listing does not show them.
        self._mates: dict[str, int] = {}

    async def note(self, state: CollectorState, found: Mapping[str, Sight | None], now: float) -> None:
        """Take in what a look has shown of these; None is what Toloka does not know."""
        for item_id, sight in found.items():
            if sight is not None:
                self._missed.pop(item_id, None)
                continue
            sweeps, at = self._missed.get(item_id, Miss(0, now - self._apart_seconds))
            if now - at >= self._apart_seconds:
                self._missed[item_id] = Miss(sweeps + 1, now)
        self._remember(state, found)
        if over := [i for i, sight in found.items() if self._is_over(i, sight, now)]:
            await self._end(state, over, NO_RESULT, "Toloka has ended without a result of the item")
        if gone := [i for i, sight in found.items() if sight is None and self._is_gone(i)]:
            certain = await self._certain(state, gone)
            await self._end(state, certain, "ITEM_VANISHED", "Toloka no longer knows the item")
            for item_id in certain:
                self._missed.pop(item_id, None)

    def doubted(self, now: float) -> Iterable[str]:
        """What was unknown or over not often enough, and not just now: an age of months doubles in months."""
        seen = {i: miss.at for i, miss in self._missed.items() if miss.sweeps < SWEEPS_UNTIL_GONE}
        return [i for i, at in {**seen, **self._over}.items() if now - at >= self._apart_seconds]

    def forget_closed(self, state: CollectorState) -> None:
        """What was unknown, and has its result by now, is not remembered."""
        self._missed = {i: miss for i, miss in self._missed.items() if i in state.ledger}
        self._mates = {i: content for i, content in self._mates.items() if i in state.ledger}
        self._over = {i: at for i, at in self._over.items() if i in state.ledger}

    def _remember(self, state: CollectorState, found: Mapping[str, Sight | None]) -> None:
        if not self._missed:
            return
        batches = set(filter(None, (_batch(state, item_id) for item_id in self._missed)))
        seen = {i: sight.content_hash for i, sight in found.items() if sight is not None}
        self._mates.update((i, content) for i, content in seen.items() if _batch(state, i) in batches)

    def _is_over(self, item_id: str, sight: Sight | None, now: float) -> bool:
        """Whether an item has come to its end, and had when it was looked at before."""
        if sight is None or not sight.over:
            self._over.pop(item_id, None)
            return False
        return now - self._over.setdefault(item_id, now) >= self._apart_seconds

    def _is_gone(self, item_id: str) -> bool:
        return item_id in self._missed and self._missed[item_id].sweeps >= SWEEPS_UNTIL_GONE

    async def _end(self, state: CollectorState, ids: Sequence[str], code: str, message: str) -> None:
        """Close these items, those of them that are open; what had no result becomes a dead letter."""
        letters = []
        for item_id in ids:
            if (entry := state.ledger.find(item_id)) is not None:
                record = await record_of(self._kafka, entry.unpacked())
                # What has ended without a result is still at Toloka, and an audit asks whose it is.
                at_toloka = item_id if code == NO_RESULT else ""
                letters.append((item_id, DeadLetter(record, Flaw(code, f"{message} {item_id}"), at_toloka)))
        if letters:
            log.warning("items_ended", code=code, items=[item_id for item_id, _ in letters])
            await state.bury(letters)

    async def _certain(self, state: CollectorState, gone: Sequence[str]) -> Sequence[str]:
        """Those of the vanished items whose record is certainly theirs.

        Ids need not have been answered in item order. What a vanished item held nobody can say any more, but
        what the others of its batch hold can be asked: theirs are put right, and what is left is its own.
        """
        certain: list[str] = []
        for batch in set(filter(None, (_batch(state, item_id) for item_id in gone))):
            mates = dict(state.ledger.of_batches(frozenset({batch})))
            others = [item_id for item_id in mates if not self._is_gone(item_id)]
            found = await self._contents(others, mates) if others else {}
            if len(found) == len(others):
                await state.rearrange(batch, found)
                certain.extend(item_id for item_id in mates if item_id not in others)
        return certain

    async def _contents(self, ids: Sequence[str], mates: Mapping[str, PackedEntry]) -> dict[str, int]:
        """The content hashes of these items, of those that Toloka knows."""
        moments = [mates[item_id].submitted_at for item_id in ids]
        found: dict[str, int] = {}
        async with aclosing(self._api.created_items(min(moments) - SKEW, max(moments) + SKEW)) as pages:
            async for page in pages:
                found.update((i, page[i].content_hash) for i in ids if i in page)
                if len(found) == len(ids):
                    break
        found.update((i, self._mates[i]) for i in ids if i in self._mates and i not in found)
        rest = [item_id for item_id in ids if item_id not in found][:BY_ID_ITEMS]
        for item_id, sight in (await self._api.by_id(rest)).items():
            if sight is not None:
                found[item_id] = sight.content_hash
        return found


def _batch(state: CollectorState, item_id: str) -> tuple[int, int] | None:
    """What an open item has in common with the others of its batch."""
    entry = state.ledger.find(item_id)
    return None if entry is None else entry.batch
