"""What the replicas' metrics say while the demo runs."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import httpx
from rich.console import Console
from rich.live import Live
from rich.table import Table

from tests.system.processes import Replica, Scrape

LINE_SECONDS: Final = 2.0
LOOK_SECONDS: Final = 0.25
BOUNDS: Final = ("0.25", "0.5", "1.0", "2.0", "5.0", "10.0", "30.0", "60.0")
LATENCY: Final = "tolokad_result_latency_seconds_bucket"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All replicas together, at one moment.

    Attributes:
        seconds: since the first record was sent.
        sent: records in the input topic.
        accepted: items that Toloka has taken.
        open: items whose result is still to come.
        results: results published.
        dead_letters: records that cannot be submitted.
        due: outcomes that are to come of what was sent.
        latency: the bound below which half, and 99 in 100, of the results were published; None for none yet.
    """

    seconds: float
    sent: int
    accepted: int
    open: int
    results: int
    dead_letters: int
    latency: tuple[str, str] | None
    due: int = 0

    @classmethod
    def of(cls, seconds: float, sent: int, scrapes: Sequence[Scrape], due: int = 0) -> Self:
        """Add the replicas' metrics up."""

        def total(name: str) -> int:
            return int(sum(scrape(name) for scrape in scrapes))

        accepted, results = total("tolokad_items_submitted_total"), total("tolokad_results_published_total")
        dead = total("tolokad_items_dead_lettered_total")
        still = due - results - dead if due else accepted - results
        return cls(seconds, sent, accepted, max(still, 0), results, dead, _latency(scrapes), due)

    @property
    def done(self) -> bool:
        """Whether each record has its outcome."""
        return self.results + self.dead_letters >= (self.due or self.sent) > 0

    @property
    def rate(self) -> float:
        """Outcomes a second, from the beginning."""
        return (self.results + self.dead_letters) / self.seconds if self.seconds else 0.0

    def cells(self) -> tuple[tuple[str, str], ...]:
        """Names and numbers, for people."""
        half, most = self.latency or ("-", "-")
        return (
            ("sent", f"{self.sent:,}"),
            ("accepted", f"{self.accepted:,}"),
            ("open", f"{self.open:,}"),
            ("results", f"{self.results:,}"),
            ("dead letters", f"{self.dead_letters:,}"),
            ("items/s", f"{self.rate:,.0f}"),
            ("finished to published", f"half within {half} s, 99 % within {most} s"),
        )

    def line(self) -> str:
        """One plain line."""
        return f"{self.seconds:5.1f} s  " + ", ".join(f"{name} {shown}" for name, shown in self.cells())

    def table(self) -> Table:
        """The same for a terminal."""
        table = Table(title=f"{self.seconds:.1f} s", title_justify="left", show_header=False)
        for name, shown in self.cells():
            table.add_row(name, shown)
        return table


class Board:
    """Shows how things stand: in place on a terminal, else a line from time to time."""

    def __init__(self, console: Console, replicas: Sequence[Replica]) -> None:
        self._console = console
        self._replicas = replicas
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._began = time.monotonic()
        self._next_line = 0.0

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    async def until_done(self, sent: int, due: int, seconds: float) -> bool:
        """Show until all outcomes that are due have come; False where it takes longer than that."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            snapshot = await self._look(sent, due)
            self._show(snapshot, last=snapshot.done)
            if snapshot.done:
                return True
            await asyncio.sleep(LOOK_SECONDS)
        return False

    async def show_sending(self, sent: int) -> None:
        """Show how things stand while records are still being sent."""
        self._show(await self._look(sent), last=False)

    async def _look(self, sent: int, due: int = 0) -> Snapshot:
        scrapes = await asyncio.gather(*(_scrape(replica) for replica in self._replicas))
        seconds = time.monotonic() - self._began
        return Snapshot.of(seconds, sent, [found for found in scrapes if found], due)

    def _show(self, snapshot: Snapshot, *, last: bool) -> None:
        if self._live is not None:
            self._live.update(snapshot.table(), refresh=True)
        elif last or snapshot.seconds >= self._next_line:
            self._next_line = snapshot.seconds + LINE_SECONDS
            self._console.print(snapshot.line(), highlight=False, soft_wrap=True)


async def _scrape(replica: Replica) -> Scrape | None:
    """A replica that was too busy to answer is left out of one look."""
    try:
        return await replica.scrape()
    except httpx.TransportError:
        return None


def _latency(scrapes: Sequence[Scrape]) -> tuple[str, str] | None:
    below = {bound: sum(scrape(LATENCY, le=bound) for scrape in scrapes) for bound in (*BOUNDS, "+Inf")}
    count = below["+Inf"]
    if not count:
        return None

    def bound_of(share: float) -> str:
        return next((f"{float(bound):g}" for bound in BOUNDS if below[bound] >= share * count), "60+")

    return bound_of(0.5), bound_of(0.99)
