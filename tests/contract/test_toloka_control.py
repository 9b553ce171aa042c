"""What tests do behind Toloka's back, over /_simulator/."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.simulator.world import MODERATION_PROJECT

if TYPE_CHECKING:
    import httpx

    from tests.simulator.bench import Bench


async def ask_control(toloka: Bench, method: str, path: str, body: Any = None) -> httpx.Response:
    """Send a request to the control API; it wants no credential."""
    url = f"{toloka.simulator.url}/_simulator/{path}"
    return await toloka.http.request(method, url, json=body, headers={"Authorization": ""})


async def test_stats(toloka: Bench) -> None:
    """Statistics count items by status and requests by operation and outcome."""
    await toloka.finished(3)
    await toloka.bulk({})
    stats = (await ask_control(toloka, "GET", "stats")).json()
    assert stats["items"] == {"COMPLETED": 3}
    assert stats["requests"] == {"bulk": {"200": 1, "400": 1}}
    assert stats["now"] == toloka.clock.seconds


async def test_record_loses_nothing(toloka: Bench) -> None:
    """The record has every item ever created, deleted and archived ones too, and their requests."""
    first = await toloka.finished(2)
    second = await toloka.new(1, "second")
    await ask_control(toloka, "POST", f"items/{first[0]}", {"action": "delete"})
    await ask_control(toloka, "POST", f"items/{first[1]}", {"action": "archive"})
    lines = [json.loads(line) for line in (await ask_control(toloka, "GET", "record")).text.splitlines()]
    assert [line["id"] for line in lines] == first + second
    assert [line["request_number"] for line in lines] == [1, 1, 2]
    assert [line["request_index"] for line in lines] == [0, 1, 0]
    assert [(line["status"], line["deleted"]) for line in lines] == [
        ("COMPLETED", True),
        ("ARCHIVE", False),
        ("NEW", False),
    ]
    assert lines[0]["input_data"] == {"text": "text 0"}
    assert lines[0]["request_id"] == lines[1]["request_id"] != lines[2]["request_id"]


async def test_knobs_at_run_time(toloka: Bench) -> None:
    """A JSON patch changes knobs, and only those it names; a wrong one is a 400 and changes nothing."""
    assert (await ask_control(toloka, "PUT", "knobs", {"max_limit": 5})).json()["max_limit"] == 5
    assert (await toloka.ask("limit=6")).status_code == 400
    wrong = await ask_control(toloka, "PUT", "knobs", {"max_limit": 6, "no_such": 1})
    assert wrong.status_code == 400
    assert (await ask_control(toloka, "GET", "knobs")).json()["max_limit"] == 5
    rotated = await ask_control(toloka, "PUT", "knobs", {"credentials": ["OAuth new"]})
    assert rotated.json()["credentials"] == ["OAuth new"]
    assert (await toloka.ask()).status_code == 401


async def test_faults_at_run_time(toloka: Bench) -> None:
    """Faults are set as JSON, all at once, and do not befall the control API."""
    faults = [
        {"kind": "status", "operations": ["list"], "status": 500},
        {"kind": "drop", "operations": ["bulk"]},
    ]
    assert len((await ask_control(toloka, "PUT", "faults", faults)).json()) == 2
    assert (await toloka.ask()).status_code == 500
    assert [fault["kind"] for fault in (await ask_control(toloka, "GET", "faults")).json()] == [
        "status",
        "drop",
    ]
    assert (await ask_control(toloka, "PUT", "faults", [{"kind": "none"}])).status_code == 400
    assert (await ask_control(toloka, "PUT", "faults", [])).json() == []
    assert (await toloka.ask()).status_code == 200


async def test_finish(toloka: Bench) -> None:
    """Items finish on demand: some, by id, or all, in any terminal status."""
    toloka.simulator.core.turn(finish_distribution="never")
    ids = await toloka.new(6)
    deleted = (await toloka.new(1, "deleted"))[0]
    toloka.simulator.control.act(deleted, "delete")
    assert (await ask_control(toloka, "POST", "finish", {"limit": 2})).json() == ids[:2]
    one = {"ids": [ids[3]], "status": "ERROR"}
    assert (await ask_control(toloka, "POST", "finish", one)).json() == [ids[3]]
    assert (await toloka.item(ids[3]))["status"] == "ERROR"
    assert (await ask_control(toloka, "POST", "finish", {"status": "NEW"})).status_code == 400
    assert (await ask_control(toloka, "POST", "finish")).json() == [ids[2], *ids[4:]]
    assert len(await toloka.ids("status=COMPLETED")) == 5


async def test_item_actions(toloka: Bench) -> None:
    """An item can be hidden from listings, shown again, put into any status, deleted."""
    item_id = (await toloka.finished(1))[0]
    seen = {}
    for action, status in (("hide", ""), ("show", ""), ("status", "NO_MONEY"), ("status", "COMPLETED")):
        body = {"action": action, "status": status}
        assert (await ask_control(toloka, "POST", f"items/{item_id}", body)).is_success
        seen[action + status] = [item["status"] for item in await toloka.content()]
    assert seen == {
        "hide": [],
        "show": ["COMPLETED"],
        "statusNO_MONEY": ["NO_MONEY"],
        "statusCOMPLETED": ["COMPLETED"],
    }
    assert (await ask_control(toloka, "POST", f"items/{item_id}", {"action": "eat"})).status_code == 400
    assert (await ask_control(toloka, "POST", "items/none", {"action": "delete"})).status_code == 404
    assert (await ask_control(toloka, "POST", f"items/{item_id}", {"action": "delete"})).is_success
    path = f"app-projects/{MODERATION_PROJECT}/items/{item_id}"
    assert (await toloka.http.get(path)).status_code == 404


@pytest.mark.parametrize(("path", "status"), [(MODERATION_PROJECT, 200), ("none", 404)])
async def test_project_status(toloka: Bench, path: str, status: int) -> None:
    """A project's status can be changed."""
    response = await ask_control(toloka, "PUT", f"projects/{path}", {"status": "ARCHIVED"})
    assert response.status_code == status
    assert (await toloka.bulk({"text": "a"})).status_code == (409 if status == 200 else 200)


async def test_unknown_control_path(toloka: Bench) -> None:
    """A path or a method that the control API does not have is an error."""
    assert (await ask_control(toloka, "GET", "nowhere")).status_code == 404
    assert (await ask_control(toloka, "DELETE", "stats")).status_code == 405
