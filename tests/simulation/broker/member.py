"""A member of a group of the simulated cluster that fits `daemon.ports.Membership`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

from daemon.errors import Transient
from tests.simulation.broker.client import translated
from tests.simulation.broker.cluster import Cluster
from tests.simulation.broker.errors import RebalancingError, UnknownMemberError
from tests.simulation.broker.groups import Joined

JOIN_SECONDS = 30.0
CONFIRM_SECONDS = 10.0
# How soon it is noticed that the membership has died.
LOOK_SECONDS = 5.0


@asynccontextmanager
async def sim_membership(
    cluster: Cluster,
    client_id: str,
    group: str,
    topic: str,
    session_seconds: float,
    dies: Callable[[], bool] = lambda: False,
) -> AsyncIterator["SimMembership"]:
    """Join a group that shares out one topic; leave it at the end."""
    with translated(f"joining the group {group}"):
        async with asyncio.timeout(JOIN_SECONDS):
            await cluster.call("connect", lambda: None)
    member = SimMembership(cluster, client_id, group, len(cluster.topics[topic]), session_seconds, dies)
    part = asyncio.ensure_future(member.take_part())
    try:
        yield member
    finally:
        part.cancel()
        await asyncio.wait({part})
        await member.leave()


class SimMembership:
    """See `daemon.ports.Membership`."""

    def __init__(
        self,
        cluster: Cluster,
        client_id: str,
        group: str,
        partitions: int,
        session_seconds: float,
        dies: Callable[[], bool],
    ) -> None:
        self._cluster = cluster
        self._client_id = client_id
        self._group = group
        self._partitions = partitions
        self._session_seconds = session_seconds
        self._dies = dies
        self._decisions: asyncio.Queue[frozenset[int]] = asyncio.Queue()
        self.name = f"{client_id}-"
        self._generation = -1

    async def assignments(self) -> AsyncGenerator[frozenset[int], None]:
        """See `daemon.ports.Membership.assignments`."""
        while True:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    decision = await self._decisions.get()
            except TimeoutError:
                if self._dies():
                    raise Transient(f"the membership in {self._group} has died") from None
                continue
            yield decision

    async def confirm(self) -> bool:
        """See `daemon.ports.Membership.confirm`."""
        with translated(f"asking the group {self._group} about us"):
            async with asyncio.timeout(CONFIRM_SECONDS):
                try:
                    await self._heartbeat()
                except UnknownMemberError:
                    return False
        return self._decisions.empty()

    async def leave(self) -> None:
        """Leave, as far as the cluster answers."""
        groups, name = self._cluster.groups, self.name
        try:
            async with asyncio.timeout(JOIN_SECONDS / 10):
                await self._cluster.call("leave", lambda: groups.leave(self._group, name))
        except TimeoutError:
            return

    async def take_part(self) -> None:
        """Join, keep the place, join again, for ever."""
        while True:
            try:
                await self._join()
                await self._keep()
            except UnknownMemberError:
                self.name = f"{self._client_id}-"
            except RebalancingError:
                continue

    async def _keep(self) -> None:
        """Be counted on until the group rebalances."""
        known = True
        while known:
            await asyncio.sleep(self._session_seconds / 3)
            known = await self._heartbeat()

    async def _join(self) -> None:
        groups, name = self._cluster.groups, self.name
        joined: Joined = await self._cluster.call(
            "join",
            lambda: groups.join(self._group, self._partitions, name, self._session_seconds, JOIN_SECONDS),
        )
        self.name, self._generation = joined
        share = await self._cluster.call("sync", lambda: groups.sync(self._group, *joined))
        self._decisions.put_nowait(share)

    async def _heartbeat(self) -> bool:
        groups, name, generation = self._cluster.groups, self.name, self._generation
        known: bool = await self._cluster.call(
            "heartbeat", lambda: groups.heartbeat(self._group, name, generation)
        )
        return known
