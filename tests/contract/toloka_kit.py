"""A second opinion on the simulator: Toloka's own client library, toloka-kit, reads and drives it.

Run it by an interpreter that has config/requirements/toloka-kit.txt:

    .venv-toloka-kit/bin/python tests/contract/toloka_kit.py http://127.0.0.1:8080

It prints a line per check, and exits with 1 if any failed. It imports nothing of this project, so that the
library and the simulator share no code.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import traceback
import urllib.request
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

# httpx, which toloka-kit uses, would send even loopback requests to a proxy that these name.
for _name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[_name]

from toloka import client as kit  # type: ignore[import-not-found,unused-ignore] # noqa: E402 # installed elsewhere; environment first
from toloka.client import exceptions  # type: ignore[import-not-found,unused-ignore] # noqa: E402 # as above

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

API_KEY = "A" * 22 + ".simulator.key"
OAUTH_TOKEN = "y0_simulator"
TASKS_POOL = "38315862"
ARCHIVED_POOL = "38315864"


class Report:
    """Prints each check, and remembers whether any failed."""

    def __init__(self) -> None:
        self.failures = 0

    def check(self, what: str, *, holds: bool) -> None:
        """Print one check."""
        print(f"{'ok    ' if holds else 'FAILED'} {what}", flush=True)
        self.failures += not holds

    def refuses(self, what: str, error: type[Exception], call: Callable[[], object]) -> None:
        """Check that a call raises exactly this error of toloka-kit's."""
        try:
            call()
        except exceptions.ApiError as raised:
            self.check(f"{what}: {error.__name__}", holds=type(raised) is error)
        else:
            self.check(f"{what}: {error.__name__}", holds=False)


