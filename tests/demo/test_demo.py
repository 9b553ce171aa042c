"""The demo shows what happened, and says so by its exit code."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from tests.checker import Judge, Rules, Verdict
from tests.demo import trickle
from tests.demo.__main__ import sentence
from tests.demo.board import Snapshot
from tests.demo.stage import SETTINGS, settings_in
from tests.demo.texts import ITEMS, items_in, library_items
from tests.kafka.clients import read_topic
from tests.kafka.fixtures import Cluster
from tests.kafka.topics import Topics
from tests.system.processes import TOLOKAD, Scrape, foreign_variables

PATIENCE_SECONDS = 110


def run(*command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command from the repository's root, with no other variables of ours."""
    own = {name: value for name, value in os.environ.items() if name not in foreign_variables()}
    return subprocess.run(
        command,
        cwd=SETTINGS.parents[1],
        env={**own, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def demo(**environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the demo."""
    return run(sys.executable, "-m", "tests.demo", **environment)


def test_demo_of_a_file(kafka: Cluster, tmp_path: Path) -> None:
    """Its lines become records; the table counts them, and the promise held."""
    lines = [json.dumps({"text": f"line {number}\u2028"}, ensure_ascii=False) for number in range(200)]
    path = tmp_path / "items.ndjson"
    path.write_text("\n".join([*lines, "no item", ""]))
    ended = demo(ITEMS=str(path), TOLOKAD_KAFKA__BOOTSTRAP_SERVERS=kafka.bootstrap_servers)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "The promise held: 201 records" in ended.stdout
    assert "results 200, dead letters 1" in ended.stdout
    assert not ended.stderr


@pytest.mark.parametrize(
    ("environment", "says"),
    [({"API": "other"}, "neither app nor tasks"), ({"ITEMS": "nowhere"}, "ITEMS=nowhere: No such file")],
)
def test_demo_that_cannot_be(environment: dict[str, str], says: str) -> None:
    """What it cannot do it says before anything is started."""
    ended = demo(**environment)
    assert ended.returncode == 64
    assert says in ended.stdout
    assert "Starting" not in ended.stdout


def test_settings_are_tolokads_own() -> None:
    """Every variable of config/demo.env is one that tolokad takes."""
    added = {
        "TOLOKAD_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9092",
        "TOLOKAD_TOLOKA__URL": "http://127.0.0.1:8000",
    }
    ended = run(TOLOKAD, "check", **settings_in(SETTINGS), **added)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_library_items() -> None:
    """Items are in the same order each time; a third of them have an id, and every one is traced."""
    first, again = list(islice(library_items(), 60)), list(library_items(60))
    assert first == again
    items = [json.loads(source.value or b"") for source in first]
    assert [("id" in item) for item in items] == [number % 3 == 0 for number in range(60)]
    assert all(item["text"] for item in items)
    assert len({source.headers for source in first}) == 60
    assert all(source.key and source.headers[0][0] == "traceparent" for source in first)


def test_there_are_enough_library_items() -> None:
    """Whatever of its library a Python comes with, there are as many items as are asked for."""
    assert sum(1 for _ in library_items()) == ITEMS


def test_lines_of_a_file_are_taken_as_they_are(tmp_path: Path) -> None:
    """Empty lines are left out; nothing is parsed, and only LF ends a line."""
    path = tmp_path / "items.ndjson"
    path.write_bytes('{"text":"a\u2028b"}\n\n[1\r\n\xff'.encode("latin-1", "ignore"))
    assert [source.value for source in items_in(path)] == [b'{"text":"ab"}', b"[1", b"\xff"]


def test_snapshot_adds_replicas_up() -> None:
    """Counters of all replicas are added, and open is what is accepted and not published."""
    scrapes = [
        Scrape(
            "# TYPE tolokad_items_submitted_total counter\n"
            f"tolokad_items_submitted_total {accepted}\n"
            "# TYPE tolokad_results_published_total counter\n"
            f'tolokad_results_published_total{{status="COMPLETED"}} {results}\n'
            "# TYPE tolokad_result_latency_seconds histogram\n"
            f'tolokad_result_latency_seconds_bucket{{le="0.5"}} {results - 10}\n'
            f'tolokad_result_latency_seconds_bucket{{le="1.0"}} {results}\n'
            f'tolokad_result_latency_seconds_bucket{{le="+Inf"}} {results}\n'
        )
        for accepted, results in ((30, 20), (70, 60))
    ]
    snapshot = Snapshot.of(10.0, 100, scrapes)
    assert (snapshot.accepted, snapshot.results, snapshot.open) == (100, 80, 20)
    assert snapshot.latency == ("0.5", "1")
    assert not snapshot.done
    assert replace(snapshot, results=99, dead_letters=1).done
    assert "results 80" in snapshot.line()
    assert snapshot.table().row_count == len(snapshot.cells())


def test_sentence() -> None:
    """It says that the promise held only where it did and everything is done."""
    nothing = Judge(Rules("in")).verdict()
    assert nothing.ok
    lost = replace(nothing, counts={**nothing.counts, "lost": 1})
    under_way = replace(nothing, open=1)
    assert [says(verdict) for verdict in (nothing, lost, under_way)] == [
        "The promise held",
        "The promise did NOT hold",
        "Not everything came to its end within 75 s",
    ]


def says(verdict: Verdict) -> str:
    """How the sentence begins."""
    return sentence(verdict, 1.0, done=False).partition(":")[0]


@pytest.mark.parametrize("url", ["https://toloka.dev", "https://simulator.example", ""])
def test_made_up_items_go_to_a_simulator_only(url: str) -> None:
    """At a real Toloka each of them would cost money."""
    assert trickle.main({"TOLOKA_URL": url, "KAFKA": "127.0.0.1:1"}) == 64


async def test_trickle(kafka: Cluster) -> None:
    """Item after item, until it is told to stop."""
    topics = Topics(kafka.bootstrap_servers)
    topic = f"trickle-{uuid.uuid4().hex[:8]}"
    await topics.create(topic)
    stopping = asyncio.Event()
    trickling = asyncio.ensure_future(trickle.trickle(kafka.bootstrap_servers, topic, 1000, stopping))
    while len(found := await read_topic(kafka.bootstrap_servers, topic)) < 5:
        assert not trickling.done()
    stopping.set()
    assert await trickling >= len(found)
    assert all(json.loads(record.value)["text"] for record in found)
