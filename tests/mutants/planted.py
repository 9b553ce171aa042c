"""Runs seeds with a mutant planted until one finds it: `python -m tests.mutants.planted NAME 0-99`."""

import importlib
import json
import sys
from collections.abc import Sequence

from tests.mutants.catalogue import MUTANTS
from tests.mutants.planting import plant

JOBS = 2
FAULTS = 12


def main(arguments: Sequence[str]) -> None:
    """Plant, run, print a line of JSON: which seeds were broken, and how the first was.

    Without a name nothing is planted, and all seeds are run. Seeds that are known to be broken without the
    mutant, a third argument separated by commas, are left out.
    """
    name, span, known = (*arguments, "", "")[:3]
    for mutant in MUTANTS:
        if mutant.name == name:
            plant(mutant)
    # Only now, for the simulation imports what is to be changed.
    many = importlib.import_module("tests.simulation.many")
    first, _, last = span.partition("-")
    left_out = {int(seed) for seed in known.split(",") if seed}
    seeds = [seed for seed in range(int(first), int(last) + 1) if seed not in left_out]
    broken: dict[int, str] = {}
    verdicts = many.run_many(seeds, JOBS, FAULTS)
    for verdict in verdicts:
        if verdict.violations:
            broken[verdict.seed] = verdict.violations[0]
            if name:
                verdicts.close()
                break
    print(json.dumps({"broken": broken}))


if __name__ == "__main__":
    main(sys.argv[1:])
