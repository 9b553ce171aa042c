"""A password of Kafka's that is rotated while a replica runs."""

import asyncio
from pathlib import Path
from typing import Final

import pytest

from daemon.edges.kafka.cluster import KafkaCluster
from daemon.edges.kafka.membership import membership
from daemon.errors import Transient
from daemon.metrics import Metrics
from daemon.settings import KafkaSettings
from tests.kafka import EmbeddedKafka, Security
from tests.kafka.fixtures import StartKafka
from tests.kafka.topics import Topics

USER: Final = "tolokad"
TOPIC: Final = "items"
GROUP: Final = "rotating"
PATIENCE_SECONDS: Final = 30.0
AGAIN_SECONDS: Final = 0.1


def change_password(broker: EmbeddedKafka, old: str, new: str) -> None:
    """Have the broker know the user by another password; its connections end."""
    file = broker.folder / "server.properties"
    file.write_text(file.read_text().replace(f'user_{USER}="{old}"', f'user_{USER}="{new}"'))
    broker.restart()


@pytest.mark.timeout(240)
async def test_what_lives_long_comes_with_the_password_of_the_day(
    private_kafka: StartKafka, tmp_path: Path
) -> None:
    """The file is late, and holds a wrong one for a while: questions and the group go on all the same."""
    file = tmp_path / "password"
    file.write_text("first")
    broker = await private_kafka(security=Security(users={USER: "first"}))
    await Topics(broker.internal_servers).create(TOPIC)
    settings = KafkaSettings.model_validate(
        {
            "bootstrap_servers": broker.bootstrap_servers,
            "security_protocol": "SASL_PLAINTEXT",
            "sasl_mechanism": "PLAIN",
            "sasl_username": USER,
            "sasl_password_file": file,
            # Longer than the broker is away: the place in the group is kept.
            "session_timeout_seconds": 60,
        }
    )
    async with (
        KafkaCluster(settings, "tolokad", Metrics()) as cluster,
        membership(settings, "tolokad", GROUP, TOPIC) as member,
    ):
        decisions = member.assignments()
        assert await anext(decisions) == {0}
        assert await cluster.end_offsets(TOPIC) == {0: 0}
        file.write_text("wrong")
        await asyncio.to_thread(change_password, broker, "first", "second")
        with pytest.raises(Transient):
            await cluster.end_offsets(TOPIC)
        file.write_text("second")
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await cluster.end_offsets(TOPIC) == {0: 0}
            # Nobody tells when the member's next connection is made.
            while not await member.confirm():  # noqa: ASYNC110 - see above
                await asyncio.sleep(AGAIN_SECONDS)
        await decisions.aclose()
