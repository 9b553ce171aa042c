"""One way for each partition that the group gives us, and none for any other."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import pytest

from daemon.errors import Held, Transient
from daemon.flows.holding import STUMBLES
from daemon.flows.partitions.sharing import (
    CONFIRM_AGAIN_SECONDS,
    RIVAL_FENCES,
    RIVAL_PAUSE_SECONDS,
    RIVAL_SECONDS,
    Sharing,
    Way,
)
from daemon.ports import Membership
from tests.doubles import fresh_holds, in_virtual_time, seeded, turns


class FakeMembership:
    """Decides what a test says."""

    def __init__(self) -> None:
        self.decisions: asyncio.Queue[frozenset[int] | Exception] = asyncio.Queue()
        self.confirmations: list[bool | Exception] = []

    async def assignments(self) -> AsyncGenerator[frozenset[int], None]:
        """See `daemon.ports.Membership.assignments`."""
        while True:
            decision = await self.decisions.get()
            if isinstance(decision, Exception):
                raise decision
            yield decision

    async def confirm(self) -> bool:
        """See `daemon.ports.Membership.confirm`."""
        answer = self.confirmations.pop(0) if len(self.confirmations) > 1 else self.confirmations[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Group:
    """A sharing, its group, and a diary of what its ways did."""

    def __init__(self) -> None:
        self.member = FakeMembership()
        self.joining: list[Exception] = []
        self.members = 0
        self.diary: list[str] = []
        self.decided: list[frozenset[int]] = []
        self.ending_seconds = 0.0
        self.stopping = asyncio.Event()
        self.holds, _ = fresh_holds()
        self.sharing = Sharing("submit", self.join, self.way, self.decided.append, self.holds, seeded())

    @asynccontextmanager
    async def join(self) -> AsyncIterator[Membership]:
        """Open a place in the group."""
        if self.joining:
            raise self.joining.pop(0)
        self.members += 1
        try:
            yield self.member
        finally:
            self.members -= 1
            self.diary.append("left")

    def way(self, partition: int) -> Way:
        """A way that runs until it is told to stop, and for some time more."""

        async def run(stop: asyncio.Event) -> None:
            self.diary.append(f"{partition} begins")
            await stop.wait()
            await asyncio.sleep(self.ending_seconds)
            self.diary.append(f"{partition} ends")

        return run

    async def decide(self, *partitions: int) -> None:
        """The group assigns us these."""
        self.member.decisions.put_nowait(frozenset(partitions))
        await turns()


@asynccontextmanager
async def group() -> AsyncIterator[Group]:
    """A group that we take part in; drained at the end."""
    group = Group()
    running = asyncio.ensure_future(group.sharing.run(group.stopping))
    await turns()
    yield group
    group.stopping.set()
    await running


@in_virtual_time
async def test_a_way_begins_for_each_partition_and_ends_without_it() -> None:
    """What stays assigned is not disturbed by a rebalance."""
    async with group() as ours:
        await ours.decide(0, 1)
        await ours.decide(1, 2)
        assert sorted(ours.diary) == ["0 begins", "0 ends", "1 begins", "2 begins"]
        assert (sorted(ours.sharing.ours), ours.sharing.joined) == ([1, 2], True)
        assert ours.decided == [{0, 1}, {1, 2}]


@in_virtual_time
async def test_an_assignment_of_nothing_ends_every_way() -> None:
    """There may be more replicas than partitions."""
    async with group() as ours:
        await ours.decide(0)
        await ours.decide()
        assert ours.diary == ["0 begins", "0 ends"]
        assert ours.sharing.ours == frozenset()


@in_virtual_time
async def test_a_partition_that_comes_back_waits_for_its_old_way() -> None:
    """Two ways of one partition would fence each other."""
    async with group() as ours:
        ours.ending_seconds = 10
        await ours.decide(0)
        await ours.decide()
        await ours.decide(0)
        await asyncio.sleep(5)
        assert ours.diary == ["0 begins"]
        await asyncio.sleep(6)
        assert ours.diary == ["0 begins", "0 ends", "0 begins"]


@in_virtual_time
async def test_a_partition_that_comes_and_goes_has_one_way_at_a_time() -> None:
    """However often the group changes its mind meanwhile."""
    async with group() as ours:
        ours.ending_seconds = 10
        for partitions in ((0,), (), (0,), (), (0,)):
            await ours.decide(*partitions)
        await asyncio.sleep(100)
        begun = 0
        for line in ours.diary:
            begun += {"0 begins": 1, "0 ends": -1}[line]
            assert begun in {0, 1}
        assert begun == 1


@in_virtual_time
async def test_ways_end_before_the_place_is_given_up() -> None:
    """Nobody is given what we are about to finish."""
    async with group() as ours:
        ours.ending_seconds = 7
        await ours.decide(0, 1)
    assert sorted(ours.diary[-3:-1]) == ["0 ends", "1 ends"]
    assert ours.diary[-1] == "left"
    assert ours.sharing.joined is False


@in_virtual_time
async def test_a_drain_before_the_first_decision_just_leaves() -> None:
    """There is nothing to end."""
    async with group() as ours:
        pass
    assert ours.diary == ["left"]


@in_virtual_time
async def test_a_lost_membership_is_joined_again_and_stops_no_way() -> None:
    """The writer's fence keeps a new owner and us apart until the group has decided."""
    async with group() as ours:
        await ours.decide(0)
        ours.member.decisions.put_nowait(Transient("gone"))
        await turns()
        assert ours.diary == ["0 begins", "left"]
        await asyncio.sleep(5)
        assert ours.members == 1
        await ours.decide(0)
        assert ours.diary == ["0 begins", "left"]
        await ours.decide(1)
        assert ours.diary[2:] == ["0 ends", "1 begins"] or ours.diary[2:] == ["1 begins", "0 ends"]


