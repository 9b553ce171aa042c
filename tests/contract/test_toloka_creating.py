"""Rows 16 to 32 of the conformance checklist: creating items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.simulator.world import FORM_PROJECT, IMAGE_PROJECT, MODERATION_PROJECT

if TYPE_CHECKING:
    from tests.simulator.bench import Bench

BATCHES = f"app-projects/{MODERATION_PROJECT}/batches"


async def new_batch(toloka: Bench, **body: Any) -> str:
    """Create a batch; return its id."""
    response = await toloka.http.post(BATCHES, json={"name": "batch", **body})
    assert response.status_code == 200, response.text
    return str(response.json()["id"])


async def batch_of(toloka: Bench, batch_id: str) -> dict[str, Any]:
    """Return a batch's JSON."""
    body: dict[str, Any] = (await toloka.http.get(f"{BATCHES}/{batch_id}")).json()
    return body


@pytest.mark.row(16)
async def test_bulk(toloka: Bench) -> None:
    """A bulk of n items, even the most allowed, answers with a bare array of n distinct ids."""
    ids = await toloka.new(10_000)
    assert len(set(ids)) == 10_000
    assert all(isinstance(each, str) and len(each) == 20 and each.isalnum() for each in ids)


@pytest.mark.row(17, 22)
async def test_too_many_items(toloka: Bench) -> None:
    """A bulk of 10,001 items is a 413, and nothing is created."""
    response = await toloka.bulk(*({"text": "a"} for _ in range(10_001)))
    assert response.status_code == 413
    assert response.json()["code"] == "ENTITY_TOO_LARGE"
    assert not toloka.simulator.core.record


@pytest.mark.row(18)
async def test_too_many_items_one_invalid(toloka: Bench) -> None:
    """Too many items is said before anything is said of a bad one."""
    response = await toloka.bulk({}, *({"text": "a"} for _ in range(10_000)))
    assert response.status_code == 413


@pytest.mark.row(19)
async def test_missing_field(toloka: Bench) -> None:
    """A missing or null required field is named by index and field."""
    response = await toloka.bulk({"text": "a"}, {"id": "1"}, {"text": None})
    assert response.status_code == 400
    body = response.json()
    assert (body["code"], body["message"]) == ("VALIDATION_ERROR", "Validation failed")
    assert {name: error["code"] for name, error in body["payload"].items()} == {
        "input_data.1.text": "VALUE_REQUIRED",
        "input_data.2.text": "VALUE_REQUIRED",
    }


@pytest.mark.row(20)
@pytest.mark.parametrize("url", ["no url", "ftp://a/b", "https://", "https://a b/", "http://[1/"])
async def test_malformed_url(toloka: Bench, url: str) -> None:
    """A url field that is none is INVALID_URL_SYNTAX."""
    good = {"image_url": "https://example.com/1.jpg"}
    response = await toloka.bulk(good, {"image_url": url}, project=IMAGE_PROJECT)
    assert response.status_code == 400
    assert response.json()["payload"]["input_data.1.image_url"]["code"] == "INVALID_URL_SYNTAX"


FORM = {"name": "Kate", "age": 30}


@pytest.mark.row(21, 22)
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": ""}, "STRING_LENGTH_LESS_THAN_MIN"),
        ({"name": "n" * 65}, "STRING_LENGTH_GREATER_THAN_MAX"),
        ({"age": -1}, "VALUE_LESS_THAN_MIN"),
        ({"age": 151}, "VALUE_GREATER_THAN_MAX"),
        ({"age": 1.5}, "INTEGER_EXPECTED"),
        ({"age": True}, "INTEGER_EXPECTED"),
        ({"score": "high"}, "FLOAT_EXPECTED"),
        ({"score": 1.1}, "VALUE_GREATER_THAN_MAX"),
        ({"adult": 1}, "BOOLEAN_EXPECTED"),
        ({"colour": "pink"}, "VALUE_NOT_ALLOWED"),
        ({"level": 4}, "VALUE_NOT_ALLOWED"),
        ({"tags": "a"}, "ARRAY_EXPECTED"),
        ({"tags": []}, "ARRAY_SIZE_LESS_THAN_MIN"),
        ({"tags": ["a", "b", "c", "d"]}, "ARRAY_SIZE_GREATER_THAN_MAX"),
        ({"tags": ["a", 1]}, "STRING_EXPECTED"),
        ({"links": ["https://example.com", "none"]}, "INVALID_URL_SYNTAX"),
        ({"place": "55.75"}, "INVALID_COORDINATES_SYNTAX"),
        ({"place": "95,0"}, "INVALID_COORDINATES_SYNTAX"),
        ({"place": 5}, "STRING_EXPECTED"),
    ],
)
async def test_several_bad_items(toloka: Bench, change: dict[str, Any], code: str) -> None:
    """All bad items are named in one answer, by what the app's input_spec says, and none is created."""
    response = await toloka.bulk(FORM | change, FORM, "text", {"age": 1}, project=FORM_PROJECT)
    assert response.status_code == 400
    codes = {name: error["code"] for name, error in response.json()["payload"].items()}
    field = next(iter(change))
    expected = {f"input_data.0.{field}": code, "input_data.2": "OBJECT_EXPECTED"}
    assert codes == expected | {"input_data.3.name": "VALUE_REQUIRED"}
    assert not toloka.simulator.core.record


