"""Replicas that join and leave while there is work: partitions change hands, and nothing is left in doubt."""

import json

from tests.system.conftest import Deploy
from tests.system.feed import sources

ITEMS = 2_000


async def test_partitions_change_hands_without_a_doubt(deploy: Deploy) -> None:
    """A second replica joins in the middle of a backlog, and the first one leaves: nobody is fenced."""
    slow = {"kind": "slow", "operations": ["bulk"], "delay_seconds": 0.3, "probability": 1.0}
    deployment = await deploy("--faults", json.dumps([slow]), SUBMIT__MAX_ITEMS="20")
    await deployment.feed(sources(ITEMS, 1))
    first = await deployment.started()
    await deployment.until_outcomes(deployment.due // 10)
    second = await deployment.started()
    await deployment.until_outcomes(deployment.due // 2)
    assert await first.stopped() == 0
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert [*first.history("fenced", "not_handed_over"), *second.history("fenced", "not_handed_over")] == []
    taken_over = [*second.history("taken_over")]
    assert len({event["partition"] for event in taken_over}) == deployment.partitions
    assert not any(event["in_doubt"] for event in [*first.history("taken_over"), *taken_over])
