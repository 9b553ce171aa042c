"""Mutants of what an operator says: limits and pauses."""

from functools import partial

from tests.mutants.planting import Mutant

BUDGET = "daemon.flows.budgeting"

_mutant = partial(Mutant, steered=True)

STEERING = (
    _mutant(
        "limits-checked-alone",
        "each partition stays within the limit, and all of them together do not",
        BUDGET,
        "answer.set_result(self._limits.hold(self._table.values(), spent.day))",
        "answer.set_result(True)",
    ),
    _mutant(
        "spending-forgotten",
        "a settlement forgets what was submitted before it",
        BUDGET,
        "Spent(spent.total + items, spent.day,",
        "Spent(items, spent.day,",
    ),
    _mutant(
        "pause-not-obeyed",
        "a paused flow goes on",
        "daemon.flows.pausing",
        "                gate.pause(word)\n",
        "                gate.resume()\n",
    ),
)
