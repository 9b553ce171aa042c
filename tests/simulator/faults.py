"""Faults on demand: what goes wrong, and which requests it befalls."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tests.simulator.times import microseconds

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable

Kind = Literal[
    "status",
    "redirect",
    "drop",
    "drop_request",
    "drop_answer",
    "hang",
    "slow",
    "late_commit",
    "truncated",
    "wrong_type",
    "missing_id",
    "extra_id",
    "repeated_id",
    "duplicate_keys",
    "gigantic",
    "bomb",
    "empty_page",
    "same_page",
]


@dataclass(frozen=True)
class Fault:
    """A fault and the requests it befalls: those that match all of the selection.

    Attributes:
        kind: what goes wrong.
            `status`: the answer is replaced by `status` in `style`.
            `redirect`: the answer is replaced by a redirect to `location`.
            `drop`: the connection closes before any answer.
            `drop_request`: it closes after part of the request's body was read; nothing is processed.
            `drop_answer`: it closes in the middle of the answer.
            `hang`: no answer, and the connection stays open.
            `slow`: `delay_seconds` pass before the request is processed, or after it if `committed`.
            `late_commit`: as `drop` (or as `hang`, if `hangs`), and the request takes effect
            `delay_seconds` later.
            `truncated`, `wrong_type`, `duplicate_keys`: JSON that is cut, of another shape, ambiguous.
            `missing_id`, `extra_id`, `repeated_id`: a bulk's answer with the wrong ids.
            `gigantic`: `size_bytes` of JSON; `bomb`: the same, compressed to very little.
            `empty_page`: a listing without content that claims to have more.
            `same_page`: a listing that ignores after_id and claims to have more.
        operations: names of operations, such as "bulk", "list", "item", "project", "app"; empty for all.
        every: only every n-th of the matching requests.
        probability: only this share of them.
        times: only so often in all; None for always.
        from_seconds: only from this time after the fault was set.
        for_seconds: only for this long after that; None for ever.
        committed: for `status`, `redirect`, `drop` and `hang`: the request takes effect nevertheless.
        style: the body of a `status`: none, a proxy's HTML page, Toloka's JSON.
        code: Toloka's code in that JSON; "" for the status's usual one.
        payload: the payload in that JSON.
        retry_after: the Retry-After header of a `status`; "" for none.
        reset: connections close by a TCP reset.
        chunked: a `gigantic` answer or a `bomb` comes without Content-Length.
    """

    kind: Kind
    operations: tuple[str, ...] = ()
    every: int = 1
    probability: float = 1.0
    times: int | None = None
    from_seconds: float = 0.0
    for_seconds: float | None = None
    committed: bool = False
    status: int = 503
    style: Literal["empty", "html", "json"] = "empty"
    code: str = ""
    payload: dict[str, Any] | None = None
    retry_after: str = ""
    location: str = "https://elsewhere.invalid/"
    delay_seconds: float = 0.0
    hangs: bool = False
    reset: bool = False
    size_bytes: int = 64 << 20
    chunked: bool = False

    @property
    def preempts(self) -> bool:
        """Whether the request is not processed at all."""
        replaced = self.kind in {"status", "redirect", "drop", "hang"} and not self.committed
        return replaced or self.kind == "drop_request"


@dataclass
class Armed:
    """A fault, when it was set, and how often it was met and befell."""

    fault: Fault
    since_us: int
    met: int = 0
    fired: int = 0

    def fires(self, operation: str, now_us: int, rng: random.Random) -> bool:
        """Return whether the fault befalls this request, and count it."""
        if not self._concerns(operation, now_us):
            return False
        self.met += 1
        fault = self.fault
        if self.met % fault.every or (fault.probability < 1 and rng.random() >= fault.probability):
            return False
        self.fired += 1
        return True

    def _concerns(self, operation: str, now_us: int) -> bool:
        fault = self.fault
        if fault.operations and operation not in fault.operations:
            return False
        if fault.times is not None and self.fired >= fault.times:
            return False
        age_us = now_us - self.since_us - microseconds(fault.from_seconds)
        return age_us >= 0 and (fault.for_seconds is None or age_us < microseconds(fault.for_seconds))


def _unnoticed(_operation: str, _fault: Fault) -> None:
    """Take no notice."""


class Faults:
    """The faults that are set; the first that fires befalls the request.

    `on_strike` is told of each operation that one befalls.

    Args:
        rng: for probabilities.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._armed: list[Armed] = []
        self._unarmed: list[Fault] = []
        self.fired: Counter[str] = Counter()
        self.on_strike: Callable[[str, Fault], None] = _unnoticed

    def add(self, *faults: Fault) -> None:
        """Set more faults; their time runs from the next request on."""
        self._unarmed.extend(faults)

    def replace(self, faults: Iterable[Fault]) -> None:
        """Set these faults and no others."""
        self.clear()
        self.add(*faults)

    def clear(self) -> None:
        """Set no faults."""
        self._armed.clear()
        self._unarmed.clear()

    @property
    def faults(self) -> list[Fault]:
        """The faults that are set, in order."""
        return [armed.fault for armed in self._armed] + self._unarmed

    def choose(self, operation: str, now_us: int) -> Fault | None:
        """Return the fault that befalls this request, if any."""
        self._armed.extend(Armed(fault, now_us) for fault in self._unarmed)
        self._unarmed.clear()
        for armed in self._armed:
            if armed.fires(operation, now_us, self._rng):
                self.fired[armed.fault.kind] += 1
                self.on_strike(operation, armed.fault)
                return armed.fault
        return None
