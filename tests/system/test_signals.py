"""SIGTERM: a drain that leaves nothing in doubt, within its time; a second one ends the program at once."""

import json
import signal

import pytest

from tests.system.conftest import Deploy
from tests.system.deployment import Deployment, eventually
from tests.system.feed import sources, without_id
from tests.system.processes import Replica

SLOW = {"kind": "slow", "operations": ["bulk"], "delay_seconds": 0.1}
HANGS = {"kind": "hang", "operations": ["bulk"], "times": 1}
PATIENT = {"SUBMIT__REQUEST_TIMEOUT_SECONDS": "60", "SUBMIT__QUARANTINE_SECONDS": "120"}


async def until_in_doubt(deployment: Deployment) -> None:
    """Wait until an intent stands."""

    async def announced() -> bool:
        return any(part.metadata for part in await deployment.progress())

    await eventually(announced, lambda: f"no intent: {deployment.state()}")


async def until_draining(replica: Replica) -> None:
    """Wait until it has heard the signal."""

    async def draining() -> bool:
        return any(replica.events("draining"))

    await eventually(draining, replica.output)


@pytest.mark.fault(9)
async def test_drain_under_load(deploy: Deploy) -> None:
    """SIGTERM while items pass: exit 0, no intent is left, and a successor goes on where it stopped."""
    deployment = await deploy("--faults", json.dumps([SLOW]), SUBMIT__MAX_ITEMS="10")
    replica = await deployment.started()
    await deployment.feed(sources(1500, seed=6))
    await deployment.until_outcomes(100)
    assert await replica.stopped() == 0
    left = await deployment.progress()
    assert [part.metadata for part in left] == [""] * len(left)
    assert any(part.committed < part.end for part in left), "the load was over before the signal"
    assert [event["event"] for event in replica.events()][-1] == "stopped"
    await deployment.started()
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert verdict.complete, str(verdict)


@pytest.mark.fault(9)
async def test_drain_that_cannot_end(deploy: Deploy) -> None:
    """Where Toloka hangs beyond the deadline, the intent is left, and a successor resolves it.

    The exit code tells it from a clean drain.
    """
    deployment = await deploy("--faults", json.dumps([HANGS]), partitions=1)
    replica = await deployment.started(SHUTDOWN_SECONDS="0.5")
    await deployment.feed(sources(50, seed=7, kinds=((without_id, 1),)))
    await until_in_doubt(deployment)
    assert await replica.stopped() == 143
    assert any(replica.events("drain_incomplete")), replica.output()
    assert not any(replica.events("stopped"))
    (part,) = await deployment.progress()
    assert part.metadata
    await deployment.started()
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert verdict.complete, str(verdict)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_second_signal(deploy: Deploy, number: signal.Signals, code: int) -> None:
    """A second signal ends a drain at once, with the code that a shell would show."""
    deployment = await deploy("--faults", json.dumps([HANGS]), partitions=1, **PATIENT)
    replica = await deployment.started()
    await deployment.feed(sources(50, seed=8, kinds=((without_id, 1),)))
    await until_in_doubt(deployment)
    replica.signal(number)
    await until_draining(replica)
    assert (await replica.get("/readyz")).status_code == 503
    replica.signal(number)
    assert await replica.ended() == code
    assert not any(replica.events("stopped"))
