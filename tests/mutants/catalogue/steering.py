"""Mutants of what an operator says: limits and pauses."""

from functools import partial

from tests.mutants.planting import Mutant

BUDGET = "daemon.flows.batches.budgeting"

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
        "absence-keeps-its-room",
        "what is absent and waits for room keeps the room that others wait with for it",
        "daemon.flows.batches.announcing",
        "            if holds_others_up:\n",
        "            if False:\n",
        found_by="tests/unit/flows/test_submitting_within_a_budget.py::"
        "test_what_is_absent_keeps_no_room_from_others_at_a_limit",
    ),
    Mutant(
        "the-decided-is-waited-for",
        "others wait for what is sent anew as if it might be adopted",
        "daemon.flows.doubts.claiming",
        "    return not intent.decided or intent.reach > intent.end\n",
        "    return True\n",
        found_by="tests/unit/flows/doubts/test_claiming.py::"
        "test_a_partition_whose_batch_is_decided_is_not_waited_for",
    ),
    _mutant(
        "pause-not-obeyed",
        "a paused flow goes on",
        "daemon.flows.pausing",
        "                gate.pause(word)\n",
        "                gate.resume()\n",
    ),
)
