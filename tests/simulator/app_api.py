"""The App API v0: its routes, and what each answers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from tests.simulator.batches import Batch, Batches
from tests.simulator.calls import Call, Route, Router, member
from tests.simulator.creating import Creator
from tests.simulator.errors import invalid, missing
from tests.simulator.items import created_text, item_raw
from tests.simulator.listing import Listing
from tests.simulator.messages import Response, empty_response, json_response
from tests.simulator.query import Reader
from tests.simulator.tables import table_page

if TYPE_CHECKING:
    from tests.simulator.items import Item
    from tests.simulator.lifecycle import Lifecycle
    from tests.simulator.limits import Limits
    from tests.simulator.state import State
    from tests.simulator.world import App, Project

PREFIX = "/api/app/v0/"


class AppApi:
    """Answers calls from the state.

    Args:
        state: everything there is.
        lifecycle: moves items.
        limits: item quotas.
    """

    def __init__(self, state: State, lifecycle: Lifecycle, limits: Limits) -> None:
        self._state = state
        self._batches = Batches(state, lifecycle)
        self._creator = Creator(state, lifecycle, limits, self._batches)

    def router(self) -> Router:
        """Return the routes; their operation names are what faults and statistics go by."""
        project, items = "app-projects/{project}", "app-projects/{project}/items"
        batches = "app-projects/{project}/batches"
        actions = ("start", "stop", "resume", "archive", "unarchive")
        routes = [
            Route("GET", "apps", "apps", self._apps),
            Route("GET", "apps/{app}", "app", self._app),
            Route("GET", "app-projects", "projects", self._projects),
            Route("GET", project, "project", self._project),
            Route("GET", items, "list", self._list),
            Route("POST", items, "create", self._create),
            Route("POST", f"{items}/bulk", "bulk", self._bulk),
            Route("GET", f"{items}/{{item}}", "item", self._item),
            Route("GET", batches, "batches", self._list_batches),
            Route("POST", batches, "batch_create", self._create_batch),
            Route("GET", f"{batches}/{{batch}}", "batch", self._batch),
            Route("PATCH", f"{batches}/{{batch}}", "batch_change", self._change_batch),
        ]
        routes += [
            Route("POST", f"{batches}/{{batch}}/{action}", f"batch_{action}", partial(self._act, action))
            for action in actions
        ]
        return Router(PREFIX, routes)

    def _apps(self, call: Call) -> Response:
        rows = [_app_summary(app) for app in self._state.world.apps.values()]
        return json_response(table_page(rows, call.query, "id", self._state.knobs))

    def _app(self, call: Call) -> Response:
        app = self._state.world.apps.get(call.path["app"])
        if app is None:
            raise missing("App", call.path["app"])
        return json_response(_app_json(app))

    def _projects(self, call: Call) -> Response:
        projects = self._state.world.projects.values()
        rows = [self._project_json(each) for each in projects if each.account == call.account]
        return json_response(table_page(rows, call.query, "id", self._state.knobs))

    def _project(self, call: Call) -> Response:
        return json_response(self._project_json(self._find_project(call)))

    def _list(self, call: Call) -> Response:
        project = self._find_project(call)
        knobs = self._state.knobs
        query = Reader(call.query, knobs).query()
        page = Listing(self._state.shelves[project.id], query, knobs, self._state.rng).page()
        content = [item_raw(item, project.app, knobs, late=True) for item in page.items]
        return json_response({"content": content, "has_more": page.has_more})

    def _create(self, call: Call) -> Response:
        project = self._find_project(call)
        item = self._creator.single(call, project)
        return json_response(item_raw(item, project.app, self._state.knobs, late=False))

    def _bulk(self, call: Call) -> Response:
        ids = self._creator.bulk(call, self._find_project(call))
        return json_response(ids, self._state.knobs.bulk_status)

    def _item(self, call: Call) -> Response:
        project = self._find_project(call)
        item = self._state.shelves[project.id].by_id.get(call.path["item"])
        if item is None or self._is_unseen(item):
            raise missing("Item", call.path["item"])
        knobs = self._state.knobs
        return json_response(item_raw(item, project.app, knobs, late=knobs.late_by_id))

    def _is_unseen(self, item: Item) -> bool:
        return self._state.knobs.late_by_id and (item.late_created or item.hidden)

    def _list_batches(self, call: Call) -> Response:
        project = self._find_project(call)
        rows = [self._batches.json(batch) for batch in self._batches.of_project(project.id)]
        return json_response(table_page(rows, call.query, "created", self._state.knobs))

    def _create_batch(self, call: Call) -> Response:
        project = self._find_project(call)
        body = call.json_object()
        name = member(body, "name", str, None)
        if name is None:
            raise invalid(name="VALUE_REQUIRED")
        batch = self._batches.new(project, name, member(body, "priority_order", str, "FIVE"))
        self._creator.into_batch(call, project, batch)
        self._batches.keep(batch)
        return json_response(self._batches.json(batch))

    def _batch(self, call: Call) -> Response:
        return json_response(self._batches.json(self._find_batch(call)))

    def _change_batch(self, call: Call) -> Response:
        batch, body = self._find_batch(call), call.json_object()
        name = member(body, "name", str, batch.name)
        self._batches.change(batch, name, member(body, "priority_order", str, batch.priority_order))
        return json_response(self._batches.json(batch))

    def _act(self, action: str, call: Call) -> Response:
        self._batches.act(self._find_batch(call), action)
        return empty_response(204)

    def _find_project(self, call: Call) -> Project:
        project = self._state.world.project(call.path["project"])
        if project is None or project.account != call.account:
            raise missing("Project", call.path["project"])
        return project

    def _find_batch(self, call: Call) -> Batch:
        batch = self._batches.get(self._find_project(call).id, call.path["batch"])
        if batch is None:
            raise missing("Batch", call.path["batch"])
        return batch

    def _project_json(self, project: Project) -> dict[str, Any]:
        errors = [
            {"code": "PROJECT_CREATION_FAILED", "message": "Project could not be created", "payload": {}}
        ]
        return {
            "id": project.id,
            "app_id": project.app.id,
            "parent_app_project_id": "",
            "status": project.status,
            "created": created_text(project.created_us, self._state.knobs),
            "name": f"{project.app.name} project",
            "item_price": project.item_price,
            "parameters": {"default_language": "en", "name": f"{project.app.name} project"},
            "errors": errors if project.status == "ERROR" else [],
            "read_only": False,
            "app": {"id": project.app.id, "name": project.app.name},
        }


def _app_summary(app: App) -> dict[str, Any]:
    return {
        "id": app.id,
        "name": app.name,
        "image": "https://example.com/app.png",
        "description": f"{app.name}, labelled by people",
        "default_item_price": app.default_item_price,
        "examples": [],
    }


def _app_json(app: App) -> dict[str, Any]:
    return _app_summary(app) | {
        "constraints_description": "",
        "param_spec": {"fields": {"type": "object", "properties": {"name": {"type": "string"}}}},
        "input_spec": app.input_spec,
        "output_spec": app.output_spec,
        "input_format_info": {},
    }
