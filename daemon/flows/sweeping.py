"""Second looks: an overlap for what became visible late, a sweep for what has been open too long."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from daemon.flows import ledger_records
from daemon.flows.collector_state import CollectorState
from daemon.flows.cursors import SKEW
from daemon.flows.ledger import Open
from daemon.flows.origins import record_of
from daemon.flows.watching import CollectWatch
from daemon.model import DeadLetter, Finished, Flaw, Sight
from daemon.ports import Kafka, Results, TolokaClock

# So many due items, submitted so close together, are cheaper to list than to ask for one by one.
WORTH_A_LISTING = 20
CLOSE = timedelta(seconds=30)
BY_ID_ITEMS = 20
LISTING_ITEMS = 1000
# Unknown to Toloka in this many sweeps, an item is gone.
SWEEPS_UNTIL_GONE = 2

log = structlog.get_logger(__name__)


class Overlapping:
    """Reads again, every so often, what finished shortly before the cursor.

    A look begins before the end of the last one, so that a backlog that the tail has run through, with ties
    at the edges of its pages, is seen twice as well.

    Args:
        api: where results come from.
        overlap: how far back a look goes.
        every_seconds: how often one is due.
        looked_until: what finished before was looked at twice, by a predecessor where there was one.
    """

    def __init__(
        self, api: Results, overlap: timedelta, every_seconds: float, looked_until: datetime
    ) -> None:
        self._api = api
        self._overlap = overlap
        self._every_seconds = every_seconds
        self._due_at = 0.0
        self._looked_until = self._looking_until = looked_until
        self._pages: AsyncIterator[Sequence[Finished]] | None = None

    async def step(self, state: CollectorState, now: float) -> bool:
        """Look at one more page, if a look is due; False when there is nothing to do now."""
        if self._pages is None and not self._begin(state, now):
            return False
        pages, self._pages = self._pages, None
        page = None if pages is None else await anext(pages, None)
        if page is None:
            self._end(state)
            return False
        self._pages = pages
        await state.publish(page, "overlap")
        return True

    def _begin(self, state: CollectorState, now: float) -> bool:
        if now < self._due_at:
            return False
        self._due_at = now + self._every_seconds
        until = self._looking_until = state.cursor.finished_at
        if not self._worth_it(state):
            self._end(state)
            return False
        since = min(self._looked_until, until) - self._overlap
        self._pages = self._api.finished(since, until, state.ledger.was_closed)
        return True

    def _end(self, state: CollectorState) -> None:
        self._looked_until = self._looking_until
        state.looked_until(self._looked_until)

    def _worth_it(self, state: CollectorState) -> bool:
        oldest = state.ledger.oldest()
        return oldest is not None and oldest <= state.cursor.finished_at + SKEW


class Sweeping:
    """Looks for items that have been open for long, each again when its age has doubled."""

    def __init__(
        self,
        api: Results,
        kafka: Kafka,
        clock: TolokaClock,
        watch: CollectWatch,
        after: timedelta,
        every_seconds: float,
    ) -> None:
        self._api = api
        self._kafka = kafka
        self._clock = clock
        self._watch = watch
        self._after = after
        self._every_seconds = every_seconds
        self._due_at = 0.0
        self._last: datetime | None = None
        self._groups: list[list[tuple[datetime, str]]] = []
        self._stalled: dict[str, str] = {}
        self._missing: Counter[str] = Counter()

    async def step(self, state: CollectorState, now: float) -> bool:
        """Look for one more group of due items; False when there is nothing to do now."""
        if state.overdue:
            ids = sorted(state.overdue)[:BY_ID_ITEMS]
            found = dict(await self._api.by_id(ids))
            state.overdue.difference_update(ids)
            await self._look(state, ids, found)
            return True
        if not self._groups:
            if now < self._due_at:
                return False
            self._due_at = now + self._every_seconds
            self._begin(state)
        return await self._next(state)

    def _begin(self, state: CollectorState) -> None:
        """Choose what is due: what has crossed a doubled age since the last sweep."""
        now = self._clock.now()
        last, self._last = self._last, now
        due = state.ledger.submitted_when(
            lambda moment: (
                _steps(now - moment, self._after)
                > (0 if last is None else _steps(last - moment, self._after))
            )
        )
        self._groups = list(reversed(list(_grouped(due))))
        self._stalled = {i: status for i, status in self._stalled.items() if state.ledger.find(i) is not None}
        self._watch.stalled(Counter(self._stalled.values()))

    async def _next(self, state: CollectorState) -> bool:
        if not self._groups:
            return False
        group = self._groups[-1]
        ids = [item_id for _, item_id in group]
        found: dict[str, Sight | None] = {}
        if len(group) >= WORTH_A_LISTING:
            found.update(await self._api.created_items(group[0][0] - SKEW, group[-1][0] + SKEW))
        rest = [item_id for item_id in ids if item_id not in found][:BY_ID_ITEMS]
        found.update(await self._api.by_id(rest))
        self._groups.pop()
        await self._look(state, ids, found)
        left = [(moment, item_id) for moment, item_id in group if item_id not in found]
        if left:
            self._groups.append(left)
        return True

    async def _look(
        self, state: CollectorState, ids: Iterable[str], found: Mapping[str, Sight | None]
    ) -> None:
        seen = {item_id: sight for item_id in ids if (sight := found.get(item_id)) is not None}
        await state.publish([result for sight in seen.values() for result in sight.results], "sweep")
        still = {i: sight for i, sight in seen.items() if state.ledger.find(i) is not None}
        self._stalled.update((item_id, sight.status) for item_id, sight in still.items())
        for item_id in seen:
            self._missing.pop(item_id, None)
        if over := [item_id for item_id, sight in still.items() if sight.over]:
            await self._end(state, over, "NO_RESULT", "Toloka has ended without a result of the item")
        unknown = [item_id for item_id in ids if item_id in found and found[item_id] is None]
        self._missing.update(unknown)
        if gone := [item_id for item_id in unknown if self._missing[item_id] >= SWEEPS_UNTIL_GONE]:
            await self._bury(state, gone)

    async def _bury(self, state: CollectorState, gone: Sequence[str]) -> None:
        certain = await self._certain(state, gone)
        for item_id in certain:
            self._missing.pop(item_id, None)
        await self._end(state, certain, "ITEM_VANISHED", "Toloka no longer knows the item")

    async def _end(self, state: CollectorState, ids: Sequence[str], code: str, message: str) -> None:
        """Close these items; those that had no result become dead letters."""
        letters = []
        for item_id in ids:
            if (entry := state.ledger.find(item_id)) is not None:
                record = await record_of(self._kafka, ledger_records.unpack(entry.packed))
                letters.append((item_id, DeadLetter(record, Flaw(code, f"{message} {item_id}"))))
        if letters:
            log.warning("items_ended", code=code, items=[item_id for item_id, _ in letters])
            now = self._clock.now()
            await state.bury(lambda publisher: publisher.ended(letters, now))

    async def _certain(self, state: CollectorState, gone: Sequence[str]) -> Sequence[str]:
        """Those of the vanished items whose record is certainly theirs.

        Ids need not have been answered in item order. What a vanished item held nobody can say any more, but
        what the others of its batch hold can be asked: theirs are put right, and what is left is its own.
        """
        certain: list[str] = []
        batches = {
            ledger_records.peek_batch(entry.packed)
            for i in gone
            if (entry := state.ledger.find(i)) is not None
        }
        for batch in batches:
            mates = dict(state.ledger.of_batches(frozenset({batch})))
            others = [item_id for item_id in mates if self._missing[item_id] < SWEEPS_UNTIL_GONE]
            found = await self._contents(others, mates) if others else {}
            if len(found) == len(others):
                await state.rearrange(batch, found)
                certain.extend(item_id for item_id in mates if item_id not in others)
        return certain

    async def _contents(self, ids: Sequence[str], mates: Mapping[str, Open]) -> dict[str, int]:
        """The content hashes of these items, of those that Toloka knows."""
        moments = [ledger_records.peek_submitted(mates[item_id].packed) for item_id in ids]
        listed = await self._api.created_items(min(moments) - SKEW, max(moments) + SKEW)
        found = {item_id: sight.content_hash for item_id, sight in listed.items()}
        rest = [item_id for item_id in ids if item_id not in found][:BY_ID_ITEMS]
        for item_id, sight in (await self._api.by_id(rest)).items():
            if sight is not None:
                found[item_id] = sight.content_hash
        return {item_id: found[item_id] for item_id in ids if item_id in found}


def _steps(age: timedelta, after: timedelta) -> int:
    """How many times an age has reached `after`, 2 x `after`, 4 x `after` and so on."""
    return (max(age, timedelta()) // after).bit_length()


def _grouped(due: Iterable[tuple[datetime, str]]) -> Iterable[list[tuple[datetime, str]]]:
    """Items that were submitted close together, a listing's worth at most."""
    group: list[tuple[datetime, str]] = []
    for moment, item_id in due:
        if group and (moment - group[0][0] > CLOSE or len(group) >= LISTING_ITEMS):
            yield group
            group = []
        group.append((moment, item_id))
    if group:
        yield group
