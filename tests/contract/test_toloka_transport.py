"""Rows 1 to 15 of the conformance checklist: transport, apps, projects."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.simulator.knobs import OAUTH_TOKEN
from tests.simulator.world import (
    ARCHIVE_PROJECT,
    ARCHIVED_PROJECT,
    CREATING_PROJECT,
    ERROR_PROJECT,
    FORM_APP,
    MODERATION_APP,
    MODERATION_PROJECT,
    SHARED_ACCOUNT,
    SHARED_PROJECT,
)

if TYPE_CHECKING:
    from typing import Any

    from tests.simulator.bench import Bench

PROJECT_PATH = f"app-projects/{MODERATION_PROJECT}"
ITEMS_PATH = f"{PROJECT_PATH}/items"
TYPES = r"(array_)?(boolean|string|integer|float|url|file|coordinates|json)"


def assert_error(body: dict[str, Any], code: str) -> None:
    """Check the shape that every error has."""
    assert body["code"] == code
    assert isinstance(body["message"], str)
    assert isinstance(body["request_id"], str)


@pytest.mark.row(1)
async def test_api_key(toloka: Bench) -> None:
    """A valid ApiKey header is accepted."""
    assert (await toloka.http.get(PROJECT_PATH)).is_success


@pytest.mark.row(2)
async def test_oauth(toloka: Bench) -> None:
    """A valid OAuth header is accepted."""
    headers = {"Authorization": f"OAuth {OAUTH_TOKEN}"}
    assert (await toloka.http.get(PROJECT_PATH, headers=headers)).is_success


@pytest.mark.row(3)
@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("credential", ["", "OAuth wrong", f"ApiKey {OAUTH_TOKEN}"])
async def test_bad_credential(toloka: Bench, status: int, credential: str) -> None:
    """A missing or bad credential is a 401 or 403 with AUTHENTICATION_ERROR, and nothing happens."""
    toloka.simulator.core.turn(unauthorized_status=status)
    response = await toloka.http.post(f"{ITEMS_PATH}/bulk", headers={"Authorization": credential})
    assert response.status_code == status
    assert_error(response.json(), "AUTHENTICATION_ERROR")


@pytest.mark.row(4)
async def test_shared_account(toloka: Bench) -> None:
    """X-Act-Under-Account-ID shows the objects of that account, and only them."""
    headers = {"X-Act-Under-Account-ID": SHARED_ACCOUNT}
    shared, own = f"app-projects/{SHARED_PROJECT}", PROJECT_PATH
    assert (await toloka.http.get(shared, headers=headers)).status_code == 200
    assert (await toloka.http.get(shared)).status_code == 404
    assert (await toloka.http.get(own, headers=headers)).status_code == 404
    stranger = await toloka.http.get(own, headers={"X-Act-Under-Account-ID": "nobody"})
    assert stranger.status_code == 403
    assert_error(stranger.json(), "ACCESS_DENIED")


@pytest.mark.row(5)
async def test_unknown_headers(toloka: Bench) -> None:
    """Unknown X- headers are ignored."""
    headers = {"X-Caller-Context": "client", "X-Low-Level-Method": "any"}
    assert (await toloka.http.get(PROJECT_PATH, headers=headers)).is_success


@pytest.mark.row(6)
async def test_error_body(toloka: Bench) -> None:
    """An error has request_id, code and message; a VALIDATION_ERROR's payload is an object."""
    response = await toloka.bulk({"id": "1"})
    body = response.json()
    assert_error(body, "VALIDATION_ERROR")
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", body["request_id"])
    assert isinstance(body["payload"], dict)


@pytest.mark.row(7)
@pytest.mark.parametrize(
    "path", ["apps/none", "app-projects/none", "app-projects/none/items", f"{ITEMS_PATH}/a%2Fb"]
)
async def test_unknown_object(toloka: Bench, path: str) -> None:
    """An object that does not exist is a 404 with DOES_NOT_EXIST."""
    response = await toloka.http.get(path)
    assert response.status_code == 404
    assert_error(response.json(), "DOES_NOT_EXIST")


@pytest.mark.row(8)
async def test_unsupported_method(toloka: Bench) -> None:
    """A method that the path does not have is a 405."""
    response = await toloka.http.delete(ITEMS_PATH)
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, POST"
    assert_error(response.json(), "METHOD_NOT_ALLOWED")


