"""Both flows, built over the ports: the same whether the world behind them is real or simulated."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from random import Random

from daemon.app.places import (
    collect_intervals,
    collect_options,
    collector_transactional_id,
    patience_of,
    place_of,
    submit_options,
)
from daemon.app.service import Service
from daemon.flows.batches.budgeting import Budget
from daemon.flows.batches.delivering import CONNECTIONS
from daemon.flows.batches.guarding import RejectionGuard
from daemon.flows.batches.shared_parts import SharedParts
from daemon.flows.batches.spending import item_limits
from daemon.flows.collecting import Collecting, CollectorParts
from daemon.flows.doubts.resolving import Resolver
from daemon.flows.doubts.searching import Search
from daemon.flows.gate import Gate
from daemon.flows.holding import Holds
from daemon.flows.looks.foreign import Foreign
from daemon.flows.partitions.handing_over import handed_over
from daemon.flows.partitions.sharing import Sharing, Way
from daemon.flows.pausing import Pausing
from daemon.flows.submitting import Submitting
from daemon.flows.watching import CollectWatch, SubmitWatch
from daemon.metrics import Metrics
from daemon.ports import Clock, Kafka, Membership, TolokaClock
from daemon.settings import Settings


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside, behind its ports.

    Attributes:
        join: opens a place in a group (its id, the topic whose partitions it shares out).
        service: Toloka.
        partitions: how many partitions each topic has.
        max_result_bytes: what the output topic takes.
        input_retention_seconds: how long the input topic keeps a record; None for ever or unknown.
    """

    kafka: Kafka
    join: Callable[[str, str], AbstractAsyncContextManager[Membership]]
    service: Service
    partitions: dict[str, int]
    max_result_bytes: int
    input_retention_seconds: float | None
    clock: Clock
    toloka_clock: TolokaClock
    metrics: Metrics
    holds: Holds
    rng: Random

    def new_id(self) -> str:
        """A UUID."""
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))


@dataclass(frozen=True, slots=True)
class Flows:
    """The flows that the settings enable, and what pauses them: each runs until its event is set."""

    submit: Sharing | None
    collect: Sharing | None
    pausing: Pausing
    budget: Budget | None

    def ours(self) -> frozenset[int]:
        """The input partitions that this replica owns now."""
        return frozenset() if self.submit is None else self.submit.ours


def assemble(settings: Settings, world: World) -> Flows:
    """Build both flows, as far as they are enabled."""
    ours = _OurShare(settings, world)
    gates = {name: Gate(name, world.holds, world.rng, world.metrics) for name in ("submit", "collect")}
    budget = _budget(settings, world)
    pausing = Pausing(world.kafka, settings.kafka.cursor_topic, gates, world.rng)
    submit = _submitting(settings, world, ours, gates["submit"], budget) if settings.submit.enabled else None
    collect = _collecting(settings, world, ours, gates["collect"]) if settings.collect.enabled else None
    for name, flow in (("submit", submit), ("collect", collect)):
        world.metrics.flow_enabled.labels(name).set(0 if flow is None else 1)
    return Flows(submit, collect, pausing, budget)


def _budget(settings: Settings, world: World) -> Budget | None:
    limits = item_limits(settings.budget, world.service.item_price)
    if limits is None or not settings.submit.enabled:
        return None
    return Budget(world.kafka, settings.kafka.budget_topic, limits, world.rng)


class _OurShare:
    """Which part of the limits is this replica's: by its partitions, the collector counting as one."""

    def __init__(self, settings: Settings, world: World) -> None:
        self._world = world
        self._partitions = world.partitions[settings.kafka.input_topic]
        self._collectors = 1 if settings.collect.enabled else 0
        self._submitting = 0
        self._collecting = 0

    def submitting(self, partitions: frozenset[int]) -> None:
        self._submitting = len(partitions)
        # Some may have been added since the start: they are numbered on.
        self._partitions = max((self._partitions, *(partition + 1 for partition in partitions)))
        self._world.metrics.rebalances.inc()
        self._world.metrics.assigned_partitions.set(len(partitions))
        self._tell()

    def collecting(self, partitions: frozenset[int]) -> None:
        self._collecting = 1 if 0 in partitions else 0
        self._tell()

    def _tell(self) -> None:
        places = self._partitions + self._collectors
        items = self._submitting / self._partitions
        self._world.service.share((self._submitting + self._collecting) / places, items)


