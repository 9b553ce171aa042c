"""What comes in over a line: bodies, dates, refusals of the credential."""

import asyncio
import gzip
import logging
import traceback
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from daemon.edges.toloka import bodies
from daemon.edges.toloka.sending import LineError, Unclear
from daemon.edges.toloka.transport import Line
from daemon.settings import TolokaSettings
from tests.unit.edges.toloka.lines import PROBE, after_probe, line_to, post
from tests.unit.edges.toloka.wire import (
    AUTHORIZATION,
    CANARY,
    Connection,
    FakeClock,
    answering,
    endpoint,
    requests_counted,
    serving,
)


@contextmanager
def answer_limit(monkeypatch: pytest.MonkeyPatch, size: int) -> Iterator[None]:
    """Lower what an answer may hold."""
    with monkeypatch.context() as patch:
        patch.setattr(bodies, "MAX_ANSWER_BYTES", size)
        yield


# --- what comes in ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("encoding", "encode"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_compressed_answers(encoding: str, encode: Callable[[bytes], bytes]) -> None:
    """A compressed answer is unpacked."""
    script = answering((200, encode(b'{"a":1}'), {"Content-Encoding": encoding}))
    async with serving(script) as wire, line_to(wire) as line:
        assert (await line.request("list", "GET", "/x")).body == b'{"a":1}'


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (gzip.compress(b"x" * 1000)[:-9], "gzip"),
        (gzip.compress(b"x") + b"more", "gzip"),
        (b"not gzip", "gzip"),
        (b"x", "br"),
        (gzip.compress(b"x"), "gzip, gzip"),
    ],
)
async def test_unreadable_encodings(body: bytes, encoding: str) -> None:
    """An answer that cannot be unpacked is no answer."""
    script = answering((200, body, {"Content-Encoding": encoding}))
    async with serving(script) as wire, line_to(wire) as line:
        with pytest.raises(Unclear):
            await line.request("list", "GET", "/x")
        assert requests_counted(line.metrics) == {("list", "unreadable"): 1}


@pytest.mark.fault(49)
async def test_a_gzip_bomb() -> None:
    """What unpacks to more than the limit is given up without unpacking it all."""
    bomb = gzip.compress(b" " * (65 << 20))
    script = answering((200, bomb, {"Content-Encoding": "gzip"}))
    async with serving(script) as wire, line_to(wire) as line:
        with pytest.raises(Unclear, match="more than 67108864 bytes"):
            await line.request("list", "GET", "/x")


@pytest.mark.fault(49)
async def test_a_gigantic_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer above the limit is given up, and the line goes on."""
    async with serving(answering((200, b" " * 1001), (200, b" " * 1000))) as wire, line_to(wire) as line:
        with answer_limit(monkeypatch, 1000):
            with pytest.raises(Unclear, match="more than 1000 bytes"):
                await line.request("list", "GET", "/x")
            assert len((await line.request("list", "GET", "/x")).body) == 1000


class _Crumbs(httpx.AsyncByteStream):
    """An answer in pieces that have all come already."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(10 * bodies.TURN_CHUNKS):
            yield b"x"


@pytest.mark.fault(49)
async def test_crumbs_leave_others_their_turns() -> None:
    """However small the pieces of an answer, heartbeats and timeouts go on while it is read."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count())
    body = await bodies.read(httpx.Response(200, stream=_Crumbs()))
    counting.cancel()
    assert len(body) == 10 * bodies.TURN_CHUNKS
    assert turns >= 10


async def test_dates_are_heard() -> None:
    """Every answer's `Date`, an error's too, sets Toloka's clock."""
    script = answering((500, b"", {"Date": "Sun, 22 Nov 2026 17:00:00 GMT"}))
    where = endpoint("")
    async with serving(script) as wire, Line(replace(where, url=wire.url), PROBE) as line:
        await line.request("list", "GET", "/x")
    assert where.toloka_clock.now() == datetime(2026, 11, 22, 17, tzinfo=UTC)


async def test_a_date_is_as_old_as_its_request() -> None:
    """What a slow answer says was true when it was written: the clock is not put back by it."""
    clock = FakeClock()
    where = endpoint("", clock=clock)
    where.toloka_clock.hear("Sun, 22 Nov 2026 17:00:00 GMT", 0)

    async def slow(connection: Connection) -> None:
        await connection.request()
        clock.elapsed_seconds += 4
        await connection.answer(200, b"", {"Date": "Sun, 22 Nov 2026 17:00:01 GMT"})

    async with serving(slow) as wire, Line(replace(where, url=wire.url), PROBE) as line:
        await line.request("list", "GET", "/x")
    assert where.toloka_clock.now() == datetime(2026, 11, 22, 17, 0, 4, tzinfo=UTC)


