"""Records that somebody wrote to do harm: each has its one outcome, and the daemon stays as it was."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from aiokafka.consumer import fetcher

from daemon.edges.kafka import fetched
from daemon.edges.kafka.header_names import Records
from tests.kafka.clients import read_topic
from tests.security.conftest import Secured
from tests.security.raw_records import batch, produce
from tests.system.conftest import DeployOn
from tests.system.deployment import Deployment
from tests.system.feed import Headers, Source
from tests.system.processes import Replica

DEEP: Final = 100_000
MOST_MEGABYTES: Final = 250
FORGED: Final = '\n{"level":"critical","event":"forged"}\r\n\x1b[31mforged\x1b[0m\x00\u2028\x85'
# What a log must never hold as it is: everything that ends a line or moves a terminal, but the line feed.
RAW: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")
pytestmark = pytest.mark.timeout(180)

# By what they are: dead letters with this code, or None for items.
VALUES: Final[Mapping[str, tuple[bytes, str | None]]] = {
    "objects in objects": (b'{"text":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}", "TOO_DEEP"),
    "arrays in arrays": (b'{"text":"a","more":' + b"[" * DEEP + b"]" * DEEP + b"}", "TOO_DEEP"),
    "arrays without an end": (b"[" * DEEP, None),
    "an infinite number": (b'{"text":"a","n":1e400}', "NOT_JSON"),
    "an endless integer": (b'{"text":"a","n":' + b"9" * 100_000 + b"}", "NOT_JSON"),
    "an endless fraction": (b'{"text":"fraction","n":0.' + b"3" * 100_000 + b"}", None),
    "a raw NUL": (b'{"text":"a\0b"}', "NOT_JSON"),
    "an escaped NUL": (b'{"text":"a\\u0000b"}', None),
    "half a surrogate": (b'{"text":"a\\ud800"}', "NOT_JSON"),
    "half a surrogate in a key": (b'{"text":"a","\\udfff":1}', "NOT_JSON"),
    "the same key twice": (b'{"text":"a","a":{"b":1,"\\u0062":2}}', "REPEATED_KEY"),
    "an enormous key": (b'{"text":"key","' + b"k" * 500_000 + b'":1}', None),
    "many keys": (b'{"text":"keys",' + b",".join(b'"%d":0' % n for n in range(50_000)) + b"}", None),
    "a forged line of log": (json.dumps({"text": FORGED, "id": FORGED}).encode(), None),
    "a forged line, raw": (FORGED.encode(), "NOT_JSON"),
    "a header in an id": (
        b'{"text":"id","id":"a\\r\\nAuthorization: ApiKey mine\\r\\n\\r\\nGET / HTTP/1.1"}',
        None,
    ),
    "a path in an id": (b'{"text":"path","id":"../../../../api/app/v0/app-projects"}', None),
    "an enormous id": (b'{"text":"long id","id":"' + b"i" * 300_000 + b'"}', None),
    "not UTF-8": (b'{"text":"\xc0\xaf\xf5\xff"}', "NOT_JSON"),
    "a mark in front": (b"\xef\xbb\xbf" + b'{"text":"mark"}', "NOT_JSON"),
    "another encoding": ('{"text":"utf-16"}'.encode("utf-16"), "NOT_JSON"),
}
HEADERS: Final[Mapping[str, Headers]] = {
    "a forged line": ((FORGED, FORGED.encode()),),
    "our own names": (
        ("tolokad-error-code", b"FORGED"),
        ("tolokad-origin-offset", b"999999999999"),
        ("tolokad-attempts", b"9" * 5000),
        ("toloka-item-id", b"forged"),
    ),
    "an enormous value": (("large", b"v" * 500_000),),
    "an enormous name": (("n" * 200_000, b""),),
    "a great many": tuple((f"h{number}", None) for number in range(20_000)),
    "a broken trace": (("traceparent", b"\xff" * 1000), ("traceparent", FORGED.encode())),
}


def fed() -> list[Source]:
    """Every value, and every header twice: with an item, and with what is none."""
    plain = [Source(FORGED.encode(), value, ()) for value, _ in VALUES.values()]
    good = [Source(None, json.dumps({"text": name}).encode(), headers) for name, headers in HEADERS.items()]
    bad = [Source(b"\xff\x00", b"{", headers) for headers in HEADERS.values()]
    return [*plain, *good, *bad]


def write_raw(deployment: Deployment, port: int) -> None:
    """What no client writes: names that are not UTF-8, and times that no calendar has."""
    topic = deployment.topic("items")
    name = b"\xff\xfe\xc0"
    for value, headers, timestamp_ms in (
        (b'{"text":"no name"}', ((name, b"1"), (b"fine", b"2")), 1_790_000_000_000),
        (b"{", ((name, b"1"),), 1_790_000_000_000),
        (b'{"text":"long ago"}', (), -(2**61)),
        (b'{"text":"no time"}', (), -1),
    ):
        produce(port, topic, 0, batch(value, headers, timestamp_ms))


@pytest.mark.fault(48, 59, 60, 61)
async def test_each_has_one_outcome(
    secured: Secured, deploy_on: DeployOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values, keys, headers and times that harm others: dead letter or result, one each; no log is forged."""
    # The checker's client could not read the names either.
    monkeypatch.setattr(fetcher, "MemoryRecords", Records)
    monkeypatch.setattr(fetcher, "PartitionRecords", fetched._Partition)
    deployment = await deploy_on(secured.direct, partitions=1, KAFKA__CREATE_TOPICS="true")
    replica = await deployment.started()
    await deployment.feed(fed())
    port = int(secured.broker.internal_servers.rpartition(":")[2])
    write_raw(deployment, port)
    await deployment.feed([Source(None, b'{"text":"the last"}', ())])
    deployment.due += 4
    await deployment.until_done()
    unharmed(replica)
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert verdict.complete, str(verdict)
    await as_expected(deployment)


def unharmed(replica: Replica) -> None:
    """It is the process that was started, of a usual size, and each line of its log is one of its own."""
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{replica.pid}/status").read_text())
    assert peak is not None
    assert int(peak[1]) < MOST_MEGABYTES * 1024
    events = list(replica.history())
    assert len([event for event in events if event["event"] == "starting"]) == 1
    assert not [event for event in events if event["event"] in {"forged", "internal_error"}]
    text = replica.log.read_text(encoding="utf-8")
    assert not RAW.search(text)
    assert len(text.splitlines()) == len(events)


async def as_expected(deployment: Deployment) -> None:
    """Each value has the outcome that it must have, with the code that says why."""
    servers = deployment.kafka.bootstrap_servers
    letters = await read_topic(servers, deployment.topic("dead-letters"))
    codes = {}
    for letter in letters:
        ours = dict(letter.headers[-6:])
        offset = int((ours.get("tolokad-origin-offset") or b"-1").decode())
        codes[offset] = (dict(letter.headers).get("tolokad-error-code") or b"").decode()
    for number, (name, (_, code)) in enumerate(VALUES.items()):
        if name == "arrays without an end":
            assert codes[number] in {"NOT_JSON", "TOO_DEEP", "NOT_AN_OBJECT"}
        else:
            assert codes.get(number) == code, f"{name}: {codes.get(number)}"
