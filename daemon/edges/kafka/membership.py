"""A place in a consumer group: it shares out partitions and reads nothing.

The group's own reset policy, positions and commits are kept out of the way: partitions are paused as
soon as they are given, and whoever owns one opens a reader and a writer of its own.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka import errors as kafka_errors
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.structs import TopicPartition

from daemon.edges.kafka import kafka_client, silent_brokers
from daemon.errors import Transient
from daemon.settings import KafkaSettings

JOIN_SECONDS = 30.0
CONFIRM_SECONDS = 10.0
# How often what the coordinator's task meets is brought to light.
SURFACE_SECONDS = 0.5
# Kafka asks for three at least; two more may be lost.
HEARTBEATS_PER_SESSION = 5
# Partitions that are added to the topic are shared out once the group's leader has heard of them.
METADATA_SECONDS = 30.0
# Nothing is ever polled from this consumer, so its own idea of idleness must never put it out.
NEVER_MS = 2**31 - 1

log = structlog.get_logger(__name__)


@asynccontextmanager
async def membership(
    settings: KafkaSettings, client_id: str, group: str, topic: str
) -> AsyncIterator["GroupMembership"]:
    """Join a group that shares out one topic; leave it at the end.

    Raises:
        Held: `not_permitted`, naming the group.
        Transient: the group cannot be joined.
    """
    session_ms = int(settings.session_timeout_seconds * 1000)
    consumer = AIOKafkaConsumer(
        **kafka_client.connection(settings, client_id),
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="none",
        session_timeout_ms=session_ms,
        heartbeat_interval_ms=max(session_ms // HEARTBEATS_PER_SESSION, 200),
        rebalance_timeout_ms=int(JOIN_SECONDS * 1000),
        max_poll_interval_ms=NEVER_MS,
        metadata_max_age_ms=int(METADATA_SECONDS * 1000),
        partition_assignment_strategy=(RoundRobinPartitionAssignor,),
        max_partition_fetch_bytes=1,
    )
    kafka_client.keep_current(consumer._client, settings)  # noqa: SLF001 - what it talks through
    silent_brokers.pass_over_the_silent(consumer._client)  # noqa: SLF001 - as above
    member = GroupMembership(consumer, group)
    try:
        with kafka_client.translated(f"joining the group {group}"):
            async with asyncio.timeout(JOIN_SECONDS):
                await consumer.start()
        consumer.subscribe([topic], listener=member.listener)
        yield member
    finally:
        await kafka_client.stop(consumer)


class GroupMembership:
    """See `daemon.ports.Membership`."""

    def __init__(self, consumer: AIOKafkaConsumer, group: str) -> None:
        self._consumer = consumer
        self._group = group
        self._decisions: asyncio.Queue[frozenset[int]] = asyncio.Queue()
        self.listener = _Listener(consumer, self._decisions)

    async def assignments(self) -> AsyncGenerator[frozenset[int], None]:
        """See `daemon.ports.Membership.assignments`.

        Raises:
            Held: `not_permitted`, naming the group.
            Transient: the membership has failed and must be opened anew.
        """
        errors = asyncio.ensure_future(self._watch())
        asking: set[asyncio.Future[Any]] = {errors}
        try:
            while True:
                decision = asyncio.ensure_future(self._decisions.get())
                asking = {errors, decision}
                await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
                if not decision.done():
                    errors.result()
                    raise Transient(f"the membership in {self._group} has ended")
                yield decision.result()
        finally:
            # Also whoever waits for a decision: it would take the next one, of which nobody would be told.
            for task in asking:
                task.cancel()
            await asyncio.wait(asking)

    async def confirm(self) -> bool:
        """See `daemon.ports.Membership.confirm`."""
        with kafka_client.translated(f"asking the group {self._group} about us"):
            async with asyncio.timeout(CONFIRM_SECONDS):
                # The client's own heartbeat: it tells "known in this generation" and, where the answer
                # is no, already starts to join again.
                known: bool = await self._consumer._coordinator._do_heartbeat()  # noqa: SLF001 - see above
        return known and self._decisions.empty()

    async def _watch(self) -> None:
        """Surface what the coordinator's task meets: it reports only to those who poll."""
        while True:
            with kafka_client.translated(f"the membership in {self._group}"):
                try:
                    await self._consumer.getmany(timeout_ms=int(SURFACE_SECONDS * 1000))
                except kafka_errors.NoOffsetForPartitionError:
                    # Nothing is read here; whoever owns the partition knows its offset.
                    await asyncio.sleep(SURFACE_SECONDS)
            task = self._consumer._coordinator._coordination_task  # noqa: SLF001 - its only sign of death
            if task is not None and task.done():
                raise Transient(f"the membership in {self._group} has died")


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """Notes each decision; a revocation alone stops nothing, only the next decision tells."""

    def __init__(self, consumer: AIOKafkaConsumer, decisions: "asyncio.Queue[frozenset[int]]") -> None:
        self._consumer = consumer
        self._decisions = decisions

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        log.debug("rebalance_started", partitions=sorted(place.partition for place in revoked))

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        places = frozenset(assigned)
        self._consumer.pause(*places)
        self._decisions.put_nowait(frozenset(place.partition for place in places))
