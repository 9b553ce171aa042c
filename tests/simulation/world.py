"""The whole world of one run: the cluster, Toloka, the replicas, and the hands that start and stop them."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from random import Random

from daemon.errors import ConfigurationError, StartError
from daemon.flows.holding import Holds
from daemon.metrics import Metrics
from daemon.model import OffsetCommit, Transaction
from daemon.ports import Membership
from tests.simulation import rows
from tests.simulation.broker import Cluster, SimKafka
from tests.simulation.broker.client import Fate
from tests.simulation.broker.member import sim_membership
from tests.simulation.loop import Process, VirtualLoop, current_process
from tests.simulation.replica import Life, ReplicaClock, Surroundings, live
from tests.simulation.scenario import EPOCH_SECONDS, LEDGER, RESULTS, Scenario
from tests.simulation.trace import Trace
from tests.simulation.wire import Net, Weather
from tests.simulator import Toloka
from tests.simulator.control import Control

RESTART_SECONDS = (0.5, 5.0)


@dataclass(slots=True, eq=False)
class Replica:
    """One replica through all its lives."""

    name: str
    clock: ReplicaClock
    process: Process
    life: Life | None = None
    lives: int = 0
    down_until: float = 0.0


@dataclass(slots=True)
class Injected:
    """What faults are pending for the next who comes by.

    Attributes:
        fates: of the next commits.
        dying_readers: how many of the next reads fail.
        dying_members: how many of the memberships fail.
        unknown: Toloka has denied an item that is there; twice would be a lie that nobody can see through.
    """

    fates: list[Fate] = field(default_factory=list)
    dying_readers: int = 0
    dying_members: int = 0
    unknown: bool = False


class SimWorld:
    """See the module.

    Args:
        seed: decides everything that the scenario leaves open.
        scenario: what was decided beforehand.
        loop: the virtual loop.
        trace: is told everything.
        replicas: how many.
    """

    def __init__(
        self, seed: str, scenario: Scenario, loop: VirtualLoop, trace: Trace, replicas: int = 3
    ) -> None:
        self.loop = loop
        self.scenario = scenario
        self.trace = trace
        self.watcher: Callable[[Process, str], None] = _look_away
        self.injected = Injected()
        self.violations: list[str] = []
        self.lost_offsets: list[OffsetCommit] = []
        self.rng = Random(f"{seed} world")
        self.toloka = Toloka(self.wall, Random(f"{seed} toloka"), scenario.knobs, scenario.world)
        self.control = Control(self.toloka)
        self.weather = Weather(close_share=scenario.close_share)
        self.net = Net(loop, Random(f"{seed} net"), self.toloka, self.weather, self.passed)
        self.net.answered = lambda request, response: trace.count_rows(rows.of_answer(request, response))
        self.toloka.faults.on_strike = lambda asked, fault: trace.count_rows(rows.of_fault(asked, fault))
        self.cluster = Cluster(
            loop,
            Random(f"{seed} cluster"),
            lambda: int(self.wall() * 1000),
            scenario.pace,
            self.passed,
        )
        for name, partitions in scenario.partitions.items():
            largest = scenario.max_result_bytes if name == RESULTS else 1 << 20
            self.cluster.add_topic(name, partitions, largest)
        self.metrics = Metrics()
        self.replicas = [
            Replica(f"replica-{at}", ReplicaClock(loop), loop.process(f"replica-{at}"))
            for at in range(replicas)
        ]

    def wall(self) -> float:
        """The true time, seconds since 1970."""
        return EPOCH_SECONDS + self.loop.now

    def passed(self, process: Process | None, point: str) -> None:
        """A request was sent, served or answered."""
        if process is not None and process.alive:
            self.trace.note(process, point)
            self.watcher(process, point)

    def put_offsets_back(self) -> None:
        """As an operator does, where nobody has committed anything since: the latest that was lost."""
        groups = self.cluster.groups
        for lost in reversed(self.lost_offsets):
            if groups.known_offset(lost.group, lost.topic, lost.partition) is None:
                groups.settle(lost)
        self.lost_offsets.clear()

    # --- replicas

    def start(self, replica: Replica) -> None:
        """Give a replica a new life."""
        replica.lives += 1
        replica.process = self.loop.process(f"{replica.name}.{replica.lives}")
        replica.life = Life(replica.clock, asyncio.Event(), Holds(self.metrics), Random(self.rng.random()))
        client_id = f"{int(self.loop.time() * 1000):013d}-{replica.name}"
        around = Surroundings(
            self.loop,
            self.scenario,
            self.net,
            lambda: SimKafka(self.cluster, self._fate, self._reader_dies),
            lambda group, topic: self._join(client_id, group, topic),
        )
        self.trace.note(replica.process, "started")
        task = replica.process.start(live(around, replica.life, self.metrics))
        task.add_done_callback(lambda done: self._ended(replica, done))

    def _join(self, client_id: str, group: str, topic: str) -> AbstractAsyncContextManager[Membership]:
        session_seconds = self.scenario.settings.kafka.session_timeout_seconds
        return sim_membership(self.cluster, client_id, group, topic, session_seconds, self._member_dies)

    def _fate(self, transaction: Transaction) -> Fate:
        if not self.injected.fates:
            return "usual"
        fate, topics = self.injected.fates[-1], {append.topic for append in transaction.appends}
        # The promise survives only this much: the ledger remembers, other topics do not (tests/README.md,
        # row 23).
        # An offset that is forgotten is gone if the transaction behind it is aborted, and its intent with it.
        offset = transaction.offset
        survivable = {
            "torn": topics == {LEDGER},
            "lost": topics <= {LEDGER},
            "forgotten": topics <= {LEDGER} and offset is not None and not offset.metadata,
        }
        if fate in survivable and not (survivable[fate] and offset is not None):
            return "usual"
        fate = self.injected.fates.pop()
        self.trace.note(current_process(), f"commit {fate}")
        return fate

    def _reader_dies(self) -> bool:
        self.injected.dying_readers -= (dies := self.injected.dying_readers > 0)
        return dies

    def _member_dies(self) -> bool:
        self.injected.dying_members -= (dies := self.injected.dying_members > 0)
        return dies

    def _ended(self, replica: Replica, done: "asyncio.Task[None]") -> None:
        """The program ended by itself, as it does after a drain; anything else is a violation."""
        error = None if done.cancelled() else done.exception()
        self.trace.note(replica.process, "ended", repr(error) if error else "")
        if error is not None and not (
            isinstance(error, StartError) and not isinstance(error, ConfigurationError)
        ):
            self.violations.append(
                f"{replica.process.name} ended at {self.loop.time():.1f} with {described(error)}"
            )
        self._go_down(replica, self.rng.uniform(*RESTART_SECONDS))

    def kill(self, replica: Replica, down_seconds: float) -> None:
        """As `kill -9`; it is started again after so long."""
        if replica.life is not None:
            self.trace.note(replica.process, "killed")
            replica.process.kill()
            self._go_down(replica, down_seconds)

    def _go_down(self, replica: Replica, seconds: float) -> None:
        replica.life = None
        replica.down_until = self.loop.time() + seconds

    def freeze(self, replica: Replica, seconds: float) -> None:
        """As SIGSTOP, and SIGCONT after so long."""
        process = replica.process
        self.trace.note(process, "frozen", f"for {seconds:.1f} s")
        process.freeze()
        self.loop.world.call_later(seconds, self.thaw, process)

    def thaw(self, process: Process) -> None:
        """As SIGCONT; nothing where it runs."""
        if process.frozen:
            self.trace.note(process, "thawed")
            process.thaw()

    def terminate(self, replica: Replica, down_seconds: float) -> None:
        """As SIGTERM: the event is set, and the deadline of a drain ends it."""
        if replica.life is None:
            return
        life, process = replica.life, replica.process
        self.trace.note(process, "terminated")
        process.call_later(0.0, life.stopping.set)
        grace = self.scenario.settings.shutdown_seconds

        def expire() -> None:
            if replica.life is life:
                self.kill(replica, down_seconds)

        self.loop.world.call_later(grace, expire)

    def restart_who_is_down(self) -> None:
        """Start replicas whose time down is over."""
        for replica in self.replicas:
            if replica.life is None and self.loop.time() >= replica.down_until:
                self.start(replica)


def _look_away(_process: Process, _point: str) -> None:
    """Watch nothing."""


def described(error: BaseException) -> str:
    """An error with all that is inside it, and where each came from."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(described(each) for each in error.exceptions)
    trace, where = error.__traceback__, ""
    while trace is not None:
        code = trace.tb_frame.f_code
        if "/daemon/" in code.co_filename:
            where = f"{code.co_filename.rpartition('/daemon/')[2]}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__}({error}) at {where}"
