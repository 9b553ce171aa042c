"""Commands that steer a running daemon: `pause`, `resume`, `cursor set`."""

import argparse
from datetime import UTC, datetime
from typing import Any

from daemon.app.kit import showing, steering
from daemon.cli.answers import add_json, carried_out, examples, say, settings
from daemon.flows.codec import iso
from daemon.metrics.labels import FLOWS


def add_to(commands: Any, cursor_actions: Any) -> None:
    """Add the commands; `cursor_actions` is the place for those that begin with `cursor`."""
    pause = commands.add_parser(
        "pause",
        help="stop submitting or collecting, in all replicas",
        description="Let all replicas finish what is under way and then wait, until `resume`, restarts"
        " included. It shows as a hold with the reason `paused`.",
        **examples("tolokad pause --flow submit"),
    )
    resume = commands.add_parser(
        "resume",
        help="go on after a pause",
        description="Take a pause back, in all replicas.",
        **examples("tolokad resume"),
    )
    for parser, work in ((pause, _pause), (resume, _resume)):
        parser.add_argument("--flow", choices=FLOWS, help="only this one; without it, both")
        add_json(parser)
        parser.set_defaults(command=work)
    _add_cursor_set(cursor_actions)


def _add_cursor_set(actions: Any) -> None:
    cursor = actions.add_parser(
        "set",
        help="collect again from a time, or behind an item",
        description="Let the collector go on at a time, or behind a finished item of Toloka's: also back, and"
        " beside a running daemon. Nothing is published twice: what is published is known from the ledger.",
        **examples(
            "tolokad cursor set --to 2026-11-24T16:00:00Z", "tolokad cursor set --to FfXPKka0llJLcl4z1QVk"
        ),
    )
    cursor.add_argument("--to", required=True, metavar="TIME|ITEM", help="ISO 8601, UTC if it names no zone")
    add_json(cursor)
    cursor.set_defaults(command=_cursor_set)


def _pause(options: argparse.Namespace) -> int:
    return _change(options, paused=True)


def _resume(options: argparse.Namespace) -> int:
    return _change(options, paused=False)


def _change(options: argparse.Namespace, *, paused: bool) -> int:
    flows = FLOWS if options.flow is None else (options.flow,)
    carried_out(steering.pause(settings(), flows, paused=paused))
    word = "paused" if paused else "resumed"
    say(options, steering.paused_as_json(flows, paused=paused), [f"{word}: {', '.join(flows)}"])
    return 0


def _cursor_set(options: argparse.Namespace) -> int:
    cursor = carried_out(steering.set_cursor(settings(), time_or_id(options.to)))
    where = "" if cursor.item_id is None else f", behind the item {cursor.item_id}"
    line = f"the collector goes on at {iso(cursor.finished_at)}{where}"
    say(options, showing.cursor_as_json(cursor), [line])
    return 0


def time_or_id(text: str) -> datetime | str:
    """A time in UTC, where the text is one."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
