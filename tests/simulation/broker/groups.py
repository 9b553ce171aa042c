"""The group coordinator: who is a member, who owns which partitions, and the committed offsets."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from daemon.model import Committed, OffsetCommit
from tests.simulation.broker.errors import BusyError, RebalancingError, UnknownMemberError

NONE = Committed(-1, "")


class Joined(NamedTuple):
    """The answer to a join."""

    member: str
    generation: int


@dataclass(slots=True, eq=False)
class _Member:
    name: str
    session_seconds: float
    seen_at: float
    joining: "asyncio.Future[Joined] | None" = None
    syncing: "asyncio.Future[frozenset[int]] | None" = None
    watch: int = 0


@dataclass(slots=True)
class _Group:
    """A classic group: every change has everybody join anew, and the leader shares out."""

    partitions: int
    rebalance_seconds: float
    state: Literal["empty", "joining", "syncing", "stable"] = "empty"
    generation: int = 0
    members: dict[str, _Member] = field(default_factory=dict)
    shares: dict[str, frozenset[int]] = field(default_factory=dict)
    rebalance: int = 0


class Groups:
    """All groups of a cluster.

    Args:
        loop: for times and futures.
        later: runs something after so many seconds; while the broker is down, once it is up again.
        first_delay_seconds: how long the first members of a group wait for more.
        new_suffix: ends a new member's name.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        later: Callable[[float, Callable[[], None]], None],
        first_delay_seconds: float,
        new_suffix: Callable[[], str],
    ) -> None:
        self._loop = loop
        self._later = later
        self._first_delay_seconds = first_delay_seconds
        self._new_suffix = new_suffix
        self._groups: dict[str, _Group] = {}
        self._offsets: dict[tuple[str, str, int], Committed] = {}
        # How many transactions may still change an offset.
        self._unstable: Counter[tuple[str, str, int]] = Counter()
        self.loading = False

    # --- offsets

    def settle(self, offset: OffsetCommit) -> None:
        """A committed offset becomes visible."""
        self._offsets[offset.group, offset.topic, offset.partition] = Committed(
            offset.offset, offset.metadata
        )

    def unsettle(self, offset: OffsetCommit) -> None:
        """A transaction carries an offset: until it has ended, what is committed there is not told."""
        self._unstable[offset.group, offset.topic, offset.partition] += 1

    def end(self, offset: OffsetCommit, *, committed: bool) -> None:
        """The transaction that carried it has ended."""
        self._unstable[offset.group, offset.topic, offset.partition] -= 1
        if committed:
            self.settle(offset)

    def committed(
        self, group: str, topic: str, partitions: Collection[int], *, stable: bool
    ) -> Mapping[int, Committed]:
        """What is committed; nothing at all, and no error, while the coordinator loads.

        Nor, where `stable` asks for that, of a partition whose offset an open transaction carries.
        """
        if self.loading:
            return {}
        return {
            p: self._offsets.get((group, topic, p), NONE)
            for p in partitions
            if not (stable and self._unstable[group, topic, p])
        }

    def known_offset(self, group: str, topic: str, partition: int) -> Committed | None:
        """What is committed, without asking a coordinator that may be loading."""
        return self._offsets.get((group, topic, partition))

    def forget_offset(self, group: str, topic: str, partition: int) -> Committed | None:
        """Lose a committed offset, as its retention does; returns what it was."""
        return self._offsets.pop((group, topic, partition), None)

    # --- members

    def join(
        self, group: str, partitions: int, member: str, session_seconds: float, rebalance_seconds: float
    ) -> "asyncio.Future[Joined]":
        """Join, or join again; answered once everybody has, or had the time to.

        A member whose name ends in a dash is new, and gets the rest of its name here.
        """
        self._insist_loaded()
        found = self._groups.setdefault(group, _Group(partitions, rebalance_seconds))
        if member.endswith("-"):
            member += self._new_suffix()
            found.members[member] = _Member(member, session_seconds, self._loop.time())
        elif member not in found.members:
            raise UnknownMemberError
        answer: asyncio.Future[Joined] = self._loop.create_future()
        found.members[member].joining = answer
        found.members[member].seen_at = self._loop.time()
        if found.state != "joining":
            self._begin_rebalance(found)
        elif found.generation:
            self._finish_if_all(found)
        return answer

    def _insist_loaded(self) -> None:
        if self.loading:
            raise BusyError

    def _begin_rebalance(self, group: _Group) -> None:
        first = group.state == "empty"
        group.state = "joining"
        group.rebalance += 1
        number = group.rebalance
        for member in group.members.values():
            _fail(member.syncing, RebalancingError())
            member.syncing = None
        if first:
            self._later(self._first_delay_seconds, lambda: self._finish(group, number))
        else:
            self._later(group.rebalance_seconds, lambda: self._finish(group, number))
            self._finish_if_all(group)

    def _finish_if_all(self, group: _Group) -> None:
        if group.members and all(m.joining is not None for m in group.members.values()):
            self._finish(group, group.rebalance)

    def _finish(self, group: _Group, number: int) -> None:
        """Those who have joined are the members now."""
        if group.state != "joining" or group.rebalance != number:
            return
        group.members = {name: m for name, m in group.members.items() if m.joining is not None}
        if not group.members:
            group.state = "empty"
            return
        group.generation += 1
        group.state = "syncing"
        for member in group.members.values():
            member.seen_at = self._loop.time()
            member.watch += 1
            self._watch(group, member)
            if member.joining is not None and not member.joining.done():
                member.joining.set_result(Joined(member.name, group.generation))
            member.joining = None

    def sync(self, group: str, member: str, generation: int) -> "asyncio.Future[frozenset[int]]":
        """Learn one's share; the leader, first by name, is who shares out."""
        found, known = self._known(group, member, generation)
        if found.state == "joining":
            raise RebalancingError
        answer: asyncio.Future[frozenset[int]] = self._loop.create_future()
        known.syncing = answer
        if found.state == "syncing" and member == min(found.members):
            found.shares = _round_robin(found.partitions, found.members)
            found.state = "stable"
        if found.state == "stable":
            for each in found.members.values():
                if each.syncing is not None and not each.syncing.done():
                    each.syncing.set_result(found.shares[each.name])
        return answer

    def heartbeat(self, group: str, member: str, generation: int) -> bool:
        """Be counted on; False while the group is rebalancing."""
        found, known = self._known(group, member, generation)
        known.seen_at = self._loop.time()
        return found.state != "joining"

    def leave(self, group: str, member: str) -> None:
        """Leave at once."""
        found = self._groups.get(group)
        if found is not None and member in found.members:
            self._remove(found, member)

    def _known(self, group: str, member: str, generation: int) -> tuple[_Group, _Member]:
        self._insist_loaded()
        found = self._groups.get(group)
        if found is None or member not in found.members or found.generation != generation:
            raise UnknownMemberError
        return found, found.members[member]

    def _remove(self, group: _Group, name: str) -> None:
        gone = group.members.pop(name)
        _fail(gone.joining, UnknownMemberError())
        _fail(gone.syncing, UnknownMemberError())
        if group.state == "joining":
            self._finish_if_all(group)
        elif group.members:
            self._begin_rebalance(group)
        else:
            group.state = "empty"

    def _watch(self, group: _Group, member: _Member) -> None:
        """Put out who has been silent for a session."""
        left = member.seen_at + member.session_seconds - self._loop.time()
        watch = member.watch
        self._later(max(left, 0.01), lambda: self._check(group, member, watch))

    def _check(self, group: _Group, member: _Member, watch: int) -> None:
        replaced = group.members.get(member.name) is not member or member.watch != watch
        if replaced or member.joining is not None:
            return
        if member.seen_at + member.session_seconds <= self._loop.time():
            self._remove(group, member.name)
        else:
            self._watch(group, member)

    def refresh(self) -> None:
        """After a restart everybody has a whole session again."""
        for group in self._groups.values():
            for member in group.members.values():
                member.seen_at = self._loop.time()

    def expel(self, group: str) -> None:
        """Have a group rebalance for no reason that a member would know of."""
        found = self._groups.get(group)
        if found is not None and found.state == "stable":
            self._begin_rebalance(found)

    def shares(self, group: str) -> Mapping[str, frozenset[int]]:
        """Who owns what, by member."""
        found = self._groups.get(group)
        return dict(found.shares) if found is not None and found.state == "stable" else {}


def _fail(future: "asyncio.Future[Any] | None", error: Exception) -> None:
    if future is not None and not future.done():
        future.set_exception(error)
        # Who asked may be dead: that nobody hears of it is no mistake.
        future.exception()


def _round_robin(partitions: int, members: Collection[str]) -> dict[str, frozenset[int]]:
    names = sorted(members)
    return {name: frozenset(range(at, partitions, len(names))) for at, name in enumerate(names)}
