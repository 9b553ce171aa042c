"""`kill -9` at moments that a seed chooses: nothing is lost, nothing comes twice, nothing is paid for twice.

`TOLOKAD_TEST_SEED` chooses other moments; a failure prints the seed.
"""

import asyncio
import json
import os
import random
from collections import Counter
from itertools import pairwise

import pytest

from tests.checker import Verdict
from tests.system.conftest import Deploy
from tests.system.deployment import LATE_SECONDS, Deployment
from tests.system.feed import (
    Kinds,
    Source,
    no_item,
    sources,
    tombstone,
    with_own_id,
    with_repeated_id,
    without_id,
)
from tests.system.processes import Replica

SEED = int(os.environ.get("TOLOKAD_TEST_SEED", "1"))
ITEMS = 5_000
KILLS = 20
# They take a minute each where nobody else needs the machine.
pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("unmeasured")]
# Items that tolokad can tell from each other, for it gives them their ids.
TOLD_APART: Kinds = ((without_id, 0.9), (no_item, 0.06), (tombstone, 0.04))
# Items whose content others have, too: they can only be counted.
ALIKE: Kinds = ((with_repeated_id, 0.8), (with_own_id, 0.1), (no_item, 0.06), (tombstone, 0.04))


def trouble(every: int) -> str:
    """Toloka's faults: so many requests apart, one gets no answer; half of the others take a while.

    What gets no answer takes effect when its client has long given up, or never, or at once; what takes a
    while does so before or after it takes effect, so that much can be struck in the middle.
    """
    lost = {"operations": ["bulk"], "every": every}
    slow = {"kind": "slow", "operations": ["bulk"], "delay_seconds": 0.15}
    faults = [
        {**lost, "kind": "late_commit", "delay_seconds": LATE_SECONDS},
        {**lost, "kind": "drop"},
        {**lost, "kind": "drop", "committed": True},
        {**slow, "probability": 0.3},
        {**slow, "probability": 0.4, "committed": True},
        {"kind": "slow", "operations": ["list"], "probability": 0.2, "delay_seconds": 0.1},
    ]
    return json.dumps(faults)


async def a_moment(deployment: Deployment, dice: random.Random) -> None:
    """Wait until the next blow: by the clock, or by what has been published since."""
    published = await deployment.outcomes()
    missing = deployment.due - published
    if missing == 0 or dice.random() < 0.5:
        await asyncio.sleep(dice.uniform(0, 2))
        return
    await deployment.until_outcomes(published + dice.randint(1, max(1, missing // 2)))
    await asyncio.sleep(dice.uniform(0, 0.1))


def shares(records: list[Source], count: int, dice: random.Random) -> list[list[Source]]:
    """The records in so many parts of different sizes."""
    cuts = [0, *sorted(dice.sample(range(1, len(records)), count - 1)), len(records)]
    return [records[start:end] for start, end in pairwise(cuts)]


def found(replicas: list[Replica]) -> Counter[str]:
    """What the survivors found in doubt, and what became of it."""
    events = [event for replica in replicas for event in replica.history("taken_over", "intent_resolved")]
    return Counter(
        event.get("outcome", "in_doubt") for event in events if event.get("in_doubt") or "outcome" in event
    )


async def conclusion(deployment: Deployment) -> Verdict:
    """The verdict in the end; a failed test shows what is printed."""
    verdict = await deployment.conclusion()
    print(f"seed {SEED}: {found(deployment.replicas)}; {verdict}")
    return verdict


async def killed_and_started_again(deployment: Deployment, kinds: Kinds, items: int, kills: int) -> Verdict:
    """Kill the only replica again and again while items pass, and each time start it again."""
    dice = random.Random(SEED)
    first, *rest = shares(list(sources(items, SEED, kinds)), kills + 1, dice)
    replica = await deployment.started()
    await deployment.feed(first)
    for share in rest:
        await a_moment(deployment, dice)
        replica.kill()
        replica.start()
        await deployment.feed(share)
    return await conclusion(deployment)


async def test_killed_and_started_again(deploy: Deploy) -> None:
    """The only replica is killed 20 times while items pass, and each time started again."""
    deployment = await deploy("--faults", trouble(80), SUBMIT__MAX_ITEMS="20")
    verdict = await killed_and_started_again(deployment, TOLD_APART, ITEMS, KILLS)
    assert verdict.ok, str(verdict)
    assert verdict.complete, str(verdict)
    assert found(deployment.replicas)["in_doubt"] > 0


async def test_killed_among_equal_items(deploy: Deploy) -> None:
    """Where items equal each other, they are still neither lost nor paid for twice."""
    deployment = await deploy("--faults", trouble(30), partitions=1, SUBMIT__MAX_ITEMS="20")
    verdict = await killed_and_started_again(deployment, ALIKE, ITEMS // 5, KILLS // 4)
    assert verdict.ok, str(verdict)
    assert verdict.complete, str(verdict)
    assert found(deployment.replicas).total() > 0


async def test_killed_and_taken_over(deploy: Deploy) -> None:
    """One of two replicas is killed, by turns; the other takes over, and it comes back later."""
    dice = random.Random(SEED)
    deployment = await deploy("--faults", trouble(80), SUBMIT__MAX_ITEMS="20")
    first, *rest = shares(list(sources(ITEMS // 2, SEED, TOLD_APART)), KILLS // 2 + 1, dice)
    replicas = [await deployment.started(), await deployment.started()]
    await deployment.feed(first)
    for number, share in enumerate(rest):
        await a_moment(deployment, dice)
        victim = replicas[number % 2]
        victim.kill()
        await deployment.feed(share)
        await a_moment(deployment, dice)
        victim.start()
    verdict = await conclusion(deployment)
    assert verdict.ok, str(verdict)
    assert verdict.complete, str(verdict)
    assert found(deployment.replicas)["in_doubt"] > 0
