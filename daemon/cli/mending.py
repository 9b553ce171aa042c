"""Commands that mend: `dlq list`, `dlq replay`, `resolve`."""

import argparse
import json
import sys
from contextlib import AsyncExitStack, aclosing
from datetime import datetime
from typing import Any

from daemon.app.kit import dead_letters, resolving
from daemon.app.kit.progress import Progress
from daemon.cli.answers import FOUND_SOMETHING, add_json, carried_out, examples, remark, say, settings
from daemon.cli.looking import count
from daemon.cli.steering import time_or_id
from daemon.flows.codec import iso
from daemon.flows.kit.letters import Letter, Wanted
from daemon.settings import Settings

MAX_ATTEMPTS = 10


def add_to(commands: Any) -> None:
    """Add the commands."""
    dlq = commands.add_parser("dlq", help="list dead letters, or send them back")
    actions = dlq.add_subparsers(title="actions", metavar="action", required=True)
    listing = actions.add_parser(
        "list",
        help="what failed, and why",
        description="List the dead letters: where each stands, which record it is, why it failed and when,"
        " and how often it was sent back.",
        **examples("tolokad dlq list", "tolokad dlq list --code VALIDATION_ERROR --json"),
    )
    replay = actions.add_parser(
        "replay",
        help="send them back to the input topic",
        description="Send dead letters back to the input topic, as they were, into the partition that they"
        " came from. Each goes back once, however often this is killed and run again; a header counts how"
        " often.",
        **examples("tolokad dlq replay --dry-run", "tolokad dlq replay --code TOO_LARGE --since 2026-11-24"),
    )
    for parser, work in ((listing, _list), (replay, _replay)):
        parser.add_argument("--code", help="only those that failed for this")
        parser.add_argument("--since", type=_time, metavar="TIME", help="only what failed then or later")
        parser.add_argument("--key", help="only those whose record has this key")
        add_json(parser)
        parser.set_defaults(command=work)
    replay.add_argument("--dry-run", action="store_true", help="only say how many it would be")
    replay.add_argument(
        "--max-attempts",
        type=count,
        metavar="N",
        default=MAX_ATTEMPTS,
        help=f"leave those that were sent back so often; {MAX_ATTEMPTS} by default",
    )
    _add_resolve(commands)


def _add_resolve(commands: Any) -> None:
    resolve = commands.add_parser(
        "resolve",
        help="decide what becomes of a batch in doubt",
        description="Decide what becomes of a batch of which nobody knows whether Toloka has it, beside the"
        " running daemon, which then goes on by itself. Says first what it may cost, and asks on a terminal."
        " Exit code 1 where nothing is in doubt, 69 where Toloka does not list what it has.",
        **examples(
            "tolokad resolve --partition 3 --as adopt", "tolokad resolve --partition 3 --as dead-letter"
        ),
    )
    resolve.add_argument("--partition", type=count, required=True, metavar="P", help="of the input topic")
    resolve.add_argument(
        "--as",
        dest="way",
        choices=resolving.WAYS,
        required=True,
        help="adopt: take what Toloka has; resubmit: send again, perhaps paying twice; dead-letter: give up",
    )
    add_json(resolve)
    resolve.set_defaults(command=_resolve)


def _time(text: str) -> datetime:
    moment = time_or_id(text)
    if isinstance(moment, str):
        raise argparse.ArgumentTypeError(f"must be a time such as 2026-11-24T16:00:00Z, not {text!r}")
    return moment


def _wanted(options: argparse.Namespace) -> Wanted:
    return Wanted(options.code, options.since, options.key)


def _list(options: argparse.Namespace) -> int:
    with Progress() as progress:
        carried_out(_print_letters(options, settings(), progress))
    return 0


async def _print_letters(options: argparse.Namespace, chosen: Settings, progress: Progress) -> None:
    """One at a time: there may be more of them than memory."""
    before = "["
    async with aclosing(dead_letters.letters(chosen, _wanted(options), progress)) as found:
        async for letter in found:
            if options.json:
                sys.stdout.write(before + json.dumps(letter.as_json()))
                before = ", "
            else:
                print(_line(letter))
    if options.json:
        print("[]" if before == "[" else "]")


def _line(letter: Letter) -> str:
    origin, record = letter.origin, letter.record
    where = "?" if origin is None else f"{origin.topic}-{origin.partition}@{origin.offset}"
    when = "?" if letter.failed_at is None else iso(letter.failed_at)
    again = f"  sent back {letter.attempts} times" if letter.attempts else ""
    return f"{record.partition}@{record.offset}  {where}  {when}  {letter.code}: {letter.message!r}{again}"


def _replay(options: argparse.Namespace) -> int:
    with Progress() as progress:
        done = carried_out(
            dead_letters.replay(
                settings(), _wanted(options), options.max_attempts, progress, dry_run=options.dry_run
            )
        )
    for why, number in done.remarks().items():
        remark(f"passed over: {number} {why}")
    name, words = ("would_replay", "would be sent back") if options.dry_run else ("replayed", "sent back")
    say(options, {name: done.replayed}, [f"{words}: {done.replayed}"])
    return 0


def _resolve(options: argparse.Namespace) -> int:
    return carried_out(_decide(options, settings()))


async def _decide(options: argparse.Namespace, chosen: Settings) -> int:
    async with AsyncExitStack() as stack:
        work = await resolving.opened(chosen, options.partition, stack)
        try:
            doubt = await work.doubt(options.way)
            remark(doubt.cost(options.way))
            if not _agreed():
                return FOUND_SOMETHING
            items = await work.decide(options.way)
        except resolving.NothingInDoubtError:
            remark(f"nothing is in doubt in partition {options.partition}")
            return FOUND_SOMETHING
    say(options, {"items": items}, [f"{options.way}: {items} items"])
    return 0


def _agreed() -> bool:
    """Who sits at a terminal is asked; a script has decided already."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    sys.stderr.write("Go on? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
