"""Standard output that cannot be written: the log loses lines, and no work is lost or late."""

import os
from pathlib import Path

import pytest

from tests.system.conftest import Deploy
from tests.system.deployment import Deployment
from tests.system.feed import sources, without_id
from tests.system.processes import TOLOKAD

ITEMS = 500
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
async def test_a_full_disk(deploy: Deploy) -> None:
    """No line can be written."""
    await works_with_output_to(await deploy(partitions=4), Path("/dev/full"))


@pytest.mark.fault(13)
async def test_a_pipe_that_nobody_reads(deploy: Deploy, tmp_path: Path) -> None:
    """The pipe is full after the first lines, and stays so."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    held_open = os.open(pipe, os.O_RDWR)
    try:
        await works_with_output_to(await deploy(partitions=4), pipe)
    finally:
        os.close(held_open)
        pipe.unlink()
