"""Creating items, one or in bulk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from tests.simulator.calls import member
from tests.simulator.errors import ApiError, field_error, invalid, missing
from tests.simulator.items import Item, stored
from tests.simulator.specs import item_errors
from tests.simulator.times import microseconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.simulator.batches import Batch, Batches
    from tests.simulator.calls import Call
    from tests.simulator.lifecycle import Lifecycle
    from tests.simulator.limits import Limits
    from tests.simulator.state import State
    from tests.simulator.world import Project

OPEN_PROJECTS = ("CREATING", "READY")
OPEN_BATCHES = ("NEW", "PROCESSING", "COMPLETED")


@dataclass(frozen=True)
class Order:
    """What one request asks to be created.

    Attributes:
        items: the input data.
        batch_id: "" in streaming mode.
        force_new_original: label even what a labelled duplicate exists of.
        ignore_errors: leave out bad items instead of refusing them all.
    """

    items: Sequence[Any]
    batch_id: str
    force_new_original: bool
    ignore_errors: bool


class Creator:
    """Checks orders and turns them into items.

    Args:
        state: where the items go.
        lifecycle: starts their processing.
        limits: the item quotas.
        batches: the batches that items may go into.
    """

    def __init__(self, state: State, lifecycle: Lifecycle, limits: Limits, batches: Batches) -> None:
        self._state = state
        self._lifecycle = lifecycle
        self._limits = limits
        self._batches = batches

    def bulk(self, call: Call, project: Project) -> list[str]:
        """Create the items of a bulk request; return their ids.

        Raises:
            ApiError: 400, 404, 409, 413 or 429; nothing was created.
        """
        order = self._order(call.json_object())
        batch = self._batch(order, project)
        self._check_project(project)
        created = self._create(call, project, order, batch, prefix="input_data.{}.")
        ids = [item.id for item in created]
        if self._state.knobs.id_order == "shuffled":
            self._state.rng.shuffle(ids)
        return ids

    def single(self, call: Call, project: Project) -> Item:
        """Create one item.

        Raises:
            ApiError: 400, 404, 409 or 429; nothing was created.
        """
        body = call.json_object()
        input_data = member(body, "input_data", dict, None)
        if input_data is None:
            raise invalid(input_data="VALUE_REQUIRED")
        force = member(body, "force_new_original", bool, default=False)
        order = Order([input_data], member(body, "batch_id", str, ""), force, ignore_errors=False)
        batch = self._batch(order, project)
        self._check_project(project)
        return self._create(call, project, order, batch, prefix="input_data.")[0]

    def into_batch(self, call: Call, project: Project, batch: Batch) -> None:
        """Create the items that a new batch brings along.

        Raises:
            ApiError: 400, 409, 413 or 429; nothing was created.
        """
        body = call.json_object()
        self._check_project(project)
        if body.get("items"):
            order = self._order({**body, "batch_id": batch.id})
            self._create(call, project, order, batch, prefix="input_data.{}.")

    def _order(self, body: dict[str, Any]) -> Order:
        items = member(body, "items", list, None)
        if items is None:
            raise invalid(items="VALUE_REQUIRED")
        if len(items) > self._state.knobs.bulk_max_items:
            raise ApiError(413)
        if not items:
            raise invalid(items="ARRAY_SIZE_LESS_THAN_MIN")
        order = Order(
            items,
            member(body, "batch_id", str, ""),
            member(body, "force_new_original", bool, default=False),
            member(body, "ignore_errors", bool, default=False),
        )
        if order.ignore_errors and not order.batch_id:
            raise invalid(ignore_errors="VALUE_NOT_ALLOWED")
        return order

    def _batch(self, order: Order, project: Project) -> Batch | None:
        if not order.batch_id:
            return None
        batch = self._batches.get(project.id, order.batch_id)
        if batch is None:
            raise missing("Batch", order.batch_id)
        if batch.status not in OPEN_BATCHES:
            payload = {"appropriate_statuses": OPEN_BATCHES}
            raise ApiError(409, "INAPPROPRIATE_STATUS", payload=payload)
        return batch

    def _check_project(self, project: Project) -> None:
        if project.status not in OPEN_PROJECTS:
            payload = {"appropriate_statuses": OPEN_PROJECTS}
            raise ApiError(409, "PROJECT_INAPPROPRIATE_STATUS", payload=payload)

    def _create(
        self, call: Call, project: Project, order: Order, batch: Batch | None, *, prefix: str
    ) -> list[Item]:
        errors = self._errors(project, order.items)
        if errors and not (order.ignore_errors and batch):
            raise ApiError(400, payload=_payload(errors, prefix))
        if batch:
            batch.last_import = (len(order.items), _payload(errors, prefix))
        good = [(at, data) for at, data in enumerate(order.items) if at not in errors]
        self._check_quotas(len(good))
        return self._shelve(call, project, order, batch, good)

    def _errors(self, project: Project, items: Sequence[Any]) -> dict[int, dict[str, Any]]:
        knobs, spec = self._state.knobs, project.app.input_spec
        allowed = knobs.unknown_fields == "allowed"
        errors = {
            at: found
            for at, data in enumerate(items)
            if (found := item_errors(data, spec, unknown_allowed=allowed))
        }
        if knobs.opaque_marker and any(_contains(data, knobs.opaque_marker) for data in items):
            raise ApiError(400)
        if knobs.named_marker:
            field = next(name for name, rule in spec.items() if rule["required"])
            marked = [at for at, data in enumerate(items) if _contains(data, knobs.named_marker)]
            errors |= {at: {field: field_error("VALUE_NOT_ALLOWED")} for at in marked}
        return errors

    def _check_quotas(self, count: int) -> None:
        knobs, now_us = self._state.knobs, self._state.now_us
        exceeded = self._limits.exhausted_quota(count, knobs.items_per_minute, knobs.items_per_day, now_us)
        if exceeded:
            raise ApiError(429, payload={"interval": exceeded})

    def _shelve(
        self,
        call: Call,
        project: Project,
        order: Order,
        batch: Batch | None,
        good: Sequence[tuple[int, dict[str, Any]]],
    ) -> list[Item]:
        self._state.creating_requests += 1
        created = [self._item(call, project, order, at, data) for at, data in good]
        for item in created:
            self._put(item, order)
        if batch:
            self._batches.fill(batch, created)
        elif project.status == "READY":
            for item in created:
                self._lifecycle.begin(item, self._state.now_us)
        self._state.on_created(created)
        return created

    def _item(self, call: Call, project: Project, order: Order, at: int, data: dict[str, Any]) -> Item:
        state = self._state
        item = Item(
            number=len(state.record) + 1,
            id=state.new_id(),
            project_id=project.id,
            input_data=data,
            created_us=stored(state.now_us, state.knobs.created_digits, state.knobs),
            request_id=call.request_id,
            request_number=state.creating_requests,
            request_index=at,
            batch_id=order.batch_id,
            late_commit=call.late_commit,
            late_created=state.chance(state.knobs.late_created_share),
        )
        state.record.append(item)
        return item

    def _put(self, item: Item, order: Order) -> None:
        state = self._state
        twin = None if order.force_new_original else self._lifecycle.labelled_twin(item.project_id, item)
        if twin:
            item.duplicate_of = twin
            item.label = twin.label
        state.shelves[item.project_id].add(item)
        if item.late_created:
            due_us = state.now_us + microseconds(state.knobs.late_created_seconds)
            state.schedule.at(due_us, partial(_show, item))


def _show(item: Item, _due_us: int) -> None:
    item.late_created = False


def _contains(data: Any, marker: str) -> bool:
    return marker.encode() in msgspec.json.encode(data)


def _payload(errors: Mapping[int, Mapping[str, Any]], prefix: str) -> dict[str, Any]:
    """Return the payload of a VALIDATION_ERROR: `input_data.<index>.<field>` to {code, message}."""
    return {
        (prefix.format(at) + name).removesuffix("."): error
        for at, fields in errors.items()
        for name, error in fields.items()
    }
