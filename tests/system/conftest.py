"""Real processes: each test has a deployment of its own on the broker that all of them share."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest

from tests.kafka.fixtures import Cluster, kafka
from tests.system.deployment import CANARY, Deployment, deployed

__all__ = ["kafka"]


class Deploy(Protocol):
    """What the fixture `deploy` gives."""

    async def __call__(self, *flags: str, partitions: int = 4, **settings: str) -> Deployment:
        """Start a simulator with these flags; `settings` are the replicas' variables less `TOLOKAD_`."""


@pytest.fixture
async def deploy(kafka: Cluster, tmp_path: Path) -> AsyncIterator[Deploy]:
    """Makes the test's deployment; at the end all its processes are gone, and no log holds the token."""
    async with AsyncExitStack() as stack:

        async def deploy(*flags: str, partitions: int = 4, **settings: str) -> Deployment:
            return await deployed(stack, kafka, tmp_path, *flags, partitions=partitions, **settings)

        yield deploy
    assert not _holding_the_token(tmp_path)


def _holding_the_token(folder: Path) -> list[str]:
    return [log.name for log in folder.glob("*.log") if CANARY.encode() in log.read_bytes()]
