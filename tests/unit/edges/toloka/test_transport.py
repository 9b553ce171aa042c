"""The line to Toloka: one connection, which is asked over and over."""

import asyncio
import gc
from collections.abc import Callable

import httpx
import pytest

from daemon.edges.toloka.bodies import Upload
from daemon.edges.toloka.endpoint import header_value, path, tls_context
from daemon.edges.toloka.sending import NotSent, Unclear
from daemon.edges.toloka.transport import Line
from tests.unit.edges.toloka.lines import PROBE, SMALL, line_to, post
from tests.unit.edges.toloka.wire import (
    AUTHORIZATION,
    CANARY,
    Connection,
    FakeClock,
    answer,
    answering,
    endpoint,
    free_ports,
    serving,
)

# --- what goes out ---------------------------------------------------------------------------------------


async def test_headers() -> None:
    """A request carries who we are and what we take, and nothing that an answer told us to keep."""
    script = answering((200, b"{}", {"Set-Cookie": "a=b"}))
    async with serving(script) as wire, line_to(wire, account_id="ACC9") as line:
        await line.request("project", "GET", "/x")
        await line.request("project", "GET", "/x")
    headers = wire.requests[1].headers
    assert headers["authorization"] == AUTHORIZATION
    assert headers["x-act-under-account-id"] == "ACC9"
    assert headers["user-agent"].startswith("tolokad/0.")
    assert headers["accept"] == "application/json"
    assert headers["accept-encoding"] == "gzip"
    assert "cookie" not in headers
    assert wire.accepted == 1


async def test_post_headers() -> None:
    """A body goes out as JSON of a known length, never in chunks."""
    clock = FakeClock()
    async with serving(answering((200, b"{}"))) as wire, line_to(wire, clock=clock) as line:
        await post(line, clock)
    sent = wire.requests[1]
    assert sent.body == SMALL
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["content-length"] == str(len(SMALL))
    assert "transfer-encoding" not in sent.headers


async def test_paths_and_queries_are_encoded() -> None:
    """Neither an id nor a time can reach beyond its place in the URL."""
    async with serving(answering((200, b"{}"))) as wire, line_to(wire) as line:
        await line.request("item", "GET", path("items", "../a b?c#d"), {"created_gte": "2026-01-31T12:00:00"})
        await line.request("item", "GET", path("items", ".."))
    assert wire.requests[0].target == "/items/..%2Fa%20b%3Fc%23d?created_gte=2026-01-31T12%3A00%3A00"
    assert wire.requests[1].target == "/items/%2E%2E"
    with pytest.raises(ValueError, match="empty segment"):
        path("items", "")


async def test_a_path_in_the_url_stays_in_front() -> None:
    """Toloka may live below a path, behind a gateway."""
    async with serving(answering((200, b"{}"))) as wire, Line(endpoint(f"{wire.url}/gateway"), PROBE) as line:
        await line.warm()
    assert wire.requests[0].target == "/gateway/probe"


@pytest.mark.parametrize("tail", ["\r\nX: y", "\nX: y", "\x7f", "é"])
def test_line_breaks_never_become_headers(tail: str) -> None:
    """A credential that would begin another header is refused, and not repeated."""
    bad = AUTHORIZATION + tail
    with pytest.raises(ValueError, match="one line") as raised:
        Line(endpoint("http://127.0.0.1:1", authorization=lambda: bad), PROBE)
    assert CANARY not in str(raised.value)
    assert header_value("a b") == "a b"


