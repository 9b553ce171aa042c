"""The words of tolokad as frozen data: items, batches, intents, what a submission comes to, results.

Times are aware `datetime`s in UTC; where Kafka says milliseconds, the name does.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import NamedTuple, Protocol, overload

import msgspec

Headers = Sequence[tuple[str, bytes | None]]


class Record(Protocol):
    """A record as it was read from Kafka; the client's own record type fits it as it is."""

    @property
    def topic(self) -> str: ...  # noqa: D102 - Kafka's own words
    @property
    def partition(self) -> int: ...  # noqa: D102 - as above
    @property
    def offset(self) -> int: ...  # noqa: D102 - as above
    @property
    def timestamp(self) -> int:
        """Milliseconds since 1970."""
        ...

    @property
    def key(self) -> bytes | None: ...  # noqa: D102 - as above
    @property
    def value(self) -> bytes | None: ...  # noqa: D102 - as above
    @property
    def headers(self) -> Headers: ...  # noqa: D102 - as above


class Item(msgspec.Struct, frozen=True, gc=False):
    """One thing to moderate: its record, the bytes that are sent for it, and their content hash.

    `identified` where tolokad gave it an id of its own, so that no other item can have its content;
    `wanted` results are awaited of it, 0 where it is Toloka that decides when there are enough.
    A struct, for one is made per record on the hot path.
    """

    record: Record
    body: bytes
    content_hash: int
    identified: bool = False
    wanted: int = 1


class Flaw(NamedTuple):
    """Why a record cannot be submitted: a code, a sentence, and Toloka's request id if it said so."""

    code: str
    message: str
    request_id: str | None = None

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class DeadLetter(NamedTuple):
    """An input record that cannot be submitted, with the reason."""

    record: Record
    flaw: Flaw


@dataclass(frozen=True, slots=True)
class Batch:
    """A contiguous offset range `[first, end)` of one input partition, sorted into what becomes of it.

    `items` are still to be sent; `adopted` are those that Toloka is known to have, with their ids.
    `since` is set once the range has been in doubt: when it was first attempted, by Toloka's clock. Of a
    piece of such a range, `doubt_end` is where that range ends. `oldest` is when the first of the adopted was
    created: of equal content, there may be some from before this range was attempted.
    """

    topic: str
    partition: int
    first: int
    end: int
    items: tuple[Item, ...]
    dead_letters: tuple[DeadLetter, ...] = ()
    skipped: int = 0
    adopted: tuple[tuple[Item, str], ...] = ()
    since: datetime | None = None
    doubt_end: int = 0
    oldest: datetime | None = None

    @property
    def has_doubt_behind(self) -> bool:
        """Whether what lies behind this range has been in doubt along with it."""
        return self.doubt_end > self.end

    def without(self, culprits: Mapping[int, Flaw]) -> "Batch":
        """The same range; the items at these indexes have become dead letters."""
        kept = tuple(item for index, item in enumerate(self.items) if index not in culprits)
        dead = tuple(DeadLetter(self.items[index].record, flaw) for index, flaw in culprits.items())
        return replace(self, items=kept, dead_letters=(*self.dead_letters, *dead))

    def adopting(self, ids: Mapping[int, str], created: Iterable[datetime] = ()) -> "Batch":
        """The same range; Toloka has the items at these indexes under these ids, `created` at these times."""
        kept = tuple(item for index, item in enumerate(self.items) if index not in ids)
        adopted = tuple((self.items[index], item_id) for index, item_id in ids.items())
        oldest = min((*created, *filter(None, [self.oldest])), default=None)
        return replace(self, items=kept, adopted=(*self.adopted, *adopted), oldest=oldest)

    def divided(self, ids: Mapping[int, str], culprits: Mapping[int, Flaw]) -> "Batch":
        """The same range; Toloka has the items at some indexes, and others have become dead letters."""
        rest = self.accounted({*ids, *culprits})
        return replace(
            rest,
            adopted=self.adopting(ids).adopted,
            dead_letters=self.without(culprits).dead_letters,
        )

    def recorded(self) -> "Batch":
        """The same range; what was adopted is in the ledger now."""
        return replace(self, adopted=(), oldest=None)

    def accounted(self, indexes: Collection[int]) -> "Batch":
        """The same range; the ledger knows these items already, so that nothing is written for them."""
        return replace(self, items=tuple(it for index, it in enumerate(self.items) if index not in indexes))

    def split(self, count: int) -> "tuple[Batch, Batch]":
        """Cut behind the first `count` items: two batches whose ranges meet.

        What is already decided goes with the side its offset lies on; `skipped` is counted on the second.
        """
        middle = self.items[count].record.offset
        early = replace(self._between(self.first, middle), items=self.items[:count], skipped=0)
        return early, replace(self._between(middle, self.end), items=self.items[count:])

    def _between(self, first: int, end: int) -> "Batch":
        dead = tuple(letter for letter in self.dead_letters if first <= letter.record.offset < end)
        adopted = tuple(pair for pair in self.adopted if first <= pair[0].record.offset < end)
        doubt_end = 0 if self.since is None else max(self.doubt_end, self.end)
        return replace(self, first=first, end=end, dead_letters=dead, adopted=adopted, doubt_end=doubt_end)


