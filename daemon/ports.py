"""What the flows expect of the world: Kafka, Toloka and time. Edges fit these; so do test doubles.

Every method that talks to the outside is bounded in time and raises only errors of `daemon.errors`.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Protocol

from daemon.model import (
    BareRecord,
    Committed,
    Created,
    Cursor,
    Deadline,
    Finished,
    Intent,
    Item,
    NotNow,
    Outcome,
    Page,
    Record,
    Sight,
    Tally,
    Transaction,
    UnknownCursor,
)


class Clock(Protocol):
    """Time that a flow reads; it sleeps with `asyncio.sleep`."""

    def elapsed(self) -> float:
        """Seconds since some moment, counting those that the machine was suspended (CLOCK_BOOTTIME)."""

    def wall(self) -> float:
        """Seconds since 1970 by the machine's own clock, which may be wrong or jump."""


class TolokaClock(Protocol):
    """Toloka's clock: its last `Date` header, carried on by `Clock.elapsed`."""

    def now(self) -> datetime:
        """The time at Toloka; the machine's own until Toloka has answered once."""


# --- Kafka ---------------------------------------------------------------------------------------------


class Reader(Protocol):
    """Reads partitions of one topic, committed records only, from offsets it was given."""

    async def read(self, max_records: int, max_wait_seconds: float) -> Sequence[Record]:
        """The next records, at most `max_records`; empty when none came in time.

        It may be empty sooner where the position has moved: what lay before it was not for readers.

        Raises:
            Held: `offset_out_of_range`, the offset is not in the log.
            Transient: the reader has failed and must be opened anew.
        """

    async def read_bare(self, max_records: int, max_wait_seconds: float) -> Sequence[BareRecord]:
        """As `read`, of one partition alone, and empty only when none came in time.

        To say of each record where it stands would double the time.
        """

    def may_gather(self, max_bytes: int, max_wait_seconds: float) -> None:
        """Until the next read: what comes need not be given out at once, but all together.

        That is, when so many bytes have come or so many seconds have passed; 0 seconds take it back. Records
        that come a few at a time would else be asked for a few at a time.
        """

    def position(self, partition: int) -> int:
        """The next offset to be read; what is not for readers (aborted, control) lies behind it."""


class Writer(Protocol):
    """A started transactional producer: it has fenced its predecessors and waited for their end."""

    async def transact(self, transaction: Transaction) -> None:
        """Write all of it, or nothing.

        Raises:
            Fenced: another owner has started since, or the broker ended a transaction late.
            Held: `not_permitted`, naming what is denied; `too_large` for a record.
            Transient: it failed or nobody knows; this writer must not be used again.
        """

    async def seal(self, partitions: Collection[tuple[str, int]], group: str | None = None) -> None:
        """Commit an empty transaction over these partitions, and over a group's offsets.

        A broker that restarts may forget to carry out the end of a transaction that it has answered for
        (seen with Kafka 4.3.1): records and offsets stay undecided for good, and whoever waits for what is
        certain waits for ever, until the same transactional id ends another transaction there. This ends
        it: at the start, for predecessors, and when there has been nothing to write for a while.

        Raises:
            Fenced, Held, Transient: as `transact`.
        """