@in_virtual_time
async def test_a_lost_membership_is_not_asked_and_not_shown() -> None:
    """It confirms nothing, and the replica is not ready, from the moment it is lost."""
    async with group() as ours:
        await ours.decide(0)
        ours.member.decisions.put_nowait(Transient("gone"))
        await turns()
        assert ours.members == 0
        assert (ours.sharing.joined, ours.sharing._membership) == (False, None)


@in_virtual_time
async def test_a_group_that_refuses_us_is_held_visibly_and_tried_again() -> None:
    """A permission may be granted meanwhile."""
    ours = Group()
    ours.joining = [Held("not_permitted", "the group tolokad")] * 3
    running = asyncio.ensure_future(ours.sharing.run(ours.stopping))
    await turns()
    assert [hold.reason for hold in ours.holds] == ["not_permitted"]
    await asyncio.sleep(60)
    assert ours.members == 1
    await ours.decide(0)
    assert list(ours.holds) == []
    ours.stopping.set()
    await running


@in_virtual_time
async def test_a_group_that_cannot_be_joined_shows_as_a_hold() -> None:
    """Once is nothing to speak of; again and again without a decision somebody should look, and sees why."""
    ours = Group()
    ours.joining = [Transient("InconsistentGroupProtocolError")] * STUMBLES
    running = asyncio.ensure_future(ours.sharing.run(ours.stopping))
    await turns()
    assert list(ours.holds) == []
    await asyncio.sleep(60)
    (hold,) = ours.holds
    assert (hold.flow, hold.reason, hold.partition) == ("submit", "kafka", None)
    assert hold.detail.endswith("InconsistentGroupProtocolError")
    await ours.decide(0)
    assert list(ours.holds) == []
    ours.stopping.set()
    await running


@in_virtual_time
async def test_a_drain_ends_ways_also_where_the_membership_is_lost() -> None:
    """They are ours until somebody else's writer fences them."""
    ours = Group()
    running = asyncio.ensure_future(ours.sharing.run(ours.stopping))
    await turns()
    await ours.decide(0)
    ours.joining = [Transient("gone")] * 100
    ours.member.decisions.put_nowait(Transient("gone"))
    await asyncio.sleep(5)
    ours.stopping.set()
    await running
    assert ours.diary == ["0 begins", "left", "0 ends"]


