"""Row 88 of the conformance checklist: faults on demand, as a client sees them over HTTP."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.simulator import Fault
from tests.simulator.bench import bench
from tests.simulator.world import MODERATION_PROJECT

if TYPE_CHECKING:
    from tests.simulator.bench import Bench

pytestmark = pytest.mark.row(88)
BULK = f"app-projects/{MODERATION_PROJECT}/items/bulk"

# Not a timeout: the client is told at once.
CUT = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


def created(toloka: Bench) -> int:
    """Return how many items there are."""
    toloka.simulator.core.advance()
    return len(toloka.simulator.core.record)


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize(
    ("style", "status", "body"),
    [("empty", 500, b""), ("empty", 503, b""), ("html", 502, b"<html>"), ("html", 503, b"<html>")],
)
async def test_proxy_errors(toloka: Bench, style: Any, status: int, body: bytes, *, committed: bool) -> None:
    """Empty and HTML errors come instead of an answer, before or after the request took effect."""
    toloka.simulator.faults.add(Fault("status", ("bulk",), status=status, style=style, committed=committed))
    response = await toloka.bulk({"text": "a"})
    assert response.status_code == status
    assert response.content.startswith(body)
    assert created(toloka) == committed


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (401, "", "AUTHENTICATION_ERROR"),
        (403, "", "ACCESS_DENIED"),
        (404, "", "DOES_NOT_EXIST"),
        (409, "", "CONFLICT_STATE"),
        (409, "INAPPROPRIATE_STATUS", "INAPPROPRIATE_STATUS"),
        (500, "", "INTERNAL_ERROR"),
        (503, "", "REMOTE_SERVICE_UNAVAILABLE"),
    ],
)
async def test_api_errors(toloka: Bench, status: int, code: str, expected: str) -> None:
    """Toloka's own errors come with the code asked for, or the status's usual one."""
    toloka.simulator.faults.add(Fault("status", status=status, style="json", code=code))
    response = await toloka.ask()
    assert (response.status_code, response.json()["code"]) == (status, expected)
    assert response.json()["request_id"]


async def test_throttling(toloka: Bench) -> None:
    """A 429 comes with Retry-After and a payload.interval as set."""
    fault = Fault("status", status=429, style="json", retry_after="3", payload={"interval": "MIN"})
    toloka.simulator.faults.add(fault)
    response = await toloka.ask()
    assert response.headers["Retry-After"] == "3"
    assert (response.json()["code"], response.json()["payload"]) == ("TOO_MANY_REQUESTS", {"interval": "MIN"})


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(
    ("fault", "count"),
    [
        (Fault("drop", ("bulk",)), 0),
        (Fault("drop", ("bulk",), committed=True), 3),
        (Fault("drop_request", ("bulk",)), 0),
        (Fault("drop_answer", ("bulk",)), 3),
    ],
    ids=["before", "after", "in request", "in answer"],
)
async def test_cut_connections(toloka: Bench, fault: Fault, count: int, *, reset: bool) -> None:
    """A connection can be cut anywhere; what was committed by then exists, and nothing else."""
    toloka.simulator.faults.add(Fault(fault.kind, ("bulk",), committed=fault.committed, reset=reset, times=1))
    with pytest.raises(CUT):
        await toloka.bulk(*({"text": f"{at} " + "x" * 100_000} for at in range(3)))
    assert created(toloka) == count
    assert len(await toloka.content()) == count


@pytest.mark.parametrize("hangs", [False, True])
async def test_late_commit(toloka: Bench, *, hangs: bool) -> None:
    """A request whose client has long gone takes effect later, once."""
    fault = Fault("late_commit", ("bulk",), times=1, delay_seconds=30, hangs=hangs)
    toloka.simulator.faults.add(fault)
    with pytest.raises(httpx.TransportError):
        await toloka.http.post(BULK, json={"items": [{"text": "a"}]}, timeout=0.1)
    toloka.clock.move(29)
    assert created(toloka) == 0
    toloka.clock.move(1)
    assert created(toloka) == 1
    late = toloka.simulator.core.record[0]
    assert late.late_commit
    assert late.created_us == pytest.approx((toloka.clock.seconds) * 1e6, abs=1000)


@pytest.mark.parametrize(("committed", "count"), [(False, 0), (True, 1)])
async def test_hanging(toloka: Bench, count: int, *, committed: bool) -> None:
    """A request that is never answered may have taken effect."""
    toloka.simulator.faults.add(Fault("hang", ("bulk",), committed=committed))
    with pytest.raises(httpx.ReadTimeout):
        await toloka.http.post(BULK, json={"items": [{"text": "a"}]}, timeout=0.1)
    assert created(toloka) == count


@pytest.mark.parametrize(("committed", "count"), [(False, 0), (True, 1)])
async def test_slow_answer(count: int, *, committed: bool) -> None:
    """A slow request takes effect before or after the wait, even if its client has given up."""
    waited, over = [], asyncio.Event()

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        await over.wait()

    async with bench(sleep=sleep) as toloka:
        toloka.simulator.faults.add(Fault("slow", ("bulk",), delay_seconds=30, committed=committed))
        with pytest.raises(httpx.ReadTimeout):
            await toloka.http.post(BULK, json={"items": [{"text": "a"}]}, timeout=0.1)
        assert (waited, created(toloka)) == ([30], count)
        over.set()
        await until_created(toloka, 1)


async def until_created(toloka: Bench, count: int) -> None:
    """Return when as many items exist; the test's own time limit ends the wait."""
    while not await toloka.content() or created(toloka) < count:
        toloka.clock.move(0.01)


