"""A replica that is frozen for longer than its session, and goes on afterwards, writes nothing more."""

import json
from typing import Any

import pytest

from tests.system.conftest import Deploy
from tests.system.deployment import Deployment, eventually
from tests.system.feed import Kinds, sources, with_own_id, with_repeated_id, without_id
from tests.system.processes import Replica

ITEMS: Kinds = ((without_id, 0.5), (with_own_id, 0.3), (with_repeated_id, 0.2))


async def until_announced(deployment: Deployment) -> None:
    """Wait until an intent stands, so that a request is about to be sent or under way."""

    async def announced() -> bool:
        return any(part.metadata for part in await deployment.progress())

    await eventually(announced, lambda: f"no intent: {deployment.state()}")


async def until_logged(replica: Replica, event: str, behind: int = 0, **fields: Any) -> None:
    """Wait until a replica has logged such an event behind its first so many."""

    async def logged() -> bool:
        events = list(replica.events())[behind:]
        return any(each["event"] == event and fields.items() <= each.items() for each in events)

    await eventually(logged, lambda: f"never {event}: {replica.output()[-3000:]}")


@pytest.mark.fault(11)
async def test_frozen_submitter(deploy: Deploy) -> None:
    """A submitter frozen in the middle of a request is fenced when it goes on: its batch settles once."""
    slow = {"kind": "slow", "operations": ["bulk"], "delay_seconds": 1.0, "times": 1}
    deployment = await deploy("--faults", json.dumps([slow]), partitions=1, SUBMIT__MAX_ITEMS="500")
    owner, successor = await deployment.started(), await deployment.started()
    await deployment.feed(sources(200, seed=3, kinds=ITEMS))
    await until_announced(deployment)
    owner.freeze()
    before = len(list(owner.events()))
    await until_logged(successor, "taken_over", in_doubt=True)
    await deployment.until_outcomes(200)
    owner.thaw()
    await until_logged(owner, "fenced", before, partition=0)
    assert (await owner.scrape())("tolokad_items_submitted_total") == 0
    await deployment.feed(sources(200, seed=4, kinds=ITEMS))
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert verdict.complete, str(verdict)


@pytest.mark.fault(10)
async def test_frozen_before_it_could_send(deploy: Deploy) -> None:
    """A replica frozen at any moment of a busy minute sends nothing for a partition that it has lost."""
    deployment = await deploy(partitions=2, SUBMIT__MAX_ITEMS="5")
    owner = await deployment.started()
    successor = await deployment.started()
    for number in range(2):
        await deployment.feed(sources(400, seed=number, kinds=((without_id, 1),)))
        await until_announced(deployment)
        owner.freeze()
        before = len(list(successor.events()))
        await until_logged(successor, "assigned", before, flow="submit", partitions=[0, 1])
        await deployment.until_outcomes(deployment.fed)
        known = len(list(owner.events()))
        owner.thaw()
        await until_logged(owner, "assigned", known, flow="submit")
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert verdict.complete, str(verdict)


@pytest.mark.fault(11)
async def test_frozen_collector(deploy: Deploy) -> None:
    """A collector frozen while another takes over publishes nothing of what the other has published."""
    deployment = await deploy("--finish-distribution", "never", partitions=1)
    owner, successor = await deployment.started(), await deployment.started()
    await deployment.feed(sources(300, seed=5, kinds=ITEMS))

    async def open_at(count: int) -> bool:
        return (await owner.scrape())("tolokad_open_items") == count

    await eventually(lambda: open_at(300), lambda: f"not all are open: {deployment.state()}")
    assert (await owner.scrape())("tolokad_collector_active") == 1
    await deployment.control("POST", "finish", json={"limit": 150})
    await deployment.until_outcomes(150)
    owner.freeze()
    before = len(list(owner.events()))
    await deployment.control("POST", "finish", json={})
    await until_logged(successor, "collecting")
    await deployment.until_outcomes(300)
    owner.thaw()
    await until_logged(owner, "fenced", before)
    assert (await owner.scrape())("tolokad_results_published_total") == 150
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert verdict.complete, str(verdict)
