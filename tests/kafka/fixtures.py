"""pytest fixtures: a folder of tests takes them over by importing them in its conftest.

`kafka`: one broker for the whole run. `topics`: topics of its own for one test.
`private_kafka`: brokers that a test may kill.

With `TOLOKAD_TEST_BOOTSTRAP_SERVERS` set, `kafka` is the plaintext cluster at that address instead;
tests then create topics with names of their own there and delete them again.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from tests.kafka.broker import QUICK_JAVA_OPTIONS, EmbeddedKafka
from tests.kafka.topics import Topics

BOOTSTRAP_VARIABLE = "TOLOKAD_TEST_BOOTSTRAP_SERVERS"


class Cluster(Protocol):
    """What a test that merely uses Kafka needs to know of it."""

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect, `host:port,…`."""


@dataclass(frozen=True)
class ExistingCluster:
    """A cluster that somebody else runs."""

    bootstrap_servers: str


class StartKafka(Protocol):
    """What the fixture `private_kafka` gives."""

    async def __call__(self, **options: Any) -> EmbeddedKafka:
        """Start a broker with `EmbeddedKafka`'s attributes as arguments."""


@pytest.fixture(scope="session")
def kafka() -> Iterator[Cluster]:
    """The broker that tests share: leave it running, and use topics, groups and ids of your own."""
    existing = os.environ.get(BOOTSTRAP_VARIABLE)
    if existing:
        yield ExistingCluster(existing)
        return
    with EmbeddedKafka(java_options=QUICK_JAVA_OPTIONS) as broker:
        yield broker


@pytest.fixture
async def topics(kafka: Cluster) -> AsyncIterator[Topics]:
    """Creates topics on the shared broker and deletes them after the test."""
    factory = Topics(kafka.bootstrap_servers)
    yield factory
    await factory.delete_all()


@pytest.fixture
async def private_kafka() -> AsyncIterator[StartKafka]:
    """Starts brokers of the test's own, which it may stop, freeze and kill."""
    async with AsyncExitStack() as stack:

        async def start(**options: Any) -> EmbeddedKafka:
            broker = EmbeddedKafka(**{"java_options": QUICK_JAVA_OPTIONS, **options})
            stack.push_async_callback(asyncio.to_thread, broker.close)
            return await asyncio.to_thread(broker.start)

        yield start