async def test_slow_answer_arrives(toloka: Bench) -> None:
    """A client that waits gets the slow answer whole."""
    toloka.simulator.faults.add(
        Fault("slow", ("bulk",), times=1, delay_seconds=0.02, committed=True),
        Fault("slow", ("bulk",), times=1, delay_seconds=0.02),
    )
    assert len(await toloka.new(2)) == len(await toloka.new(2)) == 2


async def test_unreadable_json(toloka: Bench) -> None:
    """An answer may be cut, of another type, or ambiguous, though its request took effect."""
    toloka.simulator.faults.add(
        Fault("truncated", ("bulk",), times=1), Fault("wrong_type", ("bulk",), times=1)
    )
    truncated = await toloka.bulk({"text": "a"})
    with pytest.raises(json.JSONDecodeError):
        truncated.json()
    assert isinstance((await toloka.bulk({"text": "b"})).json(), dict)
    assert created(toloka) == 2
    toloka.simulator.faults.replace([Fault("wrong_type", times=1), Fault("duplicate_keys")])
    assert isinstance((await toloka.ask()).json(), list)
    names = json.loads(
        (await toloka.ask()).content, object_pairs_hook=lambda pairs: [name for name, _ in pairs]
    )
    assert names == ["content", "content", "has_more"]


async def test_wrong_ids(toloka: Bench) -> None:
    """A bulk's answer may have too few, too many or repeated ids."""
    toloka.simulator.faults.add(
        Fault("missing_id", times=1), Fault("extra_id", times=1), Fault("repeated_id", times=1)
    )
    assert len(await toloka.new(3)) == 2
    assert len(await toloka.new(3)) == 4
    repeated = await toloka.new(3)
    assert (len(repeated), len(set(repeated))) == (3, 2)
    assert created(toloka) == 9


async def test_redirect(toloka: Bench) -> None:
    """A redirect points elsewhere."""
    toloka.simulator.faults.add(Fault("redirect", location="https://evil.invalid/"))
    response = await toloka.ask()
    assert response.is_redirect
    assert response.headers["Location"] == "https://evil.invalid/"


@pytest.mark.parametrize("chunked", [False, True])
async def test_huge_answers(toloka: Bench, *, chunked: bool) -> None:
    """A gigantic answer has its size on the wire, a bomb only once it is decompressed."""
    size = 4 << 20
    toloka.simulator.faults.add(Fault("gigantic", times=1, size_bytes=size, chunked=chunked))
    toloka.simulator.faults.add(Fault("bomb", size_bytes=size, chunked=chunked))
    gigantic = await toloka.ask()
    assert len(gigantic.content) == size
    assert ("Content-Length" in gigantic.headers) != chunked
    async with toloka.http.stream("GET", f"app-projects/{MODERATION_PROJECT}/items") as bomb:
        wire = b"".join([part async for part in bomb.aiter_raw()])
    assert len(wire) < size / 500
    assert len(gzip.decompress(wire)) > size


async def test_pages_that_lead_nowhere(toloka: Bench) -> None:
    """A listing may claim more with nothing to show, or show the same page for ever."""
    await toloka.finished(5)
    toloka.simulator.faults.add(Fault("empty_page", times=1), Fault("same_page"))
    assert (await toloka.ask("sort=finished")).json() == {"content": [], "has_more": True}
    first = (await toloka.ask("sort=finished")).json()
    again = (await toloka.ask(f"sort=finished&after_id={first['content'][-1]['id']}")).json()
    assert again == first
    assert first["has_more"] is True


async def test_selection(toloka: Bench) -> None:
    """Faults strike by operation, every n-th time, a number of times, by chance, or for a while."""
    faults = toloka.simulator.faults

    async def struck(count: int) -> list[int]:
        return [at for at in range(count) if (await toloka.ask()).status_code == 503]

    faults.replace([Fault("status", ("bulk", "item"))])
    assert await struck(3) == []
    faults.replace([Fault("status", ("list",), every=3, times=2)])
    assert await struck(12) == [2, 5]
    faults.replace([Fault("status", probability=0.5)])
    assert 0 < len(await struck(40)) < 40
    faults.replace([Fault("status", from_seconds=10, for_seconds=10)])
    before = await struck(2)
    toloka.clock.move(10)
    during = await struck(2)
    toloka.clock.move(10)
    assert (before, during, await struck(2)) == ([], [0, 1], [])
    assert toloka.simulator.control.stats()["faults"]["status"] > 4
