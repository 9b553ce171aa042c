"""Rows 44 to 53 of the conformance checklist: the order of a listing, and cursors in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.simulator.times import parse

if TYPE_CHECKING:
    from tests.simulator.bench import Bench


async def tied(toloka: Bench, count: int, text: str = "text") -> list[str]:
    """Create items that all finish in the same microsecond; return their ids in order of creation."""
    toloka.simulator.core.turn(finish_distribution="never")
    ids = await toloka.new(count, text)
    toloka.clock.move(1)
    return toloka.simulator.control.finish(ids=ids)


@pytest.mark.row(44)
@pytest.mark.parametrize("key", ["finished", "created", "id"])
async def test_direction(toloka: Bench, key: str) -> None:
    """A sort key ascends; with a minus it descends."""
    await toloka.finished(30)
    await toloka.finished(30, "later")
    name = {"finished": "finished_at", "created": "created_at", "id": "id"}[key]
    ascending = [item[name] for item in await toloka.content(f"sort={key}")]
    assert ascending == sorted(ascending, key=str if key == "id" else parse)
    assert [item[name] for item in await toloka.content(f"sort=-{key}")] == ascending[::-1]


@pytest.mark.row(45)
async def test_second_key(toloka: Bench) -> None:
    """The second key orders only what the first leaves equal."""
    early = await tied(toloka, 20)
    late = await tied(toloka, 20, "later")
    assert await toloka.ids("sort=finished,id") == sorted(early) + sorted(late)
    assert await toloka.ids("sort=finished,-id") == sorted(early)[::-1] + sorted(late)[::-1]
    assert await toloka.ids("sort=-finished,id") == sorted(late) + sorted(early)
    toloka.simulator.control.act(early[0], "status", "PROCESSING")
    by_status = await toloka.ids("sort=-status,created,id")
    assert by_status == [early[0], *sorted(early[1:]), *sorted(late)]


@pytest.mark.row(46)
@pytest.mark.parametrize("key", ["finished_at", "name", "-", "finished,none"])
async def test_unknown_key(toloka: Bench, key: str) -> None:
    """A key that listings do not sort by is a 400."""
    response = await toloka.ask(f"sort={key}")
    assert response.status_code == 400
    assert "sort" in response.json()["payload"]


@pytest.mark.row(47)
@pytest.mark.parametrize(
    "sort",
    ["finished", "-finished", "finished,id", "created,-id", "id", "-id", "status,id", "-status,created"],
)
async def test_cursor(toloka: Bench, sort: str) -> None:
    """after_id leaves what strictly follows in the order of the request."""
    await toloka.finished(20)
    await tied(toloka, 20, "tied")
    whole = await toloka.ids(f"sort={sort}")
    for at in (0, 19, 25, 39):
        assert await toloka.ids(f"sort={sort}&after_id={whole[at]}") == whole[at + 1 :]


@pytest.mark.row(48)
async def test_cursor_and_filters(toloka: Bench) -> None:
    """after_id and filters both apply, even where the filters exclude the cursor itself."""
    early = await tied(toloka, 10)
    late = await tied(toloka, 10, "later")
    time = (await toloka.item(late[0]))["finished_at"]
    query = f"sort=finished,id&finished_gte={time}"
    assert await toloka.ids(f"{query}&after_id={early[0]}") == sorted(late)
    assert await toloka.ids(f"{query}&after_id={sorted(late)[3]}") == sorted(late)[4:]
    assert await toloka.ids(f"{query}&status=ERROR&after_id={early[0]}") == []
    toloka.simulator.core.turn(filtered_cursor="unknown")
    assert (await toloka.ask(f"{query}&after_id={early[0]}")).status_code == 404


@pytest.mark.row(49)
@pytest.mark.parametrize("sort", ["finished", "-finished,id", "created", "id", "status"])
async def test_paging(toloka: Bench, sort: str) -> None:
    """What stands still, paged by after_id, shows each item exactly once."""
    ids = await toloka.finished(60) + await tied(toloka, 60, "tied")
    assert sorted(await toloka.paged(f"sort={sort}&limit=7")) == sorted(ids)


@pytest.mark.row(50)
async def test_later_ends(toloka: Bench) -> None:
    """What finishes later follows an old cursor."""
    early = await toloka.finished(10)
    cursor = (await toloka.ids("sort=finished,id"))[-1]
    assert cursor in early
    assert await toloka.ids(f"sort=finished,id&after_id={cursor}") == []
    late = await toloka.finished(10, "later")
    assert sorted(await toloka.ids(f"sort=finished,id&after_id={cursor}")) == sorted(late)


@pytest.mark.row(51)
async def test_ties(toloka: Bench) -> None:
    """Ties come by id or in order of creation, always; or, by a knob, in another order each time."""
    ids = await tied(toloka, 50)
    assert await toloka.ids("sort=finished") == sorted(ids)
    toloka.simulator.core.turn(tie_order="insertion")
    assert await toloka.ids("sort=finished") == ids
    assert await toloka.ids(f"sort=finished&after_id={ids[9]}") == ids[10:]
    toloka.simulator.core.turn(tie_order="random")
    first, second = await toloka.ids("sort=finished"), await toloka.ids("sort=finished")
    assert first != second
    assert sorted(first) == sorted(second) == sorted(ids)
    assert await toloka.ids("sort=finished,id") == sorted(ids)


@pytest.mark.row(47, 51)
async def test_cursor_that_compares_time_only(toloka: Bench) -> None:
    """By a knob a cursor skips the rest of its tie."""
    ids = await tied(toloka, 20)
    later = await tied(toloka, 5, "later")
    toloka.simulator.core.turn(cursor_compare="time")
    assert await toloka.ids(f"sort=finished,id&after_id={sorted(ids)[3]}") == sorted(later)


@pytest.mark.row(52)
@pytest.mark.parametrize(("knob", "status"), [(404, 404), (400, 400)])
async def test_unknown_cursor(toloka: Bench, knob: int, status: int) -> None:
    """A cursor that never was, or was deleted or archived, is a 404 or, by a knob, a 400.

    By a knob an archived item is listed where its status is asked for, or always.
    """
    deleted, archived, kept = await tied(toloka, 3)
    toloka.simulator.control.act(deleted, "delete")
    toloka.simulator.control.act(archived, "archive")
    toloka.simulator.core.turn(unknown_cursor=knob)
    for cursor in ("none", deleted, archived):
        assert (await toloka.ask(f"sort=finished&after_id={cursor}")).status_code == status
    assert await toloka.ids("sort=finished") == [kept]
    assert (await toloka.item(archived))["status"] == "ARCHIVE"
    toloka.simulator.core.turn(archived_items="asked")
    assert await toloka.ids("sort=finished") == [kept]
    assert await toloka.ids("sort=finished&status=ARCHIVE") == [archived]
    toloka.simulator.core.turn(archived_items="listed")
    assert sorted(await toloka.ids("sort=finished")) == sorted([archived, kept])


@pytest.mark.row(53)
async def test_finished_filters(toloka: Bench) -> None:
    """finished_gt and finished_lt are strict, finished_gte and finished_lte are not, to the microsecond."""
    ids = await tied(toloka, 2)
    toloka.clock.move(0.000001)
    later = toloka.simulator.control.finish(ids=await toloka.new(1, "later"))
    time = (await toloka.item(ids[0]))["finished_at"]
    assert await toloka.ids(f"finished_gt={time}") == later
    assert sorted(await toloka.ids(f"finished_gte={time}")) == sorted(ids + later)
    assert sorted(await toloka.ids(f"finished_lte={time}")) == sorted(ids)
    assert await toloka.ids(f"finished_lt={time}") == []
    assert await toloka.ids(f"finished_gte={time}Z&finished_gt={time}") == later


@pytest.mark.row(53)
async def test_id_filters(toloka: Bench) -> None:
    """Id filters compare by code point."""
    ids = sorted(await toloka.new(10))
    assert await toloka.ids(f"sort=id&id_gt={ids[3]}&id_lte={ids[6]}") == ids[4:7]
    assert await toloka.ids(f"sort=-id&id_gte={ids[3]}&id_lt={ids[6]}") == ids[3:6][::-1]


@pytest.mark.row(46)
async def test_unknown_filter(toloka: Bench) -> None:
    """A filter that listings do not have is a 400 or, by a knob, ignored."""
    assert (await toloka.ask("finished_at_gte=2020-01-01")).status_code == 400
    toloka.simulator.core.turn(unknown_parameters="ignored")
    assert (await toloka.ask("finished_at_gte=2020-01-01")).status_code == 200


@pytest.mark.row(49)
@pytest.mark.parametrize("place", ["excluded", "last", "first"])
async def test_unfinished_under_sort_by_end(toloka: Bench, place: str) -> None:
    """A knob says whether unfinished items come last, first or not at all."""
    done = sorted(await tied(toloka, 5))
    new = sorted(await toloka.new(5, "new"))
    toloka.simulator.core.turn(null_finished=place)
    expected = {"excluded": done, "last": done + new, "first": new + done}[place]
    assert await toloka.ids("sort=finished,id") == expected
    assert await toloka.paged("sort=finished,id&limit=3") == expected
    assert (await toloka.ask(f"sort=finished&after_id={new[0]}")).is_success == (place != "excluded")
