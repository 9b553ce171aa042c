"""Posting: for every way it can fail, whether the request was sent."""

import asyncio
from collections.abc import Callable

import pytest

from daemon.edges.toloka.sending import LineError, NotSent, Unclear
from daemon.edges.toloka.transport import Line
from tests.unit.edges.toloka.lines import IDS, LARGE, PROBE, SMALL, after_probe, deadline, line_to, post
from tests.unit.edges.toloka.wire import (
    Connection,
    FakeClock,
    answer,
    answering,
    endpoint,
    requests_counted,
    serving,
)

# --- posting: where the connection dies ------------------------------------------------------------------


async def test_post_goes_over_the_connection_that_is_open() -> None:
    """Nothing is connected between the intent and the request."""
    clock = FakeClock()
    async with serving(answering((200, b"{}"), IDS)) as wire, line_to(wire, clock=clock) as line:
        assert (await post(line, clock)).body == b'["a"]'
    assert [(request.method, request.connection) for request in wire.requests] == [("GET", 1), ("POST", 1)]


@pytest.mark.fault(34)
@pytest.mark.parametrize("ending", [Connection.close, Connection.reset])
async def test_cut_before_the_head_is_read(ending: Callable[[Connection], None]) -> None:
    """A large request whose connection ends at its beginning was not sent."""

    async def cut(connection: Connection) -> None:
        await connection.reader.readexactly(4)
        ending(connection)

    clock = FakeClock()
    async with serving(after_probe(cut)) as wire, line_to(wire, clock=clock) as line:
        with pytest.raises(NotSent):
            await post(line, clock, LARGE)
        assert (await post(line, clock)).status == 200


@pytest.mark.fault(34)
@pytest.mark.parametrize("ending", [Connection.close, Connection.reset])
async def test_cut_in_the_body(ending: Callable[[Connection], None]) -> None:
    """A request whose connection ends in the middle of its body was not sent."""

    async def cut(connection: Connection) -> None:
        await connection.head()
        await connection.reader.readexactly(1 << 20)
        ending(connection)

    clock = FakeClock()
    async with serving(after_probe(cut)) as wire, line_to(wire, clock=clock) as line:
        with pytest.raises(NotSent):
            await post(line, clock, LARGE)
        assert (await post(line, clock)).status == 200
        assert requests_counted(line.metrics)["bulk", "connection"] == 1


@pytest.mark.fault(35)
@pytest.mark.parametrize("body", [SMALL, LARGE])
@pytest.mark.parametrize("ending", [Connection.close, Connection.reset])
async def test_cut_behind_the_last_byte(body: bytes, ending: Callable[[Connection], None]) -> None:
    """A whole request without an answer is in doubt."""

    async def cut(connection: Connection) -> None:
        await connection.request()
        ending(connection)

    clock = FakeClock()
    async with serving(after_probe(cut)) as wire, line_to(wire, clock=clock) as line:
        with pytest.raises(Unclear):
            await post(line, clock, body)
        assert (await post(line, clock)).status == 200
    assert [request.method for request in wire.requests].count("POST") == 2


@pytest.mark.fault(35)
@pytest.mark.parametrize("part", [0.05, 0.5, 0.99])
@pytest.mark.parametrize("ending", [Connection.close, Connection.reset])
async def test_cut_in_the_answer(part: float, ending: Callable[[Connection], None]) -> None:
    """An answer that is cut, in its head or in its body, leaves the request in doubt."""
    text = answer(200, b'["a"]' + b" " * 50)

    async def cut(connection: Connection) -> None:
        await connection.request()
        await connection.say(text[: int(len(text) * part)])
        ending(connection)

    clock = FakeClock()
    async with serving(after_probe(cut)) as wire, line_to(wire, clock=clock) as line:
        with pytest.raises(Unclear):
            await post(line, clock)
        assert (await post(line, clock)).status == 200


