"""Records, the items in them, and batches: what becomes of each record of a range of offsets."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

import msgspec

Headers = Sequence[tuple[str, bytes | None]]
# Content hash, results wanted, pool: what an item has in common with all that Toloka shows just as it.
Likeness = tuple[int, int, str]
# An item that is adopted may have been created so long before the first attempt that it is taken to be of.
OLDER = timedelta(minutes=3)


class BareRecord(Protocol):
    """A record of a partition that its reader knows; what the client makes of it fits this as it is."""

    @property
    def offset(self) -> int: ...  # noqa: D102 - Kafka's own words
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


class Record(BareRecord, Protocol):
    """A record, and where it stands."""

    @property
    def topic(self) -> str: ...  # noqa: D102 - as above
    @property
    def partition(self) -> int: ...  # noqa: D102 - as above


class PlacedRecord(msgspec.Struct, frozen=True, gc=False):
    """A `Record`. A struct, for there may be one for each that is read: that takes half of a tuple's time."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @classmethod
    def of(cls, topic: str, partition: int, record: BareRecord) -> "PlacedRecord":
        """A bare record, and where it stands."""
        return cls(
            topic, partition, record.offset, record.timestamp, record.key, record.value, record.headers
        )


class Item(msgspec.Struct, frozen=True, gc=False):
    """One thing to moderate: its record, the bytes that are sent for it, and their content hash.

    A struct, for one is made per record on the hot path.

    Attributes:
        content_hash: of its canonical JSON, 64 bits; see `daemon.content.content_hash`.
        identified: tolokad gave it an id of its own, so that no other item can have its content.
        wanted: how many results are awaited of it; 0 where it is Toloka that decides when there are enough.
        pool: where it goes at Toloka; empty where there is only one place.
    """

    record: BareRecord
    body: bytes
    content_hash: int
    identified: bool = False
    wanted: int = 1
    pool: str = ""

    @property
    def likeness(self) -> Likeness:
        """See `Likeness`."""
        return self.content_hash, self.wanted, self.pool


