"""`python -m tests.benchmarks [--quick]`: measure, show a table, leave JSON lines and a picture."""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from aiokafka.admin import NewTopic

from tests.benchmarks import feeding, showing
from tests.benchmarks.collecting import collect
from tests.benchmarks.running import Figures, Job, ingest
from tests.kafka import EmbeddedKafka
from tests.kafka.clients import admin_client

REFERENCES = ("floor", "hand")
OPENS = (100_000, 1_000_000)


def jobs(items: int, *, quick: bool) -> Iterator[tuple[str, Job]]:
    """What is measured, with the kind of items that each takes."""
    yield "plain", Job("5000 at once", "plain", items, 5000)
    if quick:
        return
    yield "plain", Job("1000 at once", "plain", items, 1000)
    yield "plain", Job("5000 after 50 ms", "plain", items, 5000, 0.05)
    yield "plain", Job("1000 after 50 ms", "plain", items, 1000, 0.05)
    yield "bare", Job("5000, ids added", "bare", items, 5000)
    yield "flawed", Job("5000, 5 % flawed", "flawed", items * 19 // 20, 5000)


async def measure(items: int, rounds: int, folder: Path, *, quick: bool) -> list[Figures]:
    """Round after round, each program once a round."""
    found: list[Figures] = []
    with EmbeddedKafka() as kafka:
        broker, chosen = kafka.bootstrap_servers, list(jobs(items, quick=quick))
        async with admin_client(broker) as admin:
            for kind in dict.fromkeys(kind for kind, _ in chosen):
                await admin.create_topics([NewTopic(kind, feeding.PARTITIONS, 1)])
                await feeding.feed(broker, kind, items, kind)
        for kind, job in chosen:
            programs = ("tolokad", *REFERENCES) if kind == "plain" else ("tolokad",)
            for _ in range(rounds):
                for name in programs:
                    found.append(await ingest(job, name, broker, folder))
                    _tell(found[-1], folder)
        waiting = Job("collect", "plain", items if quick else min(items, 200_000), 5000)
        for _ in range(rounds):
            found.append(await collect(waiting, broker, folder))
            _tell(found[-1], folder)
    return found


def _tell(figures: Figures, folder: Path) -> None:
    line = json.dumps(figures.row())
    print(line, flush=True)
    with (folder / "figures.jsonl").open("a") as out:
        out.write(line + "\n")


def main(arguments: Sequence[str]) -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one job, few items: a minute")
    parser.add_argument("--items", type=int, help="how many items a run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path(".bench") / time.strftime("%Y%m%dT%H%M%S"))
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    items = options.items or (30_000 if options.quick else 1_000_000)
    found = asyncio.run(measure(items, options.rounds, options.output, quick=options.quick))
    text = showing.table(found)
    (options.output / "table.md").write_text(text + "\n")
    print(text)
    showing.picture(found, options.output / "cost.png")
    for count in OPENS[:1] if options.quick else OPENS:
        subprocess.run([sys.executable, "-m", "tests.benchmarks.books", str(count)], check=True)
    print(f"figures, table and picture: {options.output}")


if __name__ == "__main__":
    main(sys.argv[1:])
