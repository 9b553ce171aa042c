"""Attempts to submit: what is written down of them, how long they may take, what they can come to."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import NamedTuple

from daemon.model.items import Batch, Flaw


@dataclass(frozen=True, slots=True)
class Intent:
    """The note, written before a batch is sent, that it is about to be.

    Attributes:
        attempt: a UUID; every attempt has its own.
        end: the offset behind the batch's last record.
        since: when the range was first attempted, by Toloka's clock; see `Batch.reaches_back_to`.
        at: when this attempt was announced, by Toloka's clock.
        once: Toloka carries this attempt out once at most, however often it is sent.
        first: the batch's first offset: that which the intent is committed at.
        doubt_end: of an attempt at a piece of a range that has been in doubt, where that range ends; where
            another batch is sent behind this one, that one's end.
        doubt_at: when that other batch was announced; None where nothing else was sent behind.
        decided: what is left of the range is sent again without another look: it is certainly absent, or an
            operator has said so.
        doubted: no answer settles it any more: what became of it is looked for.
        claiming: items are about to be adopted for it whose content other partitions' items may have.
    """

    attempt: str
    end: int
    since: datetime
    at: datetime
    once: bool = False
    first: int = field(default=0, compare=False)
    doubt_end: int = 0
    doubt_at: datetime | None = None
    decided: bool = False
    doubted: bool = False
    claiming: bool = False

    @property
    def reach(self) -> int:
        """The offset behind everything that it leaves in doubt."""
        return max(self.end, self.doubt_end)

    @property
    def last_at(self) -> datetime:
        """When the last of all that it leaves in doubt was announced."""
        return self.at if self.doubt_at is None else max(self.at, self.doubt_at)

    def doubting(self, batch: Batch) -> Batch:
        """The batch with this intent's doubt: since when it has been, and what lies in doubt behind it."""
        return replace(batch, since=self.since, doubt_end=self.doubt_end, doubt_at=self.doubt_at)


class Tally(NamedTuple):
    """How many items one partition's way has submitted in a day (UTC, by Toloka's clock)."""

    day: date
    items: int

    def more(self, day: date, items: int) -> "Tally":
        """With so many more on this day; another day begins at nothing."""
        return Tally(day, (self.items if day == self.day else 0) + items)


@dataclass(frozen=True, slots=True)
class Committed:
    """A group's committed offset for a partition, with its metadata."""

    offset: int
    metadata: str

    @property
    def is_none(self) -> bool:
        """Whether the group has committed none: then the offset is -1."""
        return self.offset < 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """A clear success: `ids[i]` was created for item `i`, all distinct."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Divided:
    """A clear answer item by item: some were created, under these ids, and others are flawed.

    Both by the item's index; an item that is in neither was certainly not created.
    """

    ids: Mapping[int, str]
    culprits: Mapping[int, Flaw]

    def __str__(self) -> str:
        return f"{len(self.ids)} created, {len(self.culprits)} refused"


@dataclass(frozen=True, slots=True)
class Rejected:
    """A clear refusal of the whole request because of some items; nothing was created.

    `culprits` maps an item's index to its flaw; empty where the answer named none, and `flaw` says
    what it did say. `over` where it ends the attempt, and not only the request: see `Intent.once`.
    """

    culprits: Mapping[int, Flaw]
    flaw: Flaw
    over: bool = False

    def __str__(self) -> str:
        return f"{self.flaw}; items named: {len(self.culprits)}"


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The request was refused for its size; nothing was created."""

    flaw: Flaw

    def __str__(self) -> str:
        return str(self.flaw)


@dataclass(frozen=True, slots=True)
class InDoubt:
    """A request was sent and no clear answer came back: it may have been carried out, or still be.

    `listing` where asking again leads nowhere: it was carried out, and only a listing can tell the ids.
    """

    why: str
    listing: bool = False

    def __str__(self) -> str:
        return self.why


@dataclass(frozen=True, slots=True)
class NotNow:
    """A definite no that is not the items' fault; nothing was created.

    `reason` is one of `daemon.metrics.HOLD_REASONS`, `detail` a sentence for the operator, `wait_seconds` how
    long Toloka asked to wait. `over` where it ends the attempt, and not only the request: see `Intent.once`.
    """

    reason: str
    detail: str
    wait_seconds: float | None = None
    over: bool = False

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Deadline:
    """When an attempt is over: so many seconds after it began, by whichever clock has moved further.

    `elapsed` and `wall` are what the clocks showed when it began. A wall clock that was set forward ends
    an attempt early, which costs a new intent; a frozen process cannot overlook its age.
    """

    elapsed: float
    wall: float
    seconds: float

    def left(self, elapsed: float, wall: float) -> float:
        """Seconds that are left, at these times; negative when it is over."""
        return self.seconds - max(elapsed - self.elapsed, wall - self.wall)


Outcome = Accepted | Divided | Rejected | TooLarge | InDoubt | NotNow
