"""Which rows of the fault matrix a run fired, told by what happened in it."""

import re
from collections import Counter
from collections.abc import Mapping

from tests.simulation.scenario import NAMED, OPAQUE, Scenario
from tests.simulator import Fault, Request, Response

# What was killed or frozen, where: the row, by the point that was passed last.
_KILLED = {
    **dict.fromkeys(("fetch served", "committed served", "offsets served", "init served"), 1),
    **dict.fromkeys(("add_offset intent sent", "end intent served", "post begun"), 2),
    "post half": 3,
    **dict.fromkeys(("post sent", "post served"), 4),
    "produce settle sent": 5,
    **dict.fromkeys(("produce settle served", "add_offset settle served", "end settle sent"), 6),
    **dict.fromkeys(("end settle served", "end intent sent"), 6),
    **dict.fromkeys(("list served", "produce results sent"), 7),
    **dict.fromkeys(("produce results served", "end results sent", "end results served"), 8),
}
_FROZEN_UPLOAD = frozenset({"end intent served", "post begun", "post half", "post sent"})
_BY_FAULT = {
    "terminate": 9,
    "wall_step": 14,
    "broker_restart": 16,
    "coordinator_loading": 19,
    "rebalance": 25,
    "archive": 55,
    "strangers": 58,
}
_BY_FATE = {"unsent": 22, "unanswered": 22, "late": 22, "denied": 24, "torn": 23, "lost": 18, "forgotten": 18}
_BY_STATUS = {401: 39, 403: 39, 404: 40, 409: 40, 413: 41, 500: 45, 502: 45, 503: 45, 504: 45}
_BY_KIND = {
    **dict.fromkeys(("truncated", "wrong_type"), 46),
    **dict.fromkeys(("missing_id", "extra_id", "repeated_id"), 47),
    "duplicate_keys": 48,
    "redirect": 50,
    "empty_page": 56,
    "same_page": 57,
}
_STRUCK = re.compile(r"fault (\S+)(?: at (.+))?")


def of_fault(operation: str, fault: Fault) -> set[int]:
    """The rows that a fault of Toloka's fires when it befalls a request of this kind."""
    rows = {_BY_KIND[fault.kind]} if fault.kind in _BY_KIND else set()
    if fault.kind == "status" and fault.style == "html":
        rows.add(46)
    if operation == "bulk" and fault.kind in {"drop", "hang", "drop_request", "drop_answer", "late_commit"}:
        took_effect = fault.committed or fault.kind in {"drop_answer", "late_commit"}
        rows.add(35 if took_effect else 34)
    return rows


def of_answer(request: Request, response: Response) -> set[int]:
    """The rows that an answer fires by what it says."""
    status = response.status
    if status == 429:
        return {43 if "Retry-After" in response.headers else 44}
    if "after_id=" in request.query and status in {400, 404}:
        return {55}
    if request.method == "POST" and status == 400:
        marked = {OPAQUE.encode(): 38, NAMED.encode(): 37}
        return {row for mark, row in marked.items() if mark in request.body}
    row = _BY_STATUS.get(status)
    # Server errors are in doubt where something was to be created; what is only read is asked again.
    return set() if row is None or (row == 45 and request.method != "POST") else {row}


def of_scenario(scenario: Scenario) -> Counter[int]:
    """What lies in the work, and in how Toloka behaves throughout."""
    rows = Counter[int]()
    values = [job.append.value for job in scenario.work]
    rows[62] = values.count(None)
    rows[63] = sum(1 for value in values if value and b"own-" in value)
    rows[59] = sum(1 for value in values if value is not None and b'{"text": ' not in value)
    knobs = scenario.knobs
    rows[52] = int(knobs.finished_digits == 0)
    rows[53] = int(knobs.late_share > 0 or knobs.late_created_share > 0)
    rows[54] = int(knobs.no_money_share > 0 or knobs.regress_share > 0)
    return +rows


def of_counts(counts: Mapping[str, int]) -> Counter[int]:
    """What the trace has counted."""
    rows = Counter[int]()
    for what, count in counts.items():
        if (row := _row_of(what)) is not None:
            rows[row] += count
    return rows


def _row_of(what: str) -> int | None:
    if what.startswith("row "):
        return int(what[4:])
    if what.startswith("commit "):
        return _BY_FATE.get(what[7:])
    struck = _STRUCK.fullmatch(what)
    if struck is None:
        return {"log fenced": 20, "sent to a closed connection": 36, "refused connection": 33}.get(what)
    name, point = struck.groups()
    if name.startswith("kill"):
        return _KILLED.get(point or "")
    if name.startswith("freeze"):
        return 10 if point in _FROZEN_UPLOAD else 11
    return _BY_FAULT.get(name)
