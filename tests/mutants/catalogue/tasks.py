"""Mutants of the tasks API: attempts that are sent again, operations and what their logs say."""

from functools import partial

from tests.mutants.planting import Mutant

REPEAT = "daemon.flows.doubts.resolving"
OPERATIONS = "daemon.edges.toloka.operations"

_mutant = partial(Mutant, api="tasks")

TASKS = (
    _mutant(
        "repetition-refused-is-a-no",
        "a no to the repetition of an attempt is taken for a no to the attempt: tasks are created twice",
        REPEAT,
        "            case NotNow(over=over) if over:\n",
        "            case NotNow():\n",
        only="no_after_doubt",
    ),
    _mutant(
        "rejection-believed-at-once",
        "a rejected repetition is believed although the first request may have been carried out",
        REPEAT,
        "            case Rejected(culprits, over=over) if over or believable:\n",
        "            case Rejected(culprits):\n",
        found_by="tests/unit/flows/doubts/test_resolving.py::"
        "test_a_no_to_one_request_says_nothing_of_the_one_before",
    ),
    _mutant(
        "doubt-answered-with-a-new-attempt",
        "what is in doubt is sent under another name, which Toloka carries out as well",
        "daemon.flows.batches.outbox",
        "if again is None else (again.attempt, again.once)",
        "if True else (again.attempt, again.once)",
    ),
    _mutant(
        "operation-there-already-is-a-no",
        "an operation that is there already is taken for a refusal",
        "daemon.edges.toloka.tasks_bulk",
        "return not answer.succeeded and complaint(answer).code == ALREADY_EXISTS",
        "return False",
    ),
    _mutant(
        "predecessor-accounted-for-nothing",
        "what a torn settlement of a predecessor has in the ledger already is sent again",
        REPEAT,
        "        if not (intent.once or intent.decided):\n            return batch\n",
        "        if True:\n            return batch\n",
        only="commit_fate,kill_upload",
    ),
    _mutant(
        "log-read-by-its-order",
        "the steps of an operation's log are taken for tasks in the order in which they were sent",
        OPERATIONS,
        '            for index in places.of(step.get("input"), taken=ids):\n',
        "            for index in [len(ids)]:\n",
    ),
    _mutant(
        "refused-by-the-operation-forgotten",
        "tasks that an operation refused are sent again and again",
        OPERATIONS,
        "        return Divided(log.ids, log.flaws)\n",
        "        return Divided(log.ids, {})\n",
        found_by="tests/unit/edges/toloka/test_tasks_api.py::test_invalid_tasks_are_left_out",
    ),
)
