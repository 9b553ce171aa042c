"""Listings of the Toloka API v1: filtered by ids, times and words, sorted, cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tests.simulator.errors import ApiError, field_error, invalid
from tests.simulator.times import parse

if TYPE_CHECKING:
    import random

    from tests.simulator.knobs import Knobs

R = TypeVar("R")
COMPARISONS = ("gt", "gte", "lt", "lte")


@dataclass(frozen=True)
class Table(Generic[R]):
    """A kind of rows.

    Attributes:
        id: of a row.
        times: a row's time by name, in microseconds; None where it has none.
        words: a row's text by name, each with the values it can have (empty for any).
        sorts: names that it can be sorted by.
        default_limit: rows where no limit is given.
        max_limit: the largest.
        plain: further parameters that the caller deals with.
    """

    id: Callable[[R], str]
    times: Mapping[str, Callable[[R], int | None]]
    words: Mapping[str, tuple[Callable[[R], str], frozenset[str]]]
    sorts: frozenset[str]
    default_limit: int
    max_limit: int
    plain: frozenset[str] = frozenset()

    def page(
        self, rows: Sequence[R], query: Mapping[str, str], knobs: Knobs, rng: random.Random
    ) -> tuple[list[R], bool]:
        """One page, and whether the limit cut any off.

        Raises:
            ApiError: 400 that names every parameter that is wrong.
        """
        codes = dict.fromkeys(query.keys() - self._known(), "VALUE_NOT_ALLOWED")
        if knobs.unknown_parameters == "ignored":
            codes.clear()
        found = list(rows)
        for name, read in self.times.items():
            found = self._within(found, name, read, query, codes)
        found = [row for row in found if self._has_id(self.id(row), query)]
        for name, (read_word, values) in self.words.items():
            if text := query.get(name):
                wanted = set(text.split(","))
                if values and wanted - values:
                    codes[name] = "UNKNOWN_ENUM_VALUE"
                found = [row for row in found if read_word(row) in wanted]
        limit = self._limit(query, codes)
        sort = (query.get("sort") or "id").split(",")
        if any(key.removeprefix("-") not in self.sorts for key in sort):
            codes["sort"] = "UNKNOWN_ENUM_VALUE"
        if codes:
            raise ApiError(400, payload={name: field_error(code) for name, code in codes.items()})
        self._arrange(found, sort, knobs, rng)
        return found[:limit], len(found) > limit

    def _known(self) -> set[str]:
        spans = {f"{name}_{comparison}" for name in ("id", *self.times) for comparison in COMPARISONS}
        return {"sort", "limit", *spans, *self.words, *self.plain}

    def _within(
        self,
        rows: list[R],
        name: str,
        read: Callable[[R], int | None],
        query: Mapping[str, str],
        codes: dict[str, str],
    ) -> list[R]:
        for comparison in COMPARISONS:
            if not (text := query.get(f"{name}_{comparison}")):
                continue
            try:
                bound = parse(text)
            except ValueError:
                codes[f"{name}_{comparison}"] = "INVALID_DATE_TIME_SYNTAX"
                continue
            holds = _COMPARE[comparison]
            rows = [row for row in rows if (time := read(row)) is not None and holds(time, bound)]
        return rows

    def _has_id(self, row_id: str, query: Mapping[str, str]) -> bool:
        bounds = ((holds, query.get(f"id_{name}")) for name, holds in _COMPARE.items())
        return all(holds(row_id, bound) for holds, bound in bounds if bound)

    def _limit(self, query: Mapping[str, str], codes: dict[str, str]) -> int:
        text = query.get("limit")
        if not text:
            return self.default_limit
        if not text.isdecimal() or int(text) < 1:
            codes["limit"] = "INTEGER_EXPECTED"
            return 1
        if int(text) > self.max_limit:
            codes["limit"] = "VALUE_GREATER_THAN_MAX"
        return int(text)

    def _arrange(self, rows: list[R], sort: Sequence[str], knobs: Knobs, rng: random.Random) -> None:
        if knobs.tie_order == "random":
            rng.shuffle(rows)
        elif knobs.tie_order == "id":
            rows.sort(key=self.id)
        for key in reversed(sort):
            name = key.removeprefix("-")
            rows.sort(key=lambda row, name=name: self._part(row, name), reverse=key.startswith("-"))  # type: ignore[misc] # a default binds the name

    def _part(self, row: R, name: str) -> Any:
        if name == "id":
            return self.id(row)
        time = self.times[name](row)
        return (time is not None, time or 0)


_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": lambda a, b: bool(a > b),
    "gte": lambda a, b: bool(a >= b),
    "lt": lambda a, b: bool(a < b),
    "lte": lambda a, b: bool(a <= b),
}


def insist_one_of(query: Mapping[str, str], *names: str) -> None:
    """Insist that one of these parameters is given.

    Raises:
        ApiError: 400.
    """
    if not any(query.get(name) for name in names):
        raise invalid(**{names[0]: "VALUE_REQUIRED"})
