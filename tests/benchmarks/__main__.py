"""`python -m tests.benchmarks [NAME …] [--quick]`: measure; show tables and ratios, leave JSON lines."""

import argparse
import asyncio
import json
import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.benchmarks import (
    collecting,
    ingesting,
    low_load,
    memory,
    open_items,
    recovering,
    scaling,
    showing,
    steady,
    taking_over,
    wire,
)
from tests.benchmarks.stage import Measure, Row, Stage
from tests.kafka import EmbeddedKafka

MEASUREMENTS: Mapping[str, Measure] = {
    "open-items": open_items.measure,
    "ingest": ingesting.measure,
    "collect": collecting.measure,
    "steady": steady.measure,
    "low-load": low_load.measure,
    "take-over": taking_over.measure,
    "memory": memory.measure,
    "scale-out": scaling.measure,
    "per-million": wire.measure,
    "recovery": recovering.measure,
}
# Those of which a small part says something, within a minute in all.
QUICK = ("ingest", "collect", "steady")
QUICK_SHARE = 0.03


async def measured(names: Iterable[str], rounds: int, small: float, folder: Path) -> list[Row]:
    """Round after round, each measurement with its references once a round."""
    found: list[Row] = []
    with EmbeddedKafka() as kafka:
        stage = Stage(kafka.bootstrap_servers, folder, small)
        for name in names:
            for _ in range(rounds):
                async for row in MEASUREMENTS[name](stage):
                    found.append(row)
                    _keep(row, folder)
    return found


def _keep(row: Row, folder: Path) -> None:
    line = json.dumps({**row.line(), "load": round(os.getloadavg()[0], 1)})
    print(line, flush=True)
    with (folder / "figures.jsonl").open("a") as out:
        out.write(line + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(MEASUREMENTS)}; all by default")
    parser.add_argument("--quick", action="store_true", help=f"{', '.join(QUICK)}, once and little: a minute")
    parser.add_argument("--small", type=float, default=1.0, help="measure this share of the items")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path(".bench") / time.strftime("%Y%m%dT%H%M%S"))
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(MEASUREMENTS):
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}")
    if options.quick:
        options.small, options.rounds = QUICK_SHARE, 1
    names = options.names or (QUICK if options.quick else tuple(MEASUREMENTS))
    options.output.mkdir(parents=True, exist_ok=True)
    # The clients' own warnings, such as of leaders that are just being chosen.
    logging.basicConfig(filename=options.output / "clients.log", level=logging.WARNING)
    found = asyncio.run(measured(names, options.rounds, options.small, options.output))
    text = showing.tables(found)
    (options.output / "tables.md").write_text(text + "\n")
    print(text)
    print(f"figures and tables: {options.output}")


if __name__ == "__main__":
    main()
