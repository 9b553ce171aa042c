"""The Toloka API v1: its routes, and what each answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.simulator.assignments import ASSIGNMENT_STATUSES, EVENTS, Assignment, Workers, assignment_json
from tests.simulator.calls import Call, Route, Router
from tests.simulator.errors import ApiError, missing
from tests.simulator.messages import Response, empty_response, json_response
from tests.simulator.operations import OPERATION_STATUSES, Operation, operation_json
from tests.simulator.pools import Pool, pool_json
from tests.simulator.rows import Table, insist_one_of
from tests.simulator.task_creating import TaskCreator, operation_id_of, order_of
from tests.simulator.tasks import Task, task_json
from tests.simulator.times import microseconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulator.limits import Limits
    from tests.simulator.state import State

PREFIX = "/api/v1/"

TASKS: Table[Task] = Table(
    id=lambda task: task.id,
    times={"created": lambda task: task.created_us},
    words={"overlap": (lambda task: str(task.overlap), frozenset())},
    sorts=frozenset({"id", "created"}),
    default_limit=50,
    max_limit=100_000,
    plain=frozenset({"pool_id"}),
)
OPERATIONS: Table[Operation] = Table(
    id=lambda operation: operation.id,
    times={
        "submitted": lambda operation: operation.submitted_us,
        "finished": lambda operation: operation.finished_us,
    },
    words={
        "type": (lambda operation: operation.type, frozenset()),
        "status": (lambda operation: operation.status, OPERATION_STATUSES),
    },
    sorts=frozenset({"id", "submitted", "finished"}),
    default_limit=50,
    max_limit=500,
)


def _time_of(event: str) -> Callable[[Assignment], int | None]:
    def read(assignment: Assignment) -> int | None:
        return assignment.times.get(event) if event == "created" or not assignment.late else None

    return read


ASSIGNMENTS: Table[Assignment] = Table(
    id=lambda assignment: assignment.id,
    times={event: _time_of(event) for event in EVENTS},
    words={
        "status": (lambda assignment: assignment.listed_status, ASSIGNMENT_STATUSES),
        "user_id": (lambda assignment: assignment.user_id, frozenset()),
        "task_suite_id": (lambda assignment: assignment.suite_id, frozenset()),
    },
    sorts=frozenset({"id", *EVENTS}),
    default_limit=50,
    max_limit=100_000,
    plain=frozenset({"pool_id", "task_id"}),
)


class TasksApi:
    """Answers calls from the state.

    Args:
        state: everything there is.
        workers: do the tasks.
        limits: task quotas.
    """

    def __init__(self, state: State, workers: Workers, limits: Limits) -> None:
        self._state = state
        self._workers = workers
        self._creator = TaskCreator(state, workers, limits)

    def router(self) -> Router:
        """Return the routes; their operation names are what faults and statistics go by."""
        return Router(
            PREFIX,
            [
                Route("POST", "tasks", "tasks", self._create),
                Route("GET", "tasks", "task_list", self._list_tasks),
                Route("GET", "tasks/{task}", "task", self._task),
                Route("GET", "operations", "operations", self._list_operations),
                Route("GET", "operations/{operation}", "operation", self._operation),
                Route("GET", "operations/{operation}/log", "operation_log", self._log),
                Route("GET", "assignments", "assignments", self._list_assignments),
                Route("GET", "assignments/{assignment}", "assignment", self._assignment),
                Route("GET", "pools/{pool}", "pool", self._pool),
                Route("POST", "pools/{pool}/open", "pool_open", self._open),
                Route("POST", "pools/{pool}/close", "pool_close", self._close),
            ],
        )

    def _create(self, call: Call) -> Response:
        order = order_of(call)
        knobs = self._state.knobs
        if order.flags["async_mode"]:
            operation = self._creator.later(order, operation_id_of(call))
            return json_response(operation_json(operation, knobs), 202)
        created, errors = self._creator.now(order)
        if order.single:
            return json_response(task_json(created[0], knobs), 201)
        body: dict[str, Any] = {"items": {str(at): task_json(task, knobs) for at, task in created.items()}}
        if order.flags["skip_invalid_items"]:
            body["validation_errors"] = {str(at): found for at, found in errors.items()}
        return json_response(body, 201)

    def _list_tasks(self, call: Call) -> Response:
        insist_one_of(call.query, "pool_id")
        pool = self._creator.pool(call.query["pool_id"], call.account)
        rows = [task for task in pool.tasks.values() if not (task.late_created or task.deleted)]
        page, more = TASKS.page(rows, call.query, self._state.knobs, self._state.rng)
        return json_response(
            {"items": [task_json(each, self._state.knobs) for each in page], "has_more": more}
        )

    def _task(self, call: Call) -> Response:
        for pool in self._state.world.pools.values():
            task = pool.tasks.get(call.path["task"])
            if task is not None and not task.deleted and pool.account == call.account:
                return json_response(task_json(task, self._state.knobs))
        raise missing("Task", call.path["task"])

    def _find(self, call: Call) -> Operation:
        operation = self._state.operations.get(call.path["operation"])
        if operation is None or operation.account != call.account:
            raise missing("Operation", call.path["operation"])
        return operation

    def _list_operations(self, call: Call) -> Response:
        rows = [each for each in self._state.operations.values() if each.account == call.account]
        page, more = OPERATIONS.page(rows, call.query, self._state.knobs, self._state.rng)
        content = [operation_json(each, self._state.knobs) for each in page]
        return json_response({"items": content, "has_more": more})

    def _operation(self, call: Call) -> Response:
        return json_response(operation_json(self._find(call), self._state.knobs))

    def _log(self, call: Call) -> Response:
        operation = self._find(call)
        kept = self._state.knobs.log_kept_seconds
        age_us = self._state.now_us - (operation.finished_us or self._state.now_us)
        if kept is not None and operation.over and age_us >= microseconds(kept):
            raise ApiError(409, "OPERATION_LOGS_ARCHIVED")
        return json_response(operation.log)

    def _list_assignments(self, call: Call) -> Response:
        query = call.query
        insist_one_of(query, "pool_id", "task_id", "task_suite_id")
        if pool_id := query.get("pool_id"):
            pools = [self._creator.pool(pool_id, call.account)]
        else:
            pools = [each for each in self._state.world.pools.values() if each.account == call.account]
        rows = [each for pool in pools for each in pool.assignments.values()]
        if task_id := query.get("task_id"):
            rows = [each for each in rows if any(task.id == task_id for task in each.tasks)]
        page, more = ASSIGNMENTS.page(rows, query, self._state.knobs, self._state.rng)
        content = [assignment_json(each, self._state.knobs) for each in page]
        return json_response({"items": content, "has_more": more})

    def _assignment(self, call: Call) -> Response:
        for pool in self._state.world.pools.values():
            if (found := pool.assignments.get(call.path["assignment"])) and pool.account == call.account:
                return json_response(assignment_json(found, self._state.knobs))
        raise missing("Assignment", call.path["assignment"])

    def _pool(self, call: Call) -> Response:
        pool = self._creator.pool(call.path["pool"], call.account)
        return json_response(pool_json(pool, self._state.knobs))

    def _open(self, call: Call) -> Response:
        pool = self._creator.pool(call.path["pool"], call.account)
        if pool.status == "OPEN":
            return empty_response(204)
        if pool.status != "CLOSED":
            raise ApiError(409, "POOL_INAPPROPRIATE_STATUS")
        if not pool.tasks:
            raise ApiError(409, "EMPTY_POOL")
        if not pool.balance:
            raise ApiError(409, "NOT_ENOUGH_BALANCE")
        self.set_status(pool, "OPEN")
        return json_response(operation_json(self._pool_operation("POOL.OPEN", pool), self._state.knobs), 202)

    def _close(self, call: Call) -> Response:
        pool = self._creator.pool(call.path["pool"], call.account)
        if pool.status == "CLOSED":
            return empty_response(204)
        if pool.status != "OPEN":
            raise ApiError(409, "POOL_INAPPROPRIATE_STATUS")
        self.set_status(pool, "CLOSED")
        return json_response(operation_json(self._pool_operation("POOL.CLOSE", pool), self._state.knobs), 202)

    def _pool_operation(self, kind: str, pool: Pool) -> Operation:
        state = self._state
        operation = Operation(
            state.new_request_id(),
            kind,
            pool.account,
            {"pool_id": pool.id},
            state.now_us,
            "SUCCESS",
            state.now_us,
            state.now_us,
            100,
        )
        state.operations[operation.id] = operation
        return operation

    def set_status(self, pool: Pool, status: str, reason: str = "MANUAL") -> None:
        """Put the pool into any status; workers begin where it opens."""
        pool.status, pool.close_reason = status, reason
        self._workers.work(pool)
