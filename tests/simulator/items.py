"""One item: what Toloka knows of it, and how it is written in answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from tests.simulator.specs import output_data
from tests.simulator.times import floor, render

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.simulator.knobs import Knobs
    from tests.simulator.world import App

TERMINAL = frozenset({"COMPLETED", "ERROR", "CANCELLED", "ARCHIVE"})
STATUSES = TERMINAL | {"NEW", "PROCESSING", "NO_MONEY", "STOPPED"}


@dataclass(slots=True, eq=False)
class Item:
    """An item and the request that made it. Times are microseconds since 1970.

    Attributes:
        number: counts all items of this Toloka, in the order of their creation.
        request_number: counts the requests that made items; the items of one bulk share it.
        request_index: the item's place in its request.
        label: from 0 to 1; decides the labels.
        late_created: listings do not show the item yet.
        late_finished: listings show the item as still PROCESSING.
        hidden: listings leave the item out until it is shown again.
        plan: counts the changes of plan; a transition planned under another count is void.
        written: its JSON as it was last asked for, and what that was made of.
    """

    number: int
    id: str
    project_id: str
    input_data: dict[str, Any]
    created_us: int
    request_id: str
    request_number: int
    request_index: int
    batch_id: str = ""
    status: str = "NEW"
    started_us: int | None = None
    finished_us: int | None = None
    label: float = 0.0
    error: str = ""
    duplicate_of: Item | None = None
    late_commit: bool = False
    late_created: bool = False
    late_finished: bool = False
    regressed: bool = False
    hidden: bool = False
    deleted: bool = False
    plan: int = 0
    written: tuple[tuple[object, ...], msgspec.Raw] | None = field(default=None, repr=False)

    @property
    def listed_status(self) -> str:
        """The status as listings know it."""
        return "PROCESSING" if self.late_finished else self.status

    @property
    def listed_finished_us(self) -> int | None:
        """The end as listings know it."""
        return None if self.late_finished else self.finished_us


def item_raw(item: Item, app: App, knobs: Knobs, *, late: bool) -> msgspec.Raw:
    """Return the item's JSON object, encoded; written anew only where something has changed.

    Args:
        item: the item.
        app: the app of its project.
        knobs: digits and spelling of times, changed input.
        late: write what listings know, which may be older.
    """
    hidden = late and item.late_finished
    made_of = (
        hidden,
        item.status,
        item.finished_us,
        item.started_us,
        item.batch_id,
        item.error,
        item.label,
        id(knobs),
        id(app),
    )
    if item.written is None or item.written[0] != made_of:
        item.written = made_of, msgspec.Raw(msgspec.json.encode(item_json(item, app, knobs, late=late)))
    return item.written[1]


def item_json(item: Item, app: App, knobs: Knobs, *, late: bool) -> dict[str, Any]:
    """Return the item's JSON object.

    Args:
        item: the item.
        app: the app of its project.
        knobs: digits and spelling of times, changed input.
        late: write what listings know, which may be older.
    """
    status = item.listed_status if late else item.status
    finished_us = item.listed_finished_us if late else item.finished_us
    input_data = CHANGES[knobs.changed_input](item.input_data)
    completed = status == "COMPLETED"
    body: dict[str, Any] = {"id": item.id, "app_project_id": item.project_id}
    if item.batch_id:
        body["batch_id"] = item.batch_id
    body["status"] = status
    body["input_data"] = input_data
    body["output_data"] = output_data(app, input_data, item.label) if completed else {}
    body["errors"] = [_error(item.error)] if item.error and status == "ERROR" else []
    body["created_at"] = created_text(item.created_us, knobs)
    if item.started_us is not None:
        body["started_at"] = finished_text(item.started_us, knobs)
    if finished_us is not None:
        body["finished_at"] = finished_text(finished_us, knobs)
    return body


def created_text(time_us: int, knobs: Knobs) -> str:
    """Return a time as created_at writes it."""
    return render(time_us, knobs.created_digits, drop_zeros=knobs.drop_trailing_zeros, zone=knobs.zone_suffix)


def finished_text(time_us: int, knobs: Knobs) -> str:
    """Return a time as started_at and finished_at write it."""
    return render(
        time_us, knobs.finished_digits, drop_zeros=knobs.drop_trailing_zeros, zone=knobs.zone_suffix
    )


def stored(time_us: int, digits: int, knobs: Knobs) -> int:
    """Return the time that sorting and filtering go by: as shown, unless there is hidden precision."""
    return time_us if knobs.hidden_precision else floor(time_us, digits)


def _error(code: str) -> dict[str, str]:
    return {"code": code, "message": "The item could not be processed"}


def _same(data: dict[str, Any]) -> dict[str, Any]:
    return data


def _reordered(data: dict[str, Any]) -> dict[str, Any]:
    return dict(reversed(data.items()))


def _numbers(data: dict[str, Any]) -> dict[str, Any]:
    return {name: _as_double(value) for name, value in data.items()}


def _as_double(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _trimmed(data: dict[str, Any]) -> dict[str, Any]:
    return {name: value.strip() if isinstance(value, str) else value for name, value in data.items()}


def _extra_field(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "_source": "api"}


CHANGES: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "none": _same,
    "reordered": _reordered,
    "numbers": _numbers,
    "trimmed": _trimmed,
    "extra_field": _extra_field,
}


def record_json(item: Item, knobs: Knobs) -> dict[str, Any]:
    """Return the item's line in the record of everything ever created."""
    finished = item.finished_us
    return {
        "number": item.number,
        "id": item.id,
        "app_project_id": item.project_id,
        "batch_id": item.batch_id or None,
        "request_id": item.request_id,
        "request_number": item.request_number,
        "request_index": item.request_index,
        "created_at": created_text(item.created_us, knobs),
        "finished_at": None if finished is None else finished_text(finished, knobs),
        "status": item.status,
        "deleted": item.deleted,
        "late_commit": item.late_commit,
        "duplicate_of": item.duplicate_of.id if item.duplicate_of else None,
        "input_data": item.input_data,
    }
