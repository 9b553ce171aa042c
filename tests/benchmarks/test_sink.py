"""The benchmarks' Toloka shows what it was given, as the daemon asks for it."""

import msgspec
import pytest

from tests.benchmarks.sink import Shelf


def listed(shelf: Shelf, **query: str) -> list[str]:
    """The texts of what a listing shows."""
    page = msgspec.json.decode(shelf.page(query))
    return [item["input_data"]["text"] for item in page["content"]]


def filled(work_seconds: float = 0.0) -> Shelf:
    """A shelf that has taken four items in two requests."""
    shelf = Shelf(work_seconds, per_second=0.0)
    assert msgspec.json.decode(shelf.take(b'{"items":[{"text":"a"},{"text":"b"}]}')) == [
        "0" * 16,
        f"{1:016x}",
    ]
    shelf.take(b'{"items":[{"text":"c"},{"text":"d"}]}')
    return shelf


def test_pages_follow_one_another() -> None:
    """Behind the cursor, as many at a time as were asked for, and whether there is more."""
    shelf = filled()
    assert listed(shelf, sort="finished,id", limit="3") == ["a", "b", "c"]
    assert listed(shelf, sort="finished,id", after_id=f"{2:016x}") == ["d"]
    assert msgspec.json.decode(shelf.page({"sort": "id", "limit": "3"}))["has_more"] is True
    assert msgspec.json.decode(shelf.page({"sort": "id", "limit": "4"}))["has_more"] is False


def test_what_is_being_worked_on_has_not_finished() -> None:
    """A listing by the time of finishing does not show it, one by id does."""
    shelf = filled(work_seconds=3600)
    assert listed(shelf, sort="finished,id") == []
    assert listed(shelf, sort="id") == ["a", "b", "c", "d"]


@pytest.mark.parametrize("name", ["finished", "created"])
def test_listings_by_time(name: str) -> None:
    """Both ends are included."""
    shelf = filled()
    shelf.created[:] = shelf.finished[:] = type(shelf.created)("d", [0.0, 1.0, 2.0, 3.0])
    span = {f"{name}_gte": "1970-01-01T00:00:01", f"{name}_lte": "1970-01-01T00:00:02"}
    assert listed(shelf, sort=name, **span) == ["b", "c"]


def test_items_finish_at_a_rate() -> None:
    """Where there is one, and never before they were worked on."""
    shelf = Shelf(10.0, per_second=4.0)
    shelf.take(b'{"items":[{},{},{}]}')
    shelf.take(b'{"items":[{}]}')
    assert shelf.finished[0] == pytest.approx(shelf.created[0] + 10)
    assert [end - shelf.finished[0] for end in shelf.finished] == pytest.approx([0, 0.25, 0.5, 0.75])