class Flaw(NamedTuple):
    """Why a record cannot be submitted: a code, a sentence, and Toloka's request id if it said so."""

    code: str
    message: str
    request_id: str | None = None

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class DeadLetter(NamedTuple):
    """An input record that cannot be submitted, with the reason.

    `item_id` where Toloka had taken it, under this id, and it has no result all the same.
    """

    record: Record
    flaw: Flaw
    item_id: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """A contiguous offset range `[first, end)` of one input partition, sorted into what becomes of it.

    Attributes:
        items: still to be sent, in the order of their offsets.
        dead_letters: its records that cannot be sent.
        skipped: how many tombstones there were.
        adopted: items that Toloka is known to have and the ledger does not, with their ids there.
        since: when the range was first attempted, by Toloka's clock; None unless it has been in doubt.
        doubt_end: as in `Intent`.
        doubt_at: as in `Intent`.
        oldest: when the first of the adopted was created: of equal content, there may be some from before
            this range was attempted.
        known: how many of its records the ledger has already.
        possible: of a range that a predecessor attempted, what it may have sent, by other checks, of records
            that are dead letters today.
    """

    topic: str
    partition: int
    first: int
    end: int
    items: Sequence[Item]
    dead_letters: tuple[DeadLetter, ...] = ()
    skipped: int = 0
    adopted: tuple[tuple[Item, str], ...] = ()
    since: datetime | None = None
    doubt_end: int = 0
    doubt_at: datetime | None = None
    oldest: datetime | None = None
    known: int = 0
    possible: tuple[Item, ...] = ()

    @property
    def identified(self) -> bool:
        """Whether tolokad gave each of its items an id: then no item of anybody else can be taken for one."""
        return all(item.identified for item in self.items)

    @property
    def has_doubt_behind(self) -> bool:
        """Whether what lies behind this range has been in doubt along with it."""
        return self.doubt_end > self.end

    @property
    def reaches_back_to(self) -> datetime | None:
        """`since`, or earlier, where the clock that items are created by is far behind that of the attempts.

        What the ledger is given of the range is told by it from what another range had of the same offsets.
        """
        if self.since is None or self.oldest is None:
            return self.since
        return min(self.since, self.oldest + OLDER)

    def without(self, culprits: Mapping[int, Flaw]) -> "Batch":
        """The same range; the items at these indexes have become dead letters."""
        kept = tuple(item for index, item in enumerate(self.items) if index not in culprits)
        dead = [
            DeadLetter(PlacedRecord.of(self.topic, self.partition, self.items[index].record), flaw)
            for index, flaw in culprits.items()
        ]
        return replace(self, items=kept, dead_letters=(*self.dead_letters, *dead))

    def adopting(self, ids: Mapping[int, str], created: Iterable[datetime] = ()) -> "Batch":
        """The same range; Toloka has the items at these indexes under these ids, `created` at these times."""
        kept = tuple(item for index, item in enumerate(self.items) if index not in ids)
        adopted = tuple((self.items[index], item_id) for index, item_id in ids.items())
        oldest = min((*created, *filter(None, [self.oldest])), default=None)
        return replace(self, items=kept, adopted=(*self.adopted, *adopted), oldest=oldest)

    def divided(self, ids: Mapping[int, str], culprits: Mapping[int, Flaw]) -> "Batch":
        """The same range; Toloka has the items at some indexes, and others have become dead letters."""
        told = {*ids, *culprits}
        kept = tuple(item for index, item in enumerate(self.items) if index not in told)
        return replace(self.adopting(ids), items=kept, dead_letters=self.without(culprits).dead_letters)

    def recorded(self) -> "Batch":
        """The same range; what was adopted is in the ledger now."""
        known = self.known + len(self.adopted)
        return replace(self, adopted=(), since=self.reaches_back_to, oldest=None, known=known)

    def besides(self, offsets: Collection[int]) -> "Batch":
        """The same range; the ledger has the records at these offsets, whatever they look like today."""
        kept = tuple(item for item in self.items if item.record.offset not in offsets)
        dead = tuple(letter for letter in self.dead_letters if letter.record.offset not in offsets)
        gone = len(self.items) - len(kept) + len(self.dead_letters) - len(dead)
        return replace(self, items=kept, dead_letters=dead, known=self.known + gone)

    def with_possible(self) -> "Batch":
        """The same range; what may have been sent is looked for along with what is to be sent."""
        dead = {letter.record.offset for letter in self.dead_letters}
        return replace(self, items=(*self.items, *(i for i in self.possible if i.record.offset in dead)))

    def without_possible(self) -> "Batch":
        """The same range, after `with_possible`; of what may have been sent, what was not adopted was not."""
        possible = {item.record.offset for item in self.possible}
        adopted = {item.record.offset for item, _ in self.adopted}
        kept = tuple(item for item in self.items if item.record.offset not in possible)
        dead = tuple(letter for letter in self.dead_letters if letter.record.offset not in adopted)
        return replace(self, items=kept, dead_letters=dead)

    def split(self, count: int) -> "tuple[Batch, Batch]":
        """Cut behind the first `count` items: two batches whose ranges meet.

        What is already decided goes with the side its offset lies on; `skipped` and `known` are counted on
        the second.
        """
        middle = self.items[count].record.offset
        early = replace(self._between(self.first, middle), items=self.items[:count], skipped=0, known=0)
        return early, replace(self._between(middle, self.end), items=self.items[count:])

    def _between(self, first: int, end: int) -> "Batch":
        dead = tuple(letter for letter in self.dead_letters if first <= letter.record.offset < end)
        adopted = tuple(pair for pair in self.adopted if first <= pair[0].record.offset < end)
        doubt_end = 0 if self.since is None else max(self.doubt_end, self.end)
        # What lies behind the first half now may be sent yet.
        return replace(
            self, first=first, end=end, dead_letters=dead, adopted=adopted, doubt_end=doubt_end, doubt_at=None
        )