class Bench:
    """A simulator seen through toloka-kit.

    Args:
        url: the simulator's.
        report: where checks go.
    """

    def __init__(self, url: str, report: Report) -> None:
        self.url = url
        self.report = report
        self.client = kit.TolokaClient(API_KEY, url=url, retries=0, timeout=5.0)
        # Listings are compared with each other: nothing may finish between them by itself.
        self.control("PUT", "knobs", {"finish_distribution": "never"})
        self.project = self._project("Text moderation project", "READY")

    def _project(self, name: str, status: str) -> str:
        projects = self.client.get_app_projects(status=status)
        return next(str(each.id) for each in projects if each.name == name)

    def control(self, method: str, path: str, body: Any) -> Any:
        """Send a request to the simulator's control API."""
        request = urllib.request.Request(  # noqa: S310 # the URL is the caller's own simulator
            f"{self.url}/_simulator/{path}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310 # as above
            return json.load(answer)

    @contextmanager
    def faults(self, *faults: dict[str, Any]) -> Iterator[None]:
        """Set faults for the length of a block."""
        self.control("PUT", "faults", faults)
        try:
            yield
        finally:
            self.control("PUT", "faults", [])

    def labelled(self, count: int, text: str) -> list[str]:
        """Create items and finish them; return their ids."""
        items = [{"id": f"{text}-{at}", "text": f"{text} {at}"} for at in range(count)]
        request = kit.AppItemsCreateRequest(items=items, force_new_original=True)
        ids: list[str] = self.client.create_app_items(self.project, request)
        self.control("POST", "finish", {"ids": ids})
        return ids

    def found(self, **query: Any) -> list[str]:
        """Return the ids that find_app_items finds."""
        return [item.id for item in self.client.find_app_items(self.project, **query).content]


def objects(bench: Bench) -> None:
    """Apps and projects are structured as toloka-kit wants them."""
    check, client = bench.report.check, bench.client
    project = client.get_app_project(bench.project)
    check("get_app_project: READY", holds=project.status == kit.AppProject.Status.READY)
    check("get_app_project: created is a time", holds=isinstance(project.created, dt.datetime))
    check("get_app_project: item_price", holds=project.item_price > 0)
    app = client.get_app(project.app_id)
    check("get_app: specs are field specs", holds=app.input_spec["text"].required is True)
    check("get_app: the id field is optional", holds=app.input_spec["id"].required is False)
    check("get_app: outputs", holds={"result", "confidence"} <= app.output_spec.keys())
    check("get_apps: the app is among them", holds=app.id in [each.id for each in client.get_apps()])
    archived = list(client.get_app_projects(status="ARCHIVED"))
    check("get_app_projects: ARCHIVED is a known status", holds=len(archived) == 1)
    specs = [each for listed in client.get_apps() for each in client.get_app(listed.id).input_spec.values()]
    check(
        "get_app: every field type is known", holds=all(type(each).__name__ != "FieldSpec" for each in specs)
    )


def creating(bench: Bench) -> None:
    """Items are created, one and in bulk, and read by id."""
    check, client = bench.report.check, bench.client
    ids = bench.labelled(5, "bulk")
    check("create_app_items: one id per item", holds=len(set(ids)) == 5)
    item = client.get_app_item(bench.project, ids[2])
    check("get_app_item: COMPLETED", holds=item.status == kit.AppItem.Status.COMPLETED)
    check("get_app_item: input_data as sent", holds=item.input_data == {"id": "bulk-2", "text": "bulk 2"})
    check("get_app_item: labels", holds=item.output_data["result"] in (["OK"], ["BAD"]))
    check("get_app_item: ordered times", holds=item.created_at <= item.started_at <= item.finished_at)
    single = client.create_app_item(bench.project, input_data={"text": "alone"})
    check(
        "create_app_item: a new item", holds=single.id not in ids and single.input_data == {"text": "alone"}
    )


def batches(bench: Bench) -> None:
    """A batch waits for its start, and skips what it may."""
    check, client, project = bench.report.check, bench.client, bench.project
    request = kit.AppBatchCreateRequest(name="batch", items=[{"text": "in a batch"}])
    batch = client.create_app_batch(project, request)
    check("create_app_batch: NEW", holds=batch.status == kit.AppBatch.Status.NEW)
    more = kit.AppItemsCreateRequest(batch_id=batch.id, items=[{"text": "more"}, {}], ignore_errors=True)
    check("create_app_items: ignore_errors", holds=len(client.create_app_items(project, more)) == 1)
    batch = client.get_app_batch(project, batch.id)
    check("get_app_batch: items_count", holds=batch.items_count == 2)
    check("get_app_batch: skipped", holds=batch.last_items_import.records_skipped == 1)
    client.start_app_batch(project, batch.id)
    items = list(client.get_app_items(project, batch_id=batch.id))
    bench.control("POST", "finish", {"ids": [item.id for item in items if item.finished_at is None]})
    batch = client.get_app_batch(project, batch.id)
    check("start_app_batch: COMPLETED in the end", holds=batch.status == kit.AppBatch.Status.COMPLETED)


def listing(bench: Bench) -> None:
    """Listings sort, filter, follow cursors and page."""
    check, client = bench.report.check, bench.client
    ids = bench.labelled(30, "listed")
    page = client.find_app_items(bench.project, sort=["finished", "id"], limit=1000)
    times = [(item.finished_at, item.id) for item in page.content]
    check("find_app_items: sort=finished,id", holds=times == sorted(times) and len(times) >= 30)
    check("find_app_items: has_more", holds=page.has_more is False)
    whole = [item.id for item in page.content]
    after = bench.found(sort=["finished", "id"], limit=1000, after_id=whole[7])
    check("find_app_items: after_id", holds=after == whole[8:])
    backwards = bench.found(sort=["-finished", "-id"], limit=1000)
    check("find_app_items: sort=-finished,-id", holds=backwards == whole[::-1])
    last = page.content[-1].finished_at
    late = bench.found(finished_gte=last, sort=["finished", "id"], limit=1000)
    expected = [item.id for item in page.content if item.finished_at >= last]
    check("find_app_items: finished_gte takes a time", holds=late == expected != [])
    check("find_app_items: finished_gt excludes it", holds=bench.found(finished_gt=last) == [])
    completed = bench.found(status="COMPLETED", sort=["finished", "id"], limit=1000)
    check("find_app_items: status", holds=completed == whole)
    first = client.find_app_items(bench.project, sort=["finished", "id"], limit=7)
    check("find_app_items: limit", holds=[item.id for item in first.content] == whole[:7] and first.has_more)
    paged = [item.id for item in client.get_app_items(bench.project, batch_size=7)]
    check("get_app_items: pages by id", holds=paged == sorted(paged) and set(ids) <= set(paged))


def tasks(bench: Bench) -> None:
    """Tasks are created at once and by operations, and assignments are found."""
    check, client = bench.report.check, bench.client
    pool = client.get_pool(TASKS_POOL)
    check("get_pool: OPEN", holds=pool.is_open())
    new = [
        kit.Task(pool_id=TASKS_POOL, input_values={"text": text}, overlap=2)
        for text in ("one", "two", "three")
    ]
    single = client.create_task(new[0], async_mode=False)
    check("create_task: at once", holds=single.id.startswith("000248a756--") and single.overlap == 2)
    result = client.create_tasks(
        [*new, kit.Task(pool_id=TASKS_POOL, input_values={})], skip_invalid_items=True
    )
    texts = {index: task.input_values["text"] for index, task in result.items.items()}
    check("create_tasks: by an operation", holds=texts == {"0": "one", "1": "two", "2": "three"})
    check("create_tasks: validation_errors", holds=list(result.validation_errors) == ["3"])
    at_once = client.create_tasks(new, async_mode=False)
    check("create_tasks: at once", holds=len(at_once.items) == 3)
    operation = client.create_tasks_async(new, operation_id=uuid.uuid4(), skip_invalid_items=True)
    done = client.wait_operation(operation, timeout=dt.timedelta(seconds=10))
    check("create_tasks_async: SUCCESS", holds=done.is_completed() and done.details["success_count"] == 3)
    again = client.create_tasks_async(new, operation_id=operation.id)
    check(
        "create_tasks_async: OPERATION_ALREADY_EXISTS is the same operation", holds=again.id == operation.id
    )
    log = list(client.get_operation_log(operation.id))
    ids = [step.output["task_id"] for step in log if step.type == "TASK_CREATE"]
    check("get_operation_log: the new ids", holds=len(set(ids)) == 3 and all(step.success for step in log))
    check("get_task: by such an id", holds=client.get_task(ids[0]).input_values == {"text": "one"})
    found = {task.id for task in client.get_tasks(pool_id=TASKS_POOL)}
    check("get_tasks: all of them", holds=set(ids) <= found and len(found) == 10)
    wrong = [new[0], kit.Task(pool_id=TASKS_POOL, input_values={"text": 1}, overlap=1)]
    failed = client.wait_operation(client.create_tasks_async(wrong), timeout=dt.timedelta(seconds=10))
    check(
        "create_tasks_async: FAIL",
        holds=failed.status == failed.FAIL and failed.details["not_valid_count"] == 1,
    )
    bench.report.refuses(
        "an archived pool",
        exceptions.IncorrectActionsApiError,
        lambda: client.create_tasks(
            [kit.Task(pool_id=ARCHIVED_POOL, input_values={"text": "a"}, overlap=1)], async_mode=False
        ),
    )
    assignments(bench, ids)


def assignments(bench: Bench, ids: list[str]) -> None:
    """Assignments are found by status and time, and paged by id."""
    check, client = bench.report.check, bench.client
    for number, task_id in enumerate(ids):
        status = "ACCEPTED" if number else "SUBMITTED"
        bench.control("POST", f"tasks/{task_id}", {"status": status})
    page = client.find_assignments(
        pool_id=TASKS_POOL, status=["SUBMITTED", "ACCEPTED"], sort=["submitted", "id"], limit=1000
    )
    check("find_assignments: of both statuses", holds=[one.tasks[0].id for one in page.items] == ids)
    first = page.items[0]
    check("find_assignments: SUBMITTED", holds=first.status == kit.Assignment.SUBMITTED)
    check("find_assignments: solutions", holds=first.solutions[0].output_values["result"] in ("OK", "BAD"))
    later = client.find_assignments(pool_id=TASKS_POOL, submitted_gt=first.submitted, sort="submitted")
    check("find_assignments: submitted_gt", holds=[one.tasks[0].id for one in later.items] == ids[1:])
    paged = [one.id for one in client.get_assignments(pool_id=TASKS_POOL, status="ACCEPTED", batch_size=1)]
    check("get_assignments: pages by id", holds=len(paged) == 2 and paged == sorted(paged))
    one = client.get_assignment(first.id)
    check("get_assignment", holds=one.id == first.id and one.tasks[0].pool_id == TASKS_POOL)


def credentials(bench: Bench) -> None:
    """Both kinds of credential work, and a shared account shows its own."""
    check = bench.report.check
    oauth = kit.TolokaClient(OAUTH_TOKEN, url=bench.url + "/", retries=0)
    check("OAuth", holds=oauth.get_app_project(bench.project).id == bench.project)
    shared = kit.TolokaClient(API_KEY, url=bench.url, retries=0, act_under_account_id="ACC9")
    theirs = [each.id for each in shared.get_app_projects()]
    check("act_under_account_id", holds=len(theirs) == 1 and bench.project not in theirs)


def errors(bench: Bench) -> None:
    """Errors map to toloka-kit's classes."""
    client, refuses = bench.client, bench.report.refuses
    stranger = kit.TolokaClient("y0_wrong", url=bench.url, retries=0)
    wrong = kit.AppItemsCreateRequest(items=[{"text": "fine"}, {"id": "1"}])

    def get() -> object:
        return client.get_app_project(bench.project)

    refuses("bad credential", exceptions.AuthenticationApiError, lambda: stranger.get_app_project("P"))
    refuses("unknown project", exceptions.DoesNotExistApiError, lambda: client.get_app_project("none"))
    refuses("unknown cursor", exceptions.DoesNotExistApiError, lambda: bench.found(after_id="none"))
    refuses("limit above the maximum", exceptions.ValidationApiError, lambda: bench.found(limit=1001))
    refuses(
        "invalid item", exceptions.ValidationApiError, lambda: client.create_app_items(bench.project, wrong)
    )
    for status, error in (
        (403, exceptions.AccessDeniedApiError),
        (409, exceptions.ConflictStateApiError),
        (413, exceptions.ApiError),
        (429, exceptions.TooManyRequestsApiError),
        (500, exceptions.InternalApiError),
        (503, exceptions.RemoteServiceUnavailableApiError),
    ):
        with bench.faults({"kind": "status", "status": status, "style": "json"}):
            refuses(f"status {status}", error, get)
    with bench.faults({"kind": "status", "status": 409, "style": "json", "code": "INAPPROPRIATE_STATUS"}):
        refuses("INAPPROPRIATE_STATUS", exceptions.IncorrectActionsApiError, get)


def invalid_fields(bench: Bench) -> None:
    """A validation error names the culprits where toloka-kit looks for them."""
    wrong = kit.AppItemsCreateRequest(items=[{"text": "fine"}, {"id": "1"}])
    try:
        bench.client.create_app_items(bench.project, wrong)
    except exceptions.ValidationApiError as error:
        bench.report.check("invalid_fields", holds=error.invalid_fields == ["input_data.1.text"])
        bench.report.check("request_id", holds=bool(error.request_id))


def main() -> int:
    """Run all checks against the URL of the command line; return the exit code."""
    if len(sys.argv) != 2:
        print("usage: toloka_kit.py URL", file=sys.stderr)
        return 64
    report = Report()
    bench = Bench(sys.argv[1].rstrip("/"), report)
    for section in (objects, creating, batches, listing, tasks, credentials, errors, invalid_fields):
        try:
            section(bench)
        except Exception:  # noqa: BLE001 # whatever toloka-kit stumbles over is a finding, and the rest still counts
            traceback.print_exc()
            report.check(f"{section.__name__} runs to its end", holds=False)
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
