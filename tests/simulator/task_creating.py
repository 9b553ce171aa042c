"""`POST /api/v1/tasks`: one task or many, at once or as an operation."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from tests.simulator.calls import BOOLEANS
from tests.simulator.errors import ApiError, field_error, invalid, missing
from tests.simulator.items import stored
from tests.simulator.operations import Operation
from tests.simulator.tasks import MEMBERS, Task, overlap_of, task_errors
from tests.simulator.times import microseconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.simulator.assignments import Workers
    from tests.simulator.calls import Call
    from tests.simulator.limits import Limits
    from tests.simulator.pools import Pool
    from tests.simulator.specs import FieldErrors
    from tests.simulator.state import State

FLAGS = ("async_mode", "allow_defaults", "skip_invalid_items", "open_pool")
TYPE = "TASK.BATCH_CREATE"


@dataclass(frozen=True)
class Order:
    """What one request asks to be created; `flags` are the query's, `single` was no array."""

    tasks: Sequence[Any]
    single: bool
    flags: Mapping[str, bool]
    call: Call

    @property
    def parameters(self) -> dict[str, bool]:
        """The operation's parameters."""
        return {name: self.flags[name] for name in ("open_pool", "allow_defaults", "skip_invalid_items")}


class TaskCreator:
    """Checks orders and turns them into tasks.

    Args:
        state: where the tasks go.
        workers: hear of new tasks.
        limits: the task quotas.
    """

    def __init__(self, state: State, workers: Workers, limits: Limits) -> None:
        self._state = state
        self._workers = workers
        self._limits = limits

    def now(self, order: Order) -> tuple[dict[int, Task], dict[int, FieldErrors]]:
        """Carry out a synchronous request; returns what was created and what is invalid, by index.

        Raises:
            ApiError: 400, 404, 409, 413 or 429; nothing was created.
        """
        if len(order.tasks) > self._state.knobs.tasks_max_items:
            raise ApiError(413)
        self._admit(order)
        created, errors = self._carry_out(order, "")
        if errors and (order.single or not order.flags["skip_invalid_items"]):
            raise ApiError(400, payload=self._payload(order, errors))
        if order.flags["open_pool"]:
            self._open_pools(order)
        return created, errors

    def later(self, order: Order, operation_id: str) -> Operation:
        """Take in an asynchronous request.

        Raises:
            ApiError: 400, 404, 409, 413 or 429; there is no operation.
        """
        state = self._state
        if operation_id in state.operations:
            state.repeated_operations += 1
            raise ApiError(
                state.knobs.operation_repeat_status,
                "OPERATION_ALREADY_EXISTS",
                "Operation already exists",
            )
        self._admit(order)
        operation = Operation(operation_id, TYPE, order.call.account, order.parameters, state.now_us)
        state.operations[operation_id] = operation
        knobs = state.knobs
        wait = microseconds(state.rng.uniform(0, knobs.operation_seconds_min))
        work = microseconds(state.rng.uniform(knobs.operation_seconds_min, knobs.operation_seconds_max))
        state.schedule.at(state.now_us + wait, partial(self._start, operation))
        state.schedule.at(state.now_us + max(wait, work), partial(self._run, order, operation))
        return operation

    def _payload(self, order: Order, errors: Mapping[int, FieldErrors]) -> dict[str, Any]:
        if order.single:
            return dict(errors[0])
        if self._state.knobs.sync_errors == "nested":
            return {str(at): found for at, found in errors.items()}
        return {f"{at}.{name}": error for at, found in errors.items() for name, error in found.items()}

    def _admit(self, order: Order) -> None:
        if not order.tasks:
            raise invalid(tasks="ARRAY_SIZE_LESS_THAN_MIN")
        size = sum(len(msgspec.json.encode(_values(task))) for task in order.tasks)
        if size > self._state.knobs.tasks_max_bytes:
            raise ApiError(413)
        for pool_id in dict.fromkeys(_pool_id(task) for task in order.tasks if _pool_id(task)):
            self._insist(self.pool(pool_id, order.call.account))
        knobs, now_us = self._state.knobs, self._state.now_us
        limits = knobs.items_per_minute, knobs.items_per_day, now_us, knobs.items_per_hour
        if exceeded := self._limits.exhausted_quota(len(order.tasks), *limits):
            raise ApiError(429, payload={"interval": exceeded})

    def pool(self, pool_id: str, account: str) -> Pool:
        """The pool of this id.

        Raises:
            ApiError: 404.
        """
        pool = self._state.world.pools.get(pool_id)
        if pool is None or pool.account != account:
            raise missing("Pool", pool_id)
        return pool

    def _insist(self, pool: Pool) -> None:
        if pool.status == "ARCHIVED":
            payload = {"appropriate_statuses": ["OPEN", "CLOSED"]}
            raise ApiError(409, "POOL_INAPPROPRIATE_STATUS", payload=payload)
        if pool.status == "LOCKED":
            raise ApiError(409, "POOL_LOCKED_BY_ANOTHER_OPERATION")
        if not pool.mixes:
            raise ApiError(409, "MIXER_CONFIG_REQUIRED")

    def _start(self, operation: Operation, due_us: int) -> None:
        operation.status, operation.started_us, operation.progress = "RUNNING", due_us, 10

    def _run(self, order: Order, operation: Operation, due_us: int) -> None:
        self._state.now_us = due_us
        operation.started_us = operation.started_us or due_us
        total = len(order.tasks)
        created, errors = self._carry_out(order, operation.id)
        operation.log += [_created(order.tasks[at], task) for at, task in created.items()]
        nested = self._state.knobs.log_errors == "nested"
        operation.log += [_refused(order.tasks[at], found, nested=nested) for at, found in errors.items()]
        if self._state.knobs.log_order == "shuffled":
            self._state.rng.shuffle(operation.log)
        if created and order.flags["open_pool"]:
            operation.log += self._open_pools(order)
        operation.details = {
            "total_count": total,
            "valid_count": total - len(errors),
            "not_valid_count": len(errors),
            "success_count": len(created),
            "failed_count": total - len(created),
        }
        operation.status = "SUCCESS" if created else "FAIL"
        operation.finished_us, operation.progress = due_us, 100

    def _carry_out(self, order: Order, operation_id: str) -> tuple[dict[int, Task], dict[int, FieldErrors]]:
        errors = {at: found for at, task in enumerate(order.tasks) if (found := self._errors(task, order))}
        if errors and not order.flags["skip_invalid_items"]:
            return {}, errors
        self._state.creating_requests += 1
        created = {
            at: self._task(order, at, task, operation_id)
            for at, task in enumerate(order.tasks)
            if at not in errors
        }
        for pool_id in dict.fromkeys(task.pool_id for task in created.values()):
            pool = self._state.world.pools[pool_id]
            self._workers.offer(pool, [task for task in created.values() if task.pool_id == pool_id])
        self._state.on_tasks(list(created.values()))
        return created, errors

    def _errors(self, task: Any, order: Order) -> FieldErrors:
        pool_id = _pool_id(task)
        if not pool_id:
            return {"pool_id": field_error("VALUE_REQUIRED")}
        pool = self._state.world.pools[pool_id]
        found = task_errors(task, pool, allow_defaults=order.flags["allow_defaults"])
        marker = self._state.knobs.named_marker
        if marker and marker.encode() in msgspec.json.encode(_values(task)):
            found["input_values.text"] = field_error("VALUE_NOT_ALLOWED")
        return found

    def _task(self, order: Order, at: int, body: dict[str, Any], operation_id: str) -> Task:
        state = self._state
        pool = state.world.pools[body["pool_id"]]
        task = Task(
            number=len(state.tasks) + 1,
            id=state.pool_object_id(pool.id, state.now_us),
            pool_id=pool.id,
            input_values=body["input_values"],
            overlap=overlap_of(body, pool, allow_defaults=order.flags["allow_defaults"]),
            infinite=bool(body.get("infinite_overlap")),
            members={name: body[name] for name in MEMBERS if body.get(name) is not None},
            created_us=stored(state.now_us, state.knobs.created_digits, state.knobs),
            request_id=order.call.request_id,
            request_number=state.creating_requests,
            request_index=at,
            operation_id=operation_id,
            late_commit=order.call.late_commit,
            late_created=state.chance(state.knobs.late_created_share),
        )
        state.tasks.append(task)
        pool.tasks[task.id] = task
        if task.late_created:
            due_us = state.now_us + microseconds(state.knobs.late_created_seconds)
            state.schedule.at(due_us, partial(_show, task))
        return task

    def _open_pools(self, order: Order) -> list[dict[str, Any]]:
        """Open the pools that are closed; returns the steps for an operation's log."""
        steps = []
        for pool_id in dict.fromkeys(_pool_id(task) for task in order.tasks if _pool_id(task)):
            pool = self._state.world.pools[pool_id]
            if pool.status != "CLOSED":
                continue
            if not pool.balance:
                output = {"code": "NOT_ENOUGH_BALANCE", "message": "Not enough money", "request_id": "r-1"}
                steps.append({"type": "POOL_OPEN", "success": False, "input": {}, "output": output})
                continue
            pool.status = "OPEN"
            self._workers.work(pool)
            steps.append({"type": "POOL_OPEN", "success": True, "input": {"pool_id": pool_id}, "output": {}})
        return steps