@in_virtual_time
async def test_a_way_that_fails_ends_everything() -> None:
    """Only a defect lets one fail: the program ends, with what it was."""
    ours = Group()

    def failing(partition: int) -> Way:
        async def run(_stop: asyncio.Event) -> None:
            raise LookupError(partition)

        return run

    ours.sharing._way = failing
    running = asyncio.ensure_future(ours.sharing.run(ours.stopping))
    await turns()
    await ours.decide(0)
    with pytest.raises(BaseExceptionGroup) as raised:
        await running
    assert raised.group_contains(LookupError)


# --- is it still ours? --------------------------------------------------------------------------------


@in_virtual_time
async def test_a_fenced_way_waits_until_the_group_confirms_its_partition() -> None:
    """A way that was away for long must not fence its successor in turn."""
    async with group() as ours:
        await ours.decide(0)
        ours.member.confirmations = [False, Transient("busy"), Held("not_permitted", "x"), True]
        await ours.sharing.still_ours(0, asyncio.Event())
        assert asyncio.get_running_loop().time() == 3 * CONFIRM_AGAIN_SECONDS


@pytest.mark.fault(15)
@in_virtual_time
async def test_who_is_fenced_again_and_again_by_a_stranger_holds() -> None:
    """Though the group counts on us; a fence now and then holds nothing."""
    async with group() as ours:
        await ours.decide(0)
        ours.member.confirmations = [True] * 20
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        for _ in range(8):
            await ours.sharing.still_ours(0, stop)
            await asyncio.sleep(RIVAL_SECONDS / 3)
        assert list(ours.holds) == []
        for _ in range(RIVAL_FENCES - 1):
            await ours.sharing.still_ours(0, stop)
        held = asyncio.ensure_future(ours.sharing.still_ours(0, stop))
        began = loop.time()
        await turns()
        (hold,) = ours.holds
        assert (hold.flow, hold.reason, hold.partition) == ("submit", "kafka", 0)
        assert "TOLOKAD_KAFKA__GROUP_ID" in hold.detail
        assert "tolokad resolve" in hold.detail
        await held
        assert loop.time() - began == RIVAL_PAUSE_SECONDS
        assert list(ours.holds) == []


@in_virtual_time
async def test_another_ones_partition_is_not_ours_whatever_is_confirmed() -> None:
    """Until the event is set."""
    async with group() as ours:
        await ours.decide(0)
        ours.member.confirmations = [True]
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(9, stop.set)
        await ours.sharing.still_ours(1, stop)
        assert asyncio.get_running_loop().time() == 9


@in_virtual_time
async def test_without_a_membership_nothing_is_confirmed() -> None:
    """Nobody can be asked."""
    ours = Group()
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(9, stop.set)
    await ours.sharing.still_ours(0, stop)
    assert asyncio.get_running_loop().time() == 9


@in_virtual_time
async def test_who_takes_part_can_be_cancelled() -> None:
    """As a drain that takes too long does; a generator that is running cannot be closed."""
    ours = Group()
    running = asyncio.ensure_future(ours.sharing.run(ours.stopping))
    await turns()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@in_virtual_time
async def test_a_drain_does_not_wait_for_a_group_that_does_not_answer() -> None:
    """The time that it has is for the ways."""
    ours = Group()
    running = asyncio.ensure_future(ours.sharing.run(ours.stopping))
    await turns()
    await ours.decide(0)
    usual = ours.sharing._join

    @asynccontextmanager
    async def slow() -> AsyncIterator[Membership]:
        await asyncio.sleep(20)
        async with usual() as member:
            yield member

    ours.sharing._join = slow
    ours.member.decisions.put_nowait(Transient("gone"))
    await asyncio.sleep(5)
    ours.stopping.set()
    await asyncio.sleep(1)
    ended = "0 ends" in ours.diary
    await running
    assert ended