async def test_no_answer_until_the_deadline() -> None:
    """The deadline ends the waiting; the request stays in doubt."""

    async def silent(connection: Connection) -> None:
        await connection.request()
        await connection.rest()

    clock = FakeClock()
    async with serving(after_probe(silent)) as wire, line_to(wire, clock=clock) as line:
        with pytest.raises(Unclear, match="no answer in time"):
            await post(line, clock, seconds=0.05)
        assert (await post(line, clock)).status == 200
        assert requests_counted(line.metrics)["bulk", "timeout"] == 1


async def test_an_upload_that_stalls_until_the_deadline() -> None:
    """A server that stops reading never gets the whole request: that is a definite no."""

    async def deaf(connection: Connection) -> None:
        await connection.head()
        await asyncio.sleep(3600)

    clock = FakeClock()
    async with serving(after_probe(deaf)) as wire, line_to(wire, clock=clock) as line:
        with pytest.raises(NotSent, match="no answer in time"):
            await post(line, clock, LARGE, seconds=0.3)
        assert (await post(line, clock)).status == 200


@pytest.mark.parametrize("status", [400, 401, 403, 413, 429])
@pytest.mark.parametrize("ending", [None, Connection.close, Connection.reset])
async def test_an_early_no(status: int, ending: Callable[[Connection], None] | None) -> None:
    """A server that refuses before it has read the body is understood, even if it hangs up at once."""

    async def refuse(connection: Connection) -> None:
        await connection.head()
        await connection.answer(status, b'{"code":"X"}')
        # The answer arrives before the end of the connection does.
        await asyncio.sleep(0.05)
        if ending is None:
            await connection.rest()
        else:
            ending(connection)

    clock = FakeClock()
    async with serving(after_probe(refuse)) as wire, line_to(wire, clock=clock) as line:
        assert (await post(line, clock, LARGE)).status == status
        assert (await post(line, clock)).status == 200


async def test_an_early_no_whose_body_is_cut() -> None:
    """Of an early refusal the status is enough."""

    async def refuse(connection: Connection) -> None:
        await connection.head()
        await connection.say(answer(413, b"x" * 100)[:-50])
        await asyncio.sleep(0.05)
        connection.close()

    clock = FakeClock()
    async with serving(after_probe(refuse)) as wire, line_to(wire, clock=clock) as line:
        early = await post(line, clock, LARGE)
    assert (early.status, early.body) == (413, b"")


@pytest.mark.parametrize(
    ("status", "error"), [(503, NotSent), (408, NotSent), (302, NotSent), (200, Unclear)]
)
async def test_other_early_answers(status: int, error: type[LineError]) -> None:
    """What fails before the last byte was not carried out; a claim of success is not believed either way."""

    async def early(connection: Connection) -> None:
        await connection.head()
        await connection.answer(status, b'["a"]')
        await connection.rest()

    clock = FakeClock()
    async with serving(after_probe(early)) as wire, line_to(wire, clock=clock) as line:
        with pytest.raises(LineError) as raised:
            await post(line, clock, LARGE)
    assert type(raised.value) is error


# --- posting: the attempt's age --------------------------------------------------------------------------


def freeze_both(clock: FakeClock, seconds: float) -> None:
    """A process that was stopped."""
    clock.elapsed_seconds += seconds
    clock.wall_seconds += seconds


def suspend(clock: FakeClock, seconds: float) -> None:
    """A machine that was suspended, and whose own clock is wrong."""
    clock.elapsed_seconds += seconds


def jump(clock: FakeClock, seconds: float) -> None:
    """A machine's own clock that was set."""
    clock.wall_seconds += seconds