@pytest.mark.row(16)
async def test_every_type_of_field(toloka: Bench) -> None:
    """An item that keeps to its input_spec in every field is taken, and comes back as it was sent."""
    item = FORM | {
        "id": "1",
        "score": 1,
        "adult": False,
        "colour": "red",
        "level": 2,
        "tags": ["a", "b"],
        "links": ["https://example.com/?q=é"],
        "meta": {"deep": [1, None, {"e": 2.5}]},
        "place": "55.75,-37.61",
        "secret": "s",
    }
    response = await toloka.bulk(item, project=FORM_PROJECT)
    assert response.status_code == 200
    assert (await toloka.item(response.json()[0], FORM_PROJECT))["input_data"] == item


@pytest.mark.row(23)
async def test_ignore_errors(toloka: Bench) -> None:
    """With ignore_errors and a batch the valid items are created; the batch tells of the others."""
    batch_id = await new_batch(toloka)
    response = await toloka.bulk({"text": "a"}, {"id": "1"}, batch_id=batch_id, ignore_errors=True)
    assert response.status_code == 200
    assert [item.id for item in toloka.simulator.core.record] == response.json()
    imported = (await batch_of(toloka, batch_id))["last_items_import"]
    assert (imported["records_count"], imported["records_skipped"]) == (2, 1)
    assert imported["errors"]["input_data.1.text"]["code"] == "VALUE_REQUIRED"


@pytest.mark.row(24)
async def test_ignore_errors_without_batch(toloka: Bench) -> None:
    """ignore_errors without a batch is a 400."""
    response = await toloka.bulk({"text": "a"}, ignore_errors=True)
    assert response.status_code == 400
    assert "ignore_errors" in response.json()["payload"]


@pytest.mark.row(25)
@pytest.mark.parametrize("body", [{}, {"items": None}, {"items": {}}, {"items": []}])
async def test_no_items(toloka: Bench, body: dict[str, Any]) -> None:
    """A bulk without an array of items is a 400."""
    response = await toloka.http.post(f"app-projects/{MODERATION_PROJECT}/items/bulk", json=body)
    assert response.status_code == 400
    assert "items" in response.json()["payload"]


@pytest.mark.row(26)
async def test_unknown_batch(toloka: Bench) -> None:
    """An unknown batch is a 404, and nothing is created."""
    response = await toloka.bulk({"text": "a"}, batch_id="none")
    assert response.status_code == 404
    assert not toloka.simulator.core.record


@pytest.mark.row(27)
async def test_id_order(toloka: Bench) -> None:
    """The ids come in the order of the items, unless the knob shuffles them."""
    ids = await toloka.new(100)
    assert [(await toloka.item(each))["input_data"]["text"] for each in ids[:3]] == [
        "text 0",
        "text 1",
        "text 2",
    ]
    toloka.simulator.core.turn(id_order="shuffled")
    shuffled = await toloka.new(100, "other")
    created = [item.id for item in toloka.simulator.core.record[100:]]
    assert shuffled != created
    assert sorted(shuffled) == sorted(created)


