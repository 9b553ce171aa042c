"""Run seeds: `--seed N [--trace]` replays one exactly, `--seeds A-B [--jobs J]` runs many and sums up.

`--kills A-B` kills the only replica of a small run at each of these steps, one run for each. `--steered A-B`
runs these seeds with an operator at work, who sets a limit, pauses and resumes. Every run has a process of
its own, forked from one that has done nothing but import: whatever it leaves behind ends with it, and every
run starts from the same state.
"""

import argparse
import gc
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import chain

from tests.matrix import counts
from tests.simulation.faults import FAULTS
from tests.simulation.many import Sums, run_many, summed, warm_up
from tests.simulation.running import Run, run_once

KILLED_ITEMS = 12


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one seed")
    parser.add_argument("--trace", action="store_true", help="show everything that happens")
    parser.add_argument("--faults", type=int, default=Run.faults, help="at most so many for a seed")
    parser.add_argument("--items", type=int, default=Run.items, help="input records")
    parser.add_argument("--replicas", type=int, default=Run.replicas, help="of the daemon")
    parser.add_argument("--kill-at", type=int, help="kill the first replica at this step")
    parser.add_argument("--seeds", default="", help="run these, first-last")
    parser.add_argument("--kills", default="", help="kill at these steps, first-last or first-last/every")
    parser.add_argument("--steered", default="", help="run these with an operator at work; 1 with --seed")
    parser.add_argument("--jobs", type=int, default=2, help="so many at a time")
    parser.add_argument("--api", choices=("app", "tasks"), default="app", help="which of Toloka's APIs")
    parser.add_argument("--only", default="", help="draw only these faults, with commas between")
    parser.add_argument("--progress", action="store_true", help="say how far it is, twice a minute")
    parser.add_argument("--count-as", default="", help="write the rows that were fired under this name")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        run = Run(
            options.seed,
            options.faults,
            options.items,
            options.replicas,
            options.kill_at,
            options.api,
            options.only,
            int(options.steered or 0),
        )
        return _one(run, trace=options.trace)
    kills = [
        Run(step % KILLED_ITEMS, faults=0, items=KILLED_ITEMS, replicas=1, kill_at=step, api=options.api)
        for step in _span(options.kills)
    ]
    drawn = (
        Run(seed, options.faults, options.items, api=options.api, only=options.only)
        for seed in _span(options.seeds)
    )
    steered = (Run.with_operator(seed, options.faults, options.api) for seed in _span(options.steered))
    runs = chain(drawn, kills, steered)
    sums = summed(run_many(runs, options.jobs), progress=options.progress)
    _show_counts(sums)
    if options.count_as:
        counts.write(options.count_as, sums.fired)
    return 1 if sums.broken else 0


def _span(text: str) -> Iterator[int]:
    """The numbers of `first-last/every`; none of nothing."""
    if text:
        ends, _, every = text.partition("/")
        first, _, last = ends.partition("-")
        yield from range(int(first), int(last or first) + 1, int(every or 1))


def _show_counts(sums: Sums) -> None:
    print("how often each fault struck:")
    for name in FAULTS:
        times = sum(count for what, count in sums.counts.items() if what.split(" at ")[0] == f"fault {name}")
        print(f"  {times:6} {name}")


def _one(run: Run, *, trace: bool) -> int:
    warm_up()
    gc.disable()
    verdict = run_once(run, print if trace else None)
    for violation in verdict.violations:
        print(f"VIOLATION {violation}")
    outcome = "broken" if verdict.violations else "kept"
    print(f"seed {run.seed}: {outcome} after {verdict.seconds:.0f} virtual seconds, trace {verdict.digest}")
    sys.stdout.flush()
    # Nothing of the run is cleaned up: a killed replica's code must not run again.
    os._exit(1 if verdict.violations else 0)


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Sets of text are walked by their hashes, which must be the same in every run.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])  # noqa: S606 - itself
    sys.exit(main(sys.argv[1:]))
