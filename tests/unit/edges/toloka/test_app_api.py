"""Submitting to the App API: a simulated Toloka, and servers that do as they like."""

import asyncio
from typing import Any

import msgspec
import pytest

from daemon.edges.toloka import posting
from daemon.model import Accepted, Flaw, InDoubt, NotNow, Rejected, TooLarge
from tests.simulator.knobs import Knobs
from tests.simulator.serving import serve
from tests.unit.edges.toloka.apps import PROJECT, App, app, fault, items
from tests.unit.edges.toloka.wire import (
    Connection,
    answering,
    free_ports,
    json_answer,
    requests_counted,
    serving,
)

STILL = Knobs(finish_distribution="never", requests_per_second=None)


async def in_window(here: App) -> bool:
    """Whether any place under the quota is taken, of a quota of ten."""
    return here.quota.wait_seconds(10) > 0


# --- submitting ------------------------------------------------------------------------------------------


async def test_items_are_accepted_in_order() -> None:
    """The ids of a success are those of the items, in their order."""
    async with serve(STILL) as toloka, app(toloka.url) as here:
        outcome = await here.submit(items("a", "b", "c"))
        record = toloka.control.record()
    assert isinstance(outcome, Accepted)
    assert [(row["id"], row["input_data"]["text"]) for row in record] == list(
        zip(outcome.ids, "abc", strict=True)
    )


async def test_force_new_original_is_sent_where_it_is_set() -> None:
    """The request says that duplicates are to be labelled again, or says nothing about them."""
    for force in (False, True):
        async with (
            serving(answering((200, b"{}"), json_answer(["x"]))) as wire,
            app(wire.url, force_new_original=force) as here,
        ):
            await here.submit(items("a"))
        body = msgspec.json.decode(wire.requests[1].body)
        assert body == {"items": [{"text": "a"}], **({"force_new_original": True} if force else {})}
        assert wire.requests[1].path == f"/api/app/v0/app-projects/{PROJECT}/items/bulk"


@pytest.mark.parametrize("kind", ["drop", "drop_answer", "truncated", "wrong_type", "missing_id", "extra_id"])
async def test_unclear_answers_are_in_doubt(kind: str) -> None:
    """Whatever hides the answer, the items may be there, and their place under the quota stays taken."""
    async with serve(STILL) as toloka, app(toloka.url, per_minute=10) as here:
        fault(toloka, kind, "bulk")
        assert isinstance(await here.submit(items("a", "b")), InDoubt)
        assert await in_window(here)


@pytest.mark.parametrize("kind", ["repeated_id", "gigantic", "bomb", "redirect"])
async def test_more_unclear_answers(kind: str) -> None:
    """So it is with answers that are too large, point elsewhere, or name an item twice."""
    async with serve(STILL) as toloka, app(toloka.url) as here:
        fault(toloka, kind, "bulk", size_bytes=65 << 20)
        assert isinstance(await here.submit(items("a", "b")), InDoubt)
    assert requests_counted(here.metrics).keys() >= {("project", "success")}


@pytest.mark.fault(45)
@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("style", ["empty", "html", "json"])
async def test_a_failing_server_is_in_doubt(style: Any, *, committed: bool) -> None:
    """A 503 says nothing of what became of the request, whoever wrote it."""
    async with serve(STILL) as toloka, app(toloka.url) as here:
        fault(toloka, "status", "bulk", status=503, style=style, committed=committed)
        assert isinstance(await here.submit(items("a")), InDoubt)
        assert toloka.control.stats()["created"] == committed


@pytest.mark.fault(34)
async def test_a_silent_server_is_in_doubt_at_the_deadline() -> None:
    """The attempt ends in time, whatever the server does."""
    async with serve(STILL) as toloka, app(toloka.url) as here:
        fault(toloka, "hang", "bulk")
        assert await here.submit(items("a"), 0.1) == InDoubt("no answer in time")


async def test_an_attempt_that_is_too_old_is_a_definite_no() -> None:
    """What was never sent holds for a moment, and gives its place under the quota back."""
    async with serve(STILL) as toloka, app(toloka.url, per_minute=10) as here:
        assert await here.submissions.ready(10) is None
        limit = here.deadline()
        here.clock.elapsed_seconds += 20.0
        outcome = await here.submissions.submit(items("a"), app_intent(), limit)
        assert isinstance(outcome, NotNow)
        assert outcome.reason == "unreachable"
        assert "stale" in outcome.detail
        assert not await in_window(here)
        assert toloka.control.stats()["created"] == 0


def app_intent() -> Any:
    """The App API makes no use of an intent."""
    return None


@pytest.mark.fault(37)
async def test_bad_items_are_named() -> None:
    """A rejection names its culprits; nothing was created, and nothing counts against the quota."""
    async with serve(STILL) as toloka, app(toloka.url, per_minute=10) as here:
        good, bad = items("a", "b")
        outcome = await here.submit([good, msgspec.structs.replace(bad, body=b'{"id":"7"}')])
        assert isinstance(outcome, Rejected)
        assert outcome.culprits[1].code == "VALUE_REQUIRED"
        assert list(outcome.culprits) == [1]
        assert toloka.control.stats()["created"] == 0
        assert not await in_window(here)


@pytest.mark.fault(38)
async def test_a_rejection_that_names_nobody() -> None:
    """A rejection may be opaque: then the batch is to be halved."""
    knobs = Knobs(finish_distribution="never", opaque_marker="evil")
    async with serve(knobs) as toloka, app(toloka.url) as here:
        outcome = await here.submit(items("a", "evil"))
    assert isinstance(outcome, Rejected)
    assert outcome.culprits == {}
    assert isinstance(outcome.flaw, Flaw)


