"""Pure: what results of the two APIs show, in the same words."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tests.checker.content import content_of

APP_KEYS = frozenset({"origin", "submitted_at", "item"})
TASKS_KEYS = frozenset({"origin", "submitted_at", "task_id", "assignment", "task", "solution"})


class Shown(NamedTuple):
    """What a result says of what Toloka has.

    `name` is what no two results may share; `created_at` is None where results do not show it.
    """

    id: str
    name: str
    status: str
    content: bytes | None
    project: str
    created_at: str | None
    finished_at: str | None


def shown_by(value: Mapping[str, Any], *, tasks: bool) -> Shown | None:
    """What a result shows; None where it has another shape."""
    if value.keys() != (TASKS_KEYS if tasks else APP_KEYS):
        return None
    return _assignment(value) if tasks else _item(value["item"])


def _item(item: Mapping[str, Any]) -> Shown:
    item_id, content = item.get("id", ""), content_of(item.get("input_data"))
    project, created = item.get("app_project_id", ""), item.get("created_at", "")
    return Shown(item_id, item_id, item.get("status", ""), content, project, created, item.get("finished_at"))


def _assignment(value: Mapping[str, Any]) -> Shown | None:
    about, task, solution = value["assignment"], value["task"], value["solution"]
    if task.get("id") != value["task_id"] or about.keys() & {"tasks", "solutions"}:
        return None
    status = about.get("status", "")
    if status in {"SUBMITTED", "ACCEPTED", "REJECTED"} and not solution.get("output_values"):
        return None
    name = f"{value['task_id']} in {about.get('id')}"
    ended = about.get(status.lower())
    content = content_of(task.get("input_values"))
    return Shown(value["task_id"], name, status, content, task.get("pool_id", ""), None, ended)
