"""What the brokers' first answers say of why they do not let us in."""

import asyncio
import struct
from contextlib import suppress
from typing import Final

import pytest

from daemon.edges.kafka import broker_refusals
from daemon.errors import ConfigurationError
from daemon.settings import KafkaSettings

QUESTION_SIZE: Final = struct.pack(">i", 17)
NOT_OURS: Final = "speaks SASL_PLAINTEXT, and not PLAINTEXT"


async def knocked(code: int) -> None:
    """Knock, in plain text and without a password, at a broker that answers with this code."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Who says hello in TLS is told nothing.
        if await reader.readexactly(4) == QUESTION_SIZE:
            writer.write(struct.pack(">iih", 6, 0, code))
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = KafkaSettings(bootstrap_servers=(f"127.0.0.1:{port}",))
        await broker_refusals.insist_on_welcome(settings, "test")


@pytest.mark.parametrize("code", [34, 35, -1])
async def test_an_answer_that_does_not_tell_the_protocol_ends_no_start(code: int) -> None:
    """What speaks Kafka's protocol need not know the question, and may serve us all the same."""
    await knocked(code)


@pytest.mark.parametrize("code", [0, 33])
async def test_a_broker_that_wants_a_password_is_told_from_one_that_is_away(code: int) -> None:
    """Whether it knows the mechanism or not."""
    with pytest.raises(ConfigurationError, match=NOT_OURS):
        await knocked(code)
