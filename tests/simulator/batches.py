"""Batches: items that wait for a start."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.simulator.errors import ApiError, invalid
from tests.simulator.items import TERMINAL, created_text, finished_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.simulator.items import Item
    from tests.simulator.lifecycle import Lifecycle
    from tests.simulator.state import State
    from tests.simulator.world import Project

PRIORITIES = ("ONE", "TWO", "THREE", "FOUR", "FIVE")


@dataclass
class Batch:
    """A batch and its items.

    Attributes:
        last_import: how many items the last request that added any had, and the errors of those left out.
    """

    id: str
    project: Project
    name: str
    priority_order: str
    created_us: int
    status: str = "NEW"
    status_before_archive: str = "NEW"
    started_us: int | None = None
    items: list[Item] = field(default_factory=list)
    last_import: tuple[int, dict[str, Any]] | None = None


class Batches:
    """All batches by project.

    Args:
        state: clock, randomness, knobs.
        lifecycle: starts, stops and resumes items.
    """

    def __init__(self, state: State, lifecycle: Lifecycle) -> None:
        self._state = state
        self._lifecycle = lifecycle
        self._batches: defaultdict[str, dict[str, Batch]] = defaultdict(dict)
        self._actions: dict[str, tuple[Callable[[Batch], None], frozenset[str]]] = {
            "start": (self._start, frozenset({"NEW"})),
            "stop": (self._stop, frozenset({"PROCESSING"})),
            "resume": (self._resume, frozenset({"STOPPING", "STOPPED"})),
            "archive": (self._archive, frozenset({"NEW", "COMPLETED", "STOPPED", "ERROR", "CANCELLED"})),
            "unarchive": (self._unarchive, frozenset({"ARCHIVE"})),
        }

    def get(self, project_id: str, batch_id: str) -> Batch | None:
        """Return a batch of the project, its status brought up to date."""
        batch = self._batches[project_id].get(batch_id)
        return self._settled(batch) if batch else None

    def of_project(self, project_id: str) -> list[Batch]:
        """Return the project's batches in the order of their creation."""
        return [self._settled(batch) for batch in self._batches[project_id].values()]

    def new(self, project: Project, name: str, priority_order: str) -> Batch:
        """Return a batch that `keep` has yet to take in.

        Raises:
            ApiError: 400 for a priority that does not exist.
        """
        _check_priority(priority_order)
        return Batch(self._state.new_id(), project, name, priority_order, self._state.now_us)

    def keep(self, batch: Batch) -> None:
        """Take in a new batch."""
        self._batches[batch.project.id][batch.id] = batch

    def fill(self, batch: Batch, items: Sequence[Item]) -> None:
        """Add items; they are processed at once if the batch has been started."""
        batch.items.extend(items)
        if batch.status in {"PROCESSING", "COMPLETED"}:
            batch.status = "PROCESSING"
            self._begin(items)

    def act(self, batch: Batch, action: str) -> None:
        """Start, stop, resume, archive or unarchive the batch.

        Raises:
            ApiError: 409 if its status does not allow that.
        """
        carry_out, statuses = self._actions[action]
        if batch.status not in statuses:
            raise ApiError(409, "INAPPROPRIATE_STATUS", payload={"appropriate_statuses": sorted(statuses)})
        carry_out(batch)

    def change(self, batch: Batch, name: str, priority_order: str) -> None:
        """Rename the batch or change its priority.

        Raises:
            ApiError: 400 for a priority that does not exist.
        """
        _check_priority(priority_order)
        batch.name, batch.priority_order = name, priority_order

    def json(self, batch: Batch) -> dict[str, Any]:
        """Return the batch's JSON object."""
        knobs = self._state.knobs
        states = Counter(item.status for item in batch.items)
        body: dict[str, Any] = {
            "id": batch.id,
            "app_project_id": batch.project.id,
            "name": batch.name,
            "status": batch.status,
            "items_count": len(batch.items),
            "items_processed_count": sum(states[status] for status in TERMINAL),
            "items_per_state": dict(states),
            "item_price": batch.project.item_price,
            "cost": round(batch.project.item_price * len(batch.items), 4),
            "cost_of_processed": round(batch.project.item_price * states["COMPLETED"], 4),
            "created_at": created_text(batch.created_us, knobs),
            "read_only": False,
            "priority_order": batch.priority_order,
            "current_time": created_text(self._state.now_us, knobs),
        }
        if batch.started_us is not None:
            body["started_at"] = finished_text(batch.started_us, knobs)
        return body | _import_json(batch)

    def _settled(self, batch: Batch) -> Batch:
        if batch.status == "PROCESSING" and all(item.status in TERMINAL for item in batch.items):
            batch.status = "COMPLETED"
        return batch

    def _begin(self, items: Sequence[Item]) -> None:
        for item in items:
            self._lifecycle.begin(item, self._state.now_us)

    def _start(self, batch: Batch) -> None:
        batch.status = "PROCESSING"
        batch.started_us = self._state.now_us
        self._begin(batch.items)

    def _stop(self, batch: Batch) -> None:
        batch.status = "STOPPED"
        for item in batch.items:
            if item.status not in TERMINAL:
                self._lifecycle.pause(item)

    def _resume(self, batch: Batch) -> None:
        batch.status = "PROCESSING"
        for item in batch.items:
            if item.status == "STOPPED":
                self._lifecycle.resume(item)

    def _archive(self, batch: Batch) -> None:
        batch.status_before_archive, batch.status = batch.status, "ARCHIVE"

    def _unarchive(self, batch: Batch) -> None:
        batch.status = batch.status_before_archive


def _check_priority(priority_order: str) -> None:
    if priority_order not in PRIORITIES:
        raise invalid(priority_order="UNKNOWN_ENUM_VALUE")


def _import_json(batch: Batch) -> dict[str, Any]:
    """Return what the last request that added items came to; the validation errors are also shown apart."""
    if batch.last_import is None:
        return {}
    sent, errors = batch.last_import
    skipped = len({name.split(".")[1] for name in errors})
    imported = {
        "id": batch.id,
        "records_count": sent,
        "records_processed": sent - skipped,
        "records_skipped": skipped,
        "errors": errors,
    }
    return {"last_items_import": imported, "validation_errors": errors}
