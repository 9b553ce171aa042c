"""Pure functions of the daemon that a run asks the same again and again: each answer is kept.

An item is listed dozens of times in a run, by every replica and every look. A run is short, and all it can
ask about are its own few hundred items, so that nothing is ever forgotten.
"""

from functools import cache

from daemon.edges import app_items, clocks
from daemon.flows import codec, ledger_records

PURE = (
    (app_items, "item_of"),
    (clocks, "parse_date"),
    (codec, "read_intent"),
    (ledger_records, "peek_batch"),
    (ledger_records, "peek_origin"),
    (ledger_records, "tombstone_origin"),
)


def memoise() -> None:
    """Keep answers from now on; for the process that runs seeds, and nowhere else."""
    for module, name in PURE:
        function = getattr(module, name)
        if not hasattr(function, "cache_info"):
            setattr(module, name, cache(function))