@pytest.mark.row(28)
async def test_same_bulk_forced(toloka: Bench) -> None:
    """The same bulk twice with force_new_original makes twice the items, and all are labelled afresh."""
    first = await toloka.finished(50, force_new_original=True)
    second = await toloka.new(50, force_new_original=True)
    assert len({*first, *second}) == 100
    assert (await toloka.item(second[0]))["status"] == "NEW"
    toloka.clock.move(10)
    labels = [
        [(await toloka.item(each))["output_data"]["confidence"] for each in ids] for ids in (first, second)
    ]
    assert labels[0] != labels[1]


@pytest.mark.row(29)
async def test_same_bulk_deduplicated(toloka: Bench) -> None:
    """Without the flag the second bulk gets new ids, and completes at once from the first's labels."""
    first = await toloka.finished(3)
    second = await toloka.new(3)
    assert len({*first, *second}) == 6
    for one, other in zip(first, second, strict=True):
        twin = await toloka.item(other)
        assert twin["status"] == "COMPLETED"
        assert twin["output_data"] == (await toloka.item(one))["output_data"]


@pytest.mark.row(29)
@pytest.mark.parametrize(("mode", "status"), [("whole", "NEW"), ("without_id", "COMPLETED"), ("off", "NEW")])
async def test_what_is_a_duplicate(toloka: Bench, mode: str, status: str) -> None:
    """A knob says whether items that differ in their id only are duplicates."""
    toloka.simulator.core.turn(deduplication=mode)
    await toloka.bulk({"id": "1", "text": "a"})
    toloka.clock.move(10)
    other = (await toloka.bulk({"id": "2", "text": "a"})).json()[0]
    assert (await toloka.item(other))["status"] == status


@pytest.mark.row(30)
async def test_streaming(toloka: Bench) -> None:
    """Items without a batch leave NEW by themselves."""
    ids = await toloka.finished(3)
    assert {(await toloka.item(each))["status"] for each in ids} == {"COMPLETED"}


@pytest.mark.row(31)
async def test_batch_waits_for_start(toloka: Bench) -> None:
    """Items of a batch stay NEW until the batch is started."""
    batch_id = await new_batch(toloka, items=[{"text": "first"}])
    ids = await toloka.finished(2, batch_id=batch_id)
    assert {(await toloka.item(each))["status"] for each in ids} == {"NEW"}
    assert (await toloka.http.post(f"{BATCHES}/{batch_id}/start")).is_success
    toloka.clock.move(10)
    assert {item["status"] for item in await toloka.content(f"batch_id={batch_id}")} == {"COMPLETED"}
    assert (await batch_of(toloka, batch_id))["status"] == "COMPLETED"


@pytest.mark.row(31)
async def test_batch_stops_and_resumes(toloka: Bench) -> None:
    """A batch that was stopped holds its items until it is resumed; a wrong action is a 409."""
    batch_id = await new_batch(toloka, items=[{"text": "a"}], priority_order="ONE")
    assert (await toloka.http.post(f"{BATCHES}/{batch_id}/resume")).status_code == 409
    for action, status in (("start", "NEW"), ("stop", "STOPPED"), ("resume", "PROCESSING")):
        assert (await toloka.http.post(f"{BATCHES}/{batch_id}/{action}")).is_success
        assert [item["status"] for item in await toloka.content()] == [status]
    toloka.clock.move(10)
    renamed = await toloka.http.patch(f"{BATCHES}/{batch_id}", json={"name": "other"})
    assert (renamed.json()["name"], renamed.json()["status"]) == ("other", "COMPLETED")
    assert (await toloka.http.post(f"{BATCHES}/{batch_id}/archive")).is_success
    assert (await toloka.http.get(BATCHES)).json()["content"][0]["status"] == "ARCHIVE"


@pytest.mark.row(32)
async def test_single_item(toloka: Bench) -> None:
    """POST …/items answers with the new item; a bad one is named by its field."""
    path = f"app-projects/{MODERATION_PROJECT}/items"
    item = (await toloka.http.post(path, json={"input_data": {"id": "1", "text": "a"}})).json()
    assert item["status"] == "NEW"
    assert item["input_data"] == {"id": "1", "text": "a"}
    assert (item["output_data"], item["errors"]) == ({}, [])
    bad = await toloka.http.post(path, json={"input_data": {"id": "1"}})
    assert bad.json()["payload"]["input_data.text"]["code"] == "VALUE_REQUIRED"