@pytest.mark.row(9)
async def test_content_type(toloka: Bench) -> None:
    """A body that is not said to be JSON is a 415; a POST without a body needs no content type."""
    body = b'{"items": [{"text": "a"}]}'
    bare = await toloka.http.post(f"{ITEMS_PATH}/bulk", content=body)
    assert bare.status_code == 415
    text = {"Content-Type": "text/plain"}
    assert (await toloka.http.post(f"{ITEMS_PATH}/bulk", content=body, headers=text)).status_code == 415
    json = {"Content-Type": "application/JSON; charset=utf-8"}
    assert (await toloka.http.post(f"{ITEMS_PATH}/bulk", content=body, headers=json)).status_code == 200
    batch = (await toloka.http.post(f"{PROJECT_PATH}/batches", json={"name": "b"})).json()
    assert (await toloka.http.post(f"{PROJECT_PATH}/batches/{batch['id']}/start")).is_success


@pytest.mark.row(10)
@pytest.mark.parametrize("body", [b"", b"{", b'{"items": NaN}', b"[]", b'"\xff"', b"[" * 100_000])
async def test_body_that_is_not_json(toloka: Bench, body: bytes) -> None:
    """A body that is not a JSON object is a 400."""
    headers = {"Content-Type": "application/json"}
    response = await toloka.http.post(f"{ITEMS_PATH}/bulk", content=body, headers=headers)
    assert response.status_code == 400


@pytest.mark.row(11)
async def test_app(toloka: Bench) -> None:
    """An app is found by its id, with an empty lang or without."""
    response = await toloka.http.get(f"apps/{MODERATION_APP}?lang=")
    assert response.status_code == 200
    assert response.json()["id"] == MODERATION_APP
    assert (await toloka.http.get("apps")).json()["has_more"] is False


@pytest.mark.row(12)
@pytest.mark.parametrize("app", [MODERATION_APP, FORM_APP])
async def test_specs(toloka: Bench, app: str) -> None:
    """input_spec and output_spec map each field to its type and whether it is required."""
    body = (await toloka.http.get(f"apps/{app}")).json()
    for rule in [*body["input_spec"].values(), *body["output_spec"].values()]:
        assert re.fullmatch(TYPES, rule["type"])
        assert isinstance(rule["required"], bool)


@pytest.mark.row(13)
@pytest.mark.parametrize(
    ("project", "status"),
    [
        (MODERATION_PROJECT, "READY"),
        (CREATING_PROJECT, "CREATING"),
        (ERROR_PROJECT, "ERROR"),
        (ARCHIVE_PROJECT, "ARCHIVE"),
        (ARCHIVED_PROJECT, "ARCHIVED"),
    ],
)
async def test_project(toloka: Bench, project: str, status: str) -> None:
    """A project has a status, and errors if it could not be created."""
    body = (await toloka.http.get(f"app-projects/{project}")).json()
    assert body["status"] == status
    assert body["app_id"] == body["app"]["id"]
    assert bool(body["errors"]) == (status == "ERROR")


@pytest.mark.row(14)
async def test_bulk_on_project_in_creation(toloka: Bench) -> None:
    """Items may be uploaded while the project is being created; labelling waits until it is ready."""
    item_id = (await toloka.bulk({"text": "a"}, project=CREATING_PROJECT)).json()[0]
    toloka.clock.move(100)
    assert (await toloka.item(item_id, CREATING_PROJECT))["status"] == "NEW"
    toloka.simulator.control.set_project_status(CREATING_PROJECT, "READY")
    toloka.clock.move(100)
    assert (await toloka.item(item_id, CREATING_PROJECT))["status"] == "COMPLETED"


@pytest.mark.row(15)
@pytest.mark.parametrize("project", [ARCHIVE_PROJECT, ARCHIVED_PROJECT])
async def test_bulk_on_archived_project(toloka: Bench, project: str) -> None:
    """An archived project takes no items."""
    response = await toloka.bulk({"text": "a"}, project=project)
    assert response.status_code == 409
    assert_error(response.json(), "PROJECT_INAPPROPRIATE_STATUS")
    assert not toloka.simulator.core.record
