"""Real processes: each test has a deployment of its own on the broker that all of them share."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from tests.canary import search, topic_bytes
from tests.kafka import EmbeddedKafka
from tests.kafka.fixtures import Cluster, kafka, private_kafka
from tests.system.deployment import Deployment, deployed
from tests.system.processes import Process

__all__ = ["kafka", "private_kafka"]


class Deploy(Protocol):
    """What the fixture `deploy` gives."""

    async def __call__(self, *flags: str, partitions: int = 4, **settings: str) -> Deployment:
        """Start a simulator with these flags; `settings` are the replicas' variables less `TOLOKAD_`."""


class DeployOn(Protocol):
    """What the fixture `deploy_on` gives."""

    async def __call__(self, kafka: Cluster, *flags: str, partitions: int = 4, **settings: str) -> Deployment:
        """As `Deploy`, on this broker."""


@pytest.fixture(scope="session")
def searched_kafka(kafka: Cluster) -> Iterator[Cluster]:
    """The shared broker; at the end no topic has ever held the token, aborted records included."""
    yield kafka
    if isinstance(kafka, EmbeddedKafka):
        found = search(topic_bytes(kafka.folder))
        print(f"\nall topics: {found}")
        assert not found.hits


@pytest.fixture
async def deploy_on(tmp_path: Path) -> AsyncIterator[DeployOn]:
    """Makes the test's deployments; at the end all processes are gone, and no file has the token."""
    numbers = iter(range(100))
    async with AsyncExitStack() as stack:

        async def deploy(kafka: Cluster, *flags: str, partitions: int = 4, **settings: str) -> Deployment:
            folder = tmp_path / f"deployment-{next(numbers)}"
            return await deployed(stack, kafka, folder, *flags, partitions=partitions, **settings)

        yield deploy
    found = search([tmp_path])
    assert not found.hits, str(found)


@pytest.fixture
def deploy(searched_kafka: Cluster, deploy_on: DeployOn) -> Deploy:
    """Makes deployments on the broker that all tests share."""
    return partial(deploy_on, searched_kafka)


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process is under coverage: what is killed leaves nothing of it, and the rest other tests measure."""
    monkeypatch.setattr(Process, "measured", False)
