"""What tests do behind Toloka's back: look at everything, finish, hide, delete, change knobs and faults.

In-process tests call the methods; tests in other processes use the paths under /_simulator/.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from tests.simulator.calls import Call, Route, Router, query_of
from tests.simulator.errors import ApiError, missing
from tests.simulator.faults import Fault
from tests.simulator.items import STATUSES, TERMINAL, Item, record_json
from tests.simulator.messages import Request, Response, json_response
from tests.simulator.pools import POOL_STATUSES
from tests.simulator.tasks import task_record
from tests.simulator.times import SECOND_US

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.simulator.core import Toloka

PREFIX = "/_simulator/"
PROJECT_STATUSES = frozenset({"CREATING", "READY", "ERROR", "ARCHIVE", "ARCHIVED"})


class Control:
    """Acts on one Toloka.

    Args:
        toloka: the core.
    """

    def __init__(self, toloka: Toloka) -> None:
        self._toloka = toloka
        self._state = toloka.state
        self._router = Router(
            PREFIX,
            [
                Route("GET", "stats", "stats", lambda _: json_response(self.stats())),
                Route("GET", "record", "record", self._get_record),
                Route("GET", "knobs", "knobs", lambda _: json_response(asdict(toloka.knobs))),
                Route("PUT", "knobs", "knobs", self._put_knobs),
                Route("GET", "faults", "faults", lambda _: json_response(toloka.faults.faults)),
                Route("PUT", "faults", "faults", self._put_faults),
                Route("POST", "finish", "finish", self._post_finish),
                Route("POST", "items/{item}", "item", self._post_item),
                Route("PUT", "projects/{project}", "project", self._put_project),
                Route("GET", "tasks", "tasks", self._get_tasks),
                Route("POST", "tasks/{task}", "task", self._post_task),
                Route("PUT", "pools/{pool}", "pool", self._put_pool),
            ],
        )

    def stats(self) -> dict[str, Any]:
        """Return counts.

        Returns:
            `now` (Toloka's clock, unix seconds), `created` (items ever), `items` by status,
            `requests` by operation and HTTP status ("cut" and "hang" where there was no whole answer),
            `faults` fired by kind; `tasks` ever, `assignments` by status, and the requests that named an
            operation which was there already, `repeated_operations`.
        """
        self._toloka.advance()
        return {
            "now": self._state.now_us / SECOND_US,
            "created": len(self._state.record),
            "items": Counter(item.status for item in self._state.record if not item.deleted),
            "requests": self._toloka.requests,
            "faults": self._toloka.faults.fired,
            "tasks": len(self._state.tasks),
            "assignments": Counter(
                each.status for pool in self._state.world.pools.values() for each in pool.assignments.values()
            ),
            "repeated_operations": self._state.repeated_operations,
        }

    def record(self) -> list[dict[str, Any]]:
        """Return every item ever created, in order of creation, as it is now."""
        self._toloka.advance()
        return [record_json(item, self._state.knobs) for item in self._state.record]

    def finish(
        self, *, ids: Iterable[str] | None = None, limit: int | None = None, status: str = "COMPLETED"
    ) -> list[str]:
        """End items now, all at the same microsecond; return their ids.

        Args:
            ids: which; None for all that are not at their end.
            limit: how many at most, in order of creation.
            status: a terminal status.

        Raises:
            ApiError: 400 if the status is not terminal, 404 for an unknown id.
        """
        self._toloka.advance()
        if status not in TERMINAL:
            raise ApiError(400, message="not a terminal status")
        found = self._unfinished() if ids is None else [self._find(item_id) for item_id in ids]
        for item in found[:limit]:
            self._toloka.lifecycle.set_status(item, status)
        return [item.id for item in found[:limit]]

    def act(self, item_id: str, action: str, status: str = "") -> None:
        """Do something to one item.

        Args:
            item_id: the item.
            action: `delete` (no request knows it any more), `archive`, `status` (put it into `status`),
                `hide` (listings leave it out) or `show`.
            status: any item status.

        Raises:
            ApiError: 404 for an unknown item, 400 for an unknown action or status.
        """
        self._toloka.advance()
        item, lifecycle = self._find(item_id), self._toloka.lifecycle
        actions: dict[str, Callable[[], None]] = {
            "delete": partial(lifecycle.delete, item),
            "archive": partial(lifecycle.archive, item),
            "status": partial(lifecycle.set_status, item, status),
            "hide": partial(_hide, item, hidden=True),
            "show": partial(_hide, item, hidden=False),
        }
        if action not in actions or (action == "status" and status not in STATUSES):
            raise ApiError(400, message="no such action or status")
        actions[action]()

    def set_project_status(self, project_id: str, status: str) -> None:
        """Change a project's status; items that waited for READY begin.

        Raises:
            ApiError: 404 for an unknown project, 400 for an unknown status.
        """
        self._toloka.advance()
        project = self._state.world.project(project_id)
        if project is None:
            raise missing("Project", project_id)
        if status not in PROJECT_STATUSES:
            raise ApiError(400, message="no such status")
        was, project.status = project.status, status
        if was == "CREATING" and status == "READY":
            for item in list(self._state.shelves[project.id].by_id.values()):
                if item.status == "NEW" and not item.batch_id:
                    self._toloka.lifecycle.begin(item, self._state.now_us)

    def tasks(self) -> list[dict[str, Any]]:
        """Return every task ever created, in order of creation."""
        self._toloka.advance()
        return [task_record(task, self._state.knobs) for task in self._state.tasks]

    def work(self, task_ids: Iterable[str], status: str = "SUBMITTED") -> str:
        """Have one worker do these tasks of one pool now, in one assignment; returns its id."""
        self._toloka.advance()
        wanted = set(task_ids)
        for pool in self._state.world.pools.values():
            if found := [task for task in pool.tasks.values() if task.id in wanted]:
                return self._toloka.workers.submit(pool, found, status).id
        raise missing("Task", ", ".join(wanted))

    def decide(self, assignment_id: str, status: str) -> None:
        """Accept or reject an assignment now."""
        self._toloka.advance()
        for pool in self._state.world.pools.values():
            if (found := pool.assignments.get(assignment_id)) is not None:
                self._toloka.workers.decide(found, status)

    def delete_task(self, task_id: str) -> None:
        """Make the task unknown to every request; the record keeps it."""
        self._toloka.advance()
        for pool in self._state.world.pools.values():
            if (task := pool.tasks.get(task_id)) is not None:
                task.deleted = True

    def set_pool(self, pool_id: str, status: str, reason: str = "MANUAL") -> None:
        """Change a pool's status.

        Raises:
            ApiError: 404 for an unknown pool, 400 for an unknown status.
        """
        self._toloka.advance()
        pool = self._state.world.pools.get(pool_id)
        if pool is None:
            raise missing("Pool", pool_id)
        if status not in POOL_STATUSES:
            raise ApiError(400, message="no such status")
        self._toloka.tasks_api.set_status(pool, status, reason)

    def handle(self, request: Request) -> Response:
        """Answer a request under /_simulator/; no credential is asked for, and no fault strikes."""
        self._toloka.advance()
        try:
            route, path = self._router.find(request.method, request.path)
            return route.handler(Call(request, "", "", path, query_of(request)))
        except ApiError as error:
            return json_response(error.body(""), error.status)
        except (ValueError, TypeError) as error:
            return json_response(ApiError(400, message=str(error)).body(""), 400)

    def _unfinished(self) -> list[Item]:
        return [item for item in self._state.record if item.status not in TERMINAL and not item.deleted]

    def _find(self, item_id: str) -> Item:
        for shelf in self._state.shelves.values():
            if item_id in shelf.by_id:
                return shelf.by_id[item_id]
        raise missing("Item", item_id)

    def _get_record(self, _call: Call) -> Response:
        lines = msgspec.json.Encoder().encode_lines(self.record())
        return Response(200, {"Content-Type": "application/x-ndjson"}, lines)

    def _put_knobs(self, call: Call) -> Response:
        self._toloka.turn(**call.json_object())
        return json_response(asdict(self._toloka.knobs))

    def _put_faults(self, call: Call) -> Response:
        faults = msgspec.json.decode(call.request.body, type=list[Fault])
        self._toloka.faults.replace(faults)
        return json_response(faults)

    def _post_finish(self, call: Call) -> Response:
        return json_response(self.finish(**(call.json_object() if call.request.body else {})))

    def _post_item(self, call: Call) -> Response:
        body = call.json_object()
        self.act(call.path["item"], body.get("action", ""), body.get("status", ""))
        return json_response({})

    def _get_tasks(self, _call: Call) -> Response:
        lines = msgspec.json.Encoder().encode_lines(self.tasks())
        return Response(200, {"Content-Type": "application/x-ndjson"}, lines)

    def _post_task(self, call: Call) -> Response:
        body = call.json_object()
        if body.get("action") == "delete":
            self.delete_task(call.path["task"])
            return json_response({})
        return json_response({"assignment": self.work([call.path["task"]], body.get("status", "SUBMITTED"))})

    def _put_pool(self, call: Call) -> Response:
        body = call.json_object()
        self.set_pool(call.path["pool"], body.get("status", ""), body.get("reason", "MANUAL"))
        return json_response({})

    def _put_project(self, call: Call) -> Response:
        self.set_project_status(call.path["project"], call.json_object().get("status", ""))
        return json_response({})


def _hide(item: Item, *, hidden: bool) -> None:
    item.hidden = hidden
