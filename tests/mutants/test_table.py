"""Mutants follow the code, and the table follows the mutants."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.mutants.catalogue import MUTANTS
from tests.mutants.planting import Mutant
from tests.mutants.table import TABLE, hints, table


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_finds_its_place(mutant: Mutant) -> None:
    """What a mutant replaces stands in its module exactly once."""
    spec = find_spec(mutant.module)
    assert spec is not None
    assert spec.origin is not None
    mutant.applied(Path(spec.origin).read_text())


def test_every_mutant_is_found() -> None:
    """A seed or a test is known that finds it, and no seed is kept for one that is no more."""
    left_to_seeds = {mutant.name for mutant in MUTANTS if not mutant.found_by}
    assert left_to_seeds == hints().keys()


def test_the_table_is_what_was_found() -> None:
    """`python -m tests.mutants --write` has written it."""
    assert TABLE.read_text() == table(hints())
