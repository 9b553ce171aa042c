"""Cost against load, as a picture: `python tests/benchmarks/picture.py FIGURES.jsonl PICTURE.png`.

It needs matplotlib and nothing of the project: see config/requirements/bench.txt.
"""

import json
import sys
from pathlib import Path

from matplotlib import figure

SPEED, COST = "items_per_second", "cpu_seconds_per_million"


def draw(lines: Path, picture: Path) -> None:
    """One dot a run of those whose figures say both."""
    rows = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]
    runs: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if SPEED in row and COST in row:
            runs.setdefault(f"{row['measurement']}: {row['program']}", []).append((row[SPEED], row[COST]))
    drawing = figure.Figure(figsize=(8, 5), layout="constrained")
    axes = drawing.subplots()
    for name, dots in runs.items():
        axes.scatter([speed for speed, _ in dots], [cost for _, cost in dots], label=name)
    axes.set(
        xlabel="items a second", ylabel="processor seconds per million items", ylim=(0, None), xscale="log"
    )
    axes.legend()
    drawing.savefig(picture, dpi=100)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
