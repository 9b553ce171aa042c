"""What an operation of the tasks API says of its tasks, and what it comes to."""

from typing import Any

import msgspec
import pytest

from daemon.edges.toloka.operations import Log, Operation, log_of, operation_of, outcome
from daemon.edges.toloka.wire import MalformedError
from daemon.model import Accepted, Divided, Flaw, InDoubt, NotNow, Outcome
from tests.unit.edges.toloka.pools import FIRST, tasks

FLAW = Flaw("VALUE_REQUIRED", "text: missing")
NAME = "5f0c2b7e-3c1d-4c8a-9d0e-0a1b2c3d4e5f"


def step(index: int, output: dict[str, Any], *, success: bool = True) -> dict[str, Any]:
    """What a log says of one task."""
    return {"type": "TASK_CREATE", "success": success, "input": {"__item_idx": str(index)}, "output": output}


def ended(log: Log, count: int, *, status: str = "SUCCESS", created: int | None = None) -> Outcome:
    """What an operation of so many tasks has come to."""
    return outcome(Operation(NAME, "TASK.BATCH_CREATE", status, created), log, count)


@pytest.mark.parametrize("shown", [NAME, NAME.upper(), NAME.replace("-", "")])
def test_an_operation_is_known_by_its_id_however_that_is_spelt(shown: str) -> None:
    """As all that read UUIDs do."""
    body = msgspec.json.encode({"id": shown, "type": "TASK.BATCH_CREATE", "status": "SUCCESS"})
    assert operation_of(body, NAME).over


@pytest.mark.parametrize("shown", [NAME.replace("5", "6"), "", None])
def test_another_operation_than_was_asked_for_tells_nothing(shown: str | None) -> None:
    """Its end is not that of ours, and its tasks are somebody else's."""
    body = msgspec.json.encode({"id": shown, "type": "TASK.BATCH_CREATE", "status": "FAIL"})
    with pytest.raises(MalformedError, match="another operation"):
        operation_of(body, NAME)


def test_a_task_that_was_created_is_no_dead_letter() -> None:
    """Whatever a log says of it besides: a record has one end."""
    steps = [
        step(0, {"code": "VALUE_REQUIRED"}, success=False),
        step(0, {"task_id": "t-0"}),
        step(1, {"code": "VALUE_REQUIRED"}, success=False),
    ]
    log = log_of(msgspec.json.encode(steps), tasks("a", "b"), FIRST)
    assert (log.ids, list(log.flaws)) == ({0: "t-0"}, [1])


@pytest.mark.parametrize(
    ("steps", "ids", "flaws"),
    [
        ([step(0, {"task_id": "t-0"}), step(0, {"task_id": "t-1"})], {0: "t-0"}, {}),
        ([step(0, {"task_id": ""})], {}, {}),
        ([step(9, {"task_id": "t-9"}), step(8, {"code": "A"}, success=False)], {}, {}),
        ([step(0, {"task_id": "t-0", "code": "A", "message": "b"}, success=False)], {}, {0: Flaw("A", "b")}),
        ([step(0, {}, success=False)], {}, {0: Flaw("VALIDATION_ERROR", "the task is invalid")}),
        ([step(0, {"code": "A"}, success=False) | {"type": "BATCH_CLOSE"}], {}, {}),
    ],
)
def test_what_steps_say_of_a_task(
    steps: list[dict[str, Any]], ids: dict[int, str], flaws: dict[int, Flaw]
) -> None:
    """It is created where a step has succeeded and names it, and flawed where one of its own has not."""
    log = log_of(msgspec.json.encode(steps), tasks("a"), FIRST)
    assert (log.ids, log.flaws) == (ids, flaws)


def test_a_log_that_gives_one_task_to_two_items_is_none() -> None:
    """One of them would have no task, and its record in the ledger be written over."""
    steps = [step(0, {"task_id": "t-0"}), step(1, {"task_id": "t-0"})]
    with pytest.raises(MalformedError, match="twice"):
        log_of(msgspec.json.encode(steps), tasks("a", "b"), FIRST)


@pytest.mark.parametrize(("success", "unopened"), [(True, ""), (False, "A b")])
def test_a_pool_that_was_opened_is_not_said_to_be_shut(*, success: bool, unopened: str) -> None:
    """Whatever its step has to say."""
    step_of_pool = {"type": "POOL_OPEN", "success": success, "output": {"code": "A", "message": "b"}}
    assert log_of(msgspec.json.encode([step_of_pool]), tasks("a"), FIRST).unopened == unopened


def test_a_count_that_is_no_number_is_none() -> None:
    """True would pass for one."""
    members = {"id": NAME, "status": "SUCCESS", "details": {"success_count": True}}
    assert operation_of(msgspec.json.encode(members), NAME).created is None


def test_a_success_that_shows_nothing_is_in_doubt() -> None:
    """Without a count it may have created everything: sent again, it would be paid for twice."""
    assert isinstance(ended(Log({}, {}), 2), InDoubt)


@pytest.mark.parametrize(
    ("log", "created", "whole"),
    [
        (Log({0: "t-0"}, {1: FLAW}), None, False),
        (Log({0: "t-0"}, {1: FLAW}), 1, True),
        (Log({0: "t-0"}, {1: FLAW}), 2, False),
        # Fewer than the log shows: the count is not to be believed.
        (Log({0: "t-0"}, {1: FLAW}), 0, False),
        (Log({0: "t-0"}, {1: FLAW, 2: FLAW}), 0, True),
        (Log({0: "t-0"}, {1: FLAW, 2: FLAW}), None, True),
    ],
)
def test_what_a_log_leaves_out_was_not_created_where_the_count_says_so(
    log: Log, created: int | None, *, whole: bool
) -> None:
    """Else it may have been, and is not sent again."""
    told = ended(log, 3, created=created)
    assert told == Divided(log.ids, log.flaws) if whole else isinstance(told, InDoubt)


def test_a_log_that_shows_all_settles_the_batch() -> None:
    """In the order of its items, whichever the log's is."""
    assert ended(Log({1: "t-1", 0: "t-0"}, {}), 2) == Accepted(("t-0", "t-1"))


@pytest.mark.parametrize("status", ["SUCCESS", "FAIL"])
def test_an_operation_that_came_to_nothing_holds_the_flow(status: str) -> None:
    """Nothing says why: sent again at once, it would come to nothing again and again."""
    told = ended(Log({}, {}), 2, status=status, created=0)
    assert isinstance(told, NotNow)
    assert (told.reason, told.over) == ("refused", True)
