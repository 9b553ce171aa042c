"""`tolokad dlq` and `tolokad resolve` beside running daemons."""

import asyncio
import json
import random
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.checker import Verdict
from tests.kafka.fixtures import Cluster
from tests.kit.commands import Ended, tolokad
from tests.kit.planting import Plot, Source
from tests.system.conftest import Deploy
from tests.system.deployment import Deployment, eventually
from tests.system.feed import GOOD, NAMED, refused, sources
from tests.system.processes import TOLOKAD, Process

pytestmark = pytest.mark.timeout(240)
LETTERS = 2500
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


async def test_replay_killed_half_way(deploy: Deploy, tmp_path: Path) -> None:
    """Killed at any moment and run again beside a daemon, it sends each dead letter back exactly once."""
    deployment = await deploy(
        "--named-marker", NAMED, SUBMIT__MAX_REJECTED_RATIO="1", SUBMIT__MAX_ITEMS="500"
    )
    await deployment.started()
    await deployment.feed(sources(LETTERS, 11, ((refused, 1),)))
    await deployment.until_done()
    # The app takes now what it refused; each dead letter will have a second outcome.
    await deployment.control("PUT", "knobs", json={"named_marker": ""})
    deployment.due += LETTERS
    dice, killed = random.Random(1), 0
    with Process([TOLOKAD, "dlq", "replay"], tmp_path / "replay.log", deployment.environment) as replay:
        for _ in range(3):
            before = await written(deployment)
            replay.start()
            # It stands still while it is looked at: it would be done before anybody has seen it begin.
            while replay.running and await written(deployment) == before:
                replay.signal(signal.SIGCONT)
                await asyncio.sleep(dice.uniform(0.005, 0.03))
                replay.signal(signal.SIGSTOP)
            if replay.running:
                replay.signal(signal.SIGKILL)
                killed += 1
            await replay.ended()
    assert killed
    ended = await tolokad(deployment.environment, "dlq", "replay", "--json")
    assert ended.code == 0
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert verdict.complete, str(verdict)
    assert (verdict.inputs, verdict.results, verdict.dead_letters) == (2 * LETTERS, LETTERS, LETTERS)


async def written(deployment: Deployment) -> int:
    """How far the input topic goes."""
    return sum(part.end for part in await deployment.progress())


# --- resolve ------------------------------------------------------------------------------------------

# Requests get no answer: every second one is carried out all the same; and nothing can be listed.
BLIND = json.dumps(
    [
        {"kind": "drop", "operations": ["bulk"], "committed": True, "times": 1},
        {"kind": "status", "operations": ["list"], "status": 503},
    ]
)


# What is said beforehand, of each way.
SAID: Final = {
    "adopt": "are taken as submitted, and nothing is sent",
    "resubmit": "are paid for twice, up to 1.00 in the project's currency",
    "dead-letter": "all become dead letters: what Toloka has of them is paid for",
}
ITEMS: Final = 20


async def in_doubt(deploy: Deploy) -> Deployment:
    """A deployment whose first batch is held in doubt: Toloka has its items, and lists nothing.

    As many records again wait behind it.
    """
    deployment = await deploy(
        "--faults", BLIND, partitions=1, SUBMIT__QUARANTINE_SECONDS="600", SUBMIT__MAX_ITEMS=str(ITEMS)
    )
    await deployment.feed(sources(2 * ITEMS, 5, GOOD))
    replica = await deployment.started()

    async def held() -> bool:
        return (await replica.scrape())("tolokad_held", flow="submit", reason="listing_failed") > 0

    await eventually(held, replica.output)
    return deployment


async def resolve(deployment: Deployment, way: str) -> Ended:
    """Run the command."""
    return await tolokad(deployment.environment, "resolve", "--partition", "0", "--as", way, "--json")


async def resolved(deployment: Deployment, way: str) -> Verdict:
    """Resolve, having been told what it costs; the verdict once the daemon has gone on to the end."""
    ended = await resolve(deployment, way)
    assert (ended.code, ended.json) == (0, {"items": ITEMS}), ended.err
    assert f"{ITEMS} items in doubt since" in ended.err
    assert SAID[way] in ended.err
    await deployment.control("PUT", "faults", json=[])
    for replica in deployment.replicas:
        replica.thaw()
    verdict = await deployment.conclusion()
    assert verdict.complete, str(verdict)
    nothing = await resolve(deployment, way)
    assert (nothing.code, nothing.out) == (1, "")
    return verdict


async def test_resolve_by_adopting(deploy: Deploy) -> None:
    """What Toloka has is adopted once it lists again; until then the command says that it cannot."""
    deployment = await in_doubt(deploy)
    blind = await resolve(deployment, "adopt")
    assert blind.code == 69, blind.err
    # Else the daemon itself would be the first to see what is listed.
    deployment.replicas[0].freeze()
    await deployment.control("PUT", "faults", json=[])
    verdict = await resolved(deployment, "adopt")
    assert verdict.ok, str(verdict)
    assert (verdict.results, verdict.created) == (2 * ITEMS, 2 * ITEMS)


async def test_resolve_as_dead_letters(deploy: Deploy) -> None:
    """The whole batch becomes dead letters that say so, and the daemon goes on behind it."""
    deployment = await in_doubt(deploy)
    verdict = await resolved(deployment, "dead-letter")
    assert verdict.ok, str(verdict)
    assert (verdict.results, verdict.dead_letters) == (ITEMS, ITEMS)
    listed = await tolokad(deployment.environment, "dlq", "list", "--json")
    assert [row["code"] for row in listed.json] == ["RESOLVED_BY_OPERATOR"] * ITEMS
    audit = await tolokad(deployment.environment, "audit", "--toloka", "--json")
    assert len(audit.json["orphans"]) == ITEMS


async def test_resolve_by_sending_again(deploy: Deploy) -> None:
    """The whole batch is sent again, paid for twice as was said, and each record has one result."""
    deployment = await in_doubt(deploy)
    verdict = await resolved(deployment, "resubmit")
    wrong = {kind: count for kind, count in verdict.counts.items() if count}
    assert wrong == {"submitted_twice": ITEMS}, str(verdict)
    assert (verdict.results, verdict.created) == (2 * ITEMS, 3 * ITEMS)
