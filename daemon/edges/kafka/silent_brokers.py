"""A broker that takes a connection and says nothing: it is waited for briefly, and holds up nobody else."""

import asyncio
from collections import defaultdict
from contextlib import nullcontext
from typing import Any

import structlog
from aiokafka.client import AIOKafkaClient, ConnectionGroup

# The client would wait for it twice as long as we do.
CONNECT_SECONDS = 5.0

log = structlog.get_logger(__name__)


def pass_over_the_silent(client: AIOKafkaClient) -> None:
    """Have a client that is about to start give up soon on a silent broker, and go on beside it."""
    bootstrap, patience_ms = client.bootstrap, client._request_timeout_ms  # noqa: SLF001 - it is told nowhere else

    async def briefly() -> None:
        client._request_timeout_ms = int(CONNECT_SECONDS * 1000)  # noqa: SLF001 - see above
        try:
            await bootstrap()
        finally:
            client._request_timeout_ms = patience_ms  # noqa: SLF001 - see above

    client.bootstrap = briefly
    _connect_side_by_side(client)


def _connect_side_by_side(client: AIOKafkaClient) -> None:
    """Have a broker waited for by those alone who want it: the client opens one connection at a time."""
    connect = client._get_conn  # noqa: SLF001 - what all its connections come from, but for the first
    opening: defaultdict[tuple[object, ConnectionGroup], asyncio.Lock] = defaultdict(asyncio.Lock)
    client._get_conn_lock_value = nullcontext()  # noqa: SLF001 - what it would open all of them under

    async def connected(
        node: object, *, group: ConnectionGroup = ConnectionGroup.DEFAULT, **named: Any
    ) -> Any:
        standing = client._conns.get((node, group))  # noqa: SLF001 - each request asks, and most find one
        if standing is not None and standing.connected():
            return standing
        try:
            async with asyncio.timeout(CONNECT_SECONDS), opening[node, group]:
                return await connect(node, group=group, **named)
        except TimeoutError:
            log.warning("broker_silent", broker=node)
            # As the client does for one that refuses: it may be gone, and others lead by now.
            client.force_metadata_update()
            return None

    client._get_conn = connected  # noqa: SLF001 - see above
