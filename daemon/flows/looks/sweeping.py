"""The sweep: items that have been open for too long are looked for, in listings and by id."""

from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from daemon.errors import Held
from daemon.flows.collector.state import CollectorState
from daemon.flows.looks.vanishing import BY_ID_ITEMS, Vanishing
from daemon.flows.skew import SKEW
from daemon.flows.watching import CollectWatch
from daemon.model import Sight
from daemon.ports import Kafka, Results, TolokaClock

# This many items, submitted close together, may be cheaper to list than to ask for one by one.
WORTH_A_LISTING = 20
CLOSE = timedelta(seconds=30)


@dataclass(slots=True)
class Run:
    """Due items that are looked for together, and what lists all that was created around their time."""

    left: dict[str, None]
    pages: AsyncGenerator[Mapping[str, Sight], None] | None
    listed: int = 0


class RequestShare:
    """A part of the requests that may be made: this many a second, some of them at once.

    What was asked beyond it is waited for afterwards, so that no look has to wait halfway.
    """

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._left = self._most = max(per_second, 1.0)
        self._counted_at = 0.0

    def has_room(self, now: float) -> bool:
        """Whether anything may be asked now, by the loop's clock."""
        self._left = min(self._left + (now - self._counted_at) * self._per_second, self._most)
        self._counted_at = now
        return self._left > 0

    def spend(self, requests: int) -> None:
        """This many were made."""
        self._left -= requests


class Sweeping:
    """Looks for items that have been open for long, each again when its age has doubled.

    `after` is how long an item is open before it is looked for; every `every_seconds` it is seen what is due.
    """

    def __init__(
        self,
        api: Results,
        kafka: Kafka,
        clock: TolokaClock,
        watch: CollectWatch,
        after: timedelta,
        every_seconds: float,
        requests_per_second: float,
    ) -> None:
        self._api = api
        self._clock = clock
        self._watch = watch
        self._after = after
        self._every_seconds = every_seconds
        self._share = RequestShare(requests_per_second)
        self._vanishing = Vanishing(api, kafka, every_seconds)
        self._due_at = 0.0
        self._last: datetime | None = None
        self._runs: deque[Run] = deque()
        # What Toloka has said nothing of, or did not know once, is due again with the next sweep: one item
        # that it cannot show must not keep the others waiting.
        self._again: set[str] = set()
        self._stalled: dict[str, str] = {}

    async def step(self, state: CollectorState, now: float) -> bool:
        """Look for some more of what is due; False when there is nothing to do now.

        Raises:
            Held: Toloka has said nothing; the next step goes on with the others.
        """
        if not self._share.has_room(now):
            return False
        if state.overdue:
            self._runs.appendleft(Run(dict.fromkeys(sorted(state.overdue)), None))
            state.overdue.clear()
        if not self._runs and now >= self._due_at:
            self._due_at = now + self._every_seconds
            self._begin(state, now)
        if not self._runs:
            return False
        run = self._runs[0]
        try:
            found = await self._look(state, run)
        finally:
            if not run.left:
                self._runs.popleft()
        await self._note(state, found, now)
        return True

    def _begin(self, state: CollectorState, at: float) -> None:
        """Choose what is due: what has crossed a doubled age since the last sweep, and what is doubted."""
        now = self._clock.now()
        last, self._last = self._last, now
        due = state.ledger.submitted_when(
            lambda moment: (
                _steps(now - moment, self._after)
                > (0 if last is None else _steps(last - moment, self._after))
            )
        )
        for run in _runs(due):
            ids = dict.fromkeys(item_id for _, item_id in run)
            listing = self._api.created_items(run[0][0] - SKEW, run[-1][0] + SKEW)
            self._runs.append(Run(ids, listing if len(ids) >= WORTH_A_LISTING else None))
        self._again.update(self._vanishing.doubted(at))
        if self._again:
            self._runs.append(Run(dict.fromkeys(sorted(self._again)), None))
            self._again.clear()
        self._stalled = {i: status for i, status in self._stalled.items() if i in state.ledger}
        self._watch.stalled(Counter(self._stalled.values()))
        self._vanishing.forget_closed(state)

    async def _look(self, state: CollectorState, run: Run) -> Mapping[str, Sight | None]:
        """What one more page, or some requests by id, show of the items of a run that are left.

        A page shows a thousand items, everybody's. A listing is given up where asking for each that is left
        would have taken no longer.
        """
        pages, run.pages = run.pages, None
        if pages is not None and run.listed >= len(run.left):
            await pages.aclose()
        elif pages is not None:
            run.listed += 1
            self._share.spend(1)
            if (page := await anext(pages, None)) is not None:
                run.pages = pages
                return self._taken(run, page)
        return await self._by_id(state, run)

    async def _by_id(self, state: CollectorState, run: Run) -> Mapping[str, Sight | None]:
        for item_id in [i for i in run.left if i not in state.ledger]:
            del run.left[item_id]
        if not (ids := list(islice(run.left, BY_ID_ITEMS))):
            return {}
        self._share.spend(len(ids) * self._api.requests_by_id)
        try:
            return self._taken(run, await self._api.by_id(ids))
        except Held:
            self._again.add(ids[0])
            del run.left[ids[0]]
            raise

    @staticmethod
    def _taken(run: Run, shown: Mapping[str, Sight | None]) -> Mapping[str, Sight | None]:
        found = {item_id: sight for item_id, sight in shown.items() if item_id in run.left}
        for item_id in found:
            del run.left[item_id]
        return found

    async def _note(self, state: CollectorState, found: Mapping[str, Sight | None], now: float) -> None:
        """Publish what has ended; remember what is still open, and what is not there."""
        seen = {item_id: sight for item_id, sight in found.items() if sight is not None}
        await state.publish([result for sight in seen.values() for result in sight.results], "sweep")
        still = {i: sight.status for i, sight in seen.items() if i in state.ledger}
        self._stalled.update(still)
        await self._vanishing.note(state, found, now)


def _steps(age: timedelta, after: timedelta) -> int:
    """How many times an age has reached `after`, 2 x `after`, 4 x `after` and so on."""
    return (max(age, timedelta()) // after).bit_length()


def _runs(due: Iterable[tuple[datetime, str]]) -> Iterator[list[tuple[datetime, str]]]:
    """Items that were submitted close together, the oldest first: each close to the one before."""
    run: list[tuple[datetime, str]] = []
    for moment, item_id in due:
        if run and moment - run[-1][0] > CLOSE:
            yield run
            run = []
        run.append((moment, item_id))
    if run:
        yield run
