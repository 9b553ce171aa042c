"""Pure functions of the daemon that a run asks the same again and again: each answer is kept.

An item is listed dozens of times in a run, by every replica and every look. A run is short, and all it can
ask about are its own few hundred items, so that nothing is ever forgotten.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from daemon.edges.toloka import app_items, clocks
from daemon.flows.records import codec, ledger_records, tombstones
from daemon.model import Finished

PURE = (
    (app_items, "item_of"),
    (clocks, "parse_date"),
    (codec, "read_intent"),
    (ledger_records, "peek_batch"),
    (ledger_records, "peek_origin"),
    (tombstones, "origin_of"),
)


def memoise() -> None:
    """Keep answers from now on; for the process that runs seeds, and nowhere else."""
    for module, name in PURE:
        function = getattr(module, name)
        if hasattr(function, "cache_info"):
            return
        setattr(module, name, cache(function))
    # It is given an item's JSON as well as what that comes to.
    app_items._item = _by_json(app_items._item)


def _by_json(function: Callable[[dict[str, Any], bytes], Finished]) -> Callable[..., Finished]:
    known: dict[bytes, Finished] = {}

    def kept(item: dict[str, Any], raw: bytes) -> Finished:
        found = known.get(raw)
        if found is None:
            found = known[raw] = function(item, raw)
        return found

    return kept
