"""How often each row of the fault matrix fired: one JSON file for each source, from rows to counts."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

ROWS = range(1, 67)
FOLDER = Path(__file__).parents[2] / ".cache" / "faults"


def write(source: str, fired: Mapping[int, int]) -> None:
    """Write what a source has fired in its last run, in place of what it had written before.

    Args:
        source: names the file; who it is that counts.
        fired: how often, by row.

    Raises:
        LookupError: there is no such row.
    """
    if unknown := sorted(set(fired) - set(ROWS)):
        raise LookupError(f"the matrix has no such rows: {unknown}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    counts = {str(row): fired[row] for row in sorted(fired)}
    (FOLDER / f"{source}.json").write_text(json.dumps(counts, indent=1) + "\n")


def read() -> dict[str, Counter[int]]:
    """How often each row fired, by source."""
    found = sorted(FOLDER.glob("*.json"))
    return {
        path.stem: Counter({int(row): count for row, count in json.loads(path.read_text()).items()})
        for path in found
    }
