"""How a command line is taken apart: a command's shape, its help, and what its options take."""

import argparse
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

from daemon.cli.streams import complain

USAGE: Final = 64
WIDTH: Final = 90
# In every zone, and less any look back, after the beginning of time.
EARLIEST: Final = datetime(1970, 1, 2, tzinfo=UTC)


class Parser(argparse.ArgumentParser):
    """A parser whose complaints end with the exit code for wrong usage."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end."""
        complain(f"{self.format_usage()}{self.prog}: {message}\n")
        raise SystemExit(USAGE)


def command(
    commands: Any, name: str, work: str, *, line: str, about: str, examples: Sequence[str] = ()
) -> Parser:
    """A command that can answer in JSON; it says what it is in a line, and about it in a paragraph."""
    shown = "\n".join(f"  {example}" for example in examples)
    added: Parser = commands.add_parser(
        name,
        help=line,
        description=textwrap.fill(about, WIDTH),
        epilog=f"examples:\n{shown}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    added.add_argument("--json", action="store_true", help="print one JSON document")
    added.set_defaults(work=work)
    return added


def actions(commands: Any, name: str, line: str) -> Any:
    """A word that further words follow, such as `ledger`."""
    return commands.add_parser(name, help=line).add_subparsers(
        title="actions", metavar="action", required=True
    )


def count(text: str) -> int:
    """A whole number."""
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"must be a whole number, not {text!r}")
    return int(text)


def partition_offset(text: str) -> tuple[int, int]:
    """Partition and offset of an input record."""
    partition, colon, offset = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"must be partition:offset such as 3:1200, not {text!r}")
    return count(partition), count(offset)


def time(text: str) -> datetime:
    """A time in UTC."""
    moment = time_or_id(text)
    if isinstance(moment, str):
        raise argparse.ArgumentTypeError(f"must be a time such as 2026-11-24T16:00:00Z, not {text!r}")
    return moment


def time_or_id(text: str) -> datetime | str:
    """A time in UTC, where the text is one; else an id, which is not empty."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        if not text or not text.isprintable():
            raise argparse.ArgumentTypeError(f"must be a time or an id, not {text!r}") from None
        return text
    if moment.replace(tzinfo=UTC) < EARLIEST:
        raise argparse.ArgumentTypeError(f"must be a time since 1970, not {text!r}")
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
