"""The core and its shells: the same answers, however it is run."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trustme

from tests.simulator import Fault, Knobs, Request, Response, Toloka, serve
from tests.simulator.__main__ import knobs_of, parser
from tests.simulator.bench import CREDENTIAL, Bench, Clock
from tests.simulator.serving import serve_in_thread, spawn
from tests.simulator.world import MODERATION_APP, MODERATION_PROJECT

if TYPE_CHECKING:
    from pathlib import Path

API = "/api/app/v0"
ITEMS = f"{API}/app-projects/{MODERATION_PROJECT}/items"
HEADERS = {"Authorization": CREDENTIAL, "Content-Type": "application/json"}
SCRIPT: list[tuple[str, str, str, Any]] = [
    ("GET", f"{API}/apps/{MODERATION_APP}", "lang=", None),
    ("POST", f"{ITEMS}/bulk", "", {"items": [{"text": f"item {at}"} for at in range(20)]}),
    ("POST", f"{ITEMS}/bulk", "", {"items": [{"text": 1}]}),
    ("GET", ITEMS, "sort=finished%2Cid&limit=7", None),
    ("GET", ITEMS, "sort=finished&limit=7", None),
    ("GET", f"{ITEMS}/no%2Fsuch", "", None),
    ("DELETE", ITEMS, "", None),
    ("GET", "/elsewhere", "", None),
    ("POST", ITEMS, "", {"input_data": {"text": "é"}}),
]
FAULTS = [Fault("status", every=4, style="json", committed=True), Fault("truncated", probability=0.2)]


def direct(toloka: Toloka, clock: Clock) -> list[Response]:
    """Return the core's answers to the script, a second apart."""
    answers = []
    for method, path, query, body in SCRIPT:
        content = b"" if body is None else json.dumps(body).encode()
        answers.append(toloka.handle(Request(method, path, query, HEADERS, content)))
        clock.move(1)
    return answers


def core(seed: int) -> tuple[Toloka, Clock]:
    """Return a core with faults and chance in it."""
    clock = Clock()
    toloka = Toloka(clock, random.Random(seed), Knobs(tie_order="random", late_share=0.5, error_share=0.2))
    toloka.faults.add(*FAULTS)
    return toloka, clock


async def test_shell_answers_as_core() -> None:
    """Over HTTP every answer is the core's: status, body and headers."""
    toloka, own = core(0)
    expected = direct(toloka, own)
    clock = Clock()
    async with (
        serve(toloka.knobs, clock=clock) as simulator,
        httpx.AsyncClient(base_url=simulator.url, headers=HEADERS, trust_env=False) as http,
    ):
        simulator.faults.add(*FAULTS)
        for (method, path, query, body), response in zip(SCRIPT, expected, strict=True):
            content = b"" if body is None else json.dumps(body).encode()
            answer = await http.request(method, path + (query and f"?{query}"), content=content)
            clock.move(1)
            assert (answer.status_code, answer.content) == (response.status, response.body)
            assert {name: answer.headers[name] for name in response.headers} == response.headers


def test_core_is_deterministic() -> None:
    """The same seed, clock and requests give the same answers; another seed gives others."""
    first, again, other = (direct(*core(seed)) for seed in (0, 0, 1))
    assert first == again
    assert first != other


async def test_delay_and_commit_in_core() -> None:
    """A slow fault lets the caller wait before the request is processed."""
    toloka, _ = core(0)
    toloka.faults.replace([Fault("slow", delay_seconds=5)])
    exchange = toloka.begin("POST", f"{ITEMS}/bulk")
    assert exchange.delay_seconds == 5
    assert not toloka.record
    exchange.finish(Request("POST", f"{ITEMS}/bulk", "", HEADERS, b'{"items":[{"text":"a"}]}'))
    assert len(toloka.record) == 1


def test_process(tmp_path: Path) -> None:
    """As a process it prints its address, keeps the record in a file, and takes knobs and faults as flags."""
    record = tmp_path / "record.ndjson"
    faults = '[{"kind": "drop", "operations": ["bulk"], "committed": true, "times": 1}]'
    flags = ("--record", str(record), "--project-alias", "P", "--bulk-status", "201", "--faults", faults)
    with spawn(*flags) as url, httpx.Client(base_url=url + API, headers=HEADERS, trust_env=False) as http:
        items = {"items": [{"text": "a"}, {"text": "b"}]}
        with pytest.raises(httpx.RemoteProtocolError):
            http.post("/app-projects/P/items/bulk", json=items)
        assert http.post("/app-projects/P/items/bulk", json=items).status_code == 201
        lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert [line["input_data"]["text"] for line in lines] == ["a", "b", "a", "b"]
    assert [line["request_number"] for line in lines] == [1, 1, 2, 2]
    assert {line["app_project_id"] for line in lines} == {MODERATION_PROJECT}


def test_thread() -> None:
    """In a thread it serves a test that has no event loop."""
    with serve_in_thread(Knobs(max_limit=7)) as url:
        response = httpx.get(f"{url}{ITEMS}?limit=8", headers=HEADERS, trust_env=False)
    assert response.status_code == 400


async def test_tls() -> None:
    """It serves HTTPS, and cuts those connections too."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    async with (
        serve(ssl_context=server) as simulator,
        httpx.AsyncClient(base_url=simulator.url, headers=HEADERS, verify=client, trust_env=False) as http,
    ):
        assert simulator.url.startswith("https://")
        assert (await http.get(ITEMS)).status_code == 200
        simulator.faults.add(Fault("drop", reset=True, times=1), Fault("drop_answer", times=1))
        for _ in range(2):
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                await http.get(ITEMS)
        assert (await http.get(ITEMS)).status_code == 200


def test_flags() -> None:
    """Every knob is a flag, and is read as the type it has."""
    flags = "--late-share 0.5 --requests-per-second none --date-header false --unknown-cursor 400"
    knobs = knobs_of(parser().parse_args(flags.split()))
    assert knobs == Knobs(late_share=0.5, requests_per_second=None, date_header=False, unknown_cursor=400)
    two = knobs_of(parser().parse_args(["--credentials", "OAuth a,ApiKey b"]))
    assert two.credentials == ("OAuth a", "ApiKey b")
    with pytest.raises(ValueError, match=r"Invalid enum value"):
        knobs_of(parser().parse_args(["--tie-order", "other"]))


async def test_client_that_leaves_mid_request(toloka: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """A request whose body never arrives whole is not processed, and is no error of the server."""
    url = httpx.URL(toloka.simulator.url)
    head = f"POST {ITEMS}/bulk HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(head.encode() + b'{"items":[')
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    assert (await toloka.ask()).json()["content"] == []
    assert not caplog.records
