"""The spend guard: what may still be submitted, exact over all replicas and restarts.

Each input partition has one record in a compacted topic of one partition: what it has submitted, and what
its present attempt may add. It is written in the transactions that announce and settle. An attempt goes
ahead only if, read up to its own record, all partitions together stay within the limits: of two attempts
the later one sees the earlier, so the limits hold whatever happens between. An attempt that finds no room is
taken back, and the next is cut to what is left.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import NamedTuple, Protocol

import msgspec
import structlog

from daemon.errors import Held, Transient
from daemon.flows import codec
from daemon.flows.holding import Backoff
from daemon.flows.waiting import pause, unless
from daemon.model import Append, Record
from daemon.ports import Kafka

READ_RECORDS = 1000
READ_SECONDS = 1.0
PARTITION = 0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many items may be submitted in a day by Toloka's clock (UTC), and at all; None for no limit."""

    per_day: int | None
    total: int | None


class Guards(Protocol):
    """The limits as the settings have them."""

    @property
    def items_per_day(self) -> int | None: ...  # noqa: D102 - the settings' own words
    @property
    def items_total(self) -> int | None: ...  # noqa: D102 - as above
    @property
    def money_per_day(self) -> Decimal | None: ...  # noqa: D102 - as above
    @property
    def money_total(self) -> Decimal | None: ...  # noqa: D102 - as above


def item_limits(guards: Guards, price: Decimal | None) -> Limits | None:
    """All limits as numbers of items, money by the price of one; None where there is none."""

    def fewest(items: int | None, money: Decimal | None) -> int | None:
        affordable = int(money / price) if money is not None and price else None
        return min((limit for limit in (items, affordable) if limit is not None), default=None)

    limits = Limits(
        fewest(guards.items_per_day, guards.money_per_day), fewest(guards.items_total, guards.money_total)
    )
    return None if limits == Limits(None, None) else limits


class Spent(NamedTuple):
    """One partition's record.

    Attributes:
        total: items submitted, ever since there was a limit.
        day: the day of the last attempt, as `2026-11-24`.
        today: items submitted on that day.
        reserved: what the attempt that stands may add to both.
        attempt: its name.
    """

    total: int = 0
    day: str = ""
    today: int = 0
    reserved: int = 0
    attempt: str = ""

    def on(self, day: str) -> int:
        """What counts for a day."""
        return self.today + self.reserved if day == self.day else 0


def spent_value(spent: Spent) -> bytes:
    """The value of a partition's record."""
    return msgspec.json.encode({"v": codec.VERSION, **spent._asdict()})


def read_spent(value: bytes | None) -> Spent:
    """The record in a value; of a tombstone, nothing spent.

    Raises:
        Held: `budget`: it is damaged, or of a newer release.
    """
    if value is None:
        return Spent()
    try:
        fields = msgspec.json.decode(value)
        if not 1 <= fields.pop("v") <= codec.NEWEST_READABLE:
            raise ValueError("of a newer release")
        return msgspec.convert([fields[name] for name in Spent._fields], Spent)
    except codec.UNREADABLE as error:
        raise Held("budget", f"a record of the budget is unreadable: {error}: {value[:200]!r}") from error


