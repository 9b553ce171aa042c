"""Commands that look and change nothing: `audit`, `ledger show`, `cursor show`."""

import argparse
from collections.abc import Iterable
from typing import Any

from daemon.app.kit import auditing, rehearsing, showing
from daemon.app.kit.progress import Progress
from daemon.cli.answers import FOUND_SOMETHING, add_json, carried_out, examples, remark, say, settings
from daemon.flows.codec import iso

SHOWN_ITEMS = 20
SHOWN_PLACES = 10


def add_to(commands: Any) -> Any:
    """Add the commands; returns the place for further ones that begin with `cursor`."""
    audit = commands.add_parser(
        "audit",
        help="see whether every record is accounted for, once",
        description="Read the input, ledger, output and dead letter topics and say whether every record below"
        " the group's committed offset is accounted for exactly once. Changes nothing; a daemon may go on"
        " working. Exit code 1 where something is missing, doubled or unknown.",
        **examples("tolokad audit", "tolokad audit --toloka --json | jq .missing"),
    )
    audit.add_argument("--toloka", action="store_true", help="look for orphans among the project's items")
    add_json(audit)
    audit.set_defaults(command=_audit)
    dry = commands.add_parser(
        "dry-run",
        help="what a run would send and reject, and what it costs",
        description="Read on from the group's committed offsets and say what a run would do: what would be"
        " sent, what would become dead letters and why, and what it costs by the project's price. Sends"
        " nothing, and moves no offset.",
        **examples("tolokad dry-run --records 10000", "tolokad dry-run --json | jq .reasons"),
    )
    dry.add_argument("--records", type=count, metavar="N", help="so many at most")
    add_json(dry)
    dry.set_defaults(command=_dry_run)
    _add_ledger(commands)
    cursor = commands.add_parser("cursor", help="show or set how far results are collected")
    actions = cursor.add_subparsers(title="actions", metavar="action", required=True)
    show = actions.add_parser(
        "show",
        help="the last finished item that was seen",
        description="Show the collector's bookmark in Toloka's finished items: the last one that it has seen,"
        " and how many results it has published. Exit code 1 where nothing was collected yet.",
        **examples("tolokad cursor show"),
    )
    add_json(show)
    show.set_defaults(command=_cursor_show)
    return actions


def _add_ledger(commands: Any) -> None:
    ledger = commands.add_parser("ledger", help="show what is at Toloka and not yet published")
    actions = ledger.add_subparsers(title="actions", metavar="action", required=True)
    show = actions.add_parser(
        "show",
        help="open items, oldest first",
        description="List the items that Toloka has accepted and whose result is not published yet, oldest"
        f" first: all of them with --json, else {SHOWN_ITEMS} unless --oldest says how many.",
        **examples("tolokad ledger show --oldest 5", "tolokad ledger show --item FfXPKka0llJLcl4z1QVk"),
    )
    show.add_argument("--oldest", type=count, metavar="N", help="show so many")
    show.add_argument("--item", metavar="ID", help="show this item of Toloka's; exit code 1 if not open")
    add_json(show)
    show.set_defaults(command=_ledger_show)


def count(text: str) -> int:
    """A whole number, as an option takes it."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}")
    return int(text)


def _audit(options: argparse.Namespace) -> int:
    with Progress() as progress:
        found = carried_out(auditing.audit(settings(), progress, toloka=options.toloka))
    say(options, found.as_json(), _audit_lines(found))
    return 0 if found.ok else FOUND_SOMETHING


def _audit_lines(found: auditing.Audited) -> Iterable[str]:
    account = found.account
    for name in ("inputs", "skipped", "results", "dead_letters", "open"):
        yield f"{name.replace('_', ' '):<14}{getattr(account, name):>12}"
    problems: dict[str, list[str]] = {
        name: [f"{p.topic}-{p.partition}@{p.offset}" for p in getattr(account, name)]
        for name in ("missing", "twice", "unknown")
    }
    problems["orphans"] = [orphan.item_id for orphan in found.orphans or ()]
    for name, places in problems.items():
        if places:
            more = f" and {len(places) - SHOWN_PLACES} more" if len(places) > SHOWN_PLACES else ""
            yield f"✗ {name}: {len(places)}: {', '.join(places[:SHOWN_PLACES])}{more}"
    if found.ok:
        yield "✓ every record is accounted for, once"


def _ledger_show(options: argparse.Namespace) -> int:
    with Progress() as progress:
        found = carried_out(showing.open_items(settings(), progress))
    if options.item is not None:
        item = found.find(options.item)
        if item is None:
            remark(f"the item {options.item} is not open: it is published, or none of ours")
            return FOUND_SOMETHING
        say(options, item.as_json(), [item.line()])
        return 0
    limit = SHOWN_ITEMS if options.oldest is None and not options.json else options.oldest
    items = list(found.oldest(limit))
    rest = len(found) - len(items)
    lines = [f"open items: {len(found)}", *(item.line() for item in items)]
    say(
        options,
        {"open": len(found), "items": [item.as_json() for item in items]},
        [*lines, f"and {rest} more"] if rest else lines,
    )
    return 0


def _dry_run(options: argparse.Namespace) -> int:
    with Progress() as progress:
        found = carried_out(rehearsing.rehearse(settings(), options.records, progress))
    say(options, found.as_json(), _dry_run_lines(found))
    return 0


def _dry_run_lines(found: rehearsing.Rehearsal) -> Iterable[str]:
    shown = {"records": found.records, "to be sent": found.items, "skipped": found.skipped}
    for name, number in {**shown, "dead letters": len(found.rejected), "in doubt": found.in_doubt}.items():
        yield f"{name:<14}{number:>12}"
    for code, number in found.reasons.items():
        yield f"  {code:<24}{number:>2}"
    cost = "not known: Toloka does not name a price" if found.cost is None else f"{found.cost}"
    yield f"{'cost':<14}{cost:>12}"


def _cursor_show(options: argparse.Namespace) -> int:
    found = carried_out(showing.cursor(settings()))
    if found is None:
        remark("there is no cursor yet: nothing was collected")
        return FOUND_SOMETHING
    last = "nothing yet" if found.item_id is None else f"the item {found.item_id}"
    shown = {"up to": last, "finished at": iso(found.finished_at), "published": found.published}
    lines = [f"{name:<15}{value}" for name, value in shown.items()]
    say(options, showing.cursor_as_json(found), lines)
    return 0
