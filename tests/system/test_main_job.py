"""The main job: what goes in comes out once, or says why it does not."""

import json
from collections import Counter

from tests.kafka.clients import read_topic
from tests.system.conftest import Deploy
from tests.system.feed import ENVELOPES, MARKERS, sources, with_own_id, with_repeated_id, without_id

ITEMS = 3_000


async def test_every_record_has_one_outcome(deploy: Deploy) -> None:
    """Two replicas, every kind of record: one result or dead letter each, none paid for twice."""
    deployment = await deploy(*MARKERS)
    for _ in range(2):
        await deployment.started()
    await deployment.feed(sources(ITEMS, seed=1))
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert verdict.complete, str(verdict)
    assert verdict.results + verdict.dead_letters + verdict.skipped == ITEMS


async def test_key_headers_and_origin(deploy: Deploy) -> None:
    """Ids unique, repeated or absent, and Toloka's ids in any order: each result is tied to its record."""
    kinds = (with_own_id, with_repeated_id, without_id)
    deployment = await deploy("--id-order", "shuffled", partitions=len(kinds))
    apart = [list(sources(200, seed=2, kinds=((kind, 1),))) for kind in kinds]
    fed = [source for row in zip(*apart, strict=True) for source in row]
    await deployment.started()
    await deployment.feed(fed)
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    found = {}
    for record in await read_topic(
        deployment.kafka.bootstrap_servers, deployment.topic("results"), partitions=3
    ):
        value = json.loads(record.value)
        origin = value["origin"]
        source = fed[origin["offset"] * len(kinds) + origin["partition"]]
        found[origin["partition"], origin["offset"]] = value["item"]
        assert origin["topic"] == deployment.topic("items")
        assert record.key == source.key
        assert tuple(record.headers[:-2]) == tuple(source.headers)
        assert dict(record.headers)["toloka-item-id"].decode() == value["item"]["id"]
        asked = json.loads(source.value or b"")
        assert value["item"]["input_data"]["text"] == asked["text"]
        own = f"{origin['topic']}-{origin['partition']}-{origin['offset']}"
        assert value["item"]["input_data"]["id"] == (asked.get("id") or own)
    assert len(found) == len(fed)
    assert len({item["id"] for item in found.values()}) == len(fed)


async def test_items_in_envelopes(deploy: Deploy) -> None:
    """ITEM_POINTER: the item inside a record is sent alone, and a dead letter is the whole record."""
    deployment = await deploy(*MARKERS, SUBMIT__ITEM_POINTER="/payload/it~1em")
    await deployment.started()
    fed = list(sources(200, seed=3, kinds=ENVELOPES))
    await deployment.feed(fed)
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert verdict.complete, str(verdict)
    servers = deployment.kafka.bootstrap_servers
    letters = await read_topic(servers, deployment.topic("dead-letters"), partitions=4)
    codes = Counter(dict(record.headers)["tolokad-error-code"] for record in letters)
    assert set(codes) == {b"VALUE_NOT_ALLOWED", b"POINTER_MISSES", b"NOT_AN_OBJECT"}
    values = Counter(source.value for source in fed)
    assert all(values[record.value] for record in letters)
    assert verdict.results == len(fed) - len(letters) > len(letters) > 0
