"""Commands that mend: `dlq list`, `dlq replay`, `resolve`."""

import argparse
import json
import sys
from contextlib import AsyncExitStack, aclosing

from daemon.app.kit import dead_letters, resolving
from daemon.app.kit.progress import Progress
from daemon.cli.answers import FOUND_SOMETHING, carried_out, remark, say, settings
from daemon.flows.kit.letters import Letter, Wanted
from daemon.flows.records.codec import iso
from daemon.settings import Settings


def _wanted(options: argparse.Namespace) -> Wanted:
    return Wanted(options.code, options.since, options.key)


def dlq_list(options: argparse.Namespace) -> int:
    """List dead letters."""
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
    times = "once" if letter.attempts == 1 else f"{letter.attempts} times"
    again = f"  sent back {times}" if letter.attempts else ""
    return f"{record.partition}@{record.offset}  {where}  {when}  {letter.code}: {letter.message!r}{again}"


def dlq_replay(options: argparse.Namespace) -> int:
    """Send dead letters back."""
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


def resolve(options: argparse.Namespace) -> int:
    """Decide what becomes of a batch in doubt."""
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
    """Whoever sits at a terminal is asked; a script has decided already."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    sys.stderr.write("Go on? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
