"""A simulator with a clock moved by hand, and an HTTP client that speaks to it: what its own tests use."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from tests.simulator.knobs import API_KEY, Knobs
from tests.simulator.serving import Simulator, serve
from tests.simulator.world import MODERATION_PROJECT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.simulator.shell import Sleep

CREDENTIAL = f"ApiKey {API_KEY}"
LONG_ENOUGH_SECONDS = 10.0


class Clock:
    """Unix seconds that stand still until moved."""

    def __init__(self, seconds: float = 1_700_000_000.25) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds


@dataclass(frozen=True)
class Bench:
    """A running simulator, its clock, and a client with a valid credential.

    Attributes:
        simulator: serves on loopback.
        clock: the simulator's.
        http: paths are relative to the App API.
    """

    simulator: Simulator
    clock: Clock
    http: httpx.AsyncClient

    async def bulk(self, *items: Any, project: str = MODERATION_PROJECT, **body: Any) -> httpx.Response:
        """POST items in bulk."""
        return await self.http.post(f"app-projects/{project}/items/bulk", json={"items": items, **body})

    async def new(self, count: int, text: str = "text", **body: Any) -> list[str]:
        """Create items that differ from each other; return their ids."""
        response = await self.bulk(*({"text": f"{text} {at}"} for at in range(count)), **body)
        assert response.status_code == 200, response.text
        ids: list[str] = response.json()
        return ids

    async def finished(self, count: int, text: str = "text", **body: Any) -> list[str]:
        """Create items, let time pass until they are labelled; return their ids."""
        ids = await self.new(count, text, **body)
        self.clock.move(LONG_ENOUGH_SECONDS)
        return ids

    async def ask(self, query: str = "", project: str = MODERATION_PROJECT) -> httpx.Response:
        """GET a listing."""
        return await self.http.get(f"app-projects/{project}/items" + (query and f"?{query}"))

    async def content(self, query: str = "") -> list[dict[str, Any]]:
        """Return the items of one listing."""
        response = await self.ask(query)
        assert response.status_code == 200, response.text
        items: list[dict[str, Any]] = response.json()["content"]
        return items

    async def ids(self, query: str = "") -> list[str]:
        """Return the ids of one listing."""
        return [item["id"] for item in await self.content(query)]

    async def paged(self, query: str) -> list[str]:
        """Return the ids of all pages, each asked for after the last id of the one before."""
        ids: list[str] = []
        while True:
            body = (await self.ask(query + (f"&after_id={ids[-1]}" if ids else ""))).json()
            ids += [item["id"] for item in body["content"]]
            if not body["has_more"]:
                return ids

    async def item(self, item_id: str, project: str = MODERATION_PROJECT) -> dict[str, Any]:
        """Return one item, read by its id."""
        response = await self.http.get(f"app-projects/{project}/items/{item_id}")
        assert response.status_code == 200, response.text
        body: dict[str, Any] = response.json()
        return body


@asynccontextmanager
async def bench(knobs: Knobs | None = None, sleep: Sleep = asyncio.sleep) -> AsyncIterator[Bench]:
    """Set up a bench until the block ends.

    Args:
        knobs: how the simulator behaves.
        sleep: waits as many seconds as a fault delays an exchange.
    """
    clock = Clock()
    async with (
        serve(knobs, clock=clock, sleep=sleep) as simulator,
        httpx.AsyncClient(
            base_url=f"{simulator.url}/api/app/v0/",
            headers={"Authorization": CREDENTIAL},
            trust_env=False,
        ) as http,
    ):
        yield Bench(simulator, clock, http)
