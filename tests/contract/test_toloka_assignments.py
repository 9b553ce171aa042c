"""Rows 82 to 85 of the conformance checklist: assignments, and how workers come to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.tasks_bench import post, task
from tests.simulator.pools import CLOSED_POOL, TASKS_POOL

if TYPE_CHECKING:
    from tests.simulator.bench import Bench


async def listed(toloka: Bench, query: str = "", pool_id: str = TASKS_POOL) -> list[dict[str, Any]]:
    """The assignments of a listing."""
    response = await toloka.http.get(
        f"{toloka.simulator.url}/api/v1/assignments?pool_id={pool_id}&limit=1000{query}"
    )
    assert response.status_code == 200, response.text
    rows: list[dict[str, Any]] = response.json()["items"]
    return rows


@pytest.mark.row(82)
async def test_a_listing_of_nothing_in_particular(toloka: Bench) -> None:
    """A pool, a task or a suite must be named; unknown filters and statuses are refused."""
    assert (await toloka.http.get(f"{toloka.simulator.url}/api/v1/assignments")).status_code == 400
    for query in ("status=DONE", "finished_gte=2020-01-01", "sort=finished", "submitted_gte=yesterday"):
        response = await toloka.http.get(
            f"{toloka.simulator.url}/api/v1/assignments?pool_id={TASKS_POOL}&{query}"
        )
        assert (response.status_code, list(response.json()["payload"])) == (400, [query.split("=")[0]])


@pytest.mark.row(83)
async def test_statuses_are_united(toloka: Bench) -> None:
    """A comma list is a union, and each status has its own time."""
    made = (await post(toloka, [task(f"{n}") for n in range(6)])).json()["items"].values()
    toloka.simulator.core.turn(finish_distribution="never")
    ids = [each["id"] for each in made]
    statuses = ("ACTIVE", "SUBMITTED", "ACCEPTED", "REJECTED", "SKIPPED", "EXPIRED")
    for task_id, status in zip(ids, statuses, strict=True):
        toloka.simulator.control.work([task_id], status)
    both = await listed(toloka, "&status=SUBMITTED%2CACCEPTED&sort=submitted,id")
    assert sorted(each["status"] for each in both) == ["ACCEPTED", "SUBMITTED"]
    for status in statuses[1:]:
        (found,) = await listed(toloka, f"&status={status}&{status.lower()}_gte=2023-11-14")
        assert found[status.lower()] >= found["created"]


@pytest.mark.row(84)
async def test_solutions_are_parallel_to_tasks(toloka: Bench) -> None:
    """One assignment may hold several tasks; each has its solution at the same place."""
    toloka.simulator.core.turn(suite_tasks=3)
    await post(toloka, [task(f"{n}", overlap=2) for n in range(7)])
    toloka.clock.move(10)
    found = await listed(toloka, "&status=SUBMITTED")
    assert sorted(len(each["tasks"]) for each in found) == [1, 1, 3, 3, 3, 3]
    assert all(len(each["tasks"]) == len(each["solutions"]) for each in found)
    assert all(each["solutions"][0]["output_values"]["result"] in ("OK", "BAD") for each in found)
    one = found[0]["tasks"][0]["id"]
    alike = (await toloka.http.get(f"{toloka.simulator.url}/api/v1/assignments?task_id={one}")).json()[
        "items"
    ]
    assert len({each["user_id"] for each in alike}) == 2


@pytest.mark.row(85)
async def test_without_a_limit(toloka: Bench) -> None:
    """There are 50, and word that there are more."""
    await post(toloka, [task(f"{n}") for n in range(51)])
    toloka.clock.move(10)
    page = (await toloka.http.get(f"{toloka.simulator.url}/api/v1/assignments?pool_id={TASKS_POOL}")).json()
    assert (len(page["items"]), page["has_more"]) == (50, True)


async def test_paging_by_id(toloka: Bench) -> None:
    """There is no after_id: ids are followed by `id_gt`."""
    await post(toloka, [task(f"{n}") for n in range(9)])
    toloka.clock.move(10)
    ids = sorted(each["id"] for each in await listed(toloka))
    assert [each["id"] for each in await listed(toloka, f"&sort=id&id_gt={ids[3]}")] == ids[4:]


async def test_accepting_comes_later(toloka: Bench) -> None:
    """A submitted assignment keeps its time of submission when it is accepted or rejected."""
    toloka.simulator.core.turn(accept_seconds=100, rejected_share=0.5)
    await post(toloka, [task(f"{n}") for n in range(20)])
    toloka.clock.move(10)
    assert {each["status"] for each in await listed(toloka)} == {"SUBMITTED"}
    toloka.clock.move(100)
    found = await listed(toloka)
    assert {each["status"] for each in found} == {"ACCEPTED", "REJECTED"}
    assert all(each[each["status"].lower()] > each["submitted"] for each in found)


async def test_skipped_and_expired_work_is_done_by_others(toloka: Bench) -> None:
    """A task is worked on until its overlap is reached."""
    toloka.simulator.core.turn(skipped_share=0.3, expired_share=0.3)
    await post(toloka, [task(f"{n}") for n in range(20)])
    for _ in range(100):
        toloka.clock.move(10)
        toloka.simulator.core.advance()
    found = await listed(toloka)
    assert {each["status"] for each in found} == {"SUBMITTED", "SKIPPED", "EXPIRED"}
    done = [each["tasks"][0]["id"] for each in found if each["status"] == "SUBMITTED"]
    assert len(done) == len(set(done)) == 20


async def test_a_closed_pool_is_not_worked_on(toloka: Bench) -> None:
    """Its tasks wait until it opens; late assignments are shown as they were before."""
    await post(toloka, [task("a", CLOSED_POOL)])
    toloka.clock.move(10)
    assert await listed(toloka, pool_id=CLOSED_POOL) == []
    toloka.simulator.core.turn(late_share=1.0, late_seconds=60)
    toloka.simulator.control.set_pool(CLOSED_POOL, "OPEN")
    toloka.clock.move(10)
    assert await listed(toloka, "&status=SUBMITTED", CLOSED_POOL) == []
    toloka.clock.move(60)
    assert len(await listed(toloka, "&status=SUBMITTED", CLOSED_POOL)) == 1
