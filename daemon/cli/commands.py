"""What can be said to tolokad: every command with its options and its help, and the name of what does it.

No other room is imported here: `--help`, and a container's `healthcheck` that runs every few seconds, take no
more than they need. A command's work is named `<room>.<function>`, and only that room is opened.
"""

import argparse
from typing import Any, Final

from daemon import __doc__ as promise
from daemon import __version__
from daemon.cli.grammar import Parser, actions, command, count, partition_offset, time, time_or_id

FLOWS: Final = ("submit", "collect")
WAYS: Final = ("adopt", "resubmit", "dead-letter")
SHOWN_ITEMS: Final = 20
MAX_ATTEMPTS: Final = 10
EPILOG: Final = """\
`tolokad <command> --help` says more of a command, with examples. Settings come from the
environment: config/reference.env lists every variable.

exit codes: 0 done; 1 something was found, or is not there; 64 wrong usage; 69 Kafka or Toloka
is away; 70 a defect; 77 a credential or permission was refused; 78 settings, topics or the
project do not fit"""


def parser() -> Parser:
    """The parser of the whole command line; the option `work` names what is to be done."""
    whole = Parser(
        prog="tolokad",
        description=promise,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole.set_defaults(work="running.run")
    whole.add_argument("--version", action="version", version=f"tolokad {__version__}", help="as `version`")
    commands = whole.add_subparsers(title="commands", parser_class=Parser, metavar="command")
    for add in (_basics, _audit, _ledger, _cursor, _dead_letters, _resolve, _pauses):
        add(commands)
    return whole


def _basics(commands: Any) -> None:
    run = commands.add_parser("run", help="run both flows until SIGTERM (the default)")
    run.set_defaults(work="running.run")
    check = command(
        commands,
        "check",
        "looking.check",
        line="say whether the settings, and with --connect the world, fit",
        about="Look at the settings; with --connect also at the brokers, each topic, each permission,"
        " Toloka's address and certificate, the credential, the project, the clocks and the limits, in this"
        " order. One line for each thing, with a tick or the way out. Nothing is written. The exit code is"
        " that of the first failure.",
        examples=("tolokad check", "tolokad check --connect --json"),
    )
    check.add_argument("--connect", action="store_true", help="ask Kafka and Toloka, too")
    command(
        commands,
        "config",
        "basics.config",
        line="print the effective settings, secrets masked",
        about="Print every setting as tolokad understands it, one NAME=value on a line, those that are not"
        " given with their defaults; secrets are masked.",
        examples=("tolokad config", "tolokad config --json"),
    )
    health = commands.add_parser("healthcheck", help="ask the running daemon whether it lives")
    health.description = (
        "Ask /livez of the daemon on this machine; exit code 1 where it does not answer well."
    )
    health.set_defaults(work="health.check")
    command(commands, "version", "basics.version", line="print the version", about="Print the version.")


def _audit(commands: Any) -> None:
    audit = command(
        commands,
        "audit",
        "looking.audit",
        line="see whether every record is accounted for, once",
        about="Read the input, ledger, output and dead letter topics and say whether every record below the"
        " group's committed offset is accounted for exactly once. Changes nothing; a daemon may go on"
        " working. Exit code 1 where something is missing, doubled or unknown, or a partition cannot go on"
        " because what it has to read is gone.",
        examples=("tolokad audit", "tolokad audit --toloka --json | jq .missing"),
    )
    audit.add_argument(
        "--toloka",
        action="store_true",
        help="look for orphans, too: items of the project that are like a settled record's and that nothing"
        " accounts for; where records have no id, somebody else may have made them",
    )
    dry = command(
        commands,
        "dry-run",
        "looking.dry_run",
        line="what a run would send and reject, and what it costs",
        about="Read on from the group's committed offsets and say what a run would do: what would be sent,"
        " what would become dead letters and why, and what it costs by the project's price. Sends nothing,"
        " and moves no offset.",
        examples=("tolokad dry-run --records 10000", "tolokad dry-run --json | jq .reasons"),
    )
    dry.add_argument("--records", type=count, metavar="N", help="at most this many")


def _ledger(commands: Any) -> None:
    words = actions(commands, "ledger", "show what is at Toloka and not yet published")
    show = command(
        words,
        "show",
        "looking.ledger_show",
        line="open items, oldest first",
        about="List the items that Toloka has accepted and whose result is not published yet, oldest first:"
        f" all of them with --json, else {SHOWN_ITEMS} unless --oldest says how many. Exit code 1 where"
        " nothing is open of the item, record or key that was asked for.",
        examples=(
            "tolokad ledger show --oldest 5",
            "tolokad ledger show --item FfXPKka0llJLcl4z1QVk",
            "tolokad ledger show --offset 3:1200",
            "tolokad ledger show --key user-17 --toloka",
        ),
    )
    show.add_argument("--oldest", type=count, metavar="N", help="show this many")
    show.add_argument(
        "--partition", type=count, metavar="P", help="only of this partition of the input topic"
    )
    one = show.add_mutually_exclusive_group()
    one.add_argument("--item", metavar="ID", help="show this item of Toloka's")
    one.add_argument(
        "--offset", type=partition_offset, metavar="P:OFFSET", help="show the item of this input record"
    )
    one.add_argument("--key", help="show the items whose record has this key")
    show.add_argument("--toloka", action="store_true", help="ask Toloka for the status of each that is shown")


def _cursor(commands: Any) -> None:
    words = actions(commands, "cursor", "show or set how far results are collected")
    command(
        words,
        "show",
        "looking.cursor_show",
        line="the last finished item that was seen",
        about="Show the collector's bookmark in Toloka's finished items: the last one that it has seen, and"
        " how many results it has published. Exit code 1 where nothing was collected yet.",
        examples=("tolokad cursor show",),
    )
    setting = command(
        words,
        "set",
        "steering.cursor_set",
        line="collect again from a time, or behind an item",
        about="Let the collector go on at a time, or behind a finished item of Toloka's: also back, and"
        " beside a running daemon. Nothing is published twice: what is published is known from the ledger.",
        examples=(
            "tolokad cursor set --to 2026-11-24T16:00:00Z",
            "tolokad cursor set --to FfXPKka0llJLcl4z1QVk",
        ),
    )
    setting.add_argument(
        "--to",
        required=True,
        type=time_or_id,
        metavar="TIME|ITEM",
        help="ISO 8601, UTC if it names no zone; an item with TOLOKAD_TOLOKA__API=app only",
    )


def _dead_letters(commands: Any) -> None:
    words = actions(commands, "dlq", "list dead letters, or send them back")
    listing = command(
        words,
        "list",
        "mending.dlq_list",
        line="what failed, and why",
        about="List the dead letters: where each stands, which record it is, why it failed and when, and how"
        " often it was sent back.",
        examples=("tolokad dlq list", "tolokad dlq list --code VALIDATION_ERROR --json"),
    )
    replay = command(
        words,
        "replay",
        "mending.dlq_replay",
        line="send them back to the input topic",
        about="Send dead letters back to the input topic, as they were, into the partition that they came"
        " from. Each goes back once, however often this is killed and run again; a header counts how often.",
        examples=("tolokad dlq replay --dry-run", "tolokad dlq replay --code TOO_LARGE --since 2026-11-24"),
    )
    for each in (listing, replay):
        each.add_argument("--code", help="only those that failed for this")
        each.add_argument("--since", type=time, metavar="TIME", help="only what failed then or later")
        each.add_argument("--key", help="only those whose record has this key")
    replay.add_argument("--dry-run", action="store_true", help="only say how many it would be")
    replay.add_argument(
        "--max-attempts",
        type=count,
        metavar="N",
        default=MAX_ATTEMPTS,
        help=f"leave those that were sent back this often; {MAX_ATTEMPTS} by default",
    )


def _resolve(commands: Any) -> None:
    resolve = command(
        commands,
        "resolve",
        "mending.resolve",
        line="decide what becomes of a batch in doubt",
        about="Decide what becomes of a batch of which nobody knows whether Toloka has it, beside the running"
        " daemon, which then goes on by itself. Says first what it may cost, and asks on a terminal. Exit"
        " code 1 where nothing is in doubt, 69 where Toloka does not list what it has.",
        examples=(
            "tolokad resolve --partition 3 --as adopt",
            "tolokad resolve --partition 3 --as dead-letter",
        ),
    )
    resolve.add_argument("--partition", type=count, required=True, metavar="P", help="of the input topic")
    resolve.add_argument(
        "--as",
        dest="way",
        choices=WAYS,
        required=True,
        help="adopt: take what Toloka has; resubmit: send again, perhaps paying twice; dead-letter: give up",
    )


def _pauses(commands: Any) -> None:
    pause = command(
        commands,
        "pause",
        "steering.pause",
        line="stop submitting or collecting, in all replicas",
        about="Let all replicas finish what is under way and then wait, until `resume`, restarts included. It"
        " shows as a hold with the reason `paused`.",
        examples=("tolokad pause --flow submit",),
    )
    resume = command(
        commands,
        "resume",
        "steering.resume",
        line="go on after a pause",
        about="Take a pause back, in all replicas.",
        examples=("tolokad resume",),
    )
    for each in (pause, resume):
        each.add_argument("--flow", choices=FLOWS, help="only this one; without it, both")
