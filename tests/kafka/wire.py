"""Kafka's wire protocol, as far as the broker's owner needs it: is it ready, and who may do what.

One request on one connection, without a client library, so that it works before, beside and
without an event loop. Layouts: https://kafka.apache.org/protocol.html, in the oldest versions that
Kafka 4 still speaks (KIP-896).
"""

import socket
import struct

METADATA = 3
CREATE_ACLS = 30
DELETE_ACLS = 31
# More means that something else than Kafka listens there.
MAX_RESPONSE_BYTES = 16 * 1024 * 1024

_CLIENT_ID = b"embedded-kafka"


def string(value: str | None) -> bytes:
    """A (nullable) STRING: its length in two bytes, then UTF-8."""
    if value is None:
        return struct.pack(">h", -1)
    encoded = value.encode()
    return struct.pack(">h", len(encoded)) + encoded


def call(port: int, api_key: int, api_version: int, body: bytes, *, timeout_seconds: float) -> bytes:
    """Send one request to a plaintext loopback listener and return the response's body.

    Raises:
        OSError: no connection, no answer in time, or the connection was closed.
    """
    header = struct.pack(">hhih", api_key, api_version, 1, len(_CLIENT_ID)) + _CLIENT_ID
    request = header + body
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_seconds) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", _read(connection, 4))
        if not 4 <= size <= MAX_RESPONSE_BYTES:
            raise ConnectionError(f"a response of {size} bytes")
        return _read(connection, size)[4:]


def accepts(port: int, *, timeout_seconds: float) -> bool:
    """Whether something listens on a loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=timeout_seconds).close()
    except OSError:
        return False
    return True


def has_broker(port: int, *, timeout_seconds: float) -> bool:
    """Whether the broker answers a Metadata request (v4) and lists itself as alive."""
    nothing_but_brokers = struct.pack(">ib", 0, 0)
    try:
        answer = call(port, METADATA, 4, nothing_but_brokers, timeout_seconds=timeout_seconds)
    except OSError:
        return False
    _throttle, brokers = struct.unpack_from(">ii", answer)
    return bool(brokers > 0)


def _read(connection: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        chunk = connection.recv(count - len(received))
        if not chunk:
            raise ConnectionResetError("the broker closed the connection")
        received += chunk
    return bytes(received)
