"""Rows 60 to 63 and 75 to 81 of the conformance checklist: creating tasks at once, and pools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.tasks_bench import post, task
from tests.simulator.pools import (
    ARCHIVED_POOL,
    BARE_POOL,
    CLOSED_POOL,
    DEFAULTS_POOL,
    LOCKED_POOL,
    POOR_POOL,
    TASKS_POOL,
)

if TYPE_CHECKING:
    from tests.simulator.bench import Bench


@pytest.mark.row(60)
async def test_one_task(toloka: Bench) -> None:
    """One task, not in an array, is answered with itself, its id and its time of creation."""
    response = await post(toloka, task("a", message_on_unknown_solution="hint", reserved_for=["u-1"]))
    assert response.status_code == 201
    body = response.json()
    assert body["id"].startswith(f"{int(TASKS_POOL):010x}--")
    assert (body["input_values"], body["overlap"], body["reserved_for"]) == ({"text": "a"}, 1, ["u-1"])
    assert body["created"].startswith("2023-11-14T22:13:20")


@pytest.mark.row(61)
async def test_many_tasks_with_an_invalid_one_skipped(toloka: Bench) -> None:
    """Both what was created and what is invalid are keyed by the index in the request, as text."""
    response = await post(toloka, [task("a"), task(None), task("c")], skip_invalid_items="true")
    assert response.status_code == 201
    body = response.json()
    assert {index: made["input_values"]["text"] for index, made in body["items"].items()} == {
        "0": "a",
        "2": "c",
    }
    assert body["validation_errors"]["1"]["input_values.text"]["code"] == "VALUE_REQUIRED"


@pytest.mark.row(62)
@pytest.mark.parametrize(("knob", "key"), [("nested", "1"), ("dotted", "1.input_values.text")])
async def test_many_tasks_with_an_invalid_one(toloka: Bench, knob: str, key: str) -> None:
    """Without skip_invalid_items nothing is created; the answer names the culprit by its index."""
    toloka.simulator.core.turn(sync_errors=knob)
    response = await post(toloka, [task("a"), task(None)])
    assert (response.status_code, response.json()["code"]) == (400, "VALIDATION_ERROR")
    assert list(response.json()["payload"]) == [key]
    assert toloka.simulator.control.tasks() == []


@pytest.mark.row(63)
async def test_too_many_tasks_at_once(toloka: Bench) -> None:
    """5,000 tasks are taken by one synchronous request, 5,001 are refused as a whole."""
    assert (await post(toloka, [task("a")] * 5001)).status_code == 413
    assert toloka.simulator.control.tasks() == []
    assert len((await post(toloka, [task("a")] * 5000)).json()["items"]) == 5000


@pytest.mark.row(75)
async def test_an_input_value_that_the_project_does_not_have(toloka: Bench) -> None:
    """It is not allowed, while an unknown member of the task itself is tolerated."""
    wrong = {**task("a"), "input_values": {"text": "a", "other": 1}, "__item_idx": "0"}
    response = await post(toloka, wrong)
    assert response.status_code == 400
    payload = response.json()["payload"]
    assert (list(payload), payload["input_values.other"]["code"]) == (
        ["input_values.other"],
        "VALUE_NOT_ALLOWED",
    )


@pytest.mark.row(76, 77)
async def test_overlap_from_the_task_or_the_pool(toloka: Bench) -> None:
    """Without allow_defaults the task must say; with it the pool may; a task's own word beats the pool's."""
    without = {"pool_id": DEFAULTS_POOL, "input_values": {"text": "a"}}
    refused = await post(toloka, without)
    assert refused.json()["payload"]["overlap"]["code"] == "VALUE_REQUIRED"
    assert (await post(toloka, without, allow_defaults="true")).json()["overlap"] == 2
    assert (await post(toloka, {**without, "overlap": 5}, allow_defaults="true")).json()["overlap"] == 5
    infinite = (await post(toloka, {**without, "infinite_overlap": True})).json()
    assert (infinite["infinite_overlap"], "overlap" in infinite) == (True, False)
    bare = {**without, "pool_id": TASKS_POOL}
    assert (await post(toloka, bare, allow_defaults="true")).status_code == 400


@pytest.mark.row(78)
async def test_too_many_bytes(toloka: Bench) -> None:
    """The input values of one request take 1,048,576 bytes at most."""
    half = task("x" * 520_000)
    assert (await post(toloka, [half, half])).status_code == 201
    assert (await post(toloka, [half, half, half])).status_code == 413


@pytest.mark.row(79)
async def test_a_pool_that_is_opened_along_with_it(toloka: Bench) -> None:
    """`open_pool` opens a closed pool once the tasks are in it; without money it stays closed."""
    await post(toloka, [task("a", CLOSED_POOL)])
    assert (await pool(toloka, CLOSED_POOL))["status"] == "CLOSED"
    await post(toloka, [task("a", CLOSED_POOL)], open_pool="true")
    assert (await pool(toloka, CLOSED_POOL))["status"] == "OPEN"
    assert (await post(toloka, [task("a", POOR_POOL)], open_pool="true")).status_code == 201
    assert (await pool(toloka, POOR_POOL))["last_close_reason"] == "NOT_ENOUGH_BALANCE"


@pytest.mark.row(80)
async def test_opening_a_pool(toloka: Bench) -> None:
    """An empty pool cannot be opened, a closed one can, an open one is left as it is."""
    path = f"{toloka.simulator.url}/api/v1/pools/{CLOSED_POOL}/open"
    empty = await toloka.http.post(path)
    assert (empty.status_code, empty.json()["code"]) == (409, "EMPTY_POOL")
    await post(toloka, task("a", CLOSED_POOL))
    opened = await toloka.http.post(path)
    assert (opened.status_code, opened.json()["type"]) == (202, "POOL.OPEN")
    again = await toloka.http.post(path)
    assert (again.status_code, again.content) == (204, b"")


@pytest.mark.row(81)
async def test_tasks_by_id(toloka: Bench) -> None:
    """Ids are compared by code point, bounds included where the name says so."""
    made = (await post(toloka, [task(f"{n}") for n in range(9)])).json()["items"].values()
    ids = sorted(each["id"] for each in made)
    query = f"pool_id={TASKS_POOL}&id_gte={ids[2]}&id_lte={ids[5]}&sort=id"
    page = (await toloka.http.get(f"{toloka.simulator.url}/api/v1/tasks?{query}")).json()
    assert ([each["id"] for each in page["items"]], page["has_more"]) == (ids[2:6], False)
    assert (await toloka.http.get(f"{toloka.simulator.url}/api/v1/tasks")).status_code == 400


@pytest.mark.parametrize(
    ("pool_id", "code"),
    [
        (ARCHIVED_POOL, "POOL_INAPPROPRIATE_STATUS"),
        (LOCKED_POOL, "POOL_LOCKED_BY_ANOTHER_OPERATION"),
        (BARE_POOL, "MIXER_CONFIG_REQUIRED"),
    ],
)
async def test_pools_that_take_no_tasks(toloka: Bench, pool_id: str, code: str) -> None:
    """They are refused with 409, and an unknown pool with 404."""
    response = await post(toloka, [task("a", pool_id)])
    assert (response.status_code, response.json()["code"]) == (409, code)
    assert (await post(toloka, [task("a", "1")])).status_code == 404


async def pool(toloka: Bench, pool_id: str) -> dict[str, Any]:
    """A pool as it is."""
    body: dict[str, Any] = (await toloka.http.get(f"{toloka.simulator.url}/api/v1/pools/{pool_id}")).json()
    return body
