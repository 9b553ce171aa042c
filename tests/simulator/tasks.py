"""One task: what Toloka knows of it, how it is checked, and how it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.simulator.errors import field_error
from tests.simulator.items import CHANGES, created_text
from tests.simulator.pools import TASK_INPUT
from tests.simulator.specs import item_errors

if TYPE_CHECKING:
    from tests.simulator.knobs import Knobs
    from tests.simulator.pools import Pool
    from tests.simulator.specs import FieldErrors

MAX_OVERLAP = 30_000
MAX_SOLUTIONS_BYTES = 4_194_304
# Members of a task that are stored and given back; any other is tolerated and only the log shows it.
MEMBERS = (
    "known_solutions",
    "baseline_solutions",
    "message_on_unknown_solution",
    "reserved_for",
    "unavailable_for",
    "localization_config",
    "origin_task_id",
    "traits_all_of",
    "traits_any_of",
    "traits_none_of_any",
)
WEIGHTS = {"known_solutions": "correctness_weight", "baseline_solutions": "confidence_weight"}
KINDS = {"message_on_unknown_solution": (str, "STRING"), "origin_task_id": (str, "STRING")}


@dataclass(slots=True, eq=False)
class Task:
    """A task and the request that made it. Times are microseconds since 1970.

    Attributes:
        number: counts all tasks of this Toloka, in the order of their creation.
        overlap: how many assignments it is to be in; 0 for infinite.
        operation_id: the operation that made it, "" for a synchronous request.
        late_created: listings do not show it yet.
    """

    number: int
    id: str
    pool_id: str
    input_values: dict[str, Any]
    overlap: int
    infinite: bool
    members: dict[str, Any]
    created_us: int
    request_id: str
    request_number: int
    request_index: int
    operation_id: str = ""
    late_commit: bool = False
    late_created: bool = False
    deleted: bool = False
    assigned: int = 0


def task_errors(task: Any, pool: Pool, *, allow_defaults: bool) -> FieldErrors:
    """Return what is wrong with one task of a request: field to {code, message}."""
    if not isinstance(task, dict):
        return {"": field_error("OBJECT_EXPECTED")}
    codes = _member_codes(task)
    values = task.get("input_values")
    if not isinstance(values, dict):
        codes["input_values"] = "VALUE_REQUIRED" if values is None else "OBJECT_EXPECTED"
    if not codes.get("overlap") and not _overlap(task, pool, allow_defaults=allow_defaults):
        codes["overlap"] = "VALUE_REQUIRED"
    errors = {name: field_error(code) for name, code in codes.items() if code}
    if isinstance(values, dict):
        found = item_errors(values, TASK_INPUT, unknown_allowed=False)
        errors |= {f"input_values.{name}": error for name, error in found.items()}
    return errors


def _member_codes(task: dict[str, Any]) -> dict[str, str]:
    codes: dict[str, str] = {}
    overlap = task.get("overlap")
    if overlap is not None and (not isinstance(overlap, int) or isinstance(overlap, bool)):
        codes["overlap"] = "INTEGER_EXPECTED"
    elif overlap is not None and not 1 <= overlap <= MAX_OVERLAP:
        codes["overlap"] = "VALUE_LESS_THAN_MIN" if overlap < 1 else "VALUE_GREATER_THAN_MAX"
    if not isinstance(task.get("infinite_overlap") or False, bool):
        codes["infinite_overlap"] = "BOOLEAN_EXPECTED"
    for name in ("reserved_for", "unavailable_for"):
        codes[name] = _users_code(task.get(name))
    for name, (kind, word) in KINDS.items():
        codes[name] = "" if isinstance(task.get(name), kind | None) else f"{word}_EXPECTED"
    for name, weight in WEIGHTS.items():
        codes[name] = _solutions_code(task.get(name), weight)
    return codes


def _users_code(users: Any) -> str:
    if users is None:
        return ""
    if not isinstance(users, list) or not all(isinstance(user, str) for user in users):
        return "ARRAY_EXPECTED"
    return "VALUE_NOT_ALLOWED" if len(set(users)) != len(users) else ""


def _solutions_code(solutions: Any, weight: str) -> str:
    if solutions is None:
        return ""
    if not isinstance(solutions, list):
        return "ARRAY_EXPECTED"
    for solution in solutions:
        if not isinstance(solution, dict) or not isinstance(solution.get("output_values"), dict):
            return "VALUE_REQUIRED"
        given = solution.get(weight, 1)
        if not isinstance(given, int | float) or not 0 <= given <= 1:
            return "VALUE_NOT_ALLOWED"
    return ""


def _overlap(task: dict[str, Any], pool: Pool, *, allow_defaults: bool) -> int | None:
    """Return the overlap that the task gets; None where nothing says."""
    if task.get("infinite_overlap"):
        return 1
    given: int | None = task.get("overlap")
    return given if given is not None or not allow_defaults else pool.default_overlap


def overlap_of(task: dict[str, Any], pool: Pool, *, allow_defaults: bool) -> int:
    """Return the overlap of a task without errors."""
    found = _overlap(task, pool, allow_defaults=allow_defaults)
    assert found is not None
    return found


def task_json(task: Task, knobs: Knobs) -> dict[str, Any]:
    """Return the task's JSON object."""
    body: dict[str, Any] = {
        "id": task.id,
        "pool_id": task.pool_id,
        "input_values": CHANGES[knobs.changed_input](task.input_values),
        **task.members,
        "infinite_overlap": task.infinite,
        "remaining_overlap": max(task.overlap - task.assigned, 0),
        "created": created_text(task.created_us, knobs),
    }
    return body if task.infinite else {**body, "overlap": task.overlap}


def task_record(task: Task, knobs: Knobs) -> dict[str, Any]:
    """Return the task's line in the record of everything ever created."""
    return {
        "number": task.number,
        "id": task.id,
        "pool_id": task.pool_id,
        "operation_id": task.operation_id or None,
        "request_id": task.request_id,
        "request_number": task.request_number,
        "request_index": task.request_index,
        "created_at": created_text(task.created_us, knobs),
        "overlap": 0 if task.infinite else task.overlap,
        "deleted": task.deleted,
        "late_commit": task.late_commit,
        "input_data": task.input_values,
    }
