"""Faults between Kafka and its clients that need to know one request from another.

    async with proxied_kafka() as (kafka, proxy):
        hold = proxy.hold(END_TXN)            # a commit is on its way …
        await hold.caught()                   # … and stuck in the network
        proxy.reset()                         # it is lost, or:
        hold.release()                        # it arrives late

Plaintext listeners only: inside TLS there is nothing to tell apart.
"""

import asyncio
import contextlib
import math
import struct
from collections.abc import AsyncIterator
from typing import Any

from tests.kafka.broker import EmbeddedKafka
from tests.kafka.ports import free_port
from tests.proxy import Proxy

# API keys: https://kafka.apache.org/protocol.html#protocol_api_keys
PRODUCE = 0
FETCH = 1
OFFSET_FETCH = 9
FIND_COORDINATOR = 10
JOIN_GROUP = 11
HEARTBEAT = 12
INIT_PRODUCER_ID = 22
ADD_PARTITIONS_TO_TXN = 24
ADD_OFFSETS_TO_TXN = 25
END_TXN = 26
TXN_OFFSET_COMMIT = 28

_SIZE = struct.Struct(">i")
_TLS_HANDSHAKE = b"\x16\x03"
_API_KEY = struct.Struct(">h")
# Kafka's own limit (socket.request.max.bytes).
_MAX_REQUEST_BYTES = 104_857_600


class Hold:
    """Requests of one kind, stopped on their way to the broker.

    A stopped request stops what its connection sends after it, as a delayed packet does. It arrives
    when the hold ends even if its client has given up and gone: that is the point.

    Args:
        api_key: which requests.
        seconds: how long each is stopped; without end by default.
        times: how many are stopped; later ones pass.
    """

    def __init__(self, api_key: int, seconds: float = math.inf, times: int | None = None) -> None:
        self.api_key = api_key
        self.count = 0
        self._seconds = None if math.isinf(seconds) else seconds
        self._times = math.inf if times is None else times
        self._caught = asyncio.Condition()
        self._released = asyncio.Event()

    async def caught(self, count: int = 1) -> None:
        """Wait until so many requests have been stopped."""
        async with self._caught:
            await self._caught.wait_for(lambda: self.count >= count)

    def release(self) -> None:
        """Let go of all that is stopped, and stop no more."""
        self._released.set()

    def wants(self, api_key: int) -> bool:
        """Whether this request is to be stopped."""
        return api_key == self.api_key and self.count < self._times and not self._released.is_set()

    async def keep(self) -> None:
        """Stop one request."""
        async with self._caught:
            self.count += 1
            self._caught.notify_all()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await self._released.wait()


class KafkaProxy(Proxy):
    """A `Proxy` that can stop single kinds of Kafka requests."""

    def __init__(self, target_host: str, target_port: int, listen_port: int = 0, *, seed: int = 0) -> None:
        super().__init__(target_host, target_port, listen_port, seed=seed)
        self._holds: list[Hold] = []

    def hold(self, api_key: int, seconds: float = math.inf, times: int | None = None) -> Hold:
        """Stop requests with this API key from now on; see `Hold`."""
        hold = Hold(api_key, seconds, times)
        self._holds.append(hold)
        return hold

    async def read_unit(self, reader: asyncio.StreamReader) -> bytes:
        """One whole request: four bytes of size, then as many; less where the client ended in its middle."""
        size = await _read(reader, _SIZE.size)
        if len(size) < _SIZE.size:
            return size
        if size.startswith(_TLS_HANDSHAKE):
            # As a broker without TLS does: it hangs up.
            return b""
        (length,) = _SIZE.unpack(size)
        if not 0 <= length <= _MAX_REQUEST_BYTES:
            raise ValueError(f"not a Kafka request: {length} bytes")
        return size + await _read(reader, length)

    async def gate(self, unit: bytes) -> None:
        """Wait as long as a hold wants this request."""
        if len(unit) < _SIZE.size + _API_KEY.size:
            return
        (api_key,) = _API_KEY.unpack_from(unit, _SIZE.size)
        for hold in self._holds:
            if hold.wants(api_key):
                await hold.keep()


async def _read(reader: asyncio.StreamReader, count: int) -> bytes:
    try:
        return await reader.readexactly(count)
    except asyncio.IncompleteReadError as error:
        return error.partial


@contextlib.asynccontextmanager
async def proxied_kafka(**options: Any) -> AsyncIterator[tuple[EmbeddedKafka, KafkaProxy]]:
    """A broker of its own whose clients come through a proxy; options are `EmbeddedKafka`'s attributes.

    `internal_servers` goes past the proxy, and so does the broker's own traffic.
    """
    kafka = EmbeddedKafka(advertised_port=free_port(), **options)
    proxy = KafkaProxy("127.0.0.1", kafka.port, kafka.advertised_port or 0)
    async with kafka, proxy:
        yield kafka, proxy