async def test_too_many_items() -> None:
    """A request above Toloka's limit is too large, and gives its place under the quota back."""
    async with serve(Knobs(bulk_max_items=2)) as toloka, app(toloka.url, per_minute=10) as here:
        assert isinstance(await here.submit(items("a", "b", "c")), TooLarge)
        assert not await in_window(here)


@pytest.mark.fault(41)
async def test_too_many_bytes() -> None:
    """So is one that is refused by its size before it has been read."""
    async with serve(Knobs(max_body_bytes=100_000)) as toloka, app(toloka.url) as here:
        assert isinstance(await here.submit(items("x" * (4 << 20))), TooLarge)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "unauthorized"),
        (403, "forbidden"),
        (404, "not_found"),
        (409, "conflict"),
        (429, "throttled"),
        (415, "refused"),
    ],
)
async def test_a_no_that_is_not_the_items_fault(status: int, reason: str) -> None:
    """A refused submission says why, and gives its place under the quota back."""
    async with serve(STILL) as toloka, app(toloka.url, per_minute=10) as here:
        fault(toloka, "status", "bulk", status=status, style="json", retry_after="3")
        outcome = await here.submit(items("a"))
        assert isinstance(outcome, NotNow)
        assert (outcome.reason, outcome.wait_seconds) == (reason, 3.0)
        assert not await in_window(here)


# --- being ready -----------------------------------------------------------------------------------------


async def test_ready_opens_the_connection_that_is_then_used() -> None:
    """The project is asked for once, before the intent; the request follows over the same connection."""
    async with serving(answering((200, b"{}"), json_answer(["x"]))) as wire, app(wire.url) as here:
        await here.submit(items("a"))
        await here.submit(items("a"))
    assert [(r.method, r.connection) for r in wire.requests] == [("GET", 1), ("POST", 1), ("POST", 1)]
    assert wire.requests[0].path == f"/api/app/v0/app-projects/{PROJECT}"


@pytest.mark.parametrize(
    ("status", "reason", "wait_seconds"),
    [
        (401, "unauthorized", None),
        (403, "forbidden", None),
        (404, "not_found", None),
        (409, "conflict", None),
        (429, "throttled", 60.0),
        (408, "unreachable", None),
        (500, "unreachable", None),
        (503, "unreachable", None),
        (302, "unreachable", None),
        (415, "refused", None),
    ],
)
async def test_not_ready(status: int, reason: str, wait_seconds: float | None) -> None:
    """What Toloka has against us shows before anything is announced, and takes nothing of the quota."""
    payload = {"interval": "MIN"} if status == 429 else None
    async with serve(STILL) as toloka, app(toloka.url, per_minute=10) as here:
        fault(toloka, "status", "project", status=status, style="json", payload=payload)
        no = await here.submissions.ready(10)
        assert no is not None
        assert (no.reason, no.wait_seconds) == (reason, wait_seconds)
        assert not await in_window(here)


@pytest.mark.parametrize("kind", ["drop", "drop_answer"])
async def test_not_reachable(kind: str) -> None:
    """A connection that fails is nobody's fault, and over before anything is announced."""
    async with serve(STILL) as toloka, app(toloka.url, per_minute=10) as here:
        fault(toloka, kind, "project")
        no = await here.submissions.ready(10)
        assert no is not None
        assert no.reason == "unreachable"
        assert not await in_window(here)


async def test_nobody_there() -> None:
    """A refused connection says so to the operator."""
    async with app(f"http://127.0.0.1:{free_ports(1)[0]}") as here:
        no = await here.submissions.ready(1)
    assert no == NotNow("unreachable", "asking for the project: ConnectError: Connection refused")


async def test_ready_twice_counts_once() -> None:
    """An attempt that was given up before it was sent leaves its place to the next."""
    async with serve(STILL) as toloka, app(toloka.url, per_minute=10) as here:
        for _ in range(3):
            assert await here.submissions.ready(10) is None
        assert await in_window(here)


async def test_a_long_wait_for_our_own_limits_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quota that is used up is a hold with an end, not a silent wait."""
    monkeypatch.setattr(posting, "PATIENCE_SECONDS", 0.05)
    async with serve(STILL) as toloka, app(toloka.url, per_minute=10) as here:
        await here.submit(items(*"abcdefghij"))
        no = await here.submissions.ready(10)
        assert no is not None
        assert (no.reason, no.detail) == ("throttled", "the limits of our own settings")
        assert no.wait_seconds == pytest.approx(60.0, abs=5.0)


async def test_a_wait_for_requests_gives_the_items_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a place for the request the items' place is of no use."""
    monkeypatch.setattr(posting, "PATIENCE_SECONDS", 0.05)
    async with serve(STILL) as toloka, app(toloka.url, per_minute=10) as here:
        here.requests.share(0.0)
        await here.requests.take("submit")
        no = await here.submissions.ready(10)
        assert no is not None
        assert no.reason == "throttled"
        assert not await in_window(here)


async def test_trying_a_connection_out_counts_as_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ways that have been idle would make twice as many requests as are allowed."""
    charged: list[str] = []
    async with serve(STILL) as toloka, app(toloka.url) as here:
        monkeypatch.setattr(here.requests, "charge", lambda: charged.append("probe"))
        for _ in range(2):
            assert await here.submissions.ready(1) is None
    assert charged == ["probe"]


async def test_being_told_to_stop_while_not_ready() -> None:
    """A wait that is cancelled takes nothing."""
    reached = asyncio.Event()

    async def silent(connection: Connection) -> None:
        await connection.request()
        reached.set()
        await connection.rest()

    async with serving(silent) as wire, app(wire.url, per_minute=10) as here:
        waiting = asyncio.ensure_future(here.submissions.ready(10))
        await reached.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not await in_window(here)
