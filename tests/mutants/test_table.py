"""Mutants follow the code, and the table follows the mutants."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.mutants.catalogue import MUTANTS
from tests.mutants.planting import Mutant
from tests.mutants.table import TABLE, hints, table

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_finds_its_place(mutant: Mutant) -> None:
    """What a mutant replaces stands in its module exactly once."""
    spec = find_spec(mutant.module)
    assert spec is not None
    assert spec.origin is not None
    mutant.applied(Path(spec.origin).read_text())


@pytest.mark.parametrize("mutant", [mutant for mutant in MUTANTS if mutant.found_by], ids=lambda m: m.name)
def test_the_test_that_finds_a_mutant_is_there(mutant: Mutant) -> None:
    """Under the name and in the file that the mutant tells."""
    path, _, name = mutant.found_by.partition("::")
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE)


def test_every_mutant_is_found() -> None:
    """A seed or a test is known that finds it, and no seed is kept for one that is no more."""
    left_to_seeds = {mutant.name for mutant in MUTANTS if not mutant.found_by}
    assert left_to_seeds == hints().keys()


def test_the_table_is_what_was_found() -> None:
    """`python -m tests.mutants --write` has written it."""
    assert TABLE.read_text() == table(hints())
