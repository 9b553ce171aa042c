"""What tests of the simulator's tasks have in common."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from tests.simulator.pools import TASKS_POOL

if TYPE_CHECKING:
    import httpx

    from tests.simulator.bench import Bench


def task(text: str | None, pool_id: str = TASKS_POOL, **members: Any) -> dict[str, Any]:
    """A task; without text it is invalid."""
    values = {} if text is None else {"text": text}
    return {"pool_id": pool_id, "input_values": values, "overlap": 1, **members}


async def post(toloka: Bench, body: Any, **query: str) -> httpx.Response:
    """POST one task or many."""
    return await toloka.http.post(f"{toloka.simulator.url}/api/v1/tasks", params=query, json=body)


async def operate(toloka: Bench, body: Any, operation_id: str = "", **query: str) -> dict[str, Any]:
    """POST tasks asynchronously; returns the operation's id once it is over, and its log."""
    operation_id = operation_id or str(uuid.uuid4())
    response = await post(toloka, body, async_mode="true", operation_id=operation_id, **query)
    assert response.status_code == 202, response.text
    toloka.clock.move(10)
    found: dict[str, Any] = (
        await toloka.http.get(f"{toloka.simulator.url}/api/v1/operations/{operation_id}")
    ).json()
    return found


async def log_of(toloka: Bench, operation_id: str) -> list[dict[str, Any]]:
    """An operation's log."""
    steps: list[dict[str, Any]] = (
        await toloka.http.get(f"{toloka.simulator.url}/api/v1/operations/{operation_id}/log")
    ).json()
    return steps
