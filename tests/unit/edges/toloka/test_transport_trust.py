"""Whom a line trusts, and by which way it goes."""

import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from daemon.edges.toloka.certificate import certificate_ends
from daemon.edges.toloka.clocks import DateClock
from daemon.edges.toloka.endpoint import Endpoint, tls_context
from daemon.edges.toloka.sending import NotSent, Unclear
from daemon.edges.toloka.transport import Line
from daemon.errors import ConfigurationError
from daemon.metrics import Metrics
from daemon.settings import TolokaSettings
from tests.unit.edges.toloka.lines import LARGE, PROBE, after_probe, line_to, post
from tests.unit.edges.toloka.wire import (
    AUTHORIZATION,
    CANARY,
    Connection,
    FakeClock,
    answer,
    answering,
    endpoint,
    serving,
)

# --- whom to trust ---------------------------------------------------------------------------------------


@pytest.fixture
def authority() -> trustme.CA:
    """An authority that nobody trusts yet."""
    return trustme.CA()


def _issued(authority: trustme.CA, *names: str, **options: Any) -> Any:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, **options).configure_cert(context)
    return context


def _trusting(authority: trustme.CA, tmp_path: Path) -> Any:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return tls_context(file)


async def test_a_further_authority(authority: trustme.CA, tmp_path: Path) -> None:
    """An authority in CA_FILE is trusted, and requests go over TLS as they do without."""
    clock = FakeClock()
    script = after_probe(Connection.request)
    trusted = _trusting(authority, tmp_path)
    async with (
        serving(script, _issued(authority, "127.0.0.1")) as wire,
        line_to(wire, clock=clock, tls=trusted) as line,
    ):
        with pytest.raises(Unclear):
            await post(line, clock, LARGE)
        assert (await post(line, clock)).status == 200