async def test_environment_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxy and certificate variables of the process are not read."""
    nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, nowhere)
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    monkeypatch.setenv("NO_PROXY", "")
    async with serving(answering((200, b"{}"))) as wire, line_to(wire, tls=tls_context(None)) as line:
        assert (await line.request("project", "GET", "/x")).status == 200


@pytest.mark.fault(50)
async def test_redirects_are_not_followed() -> None:
    """The credential goes to one place only."""
    async with serving(answering((200, b"{}"))) as other:
        moved = answering((307, b"", {"Location": f"{other.url}/x"}))
        async with serving(moved) as wire, line_to(wire) as line:
            assert (await line.request("list", "GET", "/x")).status == 307
    assert other.accepted == 0


async def test_an_answer_leaves_no_garbage() -> None:
    """What was sent and answered is given back at once, not when Python looks for garbage the next time."""
    clock = FakeClock()

    def sent_and_answered() -> list[object]:
        return [
            each for each in gc.get_objects() if isinstance(each, httpx.Request | httpx.Response | Upload)
        ]

    async with serving(answering((200, b"{}"))) as wire, line_to(wire, clock=clock) as line:
        gc.collect()
        before = len(sent_and_answered())
        gc.disable()
        try:
            for _ in range(3):
                await post(line, clock)
            assert len(sent_and_answered()) == before
        finally:
            gc.enable()


# --- asking, which may be done twice ---------------------------------------------------------------------


@pytest.mark.fault(33)
async def test_nobody_listens() -> None:
    """A refused connection is a definite no that says so."""
    async with Line(endpoint(f"http://127.0.0.1:{free_ports(1)[0]}"), PROBE) as line:
        with pytest.raises(NotSent, match="Connection refused"):
            await line.warm()


@pytest.mark.fault(33)
async def test_unknown_host() -> None:
    """A name that nobody knows is a definite no."""
    async with Line(endpoint("http://nowhere.invalid"), PROBE) as line:
        with pytest.raises(NotSent):
            await line.warm()


async def test_no_answer_in_time_leaves_the_line_usable() -> None:
    """A request that was given up costs its connection, not the line."""

    async def script(connection: Connection) -> None:
        await connection.request()
        if connection.number == 1:
            await connection.rest()
        await connection.answer()

    async with serving(script) as wire, line_to(wire) as line:
        with pytest.raises(Unclear, match="no answer in time"):
            await line.request("list", "GET", "/x", timeout_seconds=0.05)
        assert (await line.request("list", "GET", "/x")).status == 200


async def test_many_cancelled_requests_leave_the_line_usable() -> None:
    """However often a request is cancelled, at whatever point, the next one finds a place."""
    async with serving(answering((200, b"{}"))) as wire, line_to(wire) as line:
        for turns in range(25):
            task = asyncio.ensure_future(line.request("list", "GET", "/x"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        assert (await line.request("list", "GET", "/x", timeout_seconds=5.0)).status == 200


@pytest.mark.fault(36)
@pytest.mark.parametrize("ending", [Connection.close, Connection.reset])
async def test_a_connection_that_ends_just_when_it_is_used(ending: Callable[[Connection], None]) -> None:
    """An idle connection may be closed while a request is on its way: it is asked again over a new one."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.answer()
        await connection.request()
        if connection.number == 1:
            ending(connection)
            return
        await connection.answer()

    async with serving(script) as wire, line_to(wire) as line:
        await line.request("list", "GET", "/x")
        # The script of a new connection answers its first request.
        assert (await line.request("list", "GET", "/x")).status == 200
    assert [request.connection for request in wire.requests] == [1, 1, 2]


async def test_a_fresh_connection_that_ends_is_not_tried_again() -> None:
    """A server that takes requests and gives no answers is asked once."""

    async def script(connection: Connection) -> None:
        await connection.request()

    async with serving(script) as wire, line_to(wire) as line:
        with pytest.raises(Unclear):
            await line.request("list", "GET", "/x")
    assert wire.accepted == 1


async def test_warm_asks_only_where_the_connection_may_be_gone() -> None:
    """A connection that was used a moment ago is not asked about; one that idles, or has ended, is."""
    clock = FakeClock()
    async with serving(answering((200, b"{}"))) as wire, line_to(wire, clock=clock) as line:
        assert await line.warm() is not None
        assert await line.warm() is None
        clock.elapsed_seconds += 2.0
        assert await line.warm() is not None
    assert [request.target for request in wire.requests] == ["/probe", "/probe"]


async def test_what_comes_behind_an_answer_is_nobodys() -> None:
    """A second answer that nobody asked for is not taken for the next request's: its connection is left."""

    async def script(connection: Connection) -> None:
        while True:
            request = await connection.request()
            await connection.say(answer(200, request.target.encode()) + answer(400, b"stray"))

    async with serving(script) as wire, line_to(wire) as line:
        for path in ("/x", "/y", "/z"):
            found = await line.request("list", "GET", path)
            assert (found.status, found.body) == (200, path.encode())
    assert wire.accepted == 3


async def test_nor_behind_a_proxy() -> None:
    """It is another of the client's transports that connects there."""

    async def script(connection: Connection) -> None:
        while True:
            request = await connection.request()
            await connection.say(answer(200, request.path.encode()) + answer(400, b"stray"))

    async with serving(script) as wire, line_to(wire, proxy=wire.url) as line:
        for path in ("/x", "/y"):
            assert (await line.request("list", "GET", path)).status == 200
    assert wire.accepted == 2
