"""Rows 64 to 74 of the conformance checklist: tasks that are created by an operation."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from tests.contract.tasks_bench import log_of, operate, post, task
from tests.simulator.faults import Fault
from tests.simulator.pools import TASKS_POOL

if TYPE_CHECKING:
    from tests.simulator.bench import Bench

ATTEMPT = "0b2a9ab8-0f39-4d17-93b3-6b8d6d0c9a55"


@pytest.mark.row(64, 65)
async def test_an_operation(toloka: Bench) -> None:
    """It is answered at once, under the id that the request gives it."""
    response = await post(toloka, [task("a")], async_mode="true", operation_id=ATTEMPT)
    assert response.status_code == 202
    body = response.json()
    assert (body["id"], body["type"], body["status"]) == (ATTEMPT, "TASK.BATCH_CREATE", "PENDING")
    assert body["parameters"] == {"open_pool": False, "allow_defaults": False, "skip_invalid_items": False}
    unnamed = (await post(toloka, task("a"), async_mode="true")).json()
    assert uuid.UUID(unnamed["id"])


@pytest.mark.row(66)
async def test_an_id_that_is_no_uuid(toloka: Bench) -> None:
    """It is refused by name."""
    response = await post(toloka, [task("a")], async_mode="true", operation_id="abc")
    assert response.status_code == 400
    assert response.json()["payload"]["operation_id"]["code"] == "UUID_EXPECTED"


@pytest.mark.row(67)
@pytest.mark.parametrize("status", [409, 400])
async def test_the_same_id_again(toloka: Bench, status: int) -> None:
    """It makes nothing new, whatever it holds, even once the operation is over."""
    toloka.simulator.core.turn(operation_repeat_status=status)
    await operate(toloka, [task("a")], ATTEMPT)
    again = await post(toloka, [task("b"), task("c")], async_mode="true", operation_id=ATTEMPT)
    assert (again.status_code, again.json()["code"]) == (status, "OPERATION_ALREADY_EXISTS")
    toloka.clock.move(10)
    assert len(toloka.simulator.control.tasks()) == 1
    assert toloka.simulator.control.stats()["repeated_operations"] == 1


@pytest.mark.row(68)
async def test_the_same_id_after_a_lost_answer(toloka: Bench) -> None:
    """What was carried out without an answer is there all the same."""
    toloka.simulator.faults.add(Fault("status", ("tasks",), committed=True, times=1))
    lost = await post(toloka, [task("a")], async_mode="true", operation_id=ATTEMPT)
    assert lost.status_code == 503
    again = await post(toloka, [task("a")], async_mode="true", operation_id=ATTEMPT)
    assert again.json()["code"] == "OPERATION_ALREADY_EXISTS"
    toloka.clock.move(10)
    assert [made["operation_id"] for made in toloka.simulator.control.tasks()] == [ATTEMPT]


@pytest.mark.row(69)
async def test_the_end_of_an_operation(toloka: Bench) -> None:
    """It has been started, is finished, and has counted."""
    found = await operate(toloka, [task("a"), task(None)], skip_invalid_items="true")
    assert (found["status"], found["progress"]) == ("SUCCESS", 100)
    assert found["submitted"] <= found["started"] <= found["finished"]
    assert found["details"] == {
        "total_count": 2,
        "valid_count": 1,
        "not_valid_count": 1,
        "success_count": 1,
        "failed_count": 1,
    }


@pytest.mark.row(70)
async def test_an_operation_that_fails(toloka: Bench) -> None:
    """All or nothing, where invalid tasks are not to be skipped; nothing at all where none is valid."""
    found = await operate(toloka, [task("a"), task(None)])
    assert (found["status"], found["progress"]) == ("FAIL", 100)
    assert list(found["details"].values()) == [2, 1, 1, 0, 2]
    none = await operate(toloka, [task(None)], skip_invalid_items="true")
    assert none["status"] == "FAIL"
    assert toloka.simulator.control.tasks() == []


@pytest.mark.row(71)
async def test_an_operation_that_nobody_made(toloka: Bench) -> None:
    """Neither it nor its log is there."""
    for path in (f"operations/{ATTEMPT}", f"operations/{ATTEMPT}/log"):
        assert (await toloka.http.get(f"{toloka.simulator.url}/api/v1/{path}")).status_code == 404


@pytest.mark.row(72, 73)
async def test_the_log_of_what_was_created(toloka: Bench) -> None:
    """An array of steps, each with the task as it was sent, unknown members included, and its new id."""
    toloka.simulator.core.turn(log_order="shuffled")
    sent = [{**task(f"{n}"), "__item_idx": str(n)} for n in range(20)]
    found = await operate(toloka, sent)
    steps = await log_of(toloka, found["id"])
    assert [(step["type"], step["success"]) for step in steps] == [("TASK_CREATE", True)] * 20
    assert [step["input"]["__item_idx"] for step in steps] != [str(n) for n in range(20)]
    for step in steps[:3]:
        made = (
            await toloka.http.get(f"{toloka.simulator.url}/api/v1/tasks/{step['output']['task_id']}")
        ).json()
        assert made["input_values"]["text"] == step["input"]["__item_idx"]
        assert "__item_idx" not in made


@pytest.mark.row(74)
async def test_the_log_of_what_is_invalid(toloka: Bench) -> None:
    """Each invalid task has a step that names its fields, in one of two forms."""
    found = await operate(toloka, [task("a"), task(None)], skip_invalid_items="true")
    wrong = next(step for step in await log_of(toloka, found["id"]) if not step["success"])
    assert (wrong["type"], wrong["output"]["input_values.text"]["code"]) == (
        "TASK_VALIDATE",
        "VALUE_REQUIRED",
    )
    toloka.simulator.core.turn(log_errors="nested")
    found = await operate(toloka, [task(None)])
    (wrong,) = await log_of(toloka, found["id"])
    assert list(wrong["output"]["payload"]) == ["input_values.text"]


async def test_a_log_that_is_kept_no_longer(toloka: Bench) -> None:
    """The operation is still known, and says what it came to."""
    toloka.simulator.core.turn(log_kept_seconds=60)
    found = await operate(toloka, [task("a")])
    toloka.clock.move(60)
    response = await toloka.http.get(f"{toloka.simulator.url}/api/v1/operations/{found['id']}/log")
    assert response.json()["code"] == "OPERATION_LOGS_ARCHIVED"


async def test_quotas_of_tasks(toloka: Bench) -> None:
    """A minute's, an hour's and a day's; each says so."""
    for knob, interval in (("minute", "MIN"), ("hour", "HOUR"), ("day", "DAY")):
        toloka.simulator.core.turn(**{f"items_per_{knob}": 1})
        response = await post(toloka, [task("a"), task("b")])
        assert (response.status_code, response.json()["payload"]) == (429, {"interval": interval})
        toloka.simulator.core.turn(**{f"items_per_{knob}": None})


async def test_operations_are_listed(toloka: Bench) -> None:
    """By type, status and time, 50 unless more are asked for."""
    for _ in range(3):
        await operate(toloka, [task("a")])
    await operate(toloka, [task(None)])
    page = (
        await toloka.http.get(
            f"{toloka.simulator.url}/api/v1/operations?status=SUCCESS&sort=-submitted&limit=2"
        )
    ).json()
    assert ([each["status"] for each in page["items"]], page["has_more"]) == (["SUCCESS"] * 2, True)
    assert page["items"][0]["submitted"] > page["items"][1]["submitted"]
    assert (
        await toloka.http.get(f"{toloka.simulator.url}/api/v1/tasks?pool_id={TASKS_POOL}&limit=1")
    ).json()["has_more"]