@pytest.mark.fault(10)
@pytest.mark.parametrize("moved", [freeze_both, suspend, jump])
@pytest.mark.parametrize(("deadline_seconds", "fresh_seconds"), [(20.0, 20.0), (60.0, 15.0), (20.0, 60.0)])
async def test_a_process_that_was_frozen_finishes_no_request(
    moved: Callable[[FakeClock, float], None], deadline_seconds: float, fresh_seconds: float
) -> None:
    """The age is checked once everything but the last byte is out, by the clock that has moved further."""
    clock, received = FakeClock(), bytearray()

    async def freeze(connection: Connection) -> None:
        await connection.head()
        moved(clock, 21.0)
        received.extend(await connection.rest())

    async with serving(after_probe(freeze)) as wire, line_to(wire, clock=clock) as line:
        await line.warm()
        limit = deadline(clock, deadline_seconds)
        with pytest.raises(NotSent, match="stale"):
            await line.post("bulk", "/bulk", LARGE, limit, fresh_seconds)
        await asyncio.wait(wire.tasks[:1], timeout=5)
        assert (await post(line, clock)).status == 200
    assert bytes(received) == LARGE[:-1]


async def test_an_attempt_that_is_over_is_not_begun() -> None:
    """Past the deadline nothing is sent at all."""
    clock = FakeClock()
    async with serving(answering((200, b"{}"))) as wire, line_to(wire, clock=clock) as line:
        await line.warm()
        limit = deadline(clock)
        freeze_both(clock, 20.0)
        with pytest.raises(NotSent, match="stale"):
            await line.post("bulk", "/bulk", SMALL, limit, 20.0)
    assert [request.method for request in wire.requests] == ["GET"]


# --- posting: the connection that was warm ---------------------------------------------------------------


async def test_a_warm_connection_that_is_gone_is_replaced_before_anything_is_sent() -> None:
    """An ended connection is noticed, a new one proven, and the request sent once, over that."""

    async def end(connection: Connection) -> None:
        connection.close()

    clock = FakeClock()
    async with serving(after_probe(end)) as wire, line_to(wire, clock=clock) as line:
        await line.warm()
        await wire.tasks[0]
        assert (await line.post("bulk", "/bulk", SMALL, deadline(clock), 20.0)).status == 200
    assert [(head.method, head.connection) for head in wire.heads] == [("GET", 1), ("GET", 2), ("POST", 2)]


async def test_a_server_that_closes_after_every_answer() -> None:
    """Where no connection can be kept, the request goes out over one that is made for it, once."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.answer(200, b'["a"]', {"Connection": "close"})

    clock = FakeClock()
    async with serving(script) as wire, line_to(wire, clock=clock) as line:
        assert (await post(line, clock)).status == 200
        assert (await post(line, clock)).status == 200
    assert [request.method for request in wire.requests] == ["GET", "GET", "POST"] * 2


async def test_a_line_that_was_never_warm_connects_before_it_posts() -> None:
    """Even then the connection is proven before the request."""
    clock = FakeClock()
    async with serving(after_probe(Connection.rest)) as wire, line_to(wire, clock=clock) as line:
        with pytest.raises(Unclear):
            await line.post("bulk", "/bulk", SMALL, deadline(clock, 0.2), 20.0)
    assert wire.heads[0].method == "GET"


async def test_a_toloka_that_is_gone_when_the_post_begins() -> None:
    """The connection has ended and nobody listens any more: a definite no."""
    clock = FakeClock()
    async with serving(after_probe(Connection.rest)) as wire:
        line = Line(endpoint(wire.url, clock=clock), PROBE)
        await line.warm()
    async with line:
        with pytest.raises(NotSent, match="the connection was gone, and no new one works"):
            await line.post("bulk", "/bulk", SMALL, deadline(clock), 20.0)


async def test_a_cancelled_post_leaves_the_line_usable() -> None:
    """A shutdown in the middle of a request costs that connection only."""
    began = asyncio.Event()

    async def stall(connection: Connection) -> None:
        await connection.head()
        began.set()
        await connection.rest()

    clock = FakeClock()
    async with serving(after_probe(stall)) as wire, line_to(wire, clock=clock) as line:
        task = asyncio.ensure_future(post(line, clock, LARGE))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await post(line, clock)).status == 200
