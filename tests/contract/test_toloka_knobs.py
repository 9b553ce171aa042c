"""What the documentation does not settle: each knob does what its line of --help says."""

from __future__ import annotations

from collections import Counter
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.simulator.knobs import Knobs, patched
from tests.simulator.times import parse
from tests.simulator.world import MODERATION_PROJECT

if TYPE_CHECKING:
    import httpx

    from tests.simulator.bench import Bench


async def statuses(toloka: Bench, query: str = "limit=1000") -> Counter[str]:
    """Return how many items a listing shows in each status."""
    return Counter(item["status"] for item in await toloka.content(query))


async def test_ends(toloka: Bench) -> None:
    """Shares of the items end in ERROR, with an error, or in CANCELLED; the others are completed."""
    toloka.simulator.core.turn(error_share=0.3, cancelled_share=0.3)
    await toloka.finished(300)
    seen = await statuses(toloka, "sort=finished&limit=1000")
    assert set(seen) == {"ERROR", "CANCELLED", "COMPLETED"}
    assert all(60 < count < 150 for count in seen.values())
    failed = (await toloka.content("status=ERROR"))[0]
    assert (failed["output_data"], len(failed["errors"])) == ({}, 1)


async def test_ends_without_time(toloka: Bench) -> None:
    """By a knob, ends other than COMPLETED have no finished_at and are not found by it."""
    toloka.simulator.core.turn(error_share=1.0, ends_carry_finished=False)
    await toloka.finished(3)
    assert await toloka.ids("sort=finished") == []
    content = await toloka.content("status=ERROR")
    assert content
    assert all("finished_at" not in item for item in content)


@pytest.mark.parametrize("status", ["NO_MONEY", "STOPPED"])
async def test_stalls(toloka: Bench, status: str) -> None:
    """Stalled items stay so, or, by a knob, are processed again and complete."""
    share = {f"{status.lower()}_share": 1.0}
    toloka.simulator.core.turn(**share)
    await toloka.finished(3)
    assert await statuses(toloka) == {status: 3}
    toloka.simulator.core.turn(return_seconds=30.0)
    await toloka.finished(3, "returning")
    assert await statuses(toloka) == {status: 6}
    toloka.clock.move(30)
    assert await statuses(toloka) == {status: 3, "COMPLETED": 3}


async def test_regression(toloka: Bench) -> None:
    """A completed item may go back to PROCESSING once, and finish again, later."""
    toloka.simulator.core.turn(
        regress_share=1.0, regress_seconds=60.0, finish_seconds_min=5, finish_seconds_max=5
    )
    item_id = (await toloka.finished(1))[0]
    first = await toloka.item(item_id)
    toloka.clock.move(56)
    assert (await toloka.item(item_id))["status"] == "PROCESSING"
    assert await toloka.ids("sort=finished") == []
    toloka.clock.move(500)
    second = await toloka.item(item_id)
    assert (first["status"], second["status"]) == ("COMPLETED", "COMPLETED")
    assert parse(first["finished_at"]) < parse(second["finished_at"])
    assert await toloka.ids("sort=finished") == [item_id]


async def test_exponential(toloka: Bench) -> None:
    """Processing times may be exponential: the average is as set, and some are far longer."""
    toloka.simulator.core.turn(finish_distribution="exponential", finish_seconds_min=1, finish_seconds_max=3)
    await toloka.new(1000)
    toloka.clock.move(1000)
    items = await toloka.content("limit=1000")
    seconds = [(parse(item["finished_at"]) - parse(item["started_at"])) / 1e6 for item in items]
    assert 2.5 < sum(seconds) / 1000 < 3.5
    assert min(seconds) >= 0.999
    assert max(seconds) > 8


async def test_coarse_times(toloka: Bench) -> None:
    """With no fraction digits all that finishes within a second is tied."""
    toloka.simulator.core.turn(finished_digits=0)
    await toloka.finished(50)
    assert len({item["finished_at"] for item in await toloka.content()}) == 1


