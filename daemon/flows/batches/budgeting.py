"""The spend guard: what may still be submitted, exact over all replicas and restarts.

Each input partition has one record in a compacted topic of one partition: what it has submitted, and what
its present attempt may add. It is written in the transactions that announce and settle. An attempt goes
ahead only if, read up to its own record, all partitions together stay within the limits: of two attempts
the later one sees the earlier, so the limits hold whatever happens between. An attempt that finds no room is
taken back, and the next is cut to what is left.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from random import Random

import structlog

from daemon.flows.batches.spending import Limits, Spent, day_of, read_spent, spent_value
from daemon.flows.keeping_up import PARTITION, Reading, keep_up, until_ends
from daemon.model import Append, Record
from daemon.ports import Kafka

log = structlog.get_logger(__name__)


class Budget:
    """One replica's view of the budget topic; `run` keeps it up to date."""

    def __init__(self, kafka: Kafka, topic: str, limits: Limits, rng: Random) -> None:
        self._kafka = kafka
        self._topic = topic
        self._limits = limits
        self._rng = rng
        self._table: dict[bytes, Spent] = {}
        # By partition, for of each one attempt at most is awaited: what was never written is replaced.
        self._awaited: dict[bytes, tuple[str, asyncio.Future[bool]]] = {}

    @property
    def written(self) -> Sequence[tuple[str, int]]:
        """The partition that every way writes to, and all of them read."""
        return [(self._topic, PARTITION)]

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow the topic until the event is set."""
        reading = Reading(self._table.clear, self._note, lambda why: log.warning("budget_unread", detail=why))
        await keep_up(self._kafka, self._topic, reading, self._rng, stopping)

    def _note(self, records: Sequence[Record], _caught_up: bool) -> None:  # noqa: FBT001 - see `Reading`
        for record in records:
            key, spent = record.key or b"", read_spent(record.value)
            self._table[key] = spent
            attempt, answer = self._awaited.get(key, ("", None))
            # It stays until it is asked for: what was written may be read before its writer has heard of it.
            if answer is not None and attempt == spent.attempt and not answer.done():
                answer.set_result(self._limits.hold(self._table.values(), spent.day))

    async def purse(self, key: bytes) -> "Purse":
        """What a partition has spent; to be asked once its writer has fenced every predecessor.

        Raises:
            Held: `budget`: its record is unreadable.
            Transient: Kafka cannot say now.
        """
        return Purse(self, self._topic, key, (await read_table(self._kafka, self._topic)).get(key, Spent()))

    def expect(self, key: bytes, attempt: str) -> None:
        """The record of this attempt of a partition is about to be written."""
        self._awaited[key] = attempt, asyncio.get_running_loop().create_future()

    async def fits(self, key: bytes, attempt: str, seconds: float) -> bool:
        """Whether an attempt that was written stays within the limits; False if not known in time."""
        expected, answer = self._awaited.get(key, ("", None))
        if answer is None or expected != attempt:
            return False
        try:
            async with asyncio.timeout(seconds):
                return await answer
        except TimeoutError:
            return False
        finally:
            self._awaited.pop(key, None)

    def day(self, own: Spent, now: datetime) -> str:
        """The day that an attempt counts for now."""
        return day_of(now, [own, *self._table.values()])

    def room(self, key: bytes, own: Spent, day: str) -> int | None:
        """About how many items a partition may add now; None for any number. `fits` has the last word."""
        others = [spent for name, spent in self._table.items() if name != key]
        return self._limits.room(others, own, day)


async def read_table(kafka: Kafka, topic: str) -> Mapping[bytes, Spent]:
    """Every partition's record, open transactions waited for.

    Raises:
        Held: `budget`: a record is unreadable.
        Transient: Kafka cannot say now.
    """
    table: dict[bytes, Spent] = {}
    end, start = (await kafka.end_offsets(topic))[PARTITION], (await kafka.start_offsets(topic))[PARTITION]
    async with kafka.reader(topic, {PARTITION: start}) as reader:
        async for records in until_ends(reader, {PARTITION: end}):
            for record in records:
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
        return self._budget.room(self._key, self._spent, self._budget.day(self._spent, now))

    def reserving(self, attempt: str, items: int, adopted: int, now: datetime) -> Append:
        """The record that goes with an intent: so many items are sent, so many were found to be there."""
        day = self._budget.day(self._spent, now)
        today = self._spent.today if self._spent.day == day else 0
        if day != self._spent.day and attempt != self._spent.attempt:
            # What fits into one day's limit may be too much for another's.
            self._granted = 0
        self._granted = min(self._granted, items)
        if self._granted < items:
            self._budget.expect(self._key, attempt)
        total = self._spent.total + adopted
        return self._noted(Spent(total, day, today + adopted, items, attempt))

    async def fits(self, attempt: str, seconds: float) -> bool:
        """Whether the attempt that was written may go ahead; one that reserved nothing may not."""
        if self._spent.attempt != attempt:
            return False
        if self._granted < self._spent.reserved:
            if not await self._budget.fits(self._key, attempt, seconds):
                return False
            self._granted = self._spent.reserved
        return True

    def settling(self, items: int) -> Append:
        """The record that goes with a settlement: so many items are submitted, and nothing is reserved."""
        self._granted = 0
        spent = self._spent
        return self._noted(Spent(spent.total + items, spent.day, spent.today + items))

    def _noted(self, spent: Spent) -> Append:
        """The record that says so, which is about to be written."""
        self._spent = spent
        return Append(self._topic, PARTITION, self._key, spent_value(spent))
