"""What an open item costs the collector's state: memory, and time to take it in, in a process of its own.

`python -m tests.benchmarks.open_items COUNT` prints one line of JSON.
"""

import asyncio
import json
import secrets
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from daemon.flows.collector.ledger import Ledger
from daemon.model import Item, PlacedRecord
from tests.benchmarks.stage import Row, Stage
from tests.doubles import packed_items

OPEN = (100_000, 1_000_000)
TRACE = (("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),)
BATCH = 5_000
NOW_MS = 1_795_000_000_000


def ledger_rows(topic: str, count: int) -> Iterator[Sequence[tuple[bytes, bytes]]]:
    """Batches of ledger records by id; each item has a key of 16 bytes and a `traceparent`."""
    now = datetime.now(UTC)
    for begin in range(0, count, BATCH):
        end = min(begin + BATCH, count)
        records = [
            PlacedRecord(topic, 0, offset, NOW_MS, secrets.token_bytes(16), b"", TRACE)
            for offset in range(begin, end)
        ]
        values = packed_items([Item(record, b"", record.offset) for record in records], end, now)
        yield [(b"%020x" % record.offset, value) for record, value in zip(records, values, strict=True)]


async def measure(stage: Stage) -> AsyncIterator[Row]:
    """With each number of items."""
    for whole in OPEN:
        count = stage.count(whole)
        asking = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.benchmarks.open_items", str(count), stdout=asyncio.subprocess.PIPE
        )
        said, _ = await asking.communicate()
        yield Row("open-items", f"{count} open", "tolokad", json.loads(said))


def main(count: int) -> None:
    """Open so many items."""
    ledger = Ledger("incarnation", 0)
    before, spent = _resident_bytes(), 0.0
    for rows in ledger_rows("items", count):
        read = [PlacedRecord("ledger", 0, 0, NOW_MS, key, value, ()) for key, value in rows]
        started = time.process_time()
        for record in read:
            ledger.note(record)
        spent += time.process_time() - started
    assert len(ledger) == count
    # What the measurement itself has made.
    del rows, read, record
    grown = _resident_bytes() - before
    print(json.dumps({"bytes_each": grown / count, "cpu_seconds": round(spent, 2)}))


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


if __name__ == "__main__":
    main(int(sys.argv[1]))
