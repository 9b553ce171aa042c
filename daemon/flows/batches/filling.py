"""The next batch fills while the one before it is under way."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from daemon.flows.batches.batching import Filling
from daemon.flows.records.windows import WINDOW
from daemon.flows.waiting import REST_SECONDS, pause
from daemon.model import BareRecord, Batch
from daemon.ports import Reader

READ_SECONDS = 1.0
# So many that are taken in as columns take two or three milliseconds; where records are looked at one by one,
# one window takes as long.
WINDOWS_A_TURN = 20
# What is gathered for a batch is there this long before the batch is due.
SPARE_SECONDS = 0.02


class Source:
    """Batches of one partition, in order.

    A batch is given out when it is full or when its first record has waited for `linger_seconds`; while
    nobody asks for it, it goes on growing up to its limits, and then reading stops. All sources share the
    `turn`: of all that is done for a batch filling takes longest, and it can wait; an answer that has come
    should not, and each step of a transaction is one.
    """

    def __init__(self, reader: Reader, filling: Filling, linger_seconds: float, turn: asyncio.Lock) -> None:
        self._reader = reader
        self._filling = filling
        self._linger_seconds = linger_seconds
        self._turn = turn
        self._arrived = asyncio.Event()
        self._full = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._begun_at = 0.0
        self._ready: deque[Batch] = deque()

    async def fill(self) -> None:
        """Read for ever, as long as there is room."""
        windows = 0
        while True:
            await self._room.wait()
            records = await self._reader.read_bare(min(max(self._filling.room, 1), WINDOW), READ_SECONDS)
            if self._filling.empty:
                self._begun_at = asyncio.get_running_loop().time()
            async with self._turn:
                if windows >= WINDOWS_A_TURN:
                    # Nothing else may have paused: what has been fetched is given out at once.
                    await asyncio.sleep(0)
                    windows = 0
                windows += self._take_in(records)
                # The next ones are made where these were, as long as the processor has that at hand.
                del records

    def _take_in(self, records: Sequence[BareRecord]) -> int:
        """Sort records into the batch; says how many windows in columns would have taken as long."""
        in_columns = False
        if records:
            in_columns = self._filling.add(records)
        else:
            self._filling.pass_over(self._reader.position(self._filling.partition))
        self._note()
        return 1 if in_columns else WINDOWS_A_TURN

    def _note(self) -> None:
        if not self._filling.empty:
            self._arrived.set()
        if self._filling.full:
            self._full.set()
            self._room.clear()
        # For so long it makes no difference when the next records are read.
        is_hurried = self._filling.empty or self._filling.full
        unhurried_seconds = 0.0 if is_hurried else max(self._lingering() - SPARE_SECONDS, 0.0)
        # Before anybody else has a turn: the reader asks for more as soon as it can.
        self._reader.may_gather(self._filling.missing_bytes // 4, unhurried_seconds)

    def due(self, others: int = 0) -> Batch | None:
        """The batch that `next` would give out after so many others, and will; None where it would wait."""
        is_due = self._arrived.is_set() and (self._full.is_set() or self._lingering() <= 0)
        if len(self._ready) == others and is_due:
            self._ready.append(self._cut())
        return self._ready[others] if len(self._ready) > others else None

    async def soon(self, seconds: float) -> None:
        """Wait until the batch is full, if at the pace so far it is within so many seconds."""
        so_far_seconds = asyncio.get_running_loop().time() - self._begun_at
        if not self._filling.empty and so_far_seconds * self._filling.missing_share <= seconds:
            await pause(seconds, self._full)

    async def next(self) -> Batch:
        """Wait for the next batch."""
        if not self._ready:
            await self._arrived.wait()
            if (left := self._lingering()) > 0:
                await pause(left, self._full)
        return self._ready.popleft() if self._ready else self._cut()

    def _lingering(self) -> float:
        """For how many seconds yet the batch may wait for more."""
        return self._begun_at + self._linger_seconds - asyncio.get_running_loop().time()

    def _cut(self) -> Batch:
        batch = self._filling.take()
        self._arrived.clear()
        self._full.clear()
        self._room.set()
        self._begun_at = asyncio.get_running_loop().time()
        self._note()
        return batch


@asynccontextmanager
async def filled(
    source: Source, until: asyncio.Event, at_rest: Callable[[], Awaitable[None]]
) -> AsyncIterator[AsyncIterator[Batch]]:
    """The source's batches, until the event is set; reading goes on while they are used.

    `at_rest` is done once whenever no batch has come for `REST_SECONDS`.

    Raises:
        Held, Transient: what the reader raises, once the batches before it have been given out; what
            `at_rest` raises.
    """
    filler = asyncio.ensure_future(source.fill())
    ending = asyncio.ensure_future(until.wait())
    try:
        yield _batches(source, filler, ending, at_rest)
    finally:
        for task in (filler, ending):
            task.cancel()
        await asyncio.wait({filler, ending})


async def _batches(
    source: Source,
    filler: asyncio.Future[Any],
    ending: asyncio.Future[Any],
    at_rest: Callable[[], Awaitable[None]],
) -> AsyncIterator[Batch]:
    while not ending.done():
        asked = asyncio.ensure_future(source.next())
        awaited = (asked, filler, ending)
        try:
            done, _ = await asyncio.wait(awaited, timeout=REST_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                await at_rest()
                await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if ending.done():
                return
            if not asked.done():
                filler.result()
            yield await asked
        finally:
            asked.cancel()
