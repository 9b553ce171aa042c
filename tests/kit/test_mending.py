"""`tolokad dlq` and `tolokad resolve` beside running daemons."""

import asyncio
import json
import random
import signal
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.kafka.fixtures import Cluster
from tests.kit.commands import tolokad
from tests.kit.planting import Plot, Source
from tests.system.conftest import Deploy
from tests.system.deployment import Deployment, eventually
from tests.system.feed import GOOD, sources
from tests.system.processes import TOLOKAD, Process

pytestmark = pytest.mark.timeout(240)
LETTERS = 3000
# Of ten records in two partitions, those with odd offsets.
ODD = 4


async def everything(servers: str, topic: str, partitions: int) -> Sequence[Any]:
    """What a `read_committed` reader sees of a topic."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers, isolation_level="read_committed", enable_auto_commit=False
    )
    await consumer.start()
    try:
        places = [TopicPartition(topic, partition) for partition in range(partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning()
        ends, found = await consumer.end_offsets(places), []
        while [place for place in places if await consumer.position(place) < ends[place]]:
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                found.extend(batch)
        return found
    finally:
        await consumer.stop()


@pytest.fixture
async def plot(kafka: Cluster) -> Plot:
    """Topics with dead letters of two kinds, and headers of their own; Toloka is away."""
    plot = Plot(kafka.bootstrap_servers, "http://127.0.0.1:9")
    await plot.lay_out()
    return plot


def letters(plot: Plot, count: int) -> list[Source]:
    """Records that have become dead letters, with keys and headers."""
    made = plot.sources(b'{"text":"%d"}' % number for number in range(count))
    return [
        Source(s.topic, s.partition, s.offset, s.value, key=s.value, headers=(("trace", s.value),))
        for s in made
    ]


async def test_list_and_replay(plot: Plot) -> None:
    """Dead letters are listed; one code is sent back as it was, then the rest, each once, up to a number."""
    bad = letters(plot, 10)
    await plot.write(plot.dead_letter(source, "ODD" if source.offset % 2 else "EVEN") for source in bad)
    listed = (await tolokad(plot.environment, "dlq", "list", "--json")).json
    assert len(listed) == 10
    names = {"partition", "offset", "origin", "code", "message", "failed_at", "attempts"}
    assert set(listed[0]) == names
    assert bad[0].place in [row["origin"] for row in listed]
    assert {row["attempts"] for row in listed} == {0}
    odd = await tolokad(plot.environment, "dlq", "list", "--code", "ODD")
    assert len(odd.out.splitlines()) == ODD
    dry = await tolokad(plot.environment, "dlq", "replay", "--code", "ODD", "--dry-run", "--json")
    assert dry.json == {"would_replay": ODD}
    for arguments, count in ((("--code", "ODD"), ODD), ((), 10 - ODD), ((), 0)):
        ended = await tolokad(plot.environment, "dlq", "replay", "--json", *arguments)
        assert ended.json == {"replayed": count}, ended.err
    back = await everything(plot.servers, plot.topic("items"), plot.partitions)
    assert {(r.partition, r.key, r.value, tuple(r.headers)) for r in back} == {
        (s.partition, s.key, s.value, (*s.headers, ("tolokad-attempts", b"1"))) for s in bad
    }
    again = [Source(r.topic, r.partition, r.offset, r.value, headers=r.headers) for r in back[:3]]
    await plot.write(plot.dead_letter(source) for source in again)
    capped = await tolokad(plot.environment, "dlq", "replay", "--max-attempts", "1", "--json")
    assert capped.json == {"replayed": 0}
    assert "3 have been sent back --max-attempts times" in capped.err
    third = await tolokad(plot.environment, "dlq", "list", "--json")
    assert Counter(row["attempts"] for row in third.json) == {0: 10, 1: 3}


async def test_replay_killed_half_way(plot: Plot, tmp_path: Any) -> None:
    """Killed at any moment and run again, it sends each dead letter back exactly once."""
    bad = letters(plot, LETTERS)
    await plot.write(plot.dead_letter(source) for source in bad)
    dice = random.Random(1)
    with Process([TOLOKAD, "dlq", "replay"], tmp_path / "replay.log", plot.environment) as replay:
        for _ in range(3):
            replay.start()
            before = await sent_back(plot)
            await eventually(lambda b=before: more(plot, b, replay), replay.output)  # type: ignore[misc] # bound now
            await asyncio.sleep(dice.uniform(0, 0.02))
            if replay.running:
                replay.signal(signal.SIGKILL)
            await replay.ended()
    ended = await tolokad(plot.environment, "dlq", "replay", "--json")
    assert ended.code == 0
    back = await everything(plot.servers, plot.topic("items"), plot.partitions)
    assert Counter(record.value for record in back) == Counter(source.value for source in bad)


async def sent_back(plot: Plot) -> int:
    """How many records the input topic shows."""
    return len(await everything(plot.servers, plot.topic("items"), plot.partitions))


async def more(plot: Plot, before: int, replay: Process) -> bool:
    """Whether more were sent back, or the program has come to its end."""
    return not replay.running or await sent_back(plot) > before


# --- resolve ------------------------------------------------------------------------------------------

# Requests get no answer: every second one is carried out all the same; and nothing can be listed.
BLIND = json.dumps(
    [
        {"kind": "drop", "operations": ["bulk"], "committed": True, "times": 1},
        {"kind": "status", "operations": ["list"], "status": 503},
    ]
)


async def in_doubt(deploy: Deploy) -> Deployment:
    """A deployment whose only batch is held in doubt: Toloka has its items, and lists nothing."""
    deployment = await deploy("--faults", BLIND, partitions=1, SUBMIT__QUARANTINE_SECONDS="600")
    replica = await deployment.started()
    await deployment.feed(sources(20, 5, GOOD))

    async def held() -> bool:
        return (await replica.scrape())("tolokad_held", flow="submit", reason="listing_failed") > 0

    await eventually(held, replica.output)
    return deployment


async def resolve(deployment: Deployment, way: str) -> Any:
    """Run the command."""
    return await tolokad(deployment.environment, "resolve", "--partition", "0", "--as", way, "--json")


async def test_resolve_by_adopting(deploy: Deploy) -> None:
    """What Toloka has is adopted once it lists again; until then the command says that it cannot."""
    deployment = await in_doubt(deploy)
    blind = await resolve(deployment, "adopt")
    assert blind.code == 69, blind.err
    await tolokad(deployment.environment, "pause")
    await deployment.control("PUT", "faults", json=[])
    ended = await resolve(deployment, "adopt")
    await tolokad(deployment.environment, "resume")
    await deployment.feed(sources(20, 6, GOOD))
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert verdict.complete, str(verdict)
    assert ended.code in {0, 1}, ended.err
    nothing = await resolve(deployment, "adopt")
    assert (nothing.code, nothing.out) == (1, "")


async def test_resolve_as_dead_letters(deploy: Deploy) -> None:
    """The whole batch becomes dead letters that say so, and the daemon goes on behind it."""
    deployment = await in_doubt(deploy)
    ended = await resolve(deployment, "dead-letter")
    assert ended.json["items"] > 0, ended.err
    assert "items in doubt since" in ended.err
    await deployment.control("PUT", "faults", json=[])
    await deployment.until_done()
    listed = await tolokad(deployment.environment, "dlq", "list", "--json")
    assert {row["code"] for row in listed.json} == {"RESOLVED_BY_OPERATOR"}
    assert len(listed.json) == ended.json["items"]
    audit = await tolokad(deployment.environment, "audit", "--toloka", "--json")
    assert len(audit.json["orphans"]) == ended.json["items"]


async def test_resolve_by_sending_again(deploy: Deploy) -> None:
    """The whole batch is sent again, paid for twice as was said, and each record has one result."""
    deployment = await in_doubt(deploy)
    ended = await resolve(deployment, "resubmit")
    assert ended.json["items"] > 0, ended.err
    await deployment.control("PUT", "faults", json=[])
    await deployment.until_done()
    audit = await tolokad(deployment.environment, "audit", "--json")
    assert audit.json["ok"], audit.out
    assert audit.json["results"] == 20
