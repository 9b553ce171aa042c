"""Rows 33 to 43 and 54 to 59 of the conformance checklist: items, and which of them a listing shows."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from tests.simulator import listing
from tests.simulator.bench import Bench
from tests.simulator.times import parse, render
from tests.simulator.world import IMAGE_PROJECT, MODERATION_PROJECT

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?"


@pytest.mark.row(33)
async def test_no_batch_id(toloka: Bench) -> None:
    """A streaming item has no batch_id."""
    await toloka.finished(1)
    assert "batch_id" not in (await toloka.content())[0]


@pytest.mark.row(34)
async def test_order_of_times(toloka: Bench) -> None:
    """created_at ≤ started_at ≤ finished_at."""
    await toloka.finished(100)
    content = await toloka.content()
    assert content
    for item in content:
        assert parse(item["created_at"]) <= parse(item["started_at"]) <= parse(item["finished_at"])


@pytest.mark.row(35)
async def test_output_data(toloka: Bench) -> None:
    """A completed item has the outputs that output_spec requires, beside the input's fields but its id."""
    await toloka.bulk({"id": "1", "text": "a"})
    toloka.clock.move(10)
    output = (await toloka.content())[0]["output_data"]
    assert output["result"] in (["OK"], ["BAD"])
    assert 0 <= output["confidence"] <= 1
    assert output["text"] == "a"
    assert "id" not in output


@pytest.mark.row(36)
async def test_unfinished(toloka: Bench) -> None:
    """An unfinished item has no finished_at, and no outputs."""
    toloka.simulator.core.turn(finish_distribution="never")
    await toloka.finished(1)
    item = (await toloka.content())[0]
    assert item["status"] == "PROCESSING"
    assert "finished_at" not in item
    assert item["output_data"] == {}


@pytest.mark.row(37)
async def test_spelling_of_times(toloka: Bench) -> None:
    """Times have no zone and at most six fraction digits, created_at three."""
    await toloka.finished(50)
    content = await toloka.content()
    assert content
    for item in content:
        for name in ("created_at", "started_at", "finished_at"):
            assert re.fullmatch(TIME, item[name])
        assert item["created_at"].endswith(".25")


@pytest.mark.row(37)
@pytest.mark.parametrize(
    ("digits", "drop_zeros", "zone", "text"),
    [
        (6, True, "", "2021-10-03T11:24:46.8182"),
        (6, False, "Z", "2021-10-03T11:24:46.818200Z"),
        (5, False, "", "2021-10-03T11:24:46.81820"),
        (3, True, "Z", "2021-10-03T11:24:46.818Z"),
        (0, True, "", "2021-10-03T11:24:46"),
    ],
)
def test_rendering(digits: int, zone: str, text: str, *, drop_zeros: bool) -> None:
    """Knobs set the fraction digits, their trailing zeros, and a zone."""
    moment = datetime(2021, 10, 3, 11, 24, 46, 818200, tzinfo=UTC)
    time_us = parse(moment.isoformat())
    assert render(time_us, digits, drop_zeros=drop_zeros, zone=zone) == text


@pytest.mark.row(38)
async def test_item_equals_its_entry(toloka: Bench) -> None:
    """An item read by id equals its entry in a listing."""
    await toloka.finished(5)
    toloka.simulator.core.turn(finish_distribution="never")
    await toloka.new(5, "unfinished")
    content = await toloka.content()
    assert len(content) == 10
    for entry in content:
        assert await toloka.item(entry["id"]) == entry


@pytest.mark.row(39)
async def test_item_of_another_project(toloka: Bench) -> None:
    """An item is found under its own project only."""
    item_id = (await toloka.new(1))[0]
    response = await toloka.http.get(f"app-projects/{IMAGE_PROJECT}/items/{item_id}")
    assert response.status_code == 404


@pytest.mark.row(40)
async def test_listing(toloka: Bench) -> None:
    """A listing is an object of content and has_more."""
    assert (await toloka.ask()).json() == {"content": [], "has_more": False}
    ids = await toloka.new(2)
    body = (await toloka.ask()).json()
    assert {item["id"] for item in body["content"]} == set(ids)
    assert body["has_more"] is False


@pytest.mark.row(41)
async def test_default_limit(toloka: Bench) -> None:
    """Without a limit at most 100 items are listed."""
    await toloka.new(150)
    assert len(await toloka.content()) == 100


@pytest.mark.row(42)
async def test_limit(toloka: Bench) -> None:
    """limit=1000 is honoured; 1001 is a 400 or, by a knob, the same as 1000; 0 and text are a 400."""
    await toloka.new(1100)
    assert len(await toloka.content("limit=1000")) == 1000
    for bad, code in (
        ("1001", "VALUE_GREATER_THAN_MAX"),
        ("0", "VALUE_LESS_THAN_MIN"),
        ("a", "INTEGER_EXPECTED"),
    ):
        response = await toloka.ask(f"limit={bad}")
        assert response.status_code == 400
        assert response.json()["payload"]["limit"]["code"] == code
    toloka.simulator.core.turn(over_limit="clamped")
    assert len(await toloka.content("limit=1001")) == 1000


