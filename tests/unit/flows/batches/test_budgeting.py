"""The spend guard's arithmetic: of two attempts, the later one sees the earlier."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from daemon.errors import Held
from daemon.flows.batches.budgeting import Budget, Purse
from daemon.flows.batches.spending import Limits, Spent, item_limits, read_spent, spent_value
from daemon.model import Append, Transaction
from daemon.settings.flows import BudgetSettings
from tests.doubles import MemoryKafka, in_virtual_time, seeded

TOPIC = "group.budget"
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 25, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Bench:
    """A budget that is followed, and the purses of two partitions."""

    def __init__(self, per_day: int | None = None, total: int | None = None) -> None:
        self.kafka = MemoryKafka.usual()
        self.kafka.logs[TOPIC] = [[]]
        self.budget = Budget(self.kafka, TOPIC, Limits(per_day, total), seeded())
        self.stopping = asyncio.Event()
        self._running = asyncio.ensure_future(self.budget.run(self.stopping))

    async def purse(self, name: str) -> Purse:
        """A partition's, as a way gets it at take-over."""
        return await self.budget.purse(name.encode())

    async def write(self, *appends: Append) -> None:
        """As the transaction of a way does."""
        async with self.kafka.writer("writer") as writer:
            await writer.transact(Transaction("intent", appends))

    async def end(self) -> None:
        """Follow no longer."""
        self.stopping.set()
        await self._running


@in_virtual_time
async def test_the_later_of_two_attempts_gives_way() -> None:
    """Both want what is left; the first in the log has it, and the second fits once cut to the rest."""
    bench = Bench(total=100)
    first, second = await bench.purse("in/0"), await bench.purse("in/1")
    await bench.write(first.reserving("a", 70, 0, NOON))
    await bench.write(second.reserving("b", 70, 0, NOON))
    assert (await first.fits("a", 10), await second.fits("b", 10)) == (True, False)
    await bench.write(second.settling(0))
    await bench.write(first.settling(60))
    await asyncio.sleep(2)
    assert second.room(NOON) == 40
    await bench.write(second.reserving("c", 40, 0, NOON))
    assert await second.fits("c", 10)
    await bench.end()


@in_virtual_time
async def test_a_days_limit_ends_with_the_day() -> None:
    """What was submitted yesterday counts for the total alone."""
    bench = Bench(per_day=10, total=15)
    purse, other = await bench.purse("in/0"), await bench.purse("in/1")
    await bench.write(purse.reserving("a", 10, 0, NOON))
    assert await purse.fits("a", 10)
    await bench.write(purse.settling(10))
    await asyncio.sleep(2)
    tomorrow = NOON + timedelta(days=1)
    assert [each.room(NOON) for each in (purse, other)] == [0, 0]
    assert [each.room(tomorrow) for each in (purse, other)] == [5, 5]
    await bench.write(other.reserving("b", 5, 0, tomorrow))
    assert await other.fits("b", 10)
    await bench.end()


@in_virtual_time
async def test_a_clock_behind_does_not_spend_a_day_once_more() -> None:
    """Another's is past midnight: what was spent by then on its old day is no longer told, nor on ours."""
    bench = Bench(per_day=10)
    purse, other = await bench.purse("in/0"), await bench.purse("in/1")
    before, after = MIDNIGHT - SECOND, MIDNIGHT
    await bench.write(purse.reserving("a", 10, 0, NOON))
    assert await purse.fits("a", 10)
    await bench.write(purse.settling(10))
    await bench.write(purse.reserving("b", 4, 0, after))
    assert await purse.fits("b", 10)
    await bench.write(purse.settling(4))
    await asyncio.sleep(2)
    assert other.room(before) == 6
    await bench.write(other.reserving("c", 6, 0, before))
    assert await other.fits("c", 10)
    await bench.write(other.settling(6))
    await asyncio.sleep(2)
    assert (await bench.purse("in/0")).room(before) == 0
    await bench.end()


