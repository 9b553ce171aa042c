"""Standard output that cannot be written: the log loses lines, and no work is lost or late."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.system.conftest import Deploy
from tests.system.deployment import Deployment
from tests.system.feed import sources, without_id
from tests.system.processes import TOLOKAD

ITEMS = 200
# Writes more than a pipe holds (64 KiB) where nobody reads it.
TALKATIVE = {"LOG__LEVEL": "DEBUG", "SUBMIT__MAX_ITEMS": "1"}


async def works_with_output_to(deployment: Deployment, target: Path) -> None:
    """Everything is done although this is where the log goes."""
    replica = deployment.replica(**TALKATIVE)
    replica.command = ["sh", "-c", 'exec "$0" run >"$1" 2>&1', TOLOKAD, str(target)]
    replica.start()
    await replica.ready()
    await deployment.feed(sources(ITEMS, seed=1, kinds=((without_id, 1),)))
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert (verdict.results, verdict.complete) == (ITEMS, True)


@pytest.mark.fault(13)
async def test_a_full_disk_and_a_pipe_that_nobody_reads(deploy: Deploy, tmp_path: Path) -> None:
    """No line can be written, or none after the first pipeful: the same work is done."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    held_open = os.open(pipe, os.O_RDWR)
    targets = (Path("/dev/full"), pipe)
    try:
        deployments = [await deploy(partitions=4) for _ in targets]
        await asyncio.gather(*map(works_with_output_to, deployments, targets))
    finally:
        os.close(held_open)
        pipe.unlink()
