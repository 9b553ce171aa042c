"""One seed, from the draw to the verdict."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields
from random import Random
from types import ModuleType

from tests.simulation import checker, rows, tasks
from tests.simulation.faults import Injector, plan
from tests.simulation.loop import DeadlockError, LivelockError, VirtualLoop
from tests.simulation.scenario import Job, Scenario, scenario
from tests.simulation.steering import Operator, limited
from tests.simulation.trace import Trace
from tests.simulation.world import SimWorld

# When the last fault has ended at the latest.
HEALED_SECONDS = 80.0
LOOK_SECONDS = 1.0
# A minute for which Toloka had us wait, then the overlap's turn, and the work itself.
LATE_SECONDS = 85.0
# How often it is asked whether all has come to rest.
REST_SECONDS = 3.0
# How long a replica is away that is killed at a certain step.
DOWN_SECONDS = 2.0


@dataclass(frozen=True)
class Run:
    """What is run; it decides everything.

    Attributes:
        seed: of all that is drawn.
        faults: at most so many.
        items: input records.
        replicas: of the daemon.
        kill_at: the first replica is killed in place of its so-many-th step, where a step is what it does
            between two awaits; None for never.
        api: which of Toloka's: app or tasks.
        steered: 1 where an operator limits what is submitted, pauses and resumes; see `steering`.
        only: the faults that may be drawn, by name, with commas between; all of them where it is empty.
    """

    seed: int
    faults: int = 12
    items: int = 200
    replicas: int = 3
    kill_at: int | None = None
    api: str = "app"
    only: str = ""
    steered: int = 0

    @classmethod
    def with_operator(cls, seed: int, faults: int = 12, api: str = "app") -> "Run":
        """With an operator at work; every other seed without faults, for then more can be told."""
        return cls(seed, seed % 2 * faults, api=api, steered=1)

    @property
    def kind(self) -> str:
        """What such runs are counted as."""
        if self.kill_at is not None:
            return "kills"
        return "seeds with an operator" if self.steered else "seeds"

    @property
    def command(self) -> str:
        """Replays it."""
        changed = [
            f"--{field.name.replace('_', '-')} {value}"
            for field in fields(self)
            if (value := getattr(self, field.name)) != field.default
        ]
        return " ".join(("python -m tests.simulation", *changed, "--trace"))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run came to.

    Attributes:
        violations: what broke the promise; empty when it was kept.
        counts: how often each thing happened.
        fired: how often each row of the fault matrix was fired.
        seconds: virtual ones, until all was at rest.
    """

    run: Run
    violations: tuple[str, ...]
    counts: Counter[str]
    fired: Counter[int]
    seconds: float
    digest: str


def run_once(run: Run, show: Callable[[str], None] | None = None) -> Verdict:
    """Run to the end; `show` is given each line of the trace."""
    seed = run.seed
    loop = VirtualLoop(Random(f"{seed} loop"))
    trace = Trace(loop, show)
    trace.listen_to_logs()
    draw: Callable[[Random, int], Scenario] = tasks.tasks_scenario if run.api == "tasks" else scenario
    drawn = draw(Random(f"{seed} scenario"), run.items)
    if run.steered:
        drawn = limited(drawn, Random(f"{seed} limit"))
    world = SimWorld(str(seed), drawn, loop, trace, run.replicas)
    if run.api == "tasks":
        tasks.translate(world.toloka.faults)
    loop.set_exception_handler(lambda _loop, context: _unexpected(world, context))
    try:
        loop.run_until_complete(_story(world, run))
    except (DeadlockError, LivelockError) as error:
        world.violations.append(str(error))
    violations = [*world.violations, *_judge(world).problems(world)]
    fired = rows.of_counts(trace.counts) + rows.of_scenario(world.scenario)
    fired[21] += world.cluster.transactions.expired
    fired[32] += checker.oversized(world)
    return Verdict(run, tuple(violations), trace.counts, fired, loop.time(), trace.digest)


def _judge(world: SimWorld) -> ModuleType:
    """What knows whether the promise was kept with this API."""
    return tasks if world.scenario.settings.toloka.api == "tasks" else checker


def _unexpected(world: SimWorld, context: dict[str, object]) -> None:
    world.violations.append(f"{context.get('message')}: {context.get('exception')!r}")


async def _story(world: SimWorld, run: Run) -> None:
    rng = Random(f"{run.seed} faults")
    injector = Injector(world, rng)
    injector.begin(plan(rng, run.faults, tuple(filter(None, run.only.split(",")))))
    operator = None
    if run.steered:
        operator = Operator(world, Random(f"{run.seed} operator"), strict=not run.faults)
        operator.begin()
    world.restart_who_is_down()
    if run.kill_at is not None:
        first = world.replicas[0]
        first.process.fuse = (run.kill_at, lambda: world.kill(first, DOWN_SECONDS))
    for job in world.scenario.work:
        world.loop.world.call_later(job.at, _produce, world, job)
    await _watch(world, HEALED_SECONDS if run.faults else world.scenario.work[-1].at + 1)
    injector.heal()
    if operator is not None:
        await operator.raise_the_limit()
    healed_at = world.wall()
    await _settle(world)
    world.violations += _judge(world).slow_results(world, healed_at, LATE_SECONDS)


async def _watch(world: SimWorld, until: float) -> None:
    while world.loop.time() < until:
        await asyncio.sleep(LOOK_SECONDS)
        world.restart_who_is_down()


async def _settle(world: SimWorld) -> None:
    """Wait until all is at rest; not for ever."""
    settings = world.scenario.settings
    patience = settings.submit.quarantine_seconds + 60 + 10 * settings.collect.sweep_after_seconds
    end = world.loop.time() + patience
    while next(_judge(world).unsettled(world), None) is not None:
        if world.loop.time() > end:
            left = _judge(world).unsettled(world)
            world.violations += [f"not settled after {patience} s: {each}" for each in left]
            return
        await asyncio.sleep(REST_SECONDS)
        world.restart_who_is_down()


def _produce(world: SimWorld, job: Job) -> None:
    log = world.cluster.log((job.append.topic, job.append.partition))
    log.append(job.append, int(world.wall() * 1000))
