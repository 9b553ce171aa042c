"""Commands that look and change nothing: `check`, `audit`, `dry-run`, `ledger show`, `cursor show`."""

import argparse
import os
from collections.abc import Iterable, Sequence

from daemon.app import checking
from daemon.app.kit import auditing, rehearsing, showing
from daemon.app.kit.checks import Check
from daemon.app.kit.progress import Progress
from daemon.cli.answers import FOUND_SOMETHING, carried_out, remark, say, settings
from daemon.cli.commands import SHOWN_ITEMS
from daemon.flows.kit.outcomes import Coordinates
from daemon.flows.records.codec import iso

SHOWN_PLACES = 10
GONE = "see offset_lost, offset_out_of_range and range_gone in deploy/runbook.md"


def check(options: argparse.Namespace) -> int:
    """Say whether the settings and, if asked to, the world fit."""
    tell = bool if options.json else _tell
    report = carried_out(checking.check(os.environ, connect=options.connect, tell=tell))
    say(options, report.as_json(), ())
    return report.exit_code


def _tell(found: Check) -> None:
    print(*found.lines(), sep="\n", flush=True)


def audit(options: argparse.Namespace) -> int:
    """Say whether every record is accounted for, once."""
    with Progress() as progress:
        found = carried_out(auditing.audit(settings(), progress, toloka=options.toloka))
    say(options, found.as_json(), audit_lines(found))
    return 0 if found.ok else FOUND_SOMETHING


def audit_lines(found: auditing.Audited) -> Iterable[str]:
    """What is printed for people."""
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
    yield from _held_lines(found.held)
    if found.ok:
        yield "✓ every record is accounted for, once"


def _held_lines(held: Iterable[Coordinates]) -> Iterable[str]:
    for place in held:
        where = f"{place.topic}-{place.partition}@{place.offset}"
        yield f"✗ held: {where}: what is to be read there is gone, or its offset lost: {GONE}"


def ledger_show(options: argparse.Namespace) -> int:
    """Show what is open."""
    chosen = settings()
    record = None if options.offset is None else (chosen.kafka.input_topic, *options.offset)
    wanted = showing.Wanted(options.item, record, options.key, options.partition)
    with Progress() as progress:
        found = carried_out(showing.open_items(chosen, progress))
    matching = list(found.chosen(wanted))
    if not matching and (wanted.is_one or wanted.key is not None):
        remark(f"nothing is open of {wanted}: it is published, a dead letter, or none of ours")
        return FOUND_SOMETHING
    limit = SHOWN_ITEMS if options.oldest is None and not options.json else options.oldest
    items: Sequence[showing.OpenItem] = matching[: 1 if wanted.is_one else limit]
    if options.toloka:
        items = carried_out(showing.with_status(chosen, items))
    if wanted.is_one:
        say(options, items[0].as_json(), [items[0].line()])
        return 0
    rest = len(matching) - len(items)
    lines = [f"open items: {len(found)}", *(item.line() for item in items)]
    say(
        options,
        {"open": len(found), "items": [item.as_json() for item in items]},
        [*lines, f"and {rest} more"] if rest else lines,
    )
    return 0


def dry_run(options: argparse.Namespace) -> int:
    """Say what a run would do."""
    with Progress() as progress:
        found = carried_out(rehearsing.rehearse(settings(), options.records, progress))
    say(options, found.as_json(), dry_run_lines(found))
    return 0


def dry_run_lines(found: rehearsing.Rehearsal) -> Iterable[str]:
    """What is printed for people."""
    shown = {"records": found.records, "to be sent": found.items, "skipped": found.skipped}
    for name, number in {**shown, "dead letters": len(found.rejected), "in doubt": found.in_doubt}.items():
        yield f"{name:<14}{number:>12}"
    for code, number in found.reasons.items():
        yield f"  {code:<24}{number:>2}"
    cost = "not known: Toloka does not name a price" if found.cost is None else f"{found.cost}"
    yield f"{'cost':<14}{cost:>12}"
    yield from _held_lines(found.held)


def cursor_show(options: argparse.Namespace) -> int:
    """Show the collector's bookmark."""
    found = carried_out(showing.cursor(settings()))
    if found is None:
        remark("there is no cursor yet: nothing was collected")
        return FOUND_SOMETHING
    last = "nothing yet" if found.item_id is None else f"the item {found.item_id}"
    shown = {"up to": last, "finished at": iso(found.finished_at), "published": found.published}
    lines = [f"{name:<15}{value}" for name, value in shown.items()]
    say(options, showing.cursor_as_json(found), lines)
    return 0
