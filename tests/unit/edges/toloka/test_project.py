"""The project and its app, as they are found at start."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from daemon.edges.toloka import project as projects
from daemon.edges.toloka.project import Project, project
from daemon.model import NotNow
from tests.simulator.faults import Fault
from tests.simulator.serving import serve
from tests.simulator.world import ARCHIVE_PROJECT, ARCHIVED_PROJECT, MODERATION_APP
from tests.unit.edges.toloka.apps import PROJECT, app
from tests.unit.edges.toloka.wire import Connection, answering, serving

RIGHT = "Sun, 22 Nov 2026 17:00:00 GMT"
APP = {"id": "A", "input_spec": {"text": {"type": "string"}}, "output_spec": {}}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projects, "WAIT_SECONDS", 0.001)


async def found_at(url: str, project_id: str = PROJECT) -> Project | NotNow:
    """What is found at a URL."""
    async with app(url) as here:
        return await project(here.line, project_id, here.endpoint.toloka_clock)


def server(about: list[Mapping[str, Any]], app_body: bytes = msgspec.json.encode(APP)) -> Any:
    """A server whose project is described in these ways, one after the other, and whose app is this."""
    left = list(about)

    async def script(connection: Connection) -> None:
        while True:
            request = await connection.request()
            if "/apps/" in request.path:
                await connection.answer(200, app_body)
            else:
                await connection.answer(200, msgspec.json.encode(left.pop(0) if len(left) > 1 else left[0]))

    return script


async def test_a_project() -> None:
    """Everything that a start needs to know, in two requests."""
    async with serve() as toloka:
        found = await found_at(toloka.url)
    assert isinstance(found, Project)
    assert (found.id, found.app_id, found.status) == (PROJECT, MODERATION_APP, "READY")
    assert found.item_price == Decimal("0.05")
    assert found.input_spec["text"]["type"] == "string"


@pytest.mark.parametrize("project_id", [ARCHIVE_PROJECT, ARCHIVED_PROJECT])
async def test_archived_is_spelt_one_way(project_id: str) -> None:
    """Toloka spells it in two ways."""
    async with serve() as toloka:
        found = await found_at(toloka.url, project_id)
    assert isinstance(found, Project)
    assert found.status == "ARCHIVED"


async def test_a_project_that_was_just_created() -> None:
    """Its app may not be named yet: it is asked for again."""
    async with serving(server([{"app_id": ""}, {}, {"app": {"id": "A"}, "status": "CREATING"}])) as wire:
        found = await found_at(wire.url)
    assert isinstance(found, Project)
    assert (found.app_id, found.status, found.item_price) == ("A", "CREATING", None)


async def test_an_app_that_is_not_there_yet() -> None:
    """A project may name its app before the app can be read."""
    async with serve() as toloka:
        toloka.faults.add(Fault("status", ("app",), status=404, style="json", times=2))
        found = await found_at(toloka.url)
    assert isinstance(found, Project)


@pytest.mark.parametrize("wrong", ["/apps/", "/app-projects/"])
async def test_a_time_that_one_answer_alone_tells_is_not_begun_with(wrong: str) -> None:
    """Whoever wrote it: a collector that began ahead of time would see no result until then."""
    times = {wrong: "Sun, 22 Nov 2026 18:00:00 GMT"}

    async def script(connection: Connection) -> None:
        while True:
            request = await connection.request()
            date = next((times.pop(part) for part in [*times] if part in request.path), RIGHT)
            body = msgspec.json.encode(APP | {"app_id": "A", "status": "READY"})
            await connection.answer(200, body, {"Date": date})

    async with serving(script) as wire, app(wire.url) as here:
        assert isinstance(await project(here.line, PROJECT, here.endpoint.toloka_clock), Project)
        told = here.endpoint.toloka_clock.now()
    assert abs(told - datetime(2026, 11, 22, 17, tzinfo=UTC)) < timedelta(minutes=1)
    assert len(wire.requests) <= 4


async def test_a_refusal_is_told_at_once() -> None:
    """Nobody asks for the time who is not let in."""
    said = {"Date": RIGHT}
    async with serving(answering((403, b"{}", said))) as wire, app(wire.url) as here:
        assert isinstance(await project(here.line, PROJECT, here.endpoint.toloka_clock), NotNow)
    assert len(wire.requests) == 1


async def test_a_project_that_never_names_its_app() -> None:
    """After some time it is reported."""
    async with serving(server([{"app_id": None, "app": []}])) as wire:
        found = await found_at(wire.url)
    assert found == NotNow("not_found", f"the project {PROJECT} does not name its app")
    assert len(wire.requests) == projects.TRIES


async def test_an_unknown_project() -> None:
    """A 404 says so at once."""
    async with serve() as toloka:
        found = await found_at(toloka.url, "Nowhere")
    assert isinstance(found, NotNow)
    assert found.reason == "not_found"
    assert "the project Nowhere: Toloka answered 404 DOES_NOT_EXIST" in found.detail


@pytest.mark.parametrize("operation", ["project", "app"])
@pytest.mark.parametrize(
    ("status", "reason"), [(401, "unauthorized"), (403, "forbidden"), (503, "unreachable")]
)
async def test_refusals(operation: str, status: int, reason: str) -> None:
    """Whatever Toloka has against us is told by its reason."""
    async with serve() as toloka:
        toloka.faults.add(Fault("status", (operation,), status=status, style="json"))
        found = await found_at(toloka.url)
    assert isinstance(found, NotNow)
    assert found.reason == reason


@pytest.mark.parametrize("kind", ["truncated", "wrong_type", "drop", "duplicate_keys"])
async def test_unreadable_answers(kind: Any) -> None:
    """A spoilt answer is no project."""
    async with serve() as toloka:
        toloka.faults.add(Fault(kind, ("project",)))
        found = await found_at(toloka.url)
    assert isinstance(found, NotNow)
    assert found.reason == "unreachable"


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        (0.05, Decimal("0.05")),
        ("0.1", Decimal("0.1")),
        (0, Decimal(0)),
        (-1, None),
        ("NaN", None),
        ("free", None),
        ([], None),
        (None, None),
    ],
)
async def test_prices(price: object, expected: Decimal | None) -> None:
    """A price is a number that can be paid; anything else is not known."""
    async with serving(server([{"app_id": "A", "item_price": price}])) as wire:
        found = await found_at(wire.url)
    assert isinstance(found, Project)
    assert found.item_price == expected


async def test_rules_that_are_none() -> None:
    """What is no rule is left out of the specification, and so are allowed values that are no list."""
    odd = {"type": "string", "allowed_values": 5}
    spec = {"input_spec": {"text": {"type": "string"}, "odd": None, "one": odd}, "output_spec": []}
    async with serving(server([{"app_id": "A"}], msgspec.json.encode(spec))) as wire:
        found = await found_at(wire.url)
    assert isinstance(found, Project)
    assert found.input_spec == {"text": {"type": "string"}, "one": {"type": "string"}}
