"""The spend guard: three replicas that are killed and started again never submit more than the limit."""

import asyncio
import random
from datetime import UTC, datetime, time, timedelta

import pytest

from tests.kit.commands import tolokad
from tests.system.conftest import Deploy
from tests.system.deployment import Deployment, eventually
from tests.system.feed import GOOD, Kinds, no_item, sources, with_own_id, without_id

pytestmark = pytest.mark.timeout(300)
LIMIT = 10_000
KINDS: Kinds = ((with_own_id, 0.5), (without_id, 0.48), (no_item, 0.02))


async def submitted(deployment: Deployment) -> int:
    """How many items Toloka was ever sent."""
    stats = await deployment.control("GET", "stats")
    return sum(stats["items"].values())


async def held(deployment: Deployment) -> bool:
    """Whether some replica shows that the budget holds it."""
    shown = [await replica.scrape() for replica in deployment.replicas if replica.running]
    return any(scrape("tolokad_held", flow="submit", reason="budget") > 0 for scrape in shown)


async def test_exactly_the_limit(deploy: Deploy) -> None:
    """Never more than the limit, exactly the limit in the end, and more once it is raised."""
    deployment = await deploy(
        partitions=6, SUBMIT__MAX_ITEMS="170", BUDGET__ITEMS_TOTAL=str(LIMIT), SUBMIT__LINGER_SECONDS="0.1"
    )
    dice = random.Random(1)
    replicas = [await deployment.started() for _ in range(3)]
    records = list(sources(LIMIT + 1500, 8, KINDS))
    await deployment.feed(records)
    for victim in (*replicas, *replicas):
        await asyncio.sleep(dice.uniform(0.2, 1.5))
        victim.kill()
        assert await submitted(deployment) <= LIMIT
        victim.start()
    await asyncio.gather(*(replica.ready() for replica in replicas))

    async def reached() -> bool:
        count = await submitted(deployment)
        assert count <= LIMIT
        return count == LIMIT

    await eventually(reached, deployment.state, 150)
    await eventually(lambda: held(deployment), deployment.state)
    assert await submitted(deployment) == LIMIT
    audit = await tolokad(deployment.environment, "audit", "--json")
    assert audit.json["ok"], audit.out

    raised = {"TOLOKAD_BUDGET__ITEMS_TOTAL": str(LIMIT + 5000)}
    for replica in replicas:
        assert await replica.stopped() == 0
        replica.environment.update(raised)
        replica.start()
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert verdict.complete, str(verdict)


async def test_a_new_day(deploy: Deploy) -> None:
    """A day's limit holds until Toloka's day has ended, whatever the machine's clock says."""
    moment = datetime.now(UTC)
    noon = datetime.combine(moment.date() + timedelta(days=1), time(12), UTC)
    ahead = (noon - moment).total_seconds()
    deployment = await deploy(f"--clock-skew-seconds={ahead:.0f}", BUDGET__ITEMS_PER_DAY="20")
    await deployment.started()
    await deployment.feed(sources(30, 9, GOOD))
    await eventually(lambda: held(deployment), deployment.state)
    await deployment.until_outcomes(20)
    assert await submitted(deployment) == 20
    await deployment.control("PUT", "knobs", json={"clock_skew_seconds": ahead + 86_400})
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert verdict.complete, str(verdict)
    assert await submitted(deployment) == 30
