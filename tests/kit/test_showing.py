"""`tolokad ledger show` and `tolokad cursor show` on topics with a few records."""

from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from daemon.flows.records import codec
from daemon.model import Append, Cursor
from tests.kafka.fixtures import Cluster
from tests.kit.commands import Ended, tolokad
from tests.kit.planting import CREDENTIAL, SUBMITTED, Plot, submit
from tests.simulator.serving import spawn
from tests.simulator.world import MODERATION_PROJECT


@pytest.fixture
async def plot(kafka: Cluster) -> Plot:
    """Topics of their own; Toloka is away, for nobody needs it."""
    plot = Plot(kafka.bootstrap_servers, "http://127.0.0.1:9")
    await plot.lay_out()
    return plot


async def test_ledger_show(plot: Plot) -> None:
    """The open items are listed with their origins and ages, all of them, the oldest few, or one."""
    first, second, closed = plot.sources([b'{"text":"a"}', b'{"text":"b"}', b'{"text":"c"}'])
    await plot.write(plot.opened([first, second, closed]))
    await plot.write([Append(plot.topic("ledger"), closed.partition, b"open-0-1", None)])
    shown = (await tolokad(plot.environment, "ledger", "show", "--json")).json
    assert set(shown) == {"open", "items"}
    assert shown["open"] == 2
    item = shown["items"][0]
    assert set(item) == {"item_id", "origin", "submitted_at", "age_seconds"}
    assert (item["item_id"], item["submitted_at"]) == ("open-0-0", codec.iso(SUBMITTED))
    assert item["origin"] == {**first.place, "timestamp": first.timestamp}
    oldest = await tolokad(plot.environment, "ledger", "show", "--oldest", "1")
    assert oldest.out.splitlines()[0] == "open items: 2"
    assert oldest.out.splitlines()[-1] == "and 1 more"
    one = await tolokad(plot.environment, "ledger", "show", "--item", "open-1-0", "--json")
    assert one.json["origin"]["partition"] == second.partition
    unknown = await tolokad(plot.environment, "ledger", "show", "--item", "open-0-1", "--json")
    assert (unknown.code, unknown.out) == (1, "")


async def test_ledger_show_of_one(kafka: Cluster) -> None:
    """What is open is found by its record's place or key, or partition; Toloka is asked for its status."""
    with spawn("--credentials", CREDENTIAL) as toloka:
        plot = Plot(kafka.bootstrap_servers, toloka)
        await plot.lay_out()
        first, second, third = plot.sources([b'{"text":"a"}', b'{"text":"b"}', b'{"text":"c"}'])
        item_id = await submit(toloka, {"text": "b"})
        keyed = [replace(first, key=b"user-1"), replace(third, key=b"user-1")]
        await plot.write(plot.opened(keyed))
        (entry,) = plot.opened([second])
        await plot.write([msgspec.structs.replace(entry, key=item_id.encode())])

        async def shown(*arguments: str) -> Ended:
            return await tolokad(plot.environment, "ledger", "show", *arguments, "--json")

        one = (await shown("--offset", "1:0", "--toloka")).json
        assert (one["item_id"], one["origin"]["offset"]) == (item_id, 0)
        assert one["status"] in {"NEW", "PROCESSING", "COMPLETED"}
        by_key = (await shown("--key", "user-1", "--toloka")).json
        assert by_key["open"] == 3
        assert [item["item_id"] for item in by_key["items"]] == ["open-0-0", "open-0-1"]
        assert {item["status"] for item in by_key["items"]} == {"UNKNOWN"}
        there = (await shown("--partition", "1")).json
        assert [item["item_id"] for item in there["items"]] == [item_id]
        assert (await shown("--partition", "2")).json["items"] == []
        for arguments in (("--offset", "0:7"), ("--key", "nobody")):
            unknown = await shown(*arguments)
            assert (unknown.code, unknown.out) == (1, "")
            assert "nothing is open of the" in unknown.err
        both = await tolokad(plot.environment, "ledger", "show", "--key", "a", "--item", "b")
        assert both.code == 64


async def test_cursor_show(plot: Plot) -> None:
    """The bookmark is shown once there is one; before, the exit code is 1."""
    none = await tolokad(plot.environment, "cursor", "show", "--json")
    assert (none.code, none.out) == (1, "")
    assert "nothing was collected" in none.err
    moment = datetime(2026, 11, 24, 16, tzinfo=UTC)
    value = codec.cursor_value(Cursor("some-id", moment, 12))
    await plot.write([Append(plot.topic("cursors"), 0, MODERATION_PROJECT.encode(), value)])
    shown = await tolokad(plot.environment, "cursor", "show", "--json")
    assert shown.json == {"item_id": "some-id", "finished_at": "2026-11-24T16:00:00Z", "published": 12}


async def test_a_missing_topic_is_named(plot: Plot) -> None:
    """A command that finds a topic missing says which, and ends as a start would."""
    environment = {**plot.environment, "TOLOKAD_KAFKA__OUTPUT_TOPIC": f"{plot.group}.nowhere"}
    ended = await tolokad(environment, "audit", "--json")
    assert ended.code == 78
    assert f"TOLOKAD_KAFKA__OUTPUT_TOPIC: the topic {plot.group}.nowhere does not exist" in ended.err
