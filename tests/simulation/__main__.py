"""Run seeds: `--seed N [--trace]` replays one exactly, `--seeds A-B [--jobs J]` runs many and sums up.

Every seed runs in a process of its own, forked from one that has done nothing but import: whatever a run
leaves behind ends with it, and every run starts from the same state.
"""

import argparse
import gc
import os
import sys
from collections.abc import Sequence

from tests.simulation.many import report, run_many, warm_up
from tests.simulation.running import run_seed

DEFAULT_FAULTS = 12


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="run this one seed")
    parser.add_argument("--trace", action="store_true", help="show everything that happens")
    parser.add_argument("--seeds", default="0-49", help="run these, first-last")
    parser.add_argument("--jobs", type=int, default=2, help="so many at a time")
    parser.add_argument("--faults", type=int, default=DEFAULT_FAULTS, help="at most so many for a seed")
    parser.add_argument("--mutant", default="", help="break the daemon in this way first (tests.mutants)")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        return _one(options.seed, options.faults, trace=options.trace)
    first, _, last = options.seeds.partition("-")
    return report(run_many(range(int(first), int(last or first) + 1), options.jobs, options.faults))


def _one(seed: int, faults: int, *, trace: bool) -> int:
    warm_up()
    gc.disable()
    verdict = run_seed(seed, print if trace else None, faults)
    for violation in verdict.violations:
        print(f"VIOLATION {violation}")
    outcome = "broken" if verdict.violations else "kept"
    print(f"seed {seed}: {outcome} after {verdict.seconds:.0f} virtual seconds, trace {verdict.digest}")
    sys.stdout.flush()
    # Nothing of the run is cleaned up: a killed replica's code must not run again.
    os._exit(1 if verdict.violations else 0)


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Sets of text are walked by their hashes, which must be the same in every run.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])  # noqa: S606 - itself
    sys.exit(main(sys.argv[1:]))
