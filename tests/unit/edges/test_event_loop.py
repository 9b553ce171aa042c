"""The event loop where names, or those who are connected to, are not there."""

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
import trustme

from daemon.edges.toloka.sending import LineError
from daemon.edges.toloka.transport import Line
from tests.unit.edges.toloka.lines import PROBE
from tests.unit.edges.toloka.wire import endpoint, free_ports

# More than the loop has threads, or uvloop would look up side by side.
MANY = 50
HERE = "127.0.0.1"


@pytest.fixture
def reset() -> Iterator[int]:
    """A port where each connection is reset as soon as it stands."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def run() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    connection.close()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


class Names:
    """A resolver that knows some names, and says nothing about all others until it is let."""

    def __init__(self, known: Mapping[str, Sequence[str]]) -> None:
        self._known = known
        self.mended = threading.Event()

    def look_up(self, host: str, port: int, *_: int, **__: int) -> Sequence[Any]:
        """As `socket.getaddrinfo`."""
        if host not in self._known:
            self.mended.wait()
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self._known[host]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    """The resolver of the test."""
    known = {"there.test": [HERE], "twice.test": ["127.0.0.2", HERE], "same.test": [HERE, HERE]}
    names = Names(known)
    monkeypatch.setattr(socket, "getaddrinfo", names.look_up)
    yield names
    names.mended.set()


async def connect(host: str, port: int, **options: Any) -> None:
    """Connect, and leave the connection."""
    _, writer = await asyncio.open_connection(host, port, **options)
    writer.transport.abort()
    await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def listening(tls: ssl.SSLContext | None = None) -> Any:
    """A port where connections are taken."""
    async with await asyncio.start_server(
        lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=tls
    ) as server:
        yield server.sockets[0].getsockname()[1]


async def test_a_connection_that_is_reset_at_once_is_no_answer(reset: int) -> None:
    """Whatever is noticed first, it is an error of the network."""
    for _ in range(MANY):
        async with Line(endpoint(f"http://127.0.0.1:{reset}"), PROBE) as line:
            with pytest.raises(LineError):
                await line.request("project", "GET", "/x")


async def test_names_that_nobody_waits_for_are_forgotten(names: Names) -> None:
    """Tries that were given up hold up no later one, and nothing is said of them at their ends."""
    errors: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    tries = [asyncio.ensure_future(connect("silent.test", 9092)) for _ in range(MANY)]
    done, _ = await asyncio.wait(tries, timeout=0.1)
    assert not done
    for each in tries:
        each.cancel()
    await asyncio.wait(tries)
    names.mended.set()
    async with asyncio.timeout(5), listening() as port:
        await connect("there.test", port)
    assert not errors


async def test_a_connection_that_is_reset_at_once_is_not_made_again(reset: int, names: Names) -> None:
    """What it was made for knows it already, and takes no other one."""
    assert names
    made: list[asyncio.BaseTransport] = []

    class Slow(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(transport)
            time.sleep(0.05)

    with pytest.raises(OSError, match=r"reset|not connected"):
        await asyncio.get_running_loop().create_connection(Slow, "same.test", reset)
    assert len(made) <= 1


async def test_each_address_of_a_name_is_tried(names: Names) -> None:
    """The first that answers is taken; where none does, it is an error of the network."""
    assert names
    async with listening() as port:
        await connect("twice.test", port)
    with pytest.raises(ConnectionRefusedError):
        await connect("twice.test", free_ports(1)[0])


async def test_a_certificate_is_for_the_name_and_not_for_its_address(names: Names) -> None:
    """The name is what is sent and verified."""
    assert names
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.configure_trust(ours)
    authority.issue_cert("there.test").configure_cert(theirs)
    async with listening(theirs) as port:
        await connect("there.test", port, ssl=ours)
        with pytest.raises(ssl.SSLCertVerificationError, match=r"twice\.test"):
            await connect("twice.test", port, ssl=ours)