def order_of(call: Call) -> Order:
    """What a request asks for.

    Raises:
        ApiError: 400, 415.
    """
    flags = {}
    for name in FLAGS:
        text = call.query.get(name, "false")
        if text not in BOOLEANS:
            raise invalid(**{name: "BOOLEAN_EXPECTED"})
        flags[name] = BOOLEANS[text]
    body = call.json_value()
    if not isinstance(body, dict | list):
        raise ApiError(400, message="Request body is neither a JSON object nor an array")
    return Order(body if isinstance(body, list) else [body], isinstance(body, dict), flags, call)


def operation_id_of(call: Call) -> str:
    """The operation's id that a request names, or a new one.

    Raises:
        ApiError: 400.
    """
    text = call.query.get("operation_id")
    if text is None:
        return call.request_id
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise invalid(operation_id="UUID_EXPECTED") from None


def _pool_id(task: Any) -> str:
    pool_id = task.get("pool_id") if isinstance(task, dict) else None
    return pool_id if isinstance(pool_id, str) else ""


def _values(task: Any) -> Any:
    return task.get("input_values") if isinstance(task, dict) else None


def _created(body: dict[str, Any], task: Task) -> dict[str, Any]:
    return {"type": "TASK_CREATE", "success": True, "input": body, "output": {"task_id": task.id}}


def _refused(body: Any, errors: FieldErrors, *, nested: bool) -> dict[str, Any]:
    output: dict[str, Any] = dict(errors)
    if nested:
        output = {"code": "VALIDATION_ERROR", "message": "Validation failed", "payload": output}
    return {"type": "TASK_VALIDATE", "success": False, "input": body, "output": output}


def _show(task: Task, _due_us: int) -> None:
    task.late_created = False
