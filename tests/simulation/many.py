"""Many seeds, some at a time, each in a forked process of its own; and what they came to."""

import gc
import os
import pickle
import resource
import select
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.simulation.memoised import memoise
from tests.simulation.running import Run, Verdict, run_once

LONGEST_SECONDS = 60
PROGRESS_SECONDS = 30.0


@dataclass(slots=True)
class _Child:
    run: Run
    pid: int
    pipe: int
    data: bytearray = field(default_factory=bytearray)


def run_many(runs: Iterable[Run], jobs: int) -> Iterator[Verdict]:
    """Yield verdicts as they come."""
    left, running = iter(runs), dict[int, _Child]()
    warm_up()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        while True:
            while len(running) < jobs and (run := next(left, None)) is not None:
                child = _fork(run)
                running[child.pipe] = child
            if not running:
                return
            yield from _ended(running)
    finally:
        for child in running.values():
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
        gc.enable()


def warm_up() -> None:
    """Have everything imported and made that is made once."""
    memoise()
    run_once(Run(0, faults=0, items=2))


def _fork(run: Run) -> _Child:
    receiving, sending = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(receiving)
        # Of the processor's time: how busy the machine is says nothing of the run.
        resource.setrlimit(resource.RLIMIT_CPU, (LONGEST_SECONDS, LONGEST_SECONDS))
        with os.fdopen(sending, "wb") as pipe:
            pipe.write(pickle.dumps(_verdict(run)))
        # Nothing of the run is cleaned up: a killed replica's code must not run again.
        os._exit(0)
    os.close(sending)
    return _Child(run, pid, receiving)


def _verdict(run: Run) -> Verdict:
    try:
        return run_once(run)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is this seed's verdict
        return Verdict(run, (f"the simulation itself failed: {error!r}",), Counter(), Counter(), 0.0, "")


def _ended(running: dict[int, _Child]) -> Iterator[Verdict]:
    readable, _, _ = select.select(list(running), [], [], 1.0)
    for pipe in readable:
        child = running[pipe]
        if data := os.read(pipe, 1 << 20):
            child.data += data
            continue
        yield _reaped(running, child, pickle.loads(child.data) if child.data else None)  # noqa: S301 - our own child's


def _reaped(running: dict[int, _Child], child: _Child, verdict: Verdict | None) -> Verdict:
    os.close(child.pipe)
    os.waitpid(child.pid, 0)
    del running[child.pipe]
    return verdict or Verdict(child.run, ("the run died, or took too long",), Counter(), Counter(), 0.0, "")


@dataclass(slots=True)
class Sums:
    """What many runs came to, and how fast."""

    runs: Counter[str] = field(default_factory=Counter)
    broken: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    fired: Counter[int] = field(default_factory=Counter)
    virtual_seconds: float = 0.0
    began: float = field(default_factory=time.monotonic)

    def add(self, verdict: Verdict) -> None:
        """Count one; a broken one is printed, with the command that replays it."""
        self.runs[verdict.run.kind] += 1
        self.counts.update(verdict.counts)
        self.fired.update(verdict.fired)
        self.virtual_seconds += verdict.seconds
        if verdict.violations:
            self.broken += 1
            print(f"seed {verdict.run.seed}: replay with {verdict.run.command}")
            for violation in verdict.violations[:5]:
                print(f"    {violation[:400]}", flush=True)

    def __str__(self) -> str:
        seconds, hours = time.monotonic() - self.began, self.virtual_seconds / 3600
        what = ", ".join(f"{count} {kind}" for kind, count in self.runs.items()) or "nothing run"
        pace = f"{self.runs.total() / seconds * 60:.0f} a minute, {seconds:.0f} s in all"
        return f"{what}: {self.broken} broken, {pace}, {hours:.1f} h simulated"


def summed(verdicts: Iterable[Verdict], *, progress: bool) -> Sums:
    """Print failures as they come, with `progress` a line now and then, and the sums."""
    sums, shown = Sums(), time.monotonic()
    for verdict in verdicts:
        sums.add(verdict)
        if progress and time.monotonic() - shown > PROGRESS_SECONDS:
            shown = time.monotonic()
            print(sums, flush=True)
    print(sums)
    return sums