class Budget:
    """One replica's view of the budget topic; `run` keeps it up to date.

    Args:
        kafka: where the topic is.
        topic: of one partition.
        limits: what may be submitted.
        rng: spreads the waits after a failure.
    """

    def __init__(self, kafka: Kafka, topic: str, limits: Limits, rng: Random) -> None:
        self._kafka = kafka
        self._topic = topic
        self._limits = limits
        self._rng = rng
        self._table: dict[bytes, Spent] = {}
        self._awaited: dict[str, asyncio.Future[bool]] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow the topic until the event is set."""
        backoff = Backoff(self._rng)
        while not stopping.is_set():
            try:
                await self._follow(backoff, stopping)
            except (Transient, Held) as failure:
                log.warning("budget_unread", detail=str(failure))
                await pause(backoff.seconds(), stopping)

    async def _follow(self, backoff: Backoff, stopping: asyncio.Event) -> None:
        start = (await self._kafka.start_offsets(self._topic))[PARTITION]
        self._table.clear()
        async with self._kafka.reader(self._topic, {PARTITION: start}) as reader:
            while not stopping.is_set():
                records = await unless(stopping, reader.read(READ_RECORDS, READ_SECONDS))
                self._note(records or ())
                backoff.reset()

    def _note(self, records: Iterable[Record]) -> None:
        for record in records:
            spent = read_spent(record.value)
            self._table[record.key or b""] = spent
            answer = self._awaited.pop(spent.attempt, None)
            if answer is not None and not answer.done():
                answer.set_result(self._fits(spent.day))

    def _fits(self, day: str) -> bool:
        total = sum(each.total + each.reserved for each in self._table.values())
        today = sum(each.on(day) for each in self._table.values())
        return _within(total, self._limits.total) and _within(today, self._limits.per_day)

    async def purse(self, key: bytes) -> "Purse":
        """What a partition has spent; to be asked once its writer has fenced every predecessor.

        Raises:
            Held: `budget`: its record is unreadable.
            Transient: Kafka cannot say now.
        """
        return Purse(self, self._topic, key, (await read_table(self._kafka, self._topic)).get(key, Spent()))

    def expect(self, attempt: str) -> None:
        """The record of this attempt is about to be written."""
        self._awaited[attempt] = asyncio.get_running_loop().create_future()

    async def fits(self, attempt: str, seconds: float) -> bool:
        """Whether an attempt that was written stays within the limits; False if not known in time."""
        answer = self._awaited.get(attempt)
        if answer is None:
            return False
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            return False
        finally:
            self._awaited.pop(attempt, None)

    def room(self, key: bytes, own: Spent, day: str) -> int | None:
        """About how many items a partition may add now; None for any number. `fits` has the last word."""
        others = [spent for name, spent in self._table.items() if name != key]
        today = own.today if own.day == day else 0
        rooms = []
        if self._limits.total is not None:
            rooms.append(self._limits.total - own.total - sum(e.total + e.reserved for e in others))
        if self._limits.per_day is not None:
            rooms.append(self._limits.per_day - today - sum(each.on(day) for each in others))
        return max(min(rooms), 0) if rooms else None


def _within(spent: int, limit: int | None) -> bool:
    return limit is None or spent <= limit


async def read_table(kafka: Kafka, topic: str) -> Mapping[bytes, Spent]:
    """Every partition's record, open transactions waited for.

    Raises:
        Held: `budget`: a record is unreadable.
        Transient: Kafka cannot say now.
    """
    table: dict[bytes, Spent] = {}
    end, start = (await kafka.end_offsets(topic))[PARTITION], (await kafka.start_offsets(topic))[PARTITION]
    async with kafka.reader(topic, {PARTITION: start}) as reader:
        while reader.position(PARTITION) < end:
            for record in await reader.read(READ_RECORDS, READ_SECONDS):
                table[record.key or b""] = read_spent(record.value)
    return table


class Purse:
    """What one partition's way has spent, and what its attempt may; its owner writes what it gives out."""

    def __init__(self, budget: Budget, topic: str, key: bytes, spent: Spent) -> None:
        self._budget = budget
        self._topic = topic
        self._key = key
        self._spent = spent
        # How much of what is reserved was found to fit; of a predecessor's nobody knows.
        self._granted = 0

    def room(self, now: datetime) -> int | None:
        """See `Budget.room`."""
        return self._budget.room(self._key, self._spent, _day(now))

    def reserving(self, attempt: str, items: int, adopted: int, now: datetime) -> Append:
        """The record that goes with an intent: so many items are sent, so many were found to be there."""
        day = _day(now)
        today = self._spent.today if self._spent.day == day else 0
        self._granted = min(self._granted, items)
        if self._granted < items:
            self._budget.expect(attempt)
        total = self._spent.total + adopted
        return self._now(Spent(total, day, today + adopted, items, attempt))

    async def fits(self, attempt: str, seconds: float) -> bool:
        """Whether the attempt that was written may go ahead; one that reserved nothing may not."""
        if self._spent.attempt != attempt:
            return False
        if self._granted < self._spent.reserved:
            if not await self._budget.fits(attempt, seconds):
                return False
            self._granted = self._spent.reserved
        return True

    def settling(self, items: int) -> Append:
        """The record that goes with a settlement: so many items are submitted, and nothing is reserved."""
        self._granted = 0
        spent = self._spent
        return self._now(Spent(spent.total + items, spent.day, spent.today + items))

    def _now(self, spent: Spent) -> Append:
        self._spent = spent
        return Append(self._topic, PARTITION, self._key, spent_value(spent))


def _day(now: datetime) -> str:
    return now.date().isoformat()
