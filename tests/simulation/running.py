"""One seed, from the draw to the verdict."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.simulation import checker, rows
from tests.simulation.faults import Injector, plan
from tests.simulation.loop import DeadlockError, LivelockError, VirtualLoop
from tests.simulation.scenario import Job, scenario
from tests.simulation.trace import Trace
from tests.simulation.world import SimWorld

# When the last fault has ended at the latest.
HEALED_SECONDS = 80.0
LOOK_SECONDS = 1.0
# How often it is asked whether all has come to rest.
REST_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a seed came to.

    Attributes:
        violations: what broke the promise; empty when it was kept.
        counts: how often each thing happened.
        fired: how often each row of the fault matrix was fired.
        seconds: virtual ones, until all was at rest.
    """

    seed: int
    violations: tuple[str, ...]
    counts: Counter[str]
    fired: Counter[int]
    seconds: float
    digest: str


def run_seed(
    seed: int, show: Callable[[str], None] | None = None, faults: int = 12, items: int = 200
) -> Verdict:
    """Run one seed: so many input records, and at most so many faults."""
    loop = VirtualLoop(Random(f"{seed} loop"))
    trace = Trace(loop, show)
    trace.listen_to_logs()
    world = SimWorld(str(seed), scenario(Random(f"{seed} scenario"), items), loop, trace)
    loop.set_exception_handler(lambda _loop, context: _unexpected(world, context))
    try:
        loop.run_until_complete(_story(world, seed, faults))
    except (DeadlockError, LivelockError) as error:
        world.violations.append(str(error))
    violations = [*world.violations, *checker.problems(world)]
    fired = rows.of_counts(trace.counts) + rows.of_scenario(world.scenario)
    fired[21] += world.cluster.transactions.expired
    fired[32] += checker.oversized(world)
    return Verdict(seed, tuple(violations), trace.counts, fired, loop.time(), trace.digest)


def _unexpected(world: SimWorld, context: dict[str, object]) -> None:
    world.violations.append(f"{context.get('message')}: {context.get('exception')!r}")


async def _story(world: SimWorld, seed: int, faults: int) -> None:
    rng = Random(f"{seed} faults")
    injector = Injector(world, rng)
    injector.begin(plan(rng, faults))
    world.restart_who_is_down()
    for job in world.scenario.work:
        world.loop.world.call_later(job.at, _produce, world, job)
    await _watch(world, HEALED_SECONDS if faults else world.scenario.work[-1].at + 1)
    injector.heal()
    healed_at = world.wall()
    await _settle(world)
    world.violations += checker.slow_results(world, healed_at, 70.0)


async def _watch(world: SimWorld, until: float) -> None:
    while world.loop.time() < until:
        await asyncio.sleep(LOOK_SECONDS)
        world.restart_who_is_down()


async def _settle(world: SimWorld) -> None:
    """Wait until all is at rest; not for ever."""
    settings = world.scenario.settings
    patience = settings.submit.quarantine_seconds + 60 + 10 * settings.collect.sweep_after_seconds
    end = world.loop.time() + patience
    while next(checker.unsettled(world), None) is not None:
        if world.loop.time() > end:
            left = checker.unsettled(world)
            world.violations += [f"not settled after {patience} s: {each}" for each in left]
            return
        await asyncio.sleep(REST_SECONDS)
        world.restart_who_is_down()


def _produce(world: SimWorld, job: Job) -> None:
    log = world.cluster.log((job.append.topic, job.append.partition))
    log.append(job.append, int(world.wall() * 1000))
