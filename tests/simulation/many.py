"""Many seeds, some at a time, each in a forked process of its own; and what they came to."""

import gc
import os
import pickle
import select
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.simulation.faults import FAULTS
from tests.simulation.memoised import memoise
from tests.simulation.running import Verdict, run_seed

LONGEST_SECONDS = 120.0


@dataclass(slots=True)
class _Child:
    seed: int
    pid: int
    pipe: int
    began: float
    data: bytearray = field(default_factory=bytearray)


def run_many(seeds: Iterable[int], jobs: int, faults: int) -> Iterator[Verdict]:
    """Run seeds and yield their verdicts as they come."""
    left, running = iter(seeds), dict[int, _Child]()
    warm_up()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        while True:
            while len(running) < jobs and (seed := next(left, None)) is not None:
                child = _fork(seed, faults)
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
    run_seed(0, faults=0, items=2)


def _fork(seed: int, faults: int) -> _Child:
    receiving, sending = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(receiving)
        with os.fdopen(sending, "wb") as pipe:
            pipe.write(pickle.dumps(_verdict(seed, faults)))
        # Nothing of the run is cleaned up: a killed replica's code must not run again.
        os._exit(0)
    os.close(sending)
    return _Child(seed, pid, receiving, time.monotonic())


def _verdict(seed: int, faults: int) -> Verdict:
    try:
        return run_seed(seed, None, faults)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is this seed's verdict
        return Verdict(seed, (f"the simulation itself failed: {error!r}",), Counter(), Counter(), 0.0, "")


def _ended(running: dict[int, _Child]) -> Iterator[Verdict]:
    readable, _, _ = select.select(list(running), [], [], 1.0)
    for pipe in readable:
        child = running[pipe]
        if data := os.read(pipe, 1 << 20):
            child.data += data
            continue
        yield _reaped(running, child, pickle.loads(child.data) if child.data else None)  # noqa: S301 - our own child's
    for child in [each for each in running.values() if time.monotonic() - each.began > LONGEST_SECONDS]:
        os.kill(child.pid, signal.SIGKILL)
        yield _reaped(running, child, None)


def _reaped(running: dict[int, _Child], child: _Child, verdict: Verdict | None) -> Verdict:
    os.close(child.pipe)
    os.waitpid(child.pid, 0)
    del running[child.pipe]
    return verdict or Verdict(child.seed, ("the run died, or took too long",), Counter(), Counter(), 0.0, "")


def report(verdicts: Iterable[Verdict]) -> int:
    """Print failures as they come, then the sums; returns the exit code."""
    began, runs, broken, counts, virtual = time.monotonic(), 0, 0, Counter[str](), 0.0
    for verdict in verdicts:
        runs += 1
        counts.update(verdict.counts)
        virtual += verdict.seconds
        if verdict.violations:
            broken += 1
            print(
                f"seed {verdict.seed}: replay with python -m tests.simulation --seed {verdict.seed} --trace"
            )
            for violation in verdict.violations[:5]:
                print(f"    {violation[:400]}", flush=True)
    seconds = time.monotonic() - began
    print(
        f"{runs} seeds, {broken} broken, {runs / seconds * 60:.0f} a minute, {virtual / 3600:.1f} h simulated"
    )
    print("how often each fault struck:")
    for name in FAULTS:
        print(f"  {counts[f'fault {name}']:6} {name}")
    return 1 if broken else 0
