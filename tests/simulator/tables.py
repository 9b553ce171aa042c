"""Pages of short lists: apps, projects, batches."""

from __future__ import annotations

import operator
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.simulator.errors import invalid, missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.simulator.knobs import Knobs

SORT_KEYS = ("id", "name", "status", "created")
COMPARE = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}


def table_page(
    rows: Sequence[dict[str, Any]], query: Mapping[str, str], default_sort: str, knobs: Knobs
) -> dict[str, Any]:
    """Return one page as {content, has_more}: filtered by status and id_*, sorted, after a cursor.

    Raises:
        ApiError: 400 for a bad sort or limit, 404 for an unknown cursor.
    """
    ordered = [row for row in rows if _matches(row, query)]
    for key in reversed((query.get("sort") or default_sort).split(",")):
        if key.removeprefix("-") not in SORT_KEYS:
            raise invalid(sort="UNKNOWN_ENUM_VALUE")
        ordered.sort(key=partial(_value, key.removeprefix("-")), reverse=key.startswith("-"))
    ordered = _after(ordered, query.get("after_id"))
    limit = _limit(query.get("limit"), knobs)
    return {"content": ordered[:limit], "has_more": len(ordered) > limit}


def _value(name: str, row: Mapping[str, Any]) -> str:
    return str(row.get(name, row.get(f"{name}_at", "")))


def _matches(row: Mapping[str, Any], query: Mapping[str, str]) -> bool:
    statuses = query.get("status")
    if statuses and row.get("status") not in statuses.split(","):
        return False
    bounds = ((compare, query.get(f"id_{name}")) for name, compare in COMPARE.items())
    return all(compare(row["id"], bound) for compare, bound in bounds if bound)


def _after(rows: list[dict[str, Any]], after_id: str | None) -> list[dict[str, Any]]:
    if not after_id:
        return rows
    at = next((at for at, row in enumerate(rows) if row["id"] == after_id), None)
    if at is None:
        raise missing("Object", after_id)
    return rows[at + 1 :]


def _limit(text: str | None, knobs: Knobs) -> int:
    if not text:
        return knobs.default_limit
    if not text.isdecimal():
        raise invalid(limit="INTEGER_EXPECTED")
    if int(text) > knobs.max_limit:
        raise invalid(limit="VALUE_GREATER_THAN_MAX")
    return int(text)
