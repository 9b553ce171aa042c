"""The catalogue of log events, read from the code: `python -m tests.deploy.events > config/events.md`."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[2]
LEVELS: Final = ("debug", "info", "warning", "error", "exception", "critical")
# Bound to every event of a way, or added to every line.
BOUND: Final = "timestamp, level, logger; within a partition's way also topic, partition, attempt, batch"
HEADER: Final = f"""\
# Events
Every event that tolokad logs; `event` is its name, and stays the same from release to release. Generated from
the code by `make events`: change that, not this file.

Each line is one JSON object (`TOLOKAD_LOG__FORMAT=json`), or columns for people (`console`); `auto`, the
default, takes the console where standard output is a terminal. Always there: {BOUND}.

Warnings and errors of one kind are written five times a minute at most; the next one carries,
as `suppressed`, how many were left out. Lines of the Kafka and HTTP clients keep their own words as `event`.

| event | level | fields | meaning |
|---|---|---|---|
"""
MEANINGS: Final = {
    "accepted": "Toloka took a batch.",
    "acknowledged_undone": "Kafka has undone what it had acknowledged; what that announced is in doubt.",
    "advice": "Something about a topic is not wrong, but unwise.",
    "assigned": "The group has decided which partitions are ours.",
    "broker_silent": "A broker does not take our connection in time; what needs another one goes on.",
    "budget_unread": "It could not be read what was spent so far; asked again before anything is sent.",
    "cannot_go_on": "The program ends, with the way out; the exit code says of which kind it is.",
    "collecting": "This replica is the collector and has read the ledger to its end.",
    "creating_topics": "Topics are missing and are made.",
    "credential_unusable": "The token's file cannot be read, or holds none; the last good one stays.",
    "cursor_fallback": "Toloka no longer knows the cursor's item, or repeats itself: on by time.",
    "delay_unknown": "Kafka did not say where a topic's readers stand; asked again soon.",
    "drain_incomplete": "The drain's deadline is over: the exit code is 143 (130 after SIGINT), and whoever"
    " takes over resolves what was under way.",
    "draining": "A signal was received: what is under way is finished, nothing new is begun.",
    "event_loop_resumed": "The event loop turns again.",
    "event_loop_stalled": "The event loop stands still; `stack` shows where.",
    "fenced": "The partition, or the collector, begins again: another replica owns it now, an operator has"
    " decided meanwhile, or the broker ended a transaction late.",
    "foreign_items": "Finished items turned out to be somebody else's.",
    "foreign_unknown": "It could not be found out whose some finished items are; asked again soon.",
    "held": "A flow, or one partition of it, waits on purpose; the runbook has a section for each reason.",
    "http_connection_failed": "A client of the status page went away in the middle.",
    "http_request_failed": "A page could not be made; the visitor was told so, without details.",
    "intent_resolved": "A batch in doubt has been settled: adopted, sent again, or some of both.",
    "internal_error": "A defect: the program ends with 70.",
    "items_changed_after_their_end": "Items ended once more, long after their results.",
    "items_ended": "Open items came to an end without a result: they became dead letters with this code.",
    "lag_unknown": "Kafka did not say how far behind the partitions are; asked again soon.",
    "left_out_not_listed": "Toloka cannot be asked for archived items alone; its listing is believed.",
    "listing_by_windows": "A listing did not get on page by page: it goes on by windows of time.",
    "listing_incomplete": "A listing failed before its end; what it showed is used, and it is begun again.",
    "look_failed": "A second look, or a look at the project, failed; the next one is due soon.",
    "membership_lost": "The place in the group is lost; it is joined again.",
    "membership_unconfirmed": "The group did not say whether it still counts on us; asked again.",
    "newest_not_listed": "Toloka did not list the latest items first; what is in doubt is sought by time.",
    "not_accepted": "Toloka did not take a batch; `outcome` says what it came to.",
    "not_handed_over": "A predecessor, well or not, has not finished its batch in time: it is looked for.",
    "operation_exists": "Toloka knows this attempt already: it was carried out before.",
    "pauses_unread": "It could not be read whether a flow is paused; what was read last holds.",
    "pool_found": "The pool that the settings name is there.",
    "pool_not_opened": "The pool could not be opened; its tasks wait in it.",
    "predecessor_unknown": "Kafka did not say whether somebody is at work on a partition; it is taken over.",
    "project_found": "The project that the settings name is there.",
    "rebalance_started": "The group shares out its partitions anew; nothing stops for it.",
    "released": "A hold has ended.",
    "result_left_out": "An assignment is too large for its topic; other results of its task are published.",
    "starting": "The program starts.",
    "starting_over": "Something failed: the partition, or the collector, begins again from what Kafka says.",
    "stopped": "Drained, and done: the exit code is 0.",
    "taken_over": "A partition is ours, and where it goes on is known.",
    "tally_incomplete": "Not all of the ledger was read for the count of the day; it goes on without.",
    "toloka_refused": "Toloka refused a request; its code and request id.",
    "waiting_for_start": "Kafka or Toloka does not answer yet; asked again, for 30 s in all.",
}


@dataclass
class Event:
    """What the code says of an event."""

    levels: set[str] = field(default_factory=set)
    fields: dict[str, None] = field(default_factory=dict)


def events() -> dict[str, Event]:
    """Every event by its name, in the order of the alphabet."""
    found: dict[str, Event] = {}
    for path in sorted((REPOSITORY / "daemon").rglob("*.py")):
        for call in _calls(ast.parse(path.read_text())):
            name = ast.literal_eval(call.args[0])
            event = found.setdefault(name, Event())
            event.levels.add(_level(call))
            event.fields |= {keyword.arg: None for keyword in call.keywords if keyword.arg}
    return dict(sorted(found.items()))


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            where = node.func.value
            if isinstance(where, ast.Name) and where.id == "log" and node.func.attr in LEVELS:
                yield node


def _level(call: ast.Call) -> str:
    level = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    return "error" if level == "exception" else level


def catalogue() -> str:
    """The page."""
    return HEADER + "".join(_row(name, event) for name, event in events().items())


def _row(name: str, event: Event) -> str:
    shown = ["exception" if part == "exc_info" else part for part in event.fields]
    levels, parts = ", ".join(sorted(event.levels)), ", ".join(f"`{part}`" for part in shown)
    return f"| `{name}` | {levels} | {parts} | {MEANINGS.get(name, '')} |\n"


if __name__ == "__main__":
    sys.stdout.write(catalogue())
