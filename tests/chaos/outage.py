"""Toloka is away, or asks to wait, for minutes: no storm, no restart, full speed soon after its return."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from tests.chaos.figures import Figures
from tests.chaos.late_items import counted
from tests.chaos.stage import save_pages, searched
from tests.proxy import Proxy, Toxics
from tests.system.conftest import Deploy
from tests.system.deployment import Deployment, eventually
from tests.system.feed import GOOD, Kinds, sources, without_id

REPLICAS: Final = 2
QUARANTINE_SECONDS: Final = 8.0
SOON_SECONDS: Final = 15.0
# What is sent for each replica in a second of waiting, at the most.
STORM_REQUESTS: Final = 1.0
SHARE: Final = 400
# Many deployments start at the same time.
PATIENCE_SECONDS: Final = 240.0
BLACK_HOLE: Final = Toxics(hang=True)
ITEMS: Final[Kinds] = GOOD
APART: Final[Kinds] = ((without_id, 1.0),)
SETTINGS: Final = {
    "SUBMIT__MAX_ITEMS": "50",
    "SUBMIT__REQUEST_TIMEOUT_SECONDS": "3",
    "SUBMIT__QUARANTINE_SECONDS": str(QUARANTINE_SECONDS),
    "COLLECT__INTERVAL_SECONDS": "1",
    "LOG__LEVEL": "INFO",
}


@dataclass(frozen=True, slots=True)
class Outage:
    """How Toloka is away.

    Attributes:
        title: in words.
        network: what becomes of connections: "up", "refused" or "black hole".
        answer: what each request is answered with, where there is an answer.
        asked_seconds: how long that answer asks to wait; nobody may be expected to come sooner.
    """

    title: str
    network: str = "up"
    answer: Mapping[str, Any] = field(default_factory=dict)
    asked_seconds: float = 0.0


_THROTTLED: Final = {"kind": "status", "status": 429, "style": "json"}
OUTAGES: Final[Mapping[str, Outage]] = {
    "refused": Outage("connections are refused", "refused"),
    "black-hole": Outage("connections open and nothing comes back", "black hole"),
    "unavailable": Outage(
        "503 with a proxy's page", answer={"kind": "status", "status": 503, "style": "html"}
    ),
    "throttled": Outage("429 without Retry-After", answer=_THROTTLED),
    "retry-after": Outage(
        "429 with Retry-After: 5", answer={**_THROTTLED, "retry_after": "5"}, asked_seconds=5
    ),
    "interval": Outage(
        "429 with payload.interval MIN",
        answer={**_THROTTLED, "payload": {"interval": "MIN"}},
        asked_seconds=60,
    ),
}


async def outage(
    deploy: Deploy, outage: Outage, seconds: float, soon_seconds: float = SOON_SECONDS
) -> Figures:
    """Two replicas under load; Toloka goes away for so long, comes back, and soon all is as before."""
    figures = Figures(f"Toloka is away for {seconds:.0f} s: {outage.title}")
    async with AsyncExitStack() as stack:
        deployment = await deploy(partitions=4, **SETTINGS)
        proxy = await stack.enter_async_context(Proxy("127.0.0.1", deployment.simulator.port))
        deployment.settings["TOLOKAD_TOLOKA__URL"] = f"http://{proxy.address}"
        for _ in range(REPLICAS):
            await deployment.started()
        await deployment.feed(sources(SHARE, seed=40, kinds=ITEMS))
        await deployment.until_outcomes(SHARE // 2, seconds=PATIENCE_SECONDS)
        watch = await _Watch.begun(deployment)
        await _go_away(deployment, proxy, outage)
        await deployment.feed(sources(SHARE, seed=41, kinds=APART))
        await watch.over(seconds)
        figures.show("requests while it was away", await watch.requests())
        figures.insist(
            await watch.requests() <= seconds * STORM_REQUESTS * REPLICAS + 20,
            f"{await watch.requests():.0f} requests are a storm",
        )
        doubts = await counted(deployment, "tolokad_intents_in_doubt")
        figures.show("batches in doubt", doubts)
        await _come_back(deployment, proxy)
        await _recovered(deployment, figures, soon_seconds + outage.asked_seconds, in_doubt=doubts > 0)
        await watch.judge(figures)
        await deployment.until_done(PATIENCE_SECONDS)
        await save_pages(deployment)
        verdict = await deployment.conclusion()
        figures.judge(verdict, searched(deployment.folder, deployment.kafka))
    return figures


async def _go_away(deployment: Deployment, proxy: Proxy, outage: Outage) -> None:
    if outage.network == "refused":
        await proxy.down()
    elif outage.network == "black hole":
        proxy.set(upstream=BLACK_HOLE, downstream=BLACK_HOLE)
    else:
        await deployment.control("PUT", "faults", json=[outage.answer])


async def _come_back(deployment: Deployment, proxy: Proxy) -> None:
    await deployment.control("PUT", "faults", json=[])
    proxy.heal()
    await proxy.up()


async def _recovered(deployment: Deployment, figures: Figures, soon: float, *, in_doubt: bool) -> None:
    """Full speed: each partition settles something new, or has nothing left; doubts take their time."""
    began = time.monotonic()
    before = {part.partition: part for part in await deployment.progress()}
    doubtful = {partition for partition, part in before.items() if part.metadata}

    async def moving(partitions: set[int]) -> bool:
        parts = [part for part in await deployment.progress() if part.partition in partitions]
        return all(part.settled or part.committed > before[part.partition].committed for part in parts)

    clear = before.keys() - doubtful
    await eventually(lambda: moving(clear), deployment.state)
    figures.show("seconds to full speed", time.monotonic() - began if clear else "all were in doubt")
    figures.insist(time.monotonic() - began <= soon, f"full speed after {time.monotonic() - began:.0f} s")
    await eventually(lambda: moving(doubtful), deployment.state)
    figures.show("seconds until doubts had ended", time.monotonic() - began if doubtful else "none")
    late = time.monotonic() - began > QUARANTINE_SECONDS + soon
    figures.insist(not (in_doubt and late), f"doubts ended after {time.monotonic() - began:.0f} s")


class _Watch:
    """Sees that replicas live on: no restart, no rebalance, `/livez` 200 throughout."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._asked = 0
        self._dead = 0

    @classmethod
    async def begun(cls, deployment: Deployment) -> "_Watch":
        watch = cls(deployment)
        watch._rebalances = await counted(deployment, "tolokad_rebalances_total")
        watch._pids = [replica.pid for replica in deployment.replicas]
        watch._requests = await counted(deployment, "tolokad_toloka_requests_total")
        return watch

    _rebalances: float
    _requests: float
    _pids: list[int]

    async def over(self, seconds: float) -> None:
        """Look every second, for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for replica in self._deployment.replicas:
                self._asked += 1
                self._dead += (await replica.get("/livez")).status_code != 200
            await asyncio.sleep(1)

    async def requests(self) -> float:
        """How many were sent since the beginning, by all replicas."""
        return await counted(self._deployment, "tolokad_toloka_requests_total") - self._requests

    async def judge(self, figures: Figures) -> None:
        """Add what was seen."""
        rebalances = await counted(self._deployment, "tolokad_rebalances_total") - self._rebalances
        alive = [replica.pid for replica in self._deployment.replicas if replica.running] == self._pids
        figures.show("/livez", f"asked {self._asked} times, {self._dead} times not 200")
        figures.show("rebalances", rebalances)
        figures.insist(self._dead == 0, "/livez was not always 200")
        figures.insist(rebalances == 0, f"{rebalances:.0f} rebalances")
        figures.insist(alive, "a replica was not there any more")