@pytest.mark.fault(33)
@pytest.mark.parametrize("case", ["self-signed", "wrong host", "expired"])
async def test_certificates_that_prove_nothing(
    case: str, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate of an unknown authority, for another host or out of date ends the connection, unsent."""
    trusted = _trusting(authority, tmp_path)
    server = _issued(authority, "127.0.0.1")
    if case == "self-signed":
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        trusted = tls_context(None)
    elif case == "wrong host":
        server = _issued(authority, "toloka.dev")
    else:
        server = _issued(authority, "127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=UTC))
    async with serving(answering((200, b"{}")), server) as wire, line_to(wire, tls=trusted) as line:
        with pytest.raises(NotSent, match="CERTIFICATE_VERIFY_FAILED"):
            await line.warm()
    assert wire.heads == []


def test_an_unusable_ca_file(tmp_path: Path) -> None:
    """A file that holds no certificates ends the start with a sentence."""
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    with pytest.raises(ConfigurationError, match="TOLOKAD_TOLOKA__CA_FILE"):
        tls_context(file)


async def test_tls_cut_behind_the_last_byte(authority: trustme.CA, tmp_path: Path) -> None:
    """Over TLS, too, a whole request without an answer is in doubt and one cut in its body is not."""

    async def cut(connection: Connection) -> None:
        await connection.head()
        await connection.reader.readexactly(1 << 16)
        connection.reset()

    clock = FakeClock()
    trusted = _trusting(authority, tmp_path)
    async with (
        serving(after_probe(cut), _issued(authority, "127.0.0.1")) as wire,
        line_to(wire, clock=clock, tls=trusted) as line,
    ):
        with pytest.raises(NotSent):
            await post(line, clock, LARGE)
        assert (await post(line, clock)).status == 200


async def test_tls_says_something_of_its_own(authority: trustme.CA, tmp_path: Path) -> None:
    """What TLS sends on a new connection (session tickets) is not taken for an early answer."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.answer(200, b'["a"]', {"Connection": "close"})

    clock = FakeClock()
    trusted = _trusting(authority, tmp_path)
    async with (
        serving(script, _issued(authority, "127.0.0.1")) as wire,
        line_to(wire, clock=clock, tls=trusted) as line,
    ):
        assert (await post(line, clock, LARGE)).status == 200
    assert [request.method for request in wire.requests] == ["GET", "GET", "POST"]


# --- by way of a proxy -----------------------------------------------------------------------------------


async def test_an_endpoint_as_the_settings_describe_it() -> None:
    """Every variable about the connection has its effect; the credential is read as it is now."""
    clock = FakeClock()
    async with serving(answering((200, b"{}"))) as proxy:
        settings = TolokaSettings.model_validate(
            {
                "url": "http://toloka.invalid",
                "token": CANARY,
                "account_id": "ACC9",
                "proxy": f"http://127.0.0.1:{proxy.port}",
            }
        )
        where = Endpoint.of(settings, clock, DateClock(clock), Metrics())
        async with Line(where, PROBE) as line:
            await line.warm()
    (request,) = proxy.requests
    assert request.target == "http://toloka.invalid/probe"
    assert request.headers["authorization"] == AUTHORIZATION
    assert request.headers["x-act-under-account-id"] == "ACC9"
    assert CANARY not in repr(where)


async def test_a_proxy_is_used() -> None:
    """With a proxy, every request goes through it, with its own credential."""
    async with serving(answering((200, b"{}"))) as proxy:
        where = endpoint("http://toloka.invalid", proxy=f"http://user:secret@127.0.0.1:{proxy.port}")
        async with Line(where, PROBE) as line:
            assert (await line.warm()) is not None
    assert proxy.requests[0].target == "http://toloka.invalid/probe"
    assert proxy.requests[0].headers["proxy-authorization"].startswith("Basic ")
    assert "secret" not in repr(where)


async def test_a_proxy_that_refuses() -> None:
    """A tunnel that is not granted is a definite no, which names no password."""
    async with serving(answering((407, b""))) as proxy:
        where = endpoint("https://toloka.invalid", proxy=f"http://user:secret@127.0.0.1:{proxy.port}")
        async with Line(where, PROBE) as line:
            with pytest.raises(NotSent, match="407") as raised:
                await line.warm()
    assert "secret" not in str(raised.value)
    assert proxy.requests[0].method == "CONNECT"
    assert "authorization" not in proxy.requests[0].headers


async def test_until_when_a_certificate_is_good(authority: trustme.CA, tmp_path: Path) -> None:
    """The certificate's end is told whatever the address answers; without TLS or an answer there is none."""
    ends = datetime(2099, 1, 31, 12, tzinfo=UTC)
    issued = _issued(authority, "127.0.0.1", not_after=ends)
    trusted = _trusting(authority, tmp_path)
    async with serving(answering((404, b"")), issued) as wire:
        assert await certificate_ends(endpoint(wire.url, tls=trusted)) == ends
        assert wire.heads[0].headers.get("authorization") is None
        assert await certificate_ends(endpoint(wire.url)) is None
    async with serving(answering((404, b""))) as wire:
        assert await certificate_ends(endpoint(wire.url)) is None


async def test_what_comes_behind_an_answer_in_a_record_of_its_own_is_nobodys(
    authority: trustme.CA, tmp_path: Path
) -> None:
    """It is not decrypted until somebody reads, and the client would for the next request's answer."""

    async def script(connection: Connection) -> None:
        while True:
            request = await connection.request()
            # Two records, which arrive together.
            connection.write(answer(200, request.path.encode()), answer(400, b"stray"))

    tls = _trusting(authority, tmp_path)
    async with serving(script, _issued(authority, "127.0.0.1")) as wire, line_to(wire, tls=tls) as line:
        for path in ("/x", "/y", "/z"):
            assert (await line.request("list", "GET", path)).status == 200


async def test_a_connection_over_tls_is_kept(authority: trustme.CA, tmp_path: Path) -> None:
    """Session tickets and whatever else TLS says between answers are no answers."""
    tls = _trusting(authority, tmp_path)
    script = answering(*[(200, b"{}")] * 5)
    async with serving(script, _issued(authority, "127.0.0.1")) as wire, line_to(wire, tls=tls) as line:
        for _ in range(5):
            await line.request("list", "GET", "/x")
        assert await line.warm() is None
    assert wire.accepted == 1