def _submitting(
    settings: Settings, world: World, ours: _OurShare, gate: Gate, budget: Budget | None
) -> Sharing:
    kafka = settings.kafka
    shared = _shared_parts(settings, world, gate, budget)
    attempts_once = world.service.attempts_once
    options = submit_options(settings, attempts_once=attempts_once)
    patience = patience_of(settings)
    # What is left of a budget is known once the batch before is settled; what can be sent again under its
    # intent needs one of its own.
    connections = 1 if budget is not None or attempts_once else CONNECTIONS

    def way(partition: int) -> Way:
        place = place_of(kafka, partition, world.partitions)

        async def run(stopping: asyncio.Event) -> None:
            async with world.service.submissions(connections) as own:
                clock, metrics, rng = world.toloka_clock, world.metrics, world.rng
                search = Search(world.kafka, own[0], clock, place, patience, world.holds, metrics, rng)
                resolver = Resolver(world.kafka, place, search, metrics, rng)
                handed = partial(handed_over, world.kafka, clock, place)
                still_ours = _still_ours(sharing, partition)
                await Submitting(place, shared, own, resolver, options, handed, still_ours).run(stopping)

        return run

    join = _joining(world, kafka.group_id, kafka.input_topic)
    sharing = Sharing("submit", join, way, ours.submitting, world.holds, world.rng)
    return sharing


def _shared_parts(settings: Settings, world: World, gate: Gate, budget: Budget | None) -> SharedParts:
    submit = settings.submit
    return SharedParts(
        kafka=world.kafka,
        clock=world.clock,
        toloka_clock=world.toloka_clock,
        gate=gate,
        holds=world.holds,
        watch=SubmitWatch(world.metrics),
        rng=world.rng,
        guard=RejectionGuard(submit.max_rejected_ratio, submit.rejected_window_items),
        record_reader=world.service.record_reader,
        look_again=world.service.look_again,
        new_attempt=world.new_id,
        turn=asyncio.Lock(),
        budget=budget,
    )


def _collecting(settings: Settings, world: World, ours: _OurShare, gate: Gate) -> Sharing:
    kafka, watch = settings.kafka, CollectWatch(world.metrics)
    parts = CollectorParts(
        kafka=world.kafka,
        api=world.service.results,
        toloka_clock=world.toloka_clock,
        gate=gate,
        holds=world.holds,
        watch=watch,
        rng=world.rng,
        new_incarnation=world.new_id,
    )
    options = collect_options(settings, world.partitions, world.max_result_bytes)
    transactional_id, intervals = collector_transactional_id(settings), collect_intervals(settings)

    def way(partition: int) -> Way:
        # The owner of partition 0 collects; a further partition of the topic has nothing to do.
        if partition != 0:
            return _nothing
        foreign = Foreign(world.kafka, kafka.group_id, kafka.input_topic, watch)
        still_ours = _still_ours(sharing, partition)
        return Collecting(transactional_id, options, parts, intervals, foreign, still_ours).run

    join = _joining(world, kafka.collect_group_id, kafka.cursor_topic)
    sharing = Sharing("collect", join, way, ours.collecting, world.holds, world.rng)
    return sharing


def _joining(world: World, group: str, topic: str) -> Callable[[], AbstractAsyncContextManager[Membership]]:
    return lambda: world.join(group, topic)


def _still_ours(sharing: Sharing, partition: int) -> Callable[[asyncio.Event], Awaitable[None]]:
    return lambda stopping: sharing.still_ours(partition, stopping)


async def _nothing(stopping: asyncio.Event) -> None:
    await stopping.wait()