@in_virtual_time
async def test_a_day_that_was_written_before_it_was_heard_of_does_not_fit() -> None:
    """The attempt of a clock behind is taken back, and made again on the day that has begun."""
    bench = Bench(per_day=10)
    purse, other = await bench.purse("in/0"), await bench.purse("in/1")
    await bench.write(purse.reserving("a", 10, 0, NOON))
    assert await purse.fits("a", 10)
    late = other.reserving("b", 10, 0, MIDNIGHT - SECOND)
    await bench.write(purse.settling(10))
    await bench.write(purse.reserving("c", 4, 0, MIDNIGHT))
    await bench.write(late)
    assert not await other.fits("b", 10)
    await bench.end()


@in_virtual_time
async def test_a_day_that_is_far_ahead_is_nobody_elses() -> None:
    """Somebody's clock was wrong: the others' days go on."""
    bench = Bench(per_day=10)
    purse, other = await bench.purse("in/0"), await bench.purse("in/1")
    await bench.write(purse.reserving("a", 10, 0, NOON + timedelta(days=365)))
    assert await purse.fits("a", 10)
    await bench.write(purse.settling(10))
    await asyncio.sleep(2)
    await bench.write(other.reserving("b", 10, 0, NOON))
    assert await other.fits("b", 10)
    await bench.end()


@in_virtual_time
async def test_a_partition_counts_what_it_spent_itself_for_the_day_alone() -> None:
    """On the same day what it may add shrinks; on the next one all of it is there again, and no more."""
    bench = Bench(per_day=10)
    purse = await bench.purse("in/0")
    for attempt, items, now, fits in (
        ("a", 6, NOON, True),
        ("b", 5, NOON, False),
        ("c", 10, NOON + timedelta(days=1), True),
        ("d", 1, NOON + timedelta(days=1), False),
    ):
        await bench.write(purse.reserving(attempt, items, 0, now))
        assert await purse.fits(attempt, 10) is fits
        await bench.write(purse.settling(items if fits else 0))
    await bench.end()


@in_virtual_time
async def test_what_was_found_to_fit_does_so_again() -> None:
    """Sent once more, in whole or in part, it needs no room that another's vain attempt could take."""
    bench = Bench(total=10)
    purse, other = await bench.purse("in/0"), await bench.purse("in/1")
    await bench.write(purse.reserving("a", 10, 0, NOON))
    assert await purse.fits("a", 10)
    await bench.write(other.reserving("x", 5, 0, NOON))
    assert not await other.fits("x", 10)
    await bench.write(purse.reserving("b", 10, 0, NOON))
    assert await purse.fits("b", 10)
    await bench.end()


@in_virtual_time
async def test_an_attempt_that_is_read_before_it_is_asked_for_fits_all_the_same() -> None:
    """The reader may hear of a commit before its writer does."""
    bench = Bench(total=10)
    purse = await bench.purse("in/0")
    await bench.write(purse.reserving("a", 10, 0, NOON))
    await asyncio.sleep(2)
    assert await purse.fits("a", 10)
    await bench.end()


@in_virtual_time
async def test_what_was_never_written_is_not_awaited_for_ever() -> None:
    """Each failed transaction is followed by another attempt: of a partition one is remembered."""
    bench = Bench(total=10)
    purse = await bench.purse("in/0")
    for attempt in "abc":
        purse.reserving(attempt, 10, 0, NOON)
    assert len(bench.budget._awaited) == 1
    await bench.end()


@pytest.mark.parametrize(("attempt", "fits"), [("a", True), ("b", False)])
@in_virtual_time
async def test_what_was_found_to_fit_yesterday_has_to_fit_anew(attempt: str, *, fits: bool) -> None:
    """Another partition has today's room by then; an attempt that is made again was counted yesterday."""
    bench = Bench(per_day=10)
    purse, other = await bench.purse("in/0"), await bench.purse("in/1")
    today = NOON + timedelta(days=1)
    await bench.write(purse.reserving("a", 10, 0, NOON))
    assert await purse.fits("a", 10)
    await bench.write(other.reserving("x", 10, 0, today))
    assert await other.fits("x", 10)
    await bench.write(purse.reserving(attempt, 10, 0, today))
    assert await purse.fits(attempt, 10) is fits
    await bench.end()


