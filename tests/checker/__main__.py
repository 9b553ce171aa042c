"""`python -m tests.checker`: check a deployment that runs against the simulator."""

import argparse
import asyncio
import sys
from pathlib import Path

from rich.console import Console

from tests.checker.facts import Rules
from tests.checker.reading import Subject, check


def main() -> int:
    """Check, print the table and the findings; returns 0 where nothing is wrong and nothing on its way."""
    verdict = asyncio.run(check(_subject(_arguments())))
    console = Console()
    console.print(verdict.table())
    for finding in verdict.findings:
        console.print(f"{finding.kind} {finding.place}: {finding.detail}", style="red", highlight=False)
    return 0 if verdict.ok and verdict.complete else 1


def _subject(given: argparse.Namespace) -> Subject:
    rules = Rules(given.input_topic, given.adds_id, given.item_pointer, given.foreign, given.tasks)
    ledger = given.ledger_topic or f"{given.group}.ledger"
    return Subject(
        given.bootstrap_servers,
        given.group,
        rules,
        given.output_topic,
        given.dead_letter_topic,
        ledger,
        given.record,
        given.simulator_url,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.checker", description=__doc__)
    parser.add_argument("--bootstrap-servers", required=True)
    parser.add_argument("--record", type=Path, required=True, help="the simulator's --record file")
    parser.add_argument("--simulator-url", default="", help="to compare the ends of its items, too")
    parser.add_argument("--group", default="tolokad")
    parser.add_argument("--input-topic", default="moderation.items")
    parser.add_argument("--output-topic", default="moderation.results")
    parser.add_argument("--dead-letter-topic", default="moderation.dead-letters")
    parser.add_argument("--ledger-topic", default="", help="<group>.ledger by default")
    parser.add_argument("--item-pointer", default="")
    parser.add_argument("--no-added-id", dest="adds_id", action="store_false", help="the spec has no id")
    parser.add_argument("--tasks", action="store_true", help="the items are tasks")
    parser.add_argument("--foreign", action="store_true", help="others create items in the project, too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
