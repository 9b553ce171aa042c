"""Pure: the spend guard's arithmetic: limits, what each partition has spent, and what is left of both."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import msgspec

from daemon.errors import Held
from daemon.flows.records import codec
from daemon.settings.flows import BudgetSettings


@dataclass(frozen=True, slots=True)
class Limits:
    """How many items may be submitted in a day by Toloka's clock (UTC), and at all; None for no limit."""

    per_day: int | None
    total: int | None

    def hold(self, table: Collection["Spent"], day: str) -> bool:
        """Whether all partitions together are within them, what is reserved included.

        Nothing is spent on a day whose end another has seen: that one no longer tells what it spent on it.
        """
        if any(each.day == day_after(day) for each in table):
            return False
        total = sum(each.total + each.reserved for each in table)
        today = sum(each.on(day) for each in table)
        return _within(total, self.total) and _within(today, self.per_day)

    def room(self, others: Collection["Spent"], own: "Spent", day: str) -> int | None:
        """About how many items a partition may add, beside the others; None for any number."""
        today = own.today if own.day == day else 0
        rooms = []
        if self.total is not None:
            rooms.append(self.total - own.total - sum(each.total + each.reserved for each in others))
        if self.per_day is not None:
            rooms.append(self.per_day - today - sum(each.on(day) for each in others))
        return max(min(rooms), 0) if rooms else None


def _within(spent: int, limit: int | None) -> bool:
    return limit is None or spent <= limit


def item_limits(guards: BudgetSettings, price: Decimal | None) -> Limits | None:
    """All limits as numbers of items, money by the price of one; None where there is none."""

    def fewest(items: int | None, money: Decimal | None) -> int | None:
        affordable = int(money / price) if money is not None and price else None
        return min((limit for limit in (items, affordable) if limit is not None), default=None)

    limits = Limits(
        fewest(guards.items_per_day, guards.money_per_day), fewest(guards.items_total, guards.money_total)
    )
    return None if limits == Limits(None, None) else limits


class Spent(NamedTuple):
    """One partition's record: items submitted ever since there was a limit, and on the last attempt's day.

    `day` is written as `2026-11-24`; `reserved` is what the `attempt` that stands may add to both counts.
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


def day_of(now: datetime, known: Iterable[Spent]) -> str:
    """The day that an attempt counts for: the next one, if that has begun by another's clock."""
    day = now.date().isoformat()
    following = day_after(day)
    return following if any(spent.day == following for spent in known) else day


def day_after(day: str) -> str:
    """The day that follows; no two clocks are further apart, unless one is wrong."""
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat()
