"""`python -m tests.chaos`: seeded schedules of blows, some at a time; `--seeds 17` replays one of them.

`python -m tests.chaos lost-answers late-commits late-items` and `outage` play what their names say.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.canary import Searched, search, topic_bytes
from tests.chaos.bystander import Bystander, standing_by
from tests.chaos.outage import OUTAGES
from tests.chaos.running import SETTLED_SECONDS, Ended, play
from tests.chaos.scenarios import SCENARIOS, outages, perform
from tests.chaos.schedule import rows_fired, scheduled
from tests.chaos.stage import broker
from tests.kafka.broker import QUICK_JAVA_OPTIONS
from tests.matrix import counts

VERSIONS: Final = ("3.9.2", "4.3.1")
FLAT_MEBIBYTES: Final = 20.0


@dataclass(slots=True)
class Sums:
    """What all schedules came to."""

    schedules: int = 0
    failed: list[int] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    doubts: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    searched: Searched = field(default_factory=Searched)
    inputs: int = 0
    slowest: float = 0.0
    problems: list[str] = field(default_factory=list)

    def add(self, ended: Ended) -> None:
        """Count one, and say what it came to."""
        self.schedules += 1
        self.faults += ended.faults
        self.doubts += ended.doubts
        self.searched += ended.searched
        self.slowest = max(self.slowest, ended.settled_seconds)
        if ended.verdict is not None:
            self.inputs += ended.verdict.inputs
            self.wrong += Counter({str(kind): count for kind, count in ended.verdict.counts.items()})
        state = "FAILED" if ended.problems else "ok"
        doubts = ", ".join(f"{count} {how}" for how, count in sorted(ended.doubts.items()))
        print(
            f"seed {ended.seed:3} {state}: settled {ended.settled_seconds:4.1f} s after healing;"
            f" in doubt: {doubts or 'nothing'}",
            flush=True,
        )
        if ended.problems:
            self.failed.append(ended.seed)
            print(f"  replay: python -m tests.chaos --seeds {ended.seed}")
            for problem in ended.problems:
                print(f"  {problem[:2000]}", flush=True)

    def add_bystander(self, version: str, bystander: Bystander) -> None:
        """Count the one that lived through it all."""
        grown, base, lived = bystander.growth
        print(
            f"bystander on Kafka {version}: {bystander.items:,} items over {lived:.0f} s,"
            f" memory {base:.0f} MiB, at most {grown:+.1f} MiB after warming up"
        )
        if grown > FLAT_MEBIBYTES:
            self.problems.append(f"the bystander on {version} grew by {grown:.1f} MiB")
        self.problems += [f"bystander on {version}: {problem}" for problem in bystander.problems]
        self.searched += bystander.searched

    def report(self, seconds: float) -> int:
        """Print the sums; returns the exit code."""
        wrong = {kind: count for kind, count in self.wrong.items() if count}
        lost, results, paid = (self.wrong[kind] for kind in ("lost", "result_twice", "submitted_twice"))
        print("\nhow often each fault struck:")
        for kind, count in sorted(self.faults.items()):
            print(f"  {count:6} {kind}")
        print("\nhow doubts ended: " + (", ".join(f"{n} {how}" for how, n in self.doubts.items()) or "none"))
        print(f"{self.searched}")
        print(
            f"{self.schedules} schedules in {seconds:.0f} s, {self.inputs:,} records: {lost} lost,"
            f" {results} results twice, {paid} submitted twice; all violations: {wrong or 'none'};"
            f" settled at most {self.slowest:.1f} s after healing; failed: {self.failed or 'none'}"
        )
        for problem in self.problems:
            print(f"FAILED: {problem}")
        counts.write("chaos", rows_fired(self.faults))
        return 1 if self.failed or self.problems else 0


async def run(seeds: Sequence[int], lanes: int, patience: float, folder: Path) -> int:
    """Play the seeds, each lane one after the other on a broker of its own."""
    began, sums = time.monotonic(), Sums()
    async with asyncio.TaskGroup() as tasks:
        for number, version in enumerate(VERSIONS * lanes):
            chosen = [seed for seed in seeds if scheduled(seed).version == version]
            lane = number // len(VERSIONS)
            if mine := chosen[lane::lanes]:
                place = folder / f"{version}-{lane}"
                tasks.create_task(_lane(version, mine, patience, place, sums, bystander=lane == 0))
    return sums.report(time.monotonic() - began)


async def _lane(
    version: str, seeds: Sequence[int], patience: float, folder: Path, sums: Sums, *, bystander: bool
) -> None:
    async with broker(version=version, java_options=QUICK_JAVA_OPTIONS) as kafka:
        async with AsyncExitStack() as stack:
            standing = None
            if bystander:
                standing = await stack.enter_async_context(standing_by(kafka, folder / "bystander"))
            for seed in seeds:
                sums.add(await play(scheduled(seed), kafka, folder / f"seed-{seed}", patience))
        if standing is not None:
            sums.add_bystander(version, standing)
        # What is still there of all the topics' bytes, aborted records included.
        sums.searched += search(topic_bytes(kafka.kafka.folder))


@asynccontextmanager
async def _folder(kept: Path | None) -> AsyncIterator[Path]:
    """Where logs and records go: a temporary folder, unless they are to be kept."""
    if kept is not None:
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="tolokad-chaos-") as folder:
        yield Path(folder)


def _seeds(text: str) -> list[int]:
    """`3`, `0-39`, `1,5,7-9`."""
    ranges = [part.partition("-") for part in text.split(",")]
    return [seed for first, _, last in ranges for seed in range(int(first), int(last or first) + 1)]


async def main() -> int:
    """Read the command line and play; 0 where the promise held."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    names = [*SCENARIOS, "outage"]
    parser.add_argument("names", nargs="*", choices=[*names, []], help="by default the seeded schedules")
    parser.add_argument("--seeds", type=_seeds, default=_seeds("0-39"), help="such as 17, or 0-39 (default)")
    parser.add_argument("--lanes", type=int, default=2, help="brokers of each version (default: 2)")
    patience = "seconds from healing until all is settled, at most; more on a busy machine (default: 68)"
    parser.add_argument("--patience", type=float, default=SETTLED_SECONDS, help=patience)
    parser.add_argument("--items", type=int, default=20_000, help="of the named runs (default: 20000)")
    parser.add_argument("--seconds", type=float, default=300, help="of the outage (default: 300)")
    parser.add_argument("--ways", nargs="*", choices=OUTAGES, default=[*OUTAGES], help="of the outage")
    parser.add_argument("--keep", type=Path, help="a folder in which logs and records stay")
    given = parser.parse_args()
    # That brokers and connections come and go is the point; the clients' words about it help nobody.
    for name in ("aiokafka", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    async with AsyncExitStack() as stack:
        folder = await stack.enter_async_context(_folder(given.keep))
        if not given.names:
            return await run(given.seeds, given.lanes, given.patience, folder)
        named = [name for name in given.names if name != "outage"]
        code = await perform(named, given.items, folder) if named else 0
        if "outage" in given.names:
            code = await outages(given.ways, given.seconds, folder) or code
        return code


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
