"""Looks for one mutant: seeds of the simulation until one is broken, or the test that finds it."""

import contextlib
import importlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tests.mutants.planting import Mutant, plant

SIGN_LETTERS = 90


@dataclass(frozen=True, slots=True)
class Hunt:
    """What came of looking for a mutant.

    Attributes:
        mutant: whom.
        seed: the first broken one; None where none was.
        tried: how many seeds were run.
        sign: how it showed; empty where it did not.
    """

    mutant: Mutant
    seed: int | None
    tried: int
    sign: str

    @property
    def found(self) -> bool:
        """Whether it showed."""
        return bool(self.sign)


def hunt(mutant: Mutant, seeds: Sequence[int]) -> Hunt:
    """Look for a mutant in these seeds; in a process of its own, for it changes what is imported."""
    if mutant.found_by:
        return _by_test(mutant)
    plant(mutant)
    # Only now, for the simulation imports what is to be changed.
    many = importlib.import_module("tests.simulation.many")
    running = importlib.import_module("tests.simulation.running")
    run = (
        running.Run.with_operator
        if mutant.steered
        else partial(running.Run, api=mutant.api, only=mutant.only)
    )
    runs = map(run, seeds)
    verdicts = many.run_many(runs, jobs=1)
    for tried, verdict in enumerate(verdicts, 1):
        if verdict.violations:
            verdicts.close()
            return Hunt(mutant, verdict.run.seed, tried, verdict.violations[0][:SIGN_LETTERS])
    return Hunt(mutant, None, len(seeds), "")


def _by_test(mutant: Mutant) -> Hunt:
    plant(mutant)
    # Its plugins must not import what is to be changed before it is.
    pytest = importlib.import_module("pytest")
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        # What a failed test leaves in the middle of its work is looked at when all is over, or never. That it
        # fails is enough: to rewrite its asserts, so that they would say more, takes longer than to run it.
        plugins = ("-p", "no:cacheprovider", "-p", "no:unraisableexception")
        options = ["-q", "-x", "--assert=plain", *plugins]
        code = pytest.main([*options, mutant.found_by])
    sign = f"fails {mutant.found_by.rpartition('::')[2]}" if code == pytest.ExitCode.TESTS_FAILED else ""
    return Hunt(mutant, None, 0, sign)
