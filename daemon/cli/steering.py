"""Commands that steer a running daemon: `pause`, `resume`, `cursor set`."""

import argparse

from daemon.app.kit import showing, steering
from daemon.cli.answers import carried_out, say, settings
from daemon.cli.commands import FLOWS
from daemon.flows.records.codec import iso


def pause(options: argparse.Namespace) -> int:
    """Pause a flow, or both."""
    return _change(options, paused=True)


def resume(options: argparse.Namespace) -> int:
    """Take a pause back."""
    return _change(options, paused=False)


def _change(options: argparse.Namespace, *, paused: bool) -> int:
    flows = FLOWS if options.flow is None else (options.flow,)
    carried_out(steering.pause(settings(), flows, paused=paused))
    word = "paused" if paused else "resumed"
    say(options, steering.paused_as_json(flows, paused=paused), [f"{word}: {', '.join(flows)}"])
    return 0


def cursor_set(options: argparse.Namespace) -> int:
    """Set the collector's bookmark."""
    cursor = carried_out(steering.set_cursor(settings(), options.to))
    where = "" if cursor.item_id is None else f", behind the item {cursor.item_id}"
    line = f"the collector goes on at {iso(cursor.finished_at)}{where}"
    say(options, showing.cursor_as_json(cursor), [line])
    return 0
