"""The query of an items listing, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.simulator.errors import ApiError, field_error
from tests.simulator.items import STATUSES
from tests.simulator.times import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.simulator.knobs import Knobs

SORT_KEYS = frozenset({"id", "created", "finished", "status"})
COMPARISONS = ("gt", "gte", "lt", "lte")
PLAIN = frozenset({"after_id", "batch_id", "status", "sort", "limit"})
SPANS = frozenset(f"{name}_{comparison}" for name in SORT_KEYS - {"status"} for comparison in COMPARISONS)
EARLIEST = -(10**18)
LATEST = 10**18


@dataclass(frozen=True)
class SortKey:
    """One key of a sort."""

    name: str
    descending: bool


@dataclass(frozen=True)
class TimeSpan:
    """low_us ≤ time ≤ high_us."""

    low_us: int = EARLIEST
    high_us: int = LATEST

    @property
    def bounded(self) -> bool:
        """Whether any filter bounds the time, so that an absent time does not match."""
        return self.low_us > EARLIEST or self.high_us < LATEST

    def has(self, time_us: int | None) -> bool:
        """Return whether the time lies within; an absent one does where nothing is asked."""
        if time_us is None:
            return not self.bounded
        return self.low_us <= time_us <= self.high_us


ANY_TIME = TimeSpan()


@dataclass(frozen=True)
class IdSpan:
    """low ≤ id < high, by code points; an exclusive bound is the id with one NUL more."""

    low: str = ""
    high: str | None = None

    def has(self, item_id: str) -> bool:
        """Return whether the id lies within."""
        return self.low <= item_id and (self.high is None or item_id < self.high)


ANY_ID = IdSpan()


@dataclass(frozen=True)
class Query:
    """What a listing is asked for."""

    sort: tuple[SortKey, ...]
    limit: int
    after_id: str | None
    batch_id: str | None
    statuses: frozenset[str] | None
    ids: IdSpan
    created: TimeSpan
    finished: TimeSpan


class Reader:
    """Reads one query, collecting what is wrong with it."""

    def __init__(self, parameters: Mapping[str, str], knobs: Knobs) -> None:
        self._parameters = parameters
        self._knobs = knobs
        self._codes: dict[str, str] = {}

    def query(self) -> Query:
        """Return the checked query.

        Raises:
            ApiError: 400 that names every parameter that is wrong.
        """
        self._check_names()
        query = Query(
            sort=self._sort(),
            limit=self._limit(),
            after_id=self._parameters.get("after_id") or None,
            batch_id=self._parameters.get("batch_id") or None,
            statuses=self._statuses(),
            ids=self._id_span(),
            created=self._time_span("created"),
            finished=self._time_span("finished"),
        )
        if self._codes:
            raise ApiError(400, payload={name: field_error(code) for name, code in self._codes.items()})
        return query

    def _check_names(self) -> None:
        if self._knobs.unknown_parameters == "rejected":
            unknown = self._parameters.keys() - PLAIN - SPANS
            self._codes.update(dict.fromkeys(unknown, "VALUE_NOT_ALLOWED"))

    def _sort(self) -> tuple[SortKey, ...]:
        text = self._parameters.get("sort") or "created"
        keys = tuple(SortKey(name.removeprefix("-"), name.startswith("-")) for name in text.split(","))
        if any(key.name not in SORT_KEYS for key in keys):
            self._codes["sort"] = "UNKNOWN_ENUM_VALUE"
        return keys

    def _limit(self) -> int:
        limit = self._read("limit", int, self._knobs.default_limit, "INTEGER_EXPECTED")
        if limit < 1:
            self._codes["limit"] = "VALUE_LESS_THAN_MIN"
        if limit > self._knobs.max_limit and self._knobs.over_limit == "rejected":
            self._codes["limit"] = "VALUE_GREATER_THAN_MAX"
        return min(limit, self._knobs.max_limit)

    def _statuses(self) -> frozenset[str] | None:
        text = self._parameters.get("status")
        if not text:
            return None
        statuses = frozenset(text.split(","))
        if statuses - STATUSES or (len(statuses) > 1 and self._knobs.status_list == "rejected"):
            self._codes["status"] = "UNKNOWN_ENUM_VALUE"
        return statuses

    def _id_span(self) -> IdSpan:
        if not self._asked("id"):
            return ANY_ID
        given = {comparison: self._parameters.get(f"id_{comparison}") for comparison in COMPARISONS}
        low = max(given["gte"] or "", _after(given["gt"]) or "")
        highs = [high for high in (given["lt"], _after(given["lte"])) if high is not None]
        return IdSpan(low, min(highs) if highs else None)

    def _time_span(self, name: str) -> TimeSpan:
        if not self._asked(name):
            return ANY_TIME
        low = self._read(f"{name}_gte", parse, EARLIEST, "INVALID_DATE_TIME_SYNTAX")
        above = self._read(f"{name}_gt", parse, EARLIEST, "INVALID_DATE_TIME_SYNTAX")
        high = self._read(f"{name}_lte", parse, LATEST, "INVALID_DATE_TIME_SYNTAX")
        below = self._read(f"{name}_lt", parse, LATEST, "INVALID_DATE_TIME_SYNTAX")
        exclusive_low = above + 1 if above != EARLIEST else low
        exclusive_high = below - 1 if below != LATEST else high
        return TimeSpan(max(low, exclusive_low), min(high, exclusive_high))

    def _asked(self, name: str) -> bool:
        return any(f"{name}_{comparison}" in self._parameters for comparison in COMPARISONS)

    def _read(self, name: str, reader: Callable[[str], int], default: int, code: str) -> int:
        text = self._parameters.get(name)
        if not text:
            return default
        try:
            return reader(text)
        except ValueError:
            self._codes[name] = code
            return default


def _after(bound: str | None) -> str | None:
    """Return the least id above the bound."""
    return None if bound is None else bound + "\0"
