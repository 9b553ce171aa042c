"""The table of mutants, and how many seeds it takes to find each: tests/mutants/README.md, never by hand."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.mutants.catalogue import MUTANTS
from tests.mutants.planting import Mutant

HINTS = Path(__file__).with_name("hints.json")
TABLE = Path(__file__).with_name("README.md")

_HEAD = """\
# Faults planted on purpose

Each is planted in turn, and seeds of the simulation are run from 0 on until one is broken. `python -m
tests.mutants --from-scratch --write` writes this table anew; `make test` runs the seed that found each.
`only` are the faults that are drawn, where not all of them are. Some would take very many seeds, for what
they spoil is a second line of defence: a test finds those.

| mutant | harm | API | only | seeds needed |
|---|---|---|---|---|
"""


def hints() -> dict[str, int]:
    """The seed that was the first to find each mutant."""
    found: dict[str, int] = json.loads(HINTS.read_text())
    return found


def table(found: Mapping[str, int]) -> str:
    """The whole text."""
    return _HEAD + "".join(f"{line}\n" for line in _lines(found))


def _lines(found: Mapping[str, int]) -> Iterator[str]:
    for mutant in MUTANTS:
        only = "an operator at work" if mutant.steered else mutant.only
        yield f"| {mutant.name} | {mutant.harm} | {mutant.api} | {only} | {_needed(mutant, found)} |"


def _needed(mutant: Mutant, found: Mapping[str, int]) -> str:
    if mutant.found_by:
        return f"by `{mutant.found_by.rpartition('::')[2]}`"
    seed = found.get(mutant.name)
    return "not found yet" if seed is None else str(seed + 1)