async def test_hidden_precision(toloka: Bench) -> None:
    """By a knob items are sorted by digits that their times do not show."""
    toloka.simulator.core.turn(finished_digits=0, hidden_precision=True, tie_order="insertion")
    ids = await toloka.finished(50)
    items = await toloka.content("sort=finished")
    assert len({item["finished_at"] for item in items}) == 1
    assert [item["id"] for item in items] != ids


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("none", '{"text":" a ","n":1}'),
        ("reordered", '{"n":1,"text":" a "}'),
        ("numbers", '{"text":" a ","n":1.0}'),
        ("trimmed", '{"text":"a","n":1}'),
        ("extra_field", '{"text":" a ","n":1,"_source":"api"}'),
    ],
)
async def test_changed_input(toloka: Bench, mode: str, expected: str) -> None:
    """Answers may give back input_data that is not what was sent."""
    toloka.simulator.core.turn(changed_input=mode)
    await toloka.bulk({"text": " a ", "n": 1})
    assert f'"input_data":{expected}' in (await toloka.ask()).text


async def test_markers(toloka: Bench) -> None:
    """Items with a marker are refused, with or without naming the culprit; nothing is created."""
    toloka.simulator.core.turn(opaque_marker="POISON", named_marker="FORBIDDEN")
    opaque = await toloka.bulk({"text": "a"}, {"text": "a POISON b"})
    assert (opaque.status_code, "payload" in opaque.json()) == (400, False)
    named = await toloka.bulk({"text": "a"}, {"text": "FORBIDDEN"})
    assert list(named.json()["payload"]) == ["input_data.1.text"]
    assert not toloka.simulator.core.record


async def test_unknown_fields(toloka: Bench) -> None:
    """Fields that the input_spec does not have are taken or, by a knob, refused by name."""
    assert (await toloka.bulk({"text": "a", "more": 1})).is_success
    toloka.simulator.core.turn(unknown_fields="rejected")
    response = await toloka.bulk({"text": "a", "more": 1})
    assert response.json()["payload"]["input_data.0.more"]["code"] == "VALUE_NOT_ALLOWED"


async def test_status_and_size_of_bulk(toloka: Bench) -> None:
    """A bulk's success may be a 201; a body that is too large is a 413."""
    toloka.simulator.core.turn(bulk_status=201, max_body_bytes=1000)
    assert (await toloka.bulk({"text": "a"})).status_code == 201
    response = await toloka.bulk({"text": "a" * 1000})
    assert (response.status_code, response.json()["code"]) == (413, "ENTITY_TOO_LARGE")


def date_of(response: httpx.Response) -> float:
    """Return the Date header as unix seconds."""
    return parsedate_to_datetime(response.headers["Date"]).timestamp()


async def test_date(toloka: Bench) -> None:
    """Every answer has a Date by Toloka's clock, which a knob moves away from the items' times or omits."""
    seconds = int(toloka.clock.seconds)
    assert date_of(await toloka.ask()) == date_of(await toloka.http.get("nowhere")) == seconds
    toloka.simulator.core.turn(date_skew_seconds=-3600)
    assert date_of(await toloka.ask()) == seconds - 3600
    toloka.simulator.core.turn(date_skew_seconds=0, clock_skew_seconds=50)
    await toloka.new(1)
    assert (
        date_of(await toloka.ask())
        == parse((await toloka.content())[0]["created_at"]) // 10**6
        == seconds + 50
    )
    toloka.simulator.core.turn(date_header=False)
    assert "Date" not in (await toloka.ask()).headers


async def test_compression(toloka: Bench) -> None:
    """By a knob answers are compressed for clients that accept it."""
    toloka.simulator.core.turn(compress_answers=True)
    await toloka.new(2)
    packed = await toloka.ask()
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.json()["content"]) == 2
    plain = await toloka.http.get(
        f"app-projects/{MODERATION_PROJECT}/items", headers={"Accept-Encoding": "identity"}
    )
    assert "Content-Encoding" not in plain.headers


@pytest.mark.parametrize(
    "changes", [{"none": 1}, {"late_share": 2}, {"tie_order": "other"}, {"finished_digits": 7}]
)
def test_wrong_knobs(changes: dict[str, Any]) -> None:
    """A knob that does not exist, or a value that it cannot have, is an error."""
    with pytest.raises(ValueError, match=r"no such knob|Expected|Invalid"):
        patched(Knobs(), changes)
