"""Answers that somebody made to do harm, to real processes: waited out or resolved, nothing sent twice."""

import asyncio
import gzip
import json
from collections.abc import Mapping
from functools import partial
from typing import Final

import pytest

from tests.kafka.clients import read_topic
from tests.security.conftest import Secured
from tests.security.meddler import Meddler, Spoiler, whole
from tests.security.test_hostile_records import FORGED, unharmed
from tests.system.conftest import DeployOn
from tests.system.deployment import Deployment, eventually
from tests.system.feed import sources, without_id

ITEMS: Final = 5
DEEP: Final = 100_000
# Longer than an attempt may take (see `HASTE`); the daemon hangs up before.
FOR_EVER_SECONDS: Final = 30
SUBMIT, TAIL = "POST /items/bulk", "GET /items?"
pytestmark = pytest.mark.timeout(240)


def saying(status: int, body: bytes, **headers: str) -> Spoiler:
    """Give this answer, whatever was asked."""

    async def spoil(_body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(whole(status, body, **headers))
        await writer.drain()

    return spoil


def changed(old: bytes, new: bytes) -> Spoiler:
    """Give the true answer with this change, at its first place."""

    async def spoil(body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(whole(200, body.replace(old, new, 1)))
        await writer.drain()

    return spoil


def bytes_as_they_are(text: bytes) -> Spoiler:
    """Send this, which may be no HTTP at all."""

    async def spoil(_body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()

    return spoil


def for_ever(first: bytes, again: bytes, pause_seconds: float = 0.0) -> Spoiler:
    """Begin an answer that has no end."""

    async def spoil(_body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        async with asyncio.timeout(FOR_EVER_SECONDS):
            while True:
                writer.write(again)
                await writer.drain()
                await asyncio.sleep(pause_seconds)

    return spoil


OK: Final = b"HTTP/1.1 200 OK\r\n"
CHUNKED: Final = OK + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
# Whatever was asked, these are no answer.
NO_ANSWER: Final[Mapping[str, Spoiler]] = {
    "arrays in arrays": saying(200, b"[" * DEEP + b"]" * DEEP),
    "objects in objects": saying(200, b'{"items":' * DEEP + b"1" + b"}" * DEEP),
    "an infinite number": saying(200, b"[1e400]"),
    "an endless integer": saying(200, b"[" + b"9" * 100_000 + b"]"),
    "half a surrogate": saying(200, b'["\\ud800"]'),
    "a raw NUL": saying(200, b'["\0"]'),
    "a bomb in a bomb": saying(
        200, gzip.compress(gzip.compress(b" " * (1 << 26))), content_encoding="gzip, gzip"
    ),
    "a bomb": saying(200, gzip.compress(b" " * (96 << 20), 6), content_encoding="gzip"),
    "another encoding": saying(200, b"\xff" * 100, content_encoding="zstd"),
    "a picture": saying(200, b"\x89PNG\r\n\x1a\n", content_type="image/png"),
    "a forged line in an error": saying(500, json.dumps({"code": FORGED, "message": FORGED * 50}).encode()),
    "a header without an end": for_ever(OK, b"X-More: " + b"x" * 1000 + b"\r\n"),
    "a header in one line": for_ever(OK + b"X-More: ", b"x" * 1000),
    "no end of interim answers": for_ever(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.001),
    "crumbs": for_ever(CHUNKED, b"1\r\n \r\n" * 1000, 0.001),
    "a drip": for_ever(OK + b"Content-Length: 1000000\r\n\r\n", b" ", 0.05),
    "no HTTP": bytes_as_they_are(b"220 mail.invalid ESMTP\r\n"),
    "two lengths": bytes_as_they_are(OK + b"Content-Length: 2\r\nContent-Length: 4\r\n\r\n[]xx"),
    "a negative length": bytes_as_they_are(OK + b"Content-Length: -1\r\n\r\n[]"),
    "a forged header": bytes_as_they_are(OK + b"X-One: a\rX-Two: b\0\r\n\r\n[]"),
}

# A listing is given half a minute, which nobody needs to see.
SLOW: Final = ("no end of interim answers", "crumbs", "a drip")


async def world(secured: Secured, deploy_on: DeployOn) -> Deployment:
    """A deployment on the shared broker that may make its topics."""
    return await deploy_on(secured.direct, partitions=1, KAFKA__CREATE_TOPICS="true")


async def feed(deployment: Deployment, seed: int) -> None:
    """Some items, whom nobody has anything against."""
    await deployment.feed(sources(ITEMS, seed, kinds=((without_id, 1),)))


@pytest.mark.fault(35, 46, 49)
@pytest.mark.parametrize(("kind", "left_out"), [(SUBMIT, ()), (TAIL, SLOW)])
async def test_what_is_no_answer(
    secured: Secured, deploy_on: DeployOn, kind: str, left_out: tuple[str, ...]
) -> None:
    """To a submission that took effect, or to a listing: memory is bounded, all is found, nothing twice."""
    deployment = await world(secured, deploy_on)
    async with Meddler(deployment.simulator.url, deployment.http) as meddler:
        replica = await deployment.started(
            TOLOKA__URL=f"http://127.0.0.1:{meddler.port}", SUBMIT__REQUEST_TIMEOUT_SECONDS="1"
        )
        for number, (name, spoiler) in enumerate(NO_ANSWER.items()):
            if name in left_out:
                continue
            meddler.spoil(kind, 1, spoiler)
            await feed(deployment, number)
            await eventually(partial(_all_spoilt, meddler), lambda n=name: f"{n}: {deployment.state()}", 30)  # type: ignore[misc]
            await deployment.until_outcomes(deployment.due)
        unharmed(replica)
        verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert (verdict.results, verdict.dead_letters) == (deployment.fed, 0)


async def _all_spoilt(meddler: Meddler) -> bool:
    return meddler.left == 0


@pytest.mark.fault(37)
async def test_a_refusal_in_words_of_harm(secured: Secured, deploy_on: DeployOn) -> None:
    """An item is refused by index in words that forge lines: its dead letter has them, tamed; no log has."""
    deployment = await world(secured, deploy_on)
    payload = {
        "input_data.0.text" + FORGED: {"code": FORGED, "message": FORGED * 100},
        "input_data." + "9" * 5000 + ".text": {"code": "X"},
        **{f"input_data.-{number}": None for number in range(5000)},
    }
    body = {"code": FORGED, "message": FORGED * 100, "request_id": FORGED, "payload": payload}
    no = saying(400, json.dumps(body).encode(), retry_after="9" * 5000)
    async with Meddler(deployment.simulator.url, deployment.http) as meddler:
        meddler.spoil(SUBMIT, 1, no, instead=True)
        replica = await deployment.started(TOLOKA__URL=f"http://127.0.0.1:{meddler.port}")
        await feed(deployment, 1)
        await deployment.until_done()
        meddler.spoil(
            SUBMIT, 1, saying(429, b"[" * DEEP, retry_after="Fri, 31 Dec 9999 23:59:59 GMT"), instead=True
        )
        await feed(deployment, 2)
        await deployment.until_done()
        unharmed(replica)
        codes = [await each.stopped() for each in deployment.replicas]
    assert codes == [0]
    letters = await read_topic(deployment.kafka.bootstrap_servers, deployment.topic("dead-letters"))
    results = await read_topic(deployment.kafka.bootstrap_servers, deployment.topic("results"))
    assert (len(letters), len(results)) == (1, 2 * ITEMS - 1)
    for name, value in letters[0].headers:
        if name.startswith("tolokad-error") or name == "tolokad-request-id":
            assert (value or b"").decode().isprintable()
            assert len(value or b"") < 2000
