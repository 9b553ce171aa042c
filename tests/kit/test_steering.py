"""`tolokad pause`, `resume` and `cursor set` beside running daemons."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tests.kit.commands import tolokad
from tests.system.conftest import Deploy
from tests.system.deployment import Deployment, eventually
from tests.system.feed import GOOD, sources
from tests.system.processes import Replica

pytestmark = pytest.mark.timeout(240)


async def paused(replica: Replica, flow: str, expected: bool) -> None:  # noqa: FBT001 - what is expected
    """Wait until a replica shows that it holds, or no longer holds, because an operator paused it."""

    async def shown() -> bool:
        return ((await replica.scrape())("tolokad_held", flow=flow, reason="paused") > 0) is expected

    await eventually(shown, replica.output)


async def submitted(deployment: Deployment) -> int:
    """How many items Toloka has."""
    stats = await deployment.control("GET", "stats")
    return sum(stats["items"].values())


async def test_pause_and_resume(deploy: Deploy) -> None:
    """A paused flow submits nothing, in all replicas and after a restart, until it is resumed."""
    deployment = await deploy()
    first, second = await deployment.started(), await deployment.started()
    ended = await tolokad(deployment.environment, "pause", "--flow", "submit", "--json")
    assert ended.json == {"flows": ["submit"], "paused": True}
    for replica in (first, second):
        await paused(replica, "submit", expected=True)
    second.kill()
    second.start()
    await deployment.feed(sources(100, 1, GOOD))
    await second.ready()
    await paused(second, "submit", expected=True)
    assert (await first.scrape())("tolokad_held", flow="collect", reason="paused") == 0
    assert await submitted(deployment) == 0
    assert (await tolokad(deployment.environment, "resume")).out == "resumed: submit, collect\n"
    await paused(first, "submit", expected=False)
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert verdict.complete, str(verdict)


async def test_cursor_set_back_under_load(deploy: Deploy) -> None:
    """The cursor goes back by an hour, to an item and on, while items pass: nothing is published twice."""
    deployment = await deploy()
    replica = await deployment.started()
    environment = deployment.environment
    await deployment.feed(sources(400, 2, GOOD))
    await deployment.until_outcomes(200)
    back = datetime.now(UTC) - timedelta(hours=1)
    ended, _ = await asyncio.gather(
        tolokad(environment, "cursor", "set", "--to", back.isoformat(), "--json"),
        deployment.feed(sources(400, 3, GOOD)),
    )
    assert (ended.code, ended.json["item_id"]) == (0, None), ended.err
    await deployment.until_outcomes(800)
    # The collector has nothing to write now: it hears of it nevertheless.
    item_id = (await tolokad(environment, "cursor", "show", "--json")).json["item_id"]
    opened = len(list(replica.events("collecting")))
    ended = await tolokad(environment, "cursor", "set", "--to", item_id, "--json")
    assert ended.json["item_id"] == item_id
    await eventually(lambda: opened_again(replica, opened), replica.output)
    await deployment.feed(sources(100, 4, GOOD))
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert verdict.complete, str(verdict)
    unknown = await tolokad(environment, "cursor", "set", "--to", "nobodys-item")
    assert unknown.code == 78
    assert "does not know the item nobodys-item" in unknown.err


async def opened_again(replica: Replica, before: int) -> bool:
    """Whether the collector has opened its book since."""
    await asyncio.sleep(0)
    return len(list(replica.events("collecting"))) > before