async def test_the_date_of_a_gateway_is_not_heard() -> None:
    """It is a clock of its own, that is not what items are created by."""
    script = answering((503, b"", {"Date": "Sun, 22 Nov 2026 17:00:00 GMT"}))
    where = endpoint("")
    before = where.toloka_clock.now()
    async with serving(script) as wire, Line(replace(where, url=wire.url), PROBE) as line:
        await line.request("list", "GET", "/x")
    assert abs(where.toloka_clock.now() - before) < timedelta(hours=1)


async def test_outcomes_are_counted() -> None:
    """Each answer counts under what it came to."""
    statuses = [200, 302, 400, 401, 403, 404, 408, 409, 413, 415, 429, 500, 503]
    async with serving(answering(*((status, b"") for status in statuses))) as wire, line_to(wire) as line:
        for _ in statuses:
            await line.request("list", "GET", "/x")
        counted = requests_counted(line.metrics)
    assert counted == {
        ("list", "success"): 1,
        ("list", "refused"): 2,
        ("list", "rejected"): 1,
        ("list", "unauthorized"): 1,
        ("list", "forbidden"): 1,
        ("list", "not_found"): 1,
        ("list", "timeout"): 1,
        ("list", "conflict"): 1,
        ("list", "too_large"): 1,
        ("list", "throttled"): 1,
        ("list", "server_error"): 2,
    }


# --- the credential --------------------------------------------------------------------------------------


@pytest.mark.fault(39)
@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_credential_is_read_again(status: int, tmp_path: Path) -> None:
    """A key in a file can be rotated without a restart; while nothing is refused it is not read."""
    file = tmp_path / "token"
    file.write_text("old")
    settings = TolokaSettings(token_file=file)
    script = answering((200, b""), (status, b""), (200, b""))
    async with serving(script) as wire, line_to(wire, authorization=settings.authorization) as line:
        await line.request("list", "GET", "/x")
        file.write_text("new\n")
        await line.request("list", "GET", "/x")
        await line.request("list", "GET", "/x")
    sent = [request.headers["authorization"] for request in wire.requests]
    assert sent == ["OAuth old", "OAuth old", "OAuth new"]


async def test_a_credential_that_cannot_be_read_again(tmp_path: Path) -> None:
    """A file that is gone for a moment leaves the old credential in use, and is mentioned."""
    file = tmp_path / "token"
    file.write_text(CANARY)
    settings = TolokaSettings(token_file=file)
    script = answering((401, b""))
    async with serving(script) as wire, line_to(wire, authorization=settings.authorization) as line:
        await line.request("list", "GET", "/x")
        file.unlink()
        with capture_logs() as logs:
            await line.request("list", "GET", "/x")
    assert wire.requests[1].headers["authorization"] == AUTHORIZATION
    assert [entry["event"] for entry in logs] == ["credential_unusable"]
    assert CANARY not in repr(logs)


async def test_a_refusal_that_repeats_the_credential() -> None:
    """Its words become a dead letter's: the credential is taken out of them, and of nothing else."""
    body = b'{"message":"not with ' + CANARY.encode() + b'"}'
    async with serving(answering((400, body), (200, body))) as wire, line_to(wire) as line:
        refused, taken = [await line.request("list", "GET", "/x") for _ in range(2)]
    assert (refused.body, taken.body) == (b'{"message":"not with ********"}', body)


async def test_the_credential_is_in_no_error_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever goes wrong, what is raised and what is logged, down to the libraries, does not hold it."""
    caplog.set_level(logging.DEBUG)
    clock = FakeClock()

    async def cut(connection: Connection) -> None:
        await connection.request()
        connection.close()

    errors: list[BaseException] = []
    async with serving(after_probe(cut, everywhere=True)) as wire:
        line = Line(endpoint(wire.url, clock=clock), PROBE)
        with pytest.raises(Unclear) as unclear:
            await post(line, clock)
        errors.append(unclear.value)
    async with line:
        with pytest.raises(LineError) as gone:
            await line.warm()
        errors.append(gone.value)
    for error in errors:
        assert error.__context__ is None
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=False).format())
        assert CANARY not in shown + repr(error) + repr(vars(error))
    assert CANARY not in caplog.text
    assert CANARY not in repr(line) + repr(endpoint(wire.url))
