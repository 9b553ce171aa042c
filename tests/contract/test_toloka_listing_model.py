"""Listings by index against listings by brute force."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.simulator import Knobs, Request, Toloka, listing
from tests.simulator.bench import CREDENTIAL, Clock
from tests.simulator.control import Control
from tests.simulator.times import render
from tests.simulator.world import MODERATION_PROJECT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.simulator.items import Item

ITEMS = f"/api/app/v0/app-projects/{MODERATION_PROJECT}/items"
HEADERS = {"Authorization": CREDENTIAL, "Content-Type": "application/json"}
SORTS = [
    "finished",
    "-finished",
    "finished,id",
    "-finished,-id",
    "created",
    "-created,id",
    "id",
    "-id",
    "status,id",
]


def populated(seed: int, knobs: Knobs) -> tuple[Toloka, Clock]:
    """Return a Toloka with a few hundred items in all sorts of states, many of them tied."""
    clock, rng = Clock(1_700_000_000), random.Random(seed)
    toloka = Toloka(clock, random.Random(seed), knobs)
    for number in range(30):
        items = [{"text": f"{number} {at}"} for at in range(rng.randrange(1, 20))]
        body = msgspec.json.encode({"items": items})
        assert toloka.handle(Request("POST", f"{ITEMS}/bulk", "", HEADERS, body)).status == 200
        clock.move(rng.choice([0, 0.1, 1]))
    control = Control(toloka)
    for item in rng.sample(toloka.record, 20):
        action = rng.choice(["delete", "archive", "hide", "status"])
        control.act(item.id, action, rng.choice(["NEW", "STOPPED", "ERROR"]))
    return toloka, clock


def key_of(item: Item, name: str) -> Any:
    """Return what the named key sorts by; None for an absent end."""
    return {"finished": item.finished_us, "created": item.created_us, "id": item.id, "status": item.status}[
        name
    ]


def expected(items: Sequence[Item], sort: str, knobs: Knobs) -> list[Item]:
    """Return the items in order, by stable sorts of the whole, from the last key to the first."""
    found = [item for item in items if not (item.deleted or item.hidden or item.status == "ARCHIVE")]
    if "finished" in sort and knobs.null_finished == "excluded":
        found = [item for item in found if item.finished_us is not None]
    found.sort(key=lambda item: item.number if knobs.tie_order == "insertion" else item.id)
    for part in reversed(sort.split(",")):
        name = part.removeprefix("-")
        absent = [item for item in found if key_of(item, name) is None]
        present = [item for item in found if key_of(item, name) is not None]
        # reverse=True keeps the order of equals, as the API's ties do.
        present.sort(key=partial(key_of, name=name), reverse=part.startswith("-"))
        found = present + absent if knobs.null_finished == "last" else absent + present
    return found


@pytest.mark.parametrize("few", [0, listing.FEW])
@pytest.mark.parametrize("seed", range(12))
def test_pages_equal_brute_force(seed: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every page is what sorting and cutting the whole gives, whether an index was walked or filtered."""
    monkeypatch.setattr(listing, "FEW", few)
    rng = random.Random(seed)
    knobs = Knobs(
        finished_digits=rng.choice([0, 3, 6]),
        tie_order=rng.choice(["id", "insertion"]),
        null_finished=rng.choice(["excluded", "last", "first"]),
        error_share=0.2,
        finish_seconds_max=5.0,
        requests_per_second=None,
    )
    toloka, clock = populated(seed, knobs)
    clock.move(rng.choice([0, 100]))
    toloka.advance()
    for sort in SORTS:
        whole = expected(toloka.record, sort, knobs)
        for at in [None, *rng.sample(range(len(whole)), 5)]:
            limit, low_us = rng.randrange(1, 60), rng.choice(whole).created_us
            query = f"sort={sort}&limit={limit}" + ("" if at is None else f"&after_id={whole[at].id}")
            rest = whole if at is None else whole[at + 1 :]
            assert_page(toloka, query, rest, limit)
            low = render(low_us, 6, drop_zeros=False, zone="")
            recent = [item for item in rest if item.created_us >= low_us]
            assert_page(toloka, f"{query}&created_gte={low}", recent, limit)
            early = [item for item in rest if item.finished_us is not None and item.finished_us <= low_us]
            assert_page(toloka, f"{query}&finished_lte={low}", early, limit)


def assert_page(toloka: Toloka, query: str, items: list[Item], limit: int) -> None:
    """Check one page and its has_more."""
    response = toloka.handle(Request("GET", ITEMS, query, HEADERS))
    page = msgspec.json.decode(response.body)
    assert [item["id"] for item in page["content"]] == [item.id for item in items[:limit]], query
    assert page["has_more"] == (len(items) > limit)


@pytest.mark.parametrize("sort", ["finished,id", "-finished,id", "created", "-created", "id", "-id"])
def test_a_page_costs_a_page(sort: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From any cursor, a page of a long listing looks at about as many items as it shows."""
    clock = Clock()
    toloka = Toloka(clock, random.Random(0))
    for number in range(200):
        items = [{"text": f"{number} {at}"} for at in range(10)]
        toloka.handle(Request("POST", f"{ITEMS}/bulk", "", HEADERS, msgspec.json.encode({"items": items})))
        clock.move(1)
    looked: list[Item] = []
    matches = listing.Listing._matches

    def counting(self: listing.Listing, item: Item) -> bool:
        looked.append(item)
        return matches(self, item)

    monkeypatch.setattr(listing.Listing, "_matches", counting)
    cursor, has_more = "", True
    while has_more:
        query = f"sort={sort}&limit=100" + (f"&after_id={cursor}" if cursor else "")
        page = msgspec.json.decode(toloka.handle(Request("GET", ITEMS, query, HEADERS)).body)
        cursor, has_more = page["content"][-1]["id"], page["has_more"]
    assert 2000 <= len(looked) < 3000
