"""Plants each mutant in turn and prints how many seeds it took to be found."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.mutants.catalogue import MUTANTS
from tests.mutants.planting import Mutant

DEFAULT_SEEDS = 100


@dataclass(frozen=True, slots=True)
class Hunt:
    """What came of looking for a mutant: after how many seeds it was found, if it was, and by what sign."""

    mutant: Mutant
    seeds: int | None
    sign: str


def hunts(mutants: Sequence[Mutant], seeds: int) -> Iterator[Hunt]:
    """Look for each mutant in the first so many seeds, less those that are broken anyway."""
    known = ",".join(_broken("", seeds, ""))
    for mutant in mutants:
        broken = _broken(mutant.name, seeds, known)
        found = next(iter(broken.items()), None)
        yield Hunt(mutant, int(found[0]) + 1 if found else None, found[1] if found else "")


def _broken(name: str, seeds: int, known: str) -> dict[str, str]:
    command = [sys.executable, "-m", "tests.mutants.planted", name, f"0-{seeds - 1}", known]
    ran = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": "0"}
    )
    if ran.returncode:
        raise RuntimeError(f"{name}: {ran.stderr[-2000:]}")
    broken: dict[str, str] = json.loads(ran.stdout)["broken"]
    return broken


def main() -> int:
    """Print the table; returns 1 where a mutant was not found."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="these only")
    parser.add_argument("--seeds", type=int, default=DEFAULT_SEEDS, help="look in so many")
    options = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if not options.names or mutant.name in options.names]
    survived = 0
    for hunt in hunts(chosen, options.seeds):
        survived += hunt.seeds is None
        seeds = "not found" if hunt.seeds is None else f"{hunt.seeds:9}"
        print(f"{seeds}  {hunt.mutant.name:42} {hunt.sign[:100]}", flush=True)
    print(f"{len(chosen) - survived} of {len(chosen)} mutants found within {options.seeds} seeds")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
