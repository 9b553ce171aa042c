"""A client with one connection, and what is known of that connection."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

import httpx

from daemon.edges.toloka.endpoint import Endpoint


class ColdError(Exception):
    """A request that was to use the open connection found it gone; nothing was sent."""


class _Stream(Protocol):
    """What the client lets us see of a connection."""

    def get_extra_info(self, info: str) -> Any: ...


class Connection:
    """One connection at a time, made by the client when it is needed."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client = endpoint.client()
        self._stream: _Stream | None = None
        # An answer has come over the connection, whole.
        self._proven = False
        self._used_at = 0.0

    def request(
        self, method: str, path: str, headers: Mapping[str, str], query: Mapping[str, str] | None
    ) -> httpx.Request:
        """A request to be sent here."""
        return self._client.build_request(method, path, params=query, headers=headers)

    async def send(self, request: httpx.Request, *, may_connect: bool) -> httpx.Response:
        """Send a request and read the head of its answer.

        Raises:
            ColdError: there was no connection, and `may_connect` is false.
        """

        async def trace(event: str, info: Mapping[str, Any]) -> None:
            self._watch(event, info, may_connect=may_connect)

        request.extensions["trace"] = trace
        return await self._client.send(request, stream=True)

    def _watch(self, event: str, info: Mapping[str, Any], *, may_connect: bool) -> None:
        """Called by the client at each step of a request (httpx: the `trace` extension)."""
        if event == "connection.connect_tcp.started":
            self._stream, self._proven = None, False
            if not may_connect:
                raise ColdError
        elif event == "connection.connect_tcp.complete":
            self._stream = info["return_value"]

    def proved(self) -> None:
        """An answer has come over the connection, and was read to its end."""
        self._proven = True
        self._used_at = self._endpoint.clock.elapsed()

    @property
    def idle_seconds(self) -> float:
        """Since its last answer."""
        return self._endpoint.clock.elapsed() - self._used_at

    @property
    def is_open(self) -> bool:
        """Whether an answer has come over the connection, and nothing since: not even its end."""
        return self._proven and not self.interrupted()

    def interrupted(self) -> bool:
        """Whether something has come that nobody asked for: an early answer, or the connection's end."""
        # On a connection that has not answered yet, TLS may have had something of its own to say.
        readable = self._proven and self._stream is not None and self._stream.get_extra_info("is_readable")
        return bool(readable)

    @property
    def has_leftovers(self) -> bool:
        """Whether bytes have come behind the last answer that the client would take for the next one's.

        What is left of an answer must not be processed as the answer to another request (RFC 9112, 9.2).
        """
        # The client has no other sign of them. With a proxy it is another transport that connects.
        mounted = getattr(self._client, "_mounts", {}).values()
        pools = (
            getattr(each, "_pool", None) for each in (getattr(self._client, "_transport", None), *mounted)
        )
        return any(_has_leftovers(each) for pool in pools for each in getattr(pool, "connections", ()))

    @asynccontextmanager
    async def discarded_on_failure(self) -> AsyncIterator[None]:
        """After a failure, cancellation included, a client may have lost its only place: take a new one."""
        try:
            yield
        except BaseException:
            await self.renew()
            raise

    async def renew(self) -> None:
        """Leave the connection, and its client with it."""
        old, self._client = self._client, self._endpoint.client()
        self._stream, self._proven = None, False
        await old.aclose()

    async def close(self) -> None:
        """Close it for good."""
        await self._client.aclose()


def _has_leftovers(connection: Any) -> bool:
    """Whether the client's connection has bytes that nobody read, plain or in a TLS record of their own."""
    while connection is not None:
        if (state := getattr(connection, "_h11_state", None)) is not None:
            tls = getattr(getattr(connection, "_network_stream", None), "_stream", None)
            received, secure = getattr(tls, "_read_bio", None), getattr(tls, "_ssl_object", None)
            pending = (received.pending if received else 0) + (secure.pending() if secure else 0)
            return bool(state.trailing_data[0] or pending)
        connection = getattr(connection, "_connection", None)
    return False