@dataclass(frozen=True, slots=True)
class Intent:
    """The note, written before a batch is sent, that it is about to be.

    Attributes:
        attempt: a UUID; every attempt has its own.
        end: the offset behind the batch's last record.
        since: when the range was first attempted, by Toloka's clock.
        at: when this attempt was announced, by Toloka's clock.
        once: Toloka carries this attempt out once at most, however often it is sent.
        first: the batch's first offset: that which the intent is committed at.
        doubt_end: of an attempt at a piece of a range that has been in doubt, where that range ends.
        decided: an operator has decided that what is left of the range is sent again.
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
    decided: bool = False
    doubted: bool = False
    claiming: bool = False

    @property
    def reach(self) -> int:
        """The offset behind everything that it leaves in doubt."""
        return max(self.end, self.doubt_end)


class Tally(NamedTuple):
    """How many items one partition's way has submitted in a day (UTC, by Toloka's clock)."""

    day: date
    items: int

    def more(self, day: date, items: int) -> "Tally":
        """With so many more on this day; another day begins at nothing."""
        return Tally(day, (self.items if day == self.day else 0) + items)


@dataclass(frozen=True, slots=True)
class Committed:
    """A group's committed offset for a partition, with its metadata; `offset` -1 means none."""

    offset: int
    metadata: str


# --- what a submission can come to -------------------------------------------------------------------


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

    Attributes:
        reason: one of `daemon.metrics.HOLD_REASONS`.
        detail: a sentence for the operator.
        wait_seconds: how long Toloka asked to wait, if it did.
        over: it ends the attempt, and not only the request: see `Intent.once`.
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


# --- what is known of items at Toloka -------------------------------------------------------------------


class Created(NamedTuple):
    """An item that Toloka has, as a listing by creation time shows it; `wanted` as in `Item`."""

    item_id: str
    created_at: datetime
    content_hash: int
    status: str
    wanted: int = 1


class Finished(msgspec.Struct, frozen=True, gc=False):
    """An item as Toloka returned it, or one of several results of an item.

    `raw` is what a result says of it: members of a JSON object, byte for byte. `finished_at` is missing while
    it is unfinished, and on some ends. `share` names the result where an item can have several. An `echo` was
    shown before, with an earlier status: who does not find its item open need not wait for it.
    """

    item_id: str
    status: str
    created_at: datetime
    finished_at: datetime | None
    content_hash: int
    raw: bytes
    share: str = ""
    echo: bool = False

    @property
    def bookmark(self) -> str:
        """What a cursor behind it is called."""
        return self.share or self.item_id


class Sight(NamedTuple):
    """What a look at an item by its id shows: what it is doing, and its results so far.

    `over` where certainly no further result will come.
    """

    status: str
    content_hash: int
    results: tuple[Finished, ...]
    over: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of a listing, in its order; `known` where all in it is: of that, ids alone were read."""

    items: tuple[Finished, ...]
    has_more: bool
    known: bool = False


@dataclass(frozen=True, slots=True)
class UnknownCursor:
    """Toloka does not know the cursor's item any more: it was deleted or archived."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A bookmark in the stream of finished items; `item_id` is missing before the first one.

    What finished before `looked_until` was looked at twice; None where that reaches to the bookmark. Equal
    bookmarks stand at the same place, however far the second looks have come.
    """

    item_id: str | None
    finished_at: datetime
    published: int = 0
    looked_until: datetime | None = field(default=None, compare=False)

    @property
    def second_look_from(self) -> datetime:
        """Where the next second look begins, less the overlap."""
        return self.looked_until or self.finished_at


# --- what is written to Kafka --------------------------------------------------------------------------


class Append(msgspec.Struct, frozen=True, gc=False):
    """A record to be written."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int | None = None


class Column(msgspec.Struct, frozen=True, gc=False):
    """Many records without headers for one partition: so many keys, and a value for each."""

    topic: str
    partition: int
    keys: Sequence[bytes]
    values: Sequence[bytes]

    def each(self) -> Iterator[Append]:
        """The records one by one."""
        rows = zip(self.keys, self.values, strict=True)
        return (Append(self.topic, self.partition, key, value) for key, value in rows)


class Appends(Sequence[Append]):
    """Records to be written, in their order, some of them in columns: those need no object each.

    Args:
        parts: of which it consists.
    """

    def __init__(self, parts: Sequence[Append | Column]) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[Append]:
        for part in self.parts:
            if isinstance(part, Column):
                yield from part.each()
            else:
                yield part

    def __len__(self) -> int:
        return sum(len(part.keys) if isinstance(part, Column) else 1 for part in self.parts)

    @overload
    def __getitem__(self, index: int) -> Append: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Append]: ...
    def __getitem__(self, index: int | slice) -> Append | Sequence[Append]:
        return tuple(self)[index]


@dataclass(frozen=True, slots=True)
class OffsetCommit:
    """A group's offset to be committed with its metadata."""

    group: str
    topic: str
    partition: int
    offset: int
    metadata: str


@dataclass(frozen=True, slots=True)
class Transaction:
    """Everything that becomes visible together, or not at all; `kind` labels its metrics."""

    kind: str
    appends: Sequence[Append] = field(default=())
    offset: OffsetCommit | None = None