class Kafka(Protocol):
    """A cluster."""

    def reader(self, topic: str, offsets: Mapping[int, int]) -> AbstractAsyncContextManager[Reader]:
        """Read these partitions from these offsets."""

    def writer(self, transactional_id: str) -> AbstractAsyncContextManager[Writer]:
        """Start a transactional producer; entering returns once every predecessor is fenced."""

    async def committed(
        self, group: str, topic: str, partitions: Collection[int], *, stable: bool = True
    ) -> Mapping[int, Committed]:
        """A group's committed offset and metadata for each of these partitions.

        Asks on while the coordinator is loading: a partition that is left out of an answer is unknown.
        `stable` waits for transactions that may still change an offset; else it is the one from before them.
        """

    async def partitions(self, topic: str) -> frozenset[int]:
        """The numbers of a topic's partitions, those without a leader too; raises as `start_offsets`."""

    async def start_offsets(self, topic: str, partitions: Collection[int] = ()) -> Mapping[int, int]:
        """The first offset of each partition's log, of these partitions; of all where none are named.

        Raises:
            Held: `not_permitted`.
            Transient: Kafka cannot say now, or does not show one of them; as `NoTopic` where it knows no such
                topic.
        """

    async def end_offsets(self, topic: str, partitions: Collection[int] = ()) -> Mapping[int, int]:
        """The high watermark of each partition: behind open transactions, too; raises as `start_offsets`."""

    async def stable_offsets(self, topic: str) -> Mapping[int, int]:
        """Where readers of each partition stop: at its oldest open transaction, else at its end."""

    async def offsets_at(self, topic: str, time_ms: int) -> Mapping[int, int]:
        """The first offset of each partition that is not older than a time; its end where all are older."""


class Membership(Protocol):
    """A place in a consumer group that shares out one topic's partitions."""

    def assignments(self) -> AsyncGenerator[frozenset[int], None]:
        """Our partitions, each time the group has decided."""

    async def confirm(self) -> bool:
        """Ask the group now whether it still counts on us as we last heard."""


# --- Toloka --------------------------------------------------------------------------------------------


# Whether an item is one of those that are asked for.
Wanted = Callable[[Created], bool]


class Submissions(Protocol):
    """The side of Toloka that takes items in, over a connection of its own; a way has one or two of them."""

    def resume(self, tally: Tally) -> None:
        """Count what the partition's way had submitted before, as far as it was today."""

    async def ready(self, count: int) -> NotNow | None:
        """Wait for a place under the limits for `count` items and see that Toloka answers at all.

        Waits for some seconds at most; a longer wait is a `NotNow`.
        """

    async def submit(self, items: Sequence[Item], intent: Intent, deadline: Deadline) -> Outcome:
        """Send one bulk request, once; past the deadline it is not finished and no answer awaited.

        May be called again for the same items with an intent that says `once`: then whatever was carried out
        under its attempt is what the outcome tells, except that a no which is not `over` speaks of this
        request only.
        """

    async def created(
        self,
        since: datetime,
        until: datetime | None,
        within: timedelta | None = None,
        wanted: Wanted | None = None,
    ) -> Sequence[Created]:
        """Every item created in this time, by anyone, each once.

        Args:
            since: the earliest.
            until: the latest; None for all that come after.
            within: what was created so shortly before the newest item of all is among them, too: the clock
                that items are created by may be far behind the one that answers are dated by.
            wanted: anything else is left out, and never all in memory: in days a million may be created.

        Raises:
            Held: `listing_failed`: Toloka does not answer the question, or refuses to.
        """


# Whether the result of the item with this id is published.
Known = Callable[[str], bool]


class Results(Protocol):
    """The side of Toloka that gives finished items out."""

    async def tail(self, cursor: Cursor, limit: int) -> Page | UnknownCursor | NotNow:
        """What finished after the cursor, oldest first."""

    def finished(
        self, since: datetime, until: datetime, known: Known | None = None
    ) -> AsyncIterator[Sequence[Finished]]:
        """Everything that finished in this time, whatever the order of ties, each at least once.

        Items that are `known` may be left out, and a sequence may be empty then.

        Raises:
            Held: `listing_failed`.
        """

    def created_items(self, since: datetime, until: datetime) -> AsyncGenerator[Mapping[str, Sight], None]:
        """The items created in this time, by anyone, whatever their status, by id; a page, and request, each.

        Some or all may be missing where a listing does not show what is to be known of them.

        Raises:
            Held: `listing_failed`.
        """

    @property
    def requests_by_id(self) -> int:
        """How many requests a look at one item by its id takes, about."""

    async def by_id(self, item_ids: Collection[str]) -> Mapping[str, Sight | None]:
        """These items, whatever their status; None for one that Toloka does not know.

        They are asked for in this order, up to the first of which Toloka does not say anything: that one and
        those behind it are left out.

        Raises:
            Held: `listing_failed`: of the first.
        """