@pytest.mark.row(43)
async def test_has_more(toloka: Bench) -> None:
    """has_more is true if the limit cut something off, and false for exactly as many."""
    await toloka.new(10)
    for limit, more in ((9, True), (10, False), (11, False)):
        assert (await toloka.ask(f"limit={limit}")).json()["has_more"] is more


@pytest.mark.row(54)
@pytest.mark.parametrize("few", [0, listing.FEW])
@pytest.mark.parametrize("bound", ["gt", "gte", "lt", "lte"])
async def test_unfinished_match_no_finished_filter(
    toloka: Bench, bound: str, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items without finished_at match no filter on it, whichever index is walked."""
    await toloka.finished(3, "finished")
    monkeypatch.setattr(listing, "FEW", few)
    toloka.simulator.core.turn(finish_distribution="never")
    await toloka.new(3)
    time = "2000-01-01" if bound.startswith("g") else "2100-01-01"
    assert {item["status"] for item in await toloka.content(f"finished_{bound}={time}")} == {"COMPLETED"}
    assert len(await toloka.content(f"created_{bound}={time}")) == 6


@pytest.mark.row(55)
async def test_bare_date(toloka: Bench) -> None:
    """A bare date is 00:00 UTC of that day."""
    midnight = datetime(2023, 11, 15, tzinfo=UTC).timestamp()
    toloka.clock.seconds = midnight
    at_midnight = await toloka.new(1)
    toloka.clock.move(-0.001)
    before = await toloka.new(1, "before")
    assert await toloka.ids("created_gte=2023-11-15") == at_midnight
    assert await toloka.ids("created_gt=2023-11-15") == []
    assert await toloka.ids("created_lt=2023-11-15") == before
    assert (await toloka.ask("created_lt=yesterday")).status_code == 400


@pytest.mark.row(56)
async def test_percent_encoding(toloka: Bench) -> None:
    """Percent-encoded colons and commas are decoded."""
    ids = await toloka.finished(1)
    encoded = "finished_gte=2021-10-03T11%3A24%3A46.818213&sort=finished%2C-id&created_gte=2021-10-03T11:24"
    assert await toloka.ids(encoded) == ids


@pytest.mark.row(57)
async def test_status_filter(toloka: Bench) -> None:
    """status=COMPLETED lists only these; a list of statuses is their union or, by a knob, a 400."""
    done = await toloka.finished(3)
    new = await toloka.new(2, "new")
    assert sorted(await toloka.ids("status=COMPLETED")) == sorted(done)
    assert sorted(await toloka.ids("status=NEW,COMPLETED")) == sorted(done + new)
    assert (await toloka.ask("status=DONE")).status_code == 400
    toloka.simulator.core.turn(status_list="rejected")
    assert (await toloka.ask("status=NEW,COMPLETED")).status_code == 400


@pytest.mark.row(58)
async def test_late_end(toloka: Bench) -> None:
    """An end that is visible late shows a truthful finished_at; reading by id is late only by a knob."""
    toloka.simulator.core.turn(late_share=1.0, late_seconds=60.0)
    item_id = (await toloka.finished(1))[0]
    assert await toloka.ids("sort=finished") == []
    assert [item["status"] for item in await toloka.content()] == ["PROCESSING"]
    assert (await toloka.item(item_id))["status"] == "COMPLETED"
    toloka.simulator.core.turn(late_by_id=True)
    assert (await toloka.item(item_id))["status"] == "PROCESSING"
    toloka.clock.move(60)
    late = (await toloka.content("sort=finished"))[0]
    assert parse(late["finished_at"]) < (toloka.clock.seconds - 60) * 1_000_000


@pytest.mark.row(58)
async def test_late_creation(toloka: Bench) -> None:
    """A new item that is visible late is in no listing at first."""
    toloka.simulator.core.turn(late_created_share=1.0, late_created_seconds=60.0)
    ids = await toloka.finished(1)
    assert await toloka.ids() == await toloka.ids("sort=finished") == []
    toloka.clock.move(60)
    assert await toloka.ids() == await toloka.ids("sort=finished") == ids


@pytest.mark.row(59)
async def test_listing_by_post(toloka: Bench) -> None:
    """A POST without a body, as one page of the documentation has it, never lists."""
    await toloka.finished(1)
    response = await toloka.http.post(f"app-projects/{MODERATION_PROJECT}/items?sort=finished")
    assert response.status_code in {400, 415}