@pytest.mark.parametrize("settles", [True, False])
@in_virtual_time
async def test_what_was_given_back_has_to_fit_anew(*, settles: bool) -> None:
    """By a settlement, or by an intent that sends nothing: another partition may have taken it since."""
    bench = Bench(total=10)
    purse, other = await bench.purse("in/0"), await bench.purse("in/1")
    await bench.write(purse.reserving("a", 10, 0, NOON))
    assert await purse.fits("a", 10)
    await bench.write(purse.settling(0) if settles else purse.reserving("b", 0, 0, NOON))
    await bench.write(other.reserving("x", 10, 0, NOON))
    assert await other.fits("x", 10)
    await bench.write(purse.reserving("c", 10, 0, NOON))
    assert not await purse.fits("c", 10)
    await bench.end()


@in_virtual_time
async def test_a_successor_does_not_believe_a_predecessors_attempt() -> None:
    """It may have been killed before it knew whether it fits: what it reserved is judged again."""
    bench = Bench(total=10)
    await bench.write((await bench.purse("in/1")).reserving("x", 5, 0, NOON))
    await bench.write((await bench.purse("in/0")).reserving("a", 10, 0, NOON))
    successor = await bench.purse("in/0")
    await bench.write(successor.reserving("b", 10, 0, NOON))
    assert not await successor.fits("b", 10)
    await bench.write(successor.reserving("c", 5, 0, NOON))
    assert await successor.fits("c", 10)
    await bench.end()


@pytest.mark.parametrize(("per_day", "total"), [(10, None), (None, 10)])
@in_virtual_time
async def test_what_is_adopted_is_spent(per_day: int | None, total: int | None) -> None:
    """Items that were found at Toloka count from then on, and less is reserved for those sent again."""
    bench = Bench(per_day, total)
    purse = await bench.purse("in/0")
    await bench.write(purse.reserving("a", 10, 0, NOON))
    assert await purse.fits("a", 10)
    await bench.write(purse.reserving("b", 4, 6, NOON))
    assert await purse.fits("b", 10)
    await bench.write(purse.settling(4))
    assert (await bench.purse("in/0")).room(NOON) == 0
    await bench.end()


@in_virtual_time
async def test_an_attempt_that_reserved_nothing_does_not_fit() -> None:
    """Whoever announces without the purse finds it shut."""
    bench = Bench(total=10)
    assert not await (await bench.purse("in/0")).fits("stranger", 10)
    await bench.end()


@in_virtual_time
async def test_an_attempt_whose_record_is_not_seen_in_time_does_not_fit() -> None:
    """Whether another was faster is not known: nothing is sent on trust."""
    bench = Bench(total=10)
    purse = await bench.purse("in/0")
    purse.reserving("a", 1, 0, NOON)
    assert not await purse.fits("a", 10)
    await bench.end()


def test_money_becomes_items() -> None:
    """The tighter of two limits counts, and what money pays only in part is not bought."""
    guards = BudgetSettings(items_per_day=50, money_per_day=Decimal("1.99"), money_total=Decimal(3))
    assert item_limits(guards, Decimal("0.05")) == Limits(39, 60)
    assert item_limits(BudgetSettings(), Decimal(1)) is None


def test_records() -> None:
    """A record is read as it was written; one that is damaged holds, for it may hide what was spent."""
    spent = Spent(5, "2026-11-24", 3, 2, "a")
    assert read_spent(spent_value(spent)) == spent
    assert read_spent(None) == Spent()
    for value in (b"", b"{}", b'{"v":9}', spent_value(spent).replace(b'"v":1', b'"v":3')):
        with pytest.raises(Held, match="unreadable"):
            read_spent(value)
