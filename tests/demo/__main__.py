"""`python -m tests.demo`, which is `make demo`.

It reads from the environment:

ITEMS=file.ndjson   feed the lines of this file instead of docstrings
KEEP=1              leave everything running at the end, until Ctrl-C
API=tasks           use the tasks API: each text is a task, every third for two workers
TOLOKAD_KAFKA__BOOTSTRAP_SERVERS=…   use this Kafka, plaintext, instead of starting one
"""

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console

from tests.checker import Verdict, check
from tests.demo.board import Board
from tests.demo.stage import BROKERS, Stage, feed, set_up
from tests.demo.texts import items_in, library_items, library_tasks
from tests.kafka import KafkaUnavailableError
from tests.system.feed import Source, outcomes_of

PATIENCE_SECONDS: Final = 75.0
USAGE, UNAVAILABLE, INTERRUPTED = 64, 69, 130


@dataclass(slots=True)
class Curtain:
    """How Ctrl-C ends the demo: at once, or where it is kept, once that is asked for."""

    keeping: bool = False
    falls: asyncio.Event = field(default_factory=asyncio.Event)


async def perform(
    stack: AsyncExitStack,
    wishes: Mapping[str, str],
    own: list[Source] | None,
    folder: Path,
    console: Console,
    curtain: Curtain,
) -> int:
    """The demo from beginning to end; returns the exit code."""
    console.print("Starting Kafka, a simulated Toloka and two replicas of tolokad …")
    # Reading the library takes seconds in which Kafka starts.
    tasks = wishes.get("API") == "tasks"
    texts = library_tasks if tasks else library_items
    reading = asyncio.ensure_future(asyncio.to_thread(lambda: own or list(texts())))
    stage = await set_up(stack, folder, wishes.get(BROKERS, ""), tasks=tasks)
    sources = await reading
    if wishes.get("KEEP"):
        show_addresses(stage, console)
    began = time.monotonic()
    with Board(console, stage.replicas) as board:
        sent = await feed(stage, sources, board)
        due = sum(outcomes_of(each) for each in sources) if tasks else sent
        done = await board.until_done(sent, due, PATIENCE_SECONDS)
    seconds = time.monotonic() - began
    if not wishes.get("KEEP"):
        await asyncio.gather(*(replica.stopped() for replica in stage.replicas))
    verdict = await check(stage.subject)
    console.print(verdict.table())
    for finding in verdict.findings:
        console.print(f"{finding.kind} {finding.place}: {finding.detail}", style="red", highlight=False)
    console.print(sentence(verdict, seconds, done=done), style="bold", highlight=False, soft_wrap=True)
    if wishes.get("KEEP"):
        show_addresses(stage, console)
        curtain.keeping = True
        await curtain.falls.wait()
    return 0 if verdict.ok and verdict.complete else 1


def sentence(verdict: Verdict, seconds: float, *, done: bool) -> str:
    """The verdict in a sentence."""
    if verdict.ok and verdict.complete:
        return (
            f"The promise held: {verdict.inputs:,} records in {seconds:.1f} s, each with exactly the outcome"
            " that it asks for, nothing lost, nothing twice, nothing paid for twice."
        )
    if not verdict.ok:
        return f"The promise did NOT hold: {sum(verdict.counts.values()):,} violations, listed above."
    late = "" if done else f" within {PATIENCE_SECONDS:.0f} s"
    return f"Not everything came to its end{late}: {verdict.open:,} open, {verdict.waiting:,} not submitted."


def show_addresses(stage: Stage, console: Console) -> None:
    """Say where to look, and how it ends."""
    for line in stage.addresses():
        console.print(line, highlight=False, soft_wrap=True)
    console.print("It stays until Ctrl-C.")


async def run(wishes: Mapping[str, str], own: list[Source] | None, console: Console) -> int:
    """Perform, until done or interrupted; leaves nothing behind."""
    curtain = Curtain()
    with tempfile.TemporaryDirectory(prefix="tolokad-demo-") as folder:
        async with AsyncExitStack() as stack:
            performing = asyncio.ensure_future(perform(stack, wishes, own, Path(folder), console, curtain))

            def asked() -> None:
                if curtain.keeping:
                    curtain.falls.set()
                else:
                    performing.cancel()

            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, asked)
            await asyncio.wait({performing})
    return INTERRUPTED if performing.cancelled() else performing.result()


def main() -> int:
    """Run the demo; returns 0 only if the promise held and everything came to its end."""
    console, path = Console(), os.environ.get("ITEMS", "")
    if os.environ.get("API", "app") not in ("app", "tasks"):
        console.print(f"API={os.environ['API']}: neither app nor tasks", highlight=False)
        return USAGE
    try:
        own = list(items_in(Path(path))) if path else None
    except OSError as error:
        console.print(f"ITEMS={path}: {error.strerror}", highlight=False)
        return USAGE
    if own == []:
        console.print(f"ITEMS={path}: has no lines", highlight=False)
        return USAGE
    try:
        return asyncio.run(run(os.environ, own, console))
    except KafkaUnavailableError as error:
        console.print(str(error), highlight=False)
        return UNAVAILABLE


if __name__ == "__main__":
    sys.exit(main())
