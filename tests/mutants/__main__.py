"""Plants each mutant in turn and prints how many seeds it took to be found.

Each begins with the seed that found it last (hints.json), so that a run of all of them is short;
`--from-scratch` begins with seed 0, and `--write` keeps what it found.
"""

import argparse
import importlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from multiprocessing import get_context

from tests.mutants.catalogue import MUTANTS
from tests.mutants.hunting import Hunt, hunt
from tests.mutants.planting import Mutant
from tests.mutants.table import HINTS, TABLE, hints, table

DEFAULT_SEEDS = 100
# Imported once, before the hunters are forked; nothing of the project may be among them.
LIBRARIES = ("httpx", "msgspec", "pydantic_settings", "prometheus_client", "structlog", "xxhash", "certifi")
TESTING = ("hypothesis", "pytest", "pytest_asyncio.plugin", "uvloop")


def main() -> int:
    """Print the table; returns 1 where a mutant was not found."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="these only")
    parser.add_argument("--seeds", type=int, default=DEFAULT_SEEDS, help="look in so many")
    parser.add_argument("--from-scratch", action="store_true", help="without hints")
    parser.add_argument(
        "--hinted", action="store_true", help="only those of which it is known what finds them"
    )
    parser.add_argument("--write", action="store_true", help="keep what was found as hints")
    parser.add_argument("--jobs", type=int, default=1, help="so many at a time")
    options = parser.parse_args()
    known = hints()
    chosen = [mutant for mutant in MUTANTS if not options.names or mutant.name in options.names]
    if options.hinted:
        slow = [mutant.name for mutant in chosen if mutant.name not in known and not mutant.found_by]
        print(f"left to the soak, for no hint is known: {', '.join(slow) or 'none'}")
        chosen = [mutant for mutant in chosen if mutant.name not in slow]
    found = _hunted(chosen, options.seeds, {} if options.from_scratch else known, options.jobs)
    if options.write:
        known |= {each.mutant.name: each.seed for each in found if each.seed is not None}
        seeds = {mutant.name: known[mutant.name] for mutant in MUTANTS if mutant.name in known}
        HINTS.write_text(json.dumps(seeds, indent=1, sort_keys=True) + "\n")
        TABLE.write_text(table(seeds))
    caught = sum(each.found for each in found)
    print(f"{caught} of {len(chosen)} mutants found within {options.seeds} seeds")
    return 0 if caught == len(chosen) else 1


def _hunted(mutants: Sequence[Mutant], seeds: int, known: Mapping[str, int], jobs: int) -> list[Hunt]:
    for library in (*LIBRARIES, *TESTING):
        importlib.import_module(library)
    found = []
    with get_context("fork").Pool(jobs, maxtasksperchild=1) as pool:
        for each in pool.imap(partial(_hunt, seeds=seeds, known=known), mutants, chunksize=1):
            found.append(each)
            needed = "by test" if each.mutant.found_by and each.found else "not found"
            if each.seed is not None:
                # With a hint, so many as were run when the hint was found.
                needed = f"{each.seed + 1} seeds"
            print(f"{needed:>10}  {each.mutant.name:42} {each.sign}", flush=True)
    return found


def _hunt(mutant: Mutant, seeds: int, known: Mapping[str, int]) -> Hunt:
    hint = known.get(mutant.name)
    first = [] if hint is None else [hint]
    return hunt(mutant, [*first, *(seed for seed in range(seeds) if seed != hint)])


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # As the simulation itself does.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.mutants", *sys.argv[1:]])  # noqa: S606 - itself
    sys.exit(main())
