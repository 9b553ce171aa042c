"""Write the table of tests/README.md anew from what the last runs have counted: `python -m tests.matrix`.

Returns 1 where a row that is said to be fired was not.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.matrix import counts
from tests.matrix.rows import ROWS, Row

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- the table begins: python -m tests.matrix writes it -->", "<!-- the table ends -->"


def main() -> int:
    """Write the table; returns the exit code."""
    fired = counts.read()
    before, _, rest = README.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    README.write_text(f"{before}{BEGIN}\n{table(fired)}{END}{after}")
    silent = [number for number, row in ROWS.items() if row.fired_by and not _total(fired, number)]
    print(f"{len(ROWS) - len(silent)} of {len(ROWS)} rows accounted for; not fired: {silent or 'none'}")
    return 1 if silent else 0


def table(fired: Mapping[str, Counter[int]]) -> str:
    """The table, one line for each row."""
    head = ("| # | fault | fired by | fired | outcome |", "|---|---|---|---|---|")
    return "\n".join((*head, *(_line(fired, number, row) for number, row in ROWS.items()), ""))


def _line(fired: Mapping[str, Counter[int]], number: int, row: Row) -> str:
    counted = list(_counts(fired, number))
    by = row.fired_by or f"{'make chaos alone' if counted else 'not fired'}: {row.why_not}"
    return f"| {number} | {row.fault} | {by} | {', '.join(counted) or '-'} | {row.outcome} |"


def _counts(fired: Mapping[str, Counter[int]], number: int) -> Iterator[str]:
    if total := _total(fired, number):
        yield f"{total}"
        yield from (f"{name} {rows[number]}" for name, rows in fired.items() if rows[number])


def _total(fired: Mapping[str, Counter[int]], number: int) -> int:
    return sum(rows[number] for rows in fired.values())


if __name__ == "__main__":
    sys.exit(main())
