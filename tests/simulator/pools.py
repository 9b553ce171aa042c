"""Pools: their tasks, their assignments, and what workers still have to take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.simulator.items import created_text

if TYPE_CHECKING:
    from tests.simulator.assignments import Assignment
    from tests.simulator.knobs import Knobs
    from tests.simulator.tasks import Task

TASKS_POOL = "38315862"
SECOND_POOL = "38315870"
CLOSED_POOL = "38315863"
ARCHIVED_POOL = "38315864"
LOCKED_POOL = "38315865"
BARE_POOL = "38315866"
POOR_POOL = "38315867"
DEFAULTS_POOL = "38315868"
DYNAMIC_POOL = "38315869"

POOL_STATUSES = frozenset({"OPEN", "CLOSED", "ARCHIVED", "LOCKED"})


def _field(kind: str, *, required: bool = True) -> dict[str, Any]:
    return {"type": kind, "required": required, "hidden": False}


TASK_INPUT = {
    "text": _field("string"),
    "image": _field("url", required=False),
    "number": _field("float", required=False),
    "id": _field("string", required=False),
}


@dataclass(eq=False)
class Pool:
    """A pool.

    Attributes:
        id: digits; the ids of its tasks begin with it.
        status: OPEN, CLOSED, ARCHIVED or LOCKED.
        close_reason: why it was closed.
        default_overlap: `defaults.default_overlap_for_new_tasks`.
        mixes: it has a mixer_config, without which tasks cannot be created directly.
        dynamic: it has a dynamic_overlap_config.
        balance: it can be opened.
        tasks: by id, in order of creation.
        assignments: by id, in order of creation.
        waiting: chunks of tasks that no worker has taken.
    """

    id: str
    status: str = "OPEN"
    close_reason: str = "MANUAL"
    default_overlap: int | None = None
    mixes: bool = True
    dynamic: bool = False
    balance: bool = True
    account: str = ""
    created_us: int = 1_633_254_554_028_000
    tasks: dict[str, Task] = field(default_factory=dict)
    assignments: dict[str, Assignment] = field(default_factory=dict)
    waiting: list[list[Task]] = field(default_factory=list)


def default_pools() -> dict[str, Pool]:
    """The usual pools, under ids that tests know."""
    pools = [
        Pool(TASKS_POOL),
        Pool(SECOND_POOL),
        Pool(CLOSED_POOL, "CLOSED"),
        Pool(ARCHIVED_POOL, "ARCHIVED"),
        Pool(LOCKED_POOL, "LOCKED"),
        Pool(BARE_POOL, mixes=False),
        Pool(POOR_POOL, "CLOSED", "NOT_ENOUGH_BALANCE", balance=False),
        Pool(DEFAULTS_POOL, default_overlap=2),
        Pool(DYNAMIC_POOL, default_overlap=1, dynamic=True),
    ]
    return {pool.id: pool for pool in pools}


def pool_json(pool: Pool, knobs: Knobs) -> dict[str, Any]:
    """Return the pool's JSON object."""
    body: dict[str, Any] = {
        "id": pool.id,
        "project_id": "10",
        "private_name": f"pool {pool.id}",
        "may_contain_adult_content": False,
        "status": pool.status,
        "type": "REGULAR",
        "created": created_text(pool.created_us, knobs),
        "will_expire": "2099-01-01T00:00:00",
        "auto_close_after_complete_delay_seconds": 0,
        "auto_accept_solutions": knobs.accept_seconds == 0,
        "reward_per_assignment": 0.02,
        "assignment_max_duration_seconds": 600,
        "defaults": {},
    }
    if pool.default_overlap is not None:
        body["defaults"] = {"default_overlap_for_new_tasks": pool.default_overlap}
    if pool.status != "OPEN":
        body["last_close_reason"] = pool.close_reason
    if pool.mixes:
        body["mixer_config"] = {
            "real_tasks_count": knobs.suite_tasks,
            "golden_tasks_count": 0,
            "training_tasks_count": 0,
        }
    if pool.dynamic:
        body["dynamic_overlap_config"] = {
            "type": "BASIC",
            "max_overlap": 5,
            "min_confidence": 0.85,
            "fields": [{"name": "result"}],
        }
    return body
