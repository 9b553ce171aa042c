"""What an open item costs the collector: memory, and time to take it over, in a process of its own.

`python -m tests.benchmarks.books COUNT` prints one line of JSON.
"""

import json
import secrets
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from daemon.edges.fetched import Fetched
from daemon.flows import ledger_records
from daemon.flows.ledger import Ledger
from daemon.model import Item

TRACE = (("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),)
BATCH = 5_000


def resident_bytes() -> int:
    """Memory of this process that is in use now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def main(count: int) -> None:
    """Open so many items, each with a key of 16 bytes and a `traceparent`."""
    ledger, now = Ledger("incarnation", 0), datetime.now(UTC)
    before, spent = resident_bytes(), 0.0
    for begin in range(0, count, BATCH):
        records = [
            Fetched("items", 0, offset, 1_795_000_000_000, secrets.token_bytes(16), b"", TRACE)
            for offset in range(begin, begin + BATCH)
        ]
        items = [Item(record, b"", hash(record.key) & (2**63 - 1)) for record in records]
        packed = ledger_records.pack(items, begin + BATCH, now)
        read = [
            Fetched("ledger", 0, offset, 1_795_000_000_000, secrets.token_hex(10).encode(), value, ())
            for offset, value in enumerate(packed, begin)
        ]
        started = time.process_time()
        for record in read:
            ledger.note(record)
        spent += time.process_time() - started
    # What the measurement itself has made.
    del records, items, packed, read, record
    grown = resident_bytes() - before
    print(json.dumps({"open": len(ledger), "bytes_each": grown / count, "cpu_seconds": round(spent, 2)}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
