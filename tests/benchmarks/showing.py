"""What was measured, as a table of ratios and as a picture."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from tests.benchmarks.running import Figures

HEAD = ("job", "program", "items/s", "CPU s/M", "MiB", "speed x", "cost x")


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Least, median and greatest."""
    return " / ".join(f"{value:.{digits}f}" for value in (min(values), median(values), max(values)))


def table(found: Sequence[Figures]) -> str:
    """Markdown; the ratios are tolokad's to the program of the row, round by round."""
    groups: dict[tuple[str, str], list[Figures]] = {}
    for figures in found:
        groups.setdefault((figures.job, figures.program), []).append(figures)
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    lines += [_row(job, name, rounds, groups) for (job, name), rounds in groups.items()]
    return "\n".join(lines)


def _row(
    job: str, name: str, rounds: Sequence[Figures], groups: Mapping[tuple[str, str], Sequence[Figures]]
) -> str:
    pairs = list(zip(groups.get((job, "tolokad"), ()), rounds, strict=False))
    speed = [ours.items_per_second / theirs.items_per_second for ours, theirs in pairs]
    cost = [ours.cpu_seconds_per_million / theirs.cpu_seconds_per_million for ours, theirs in pairs]
    cells = (
        job,
        name,
        spread([each.items_per_second for each in rounds], 0),
        spread([each.cpu_seconds_per_million for each in rounds]),
        f"{max(each.resident_mib for each in rounds):.0f}",
        spread(speed) if speed else "",
        spread(cost) if cost else "",
    )
    return "| " + " | ".join(cells) + " |"


def picture(found: Sequence[Figures], path: Path) -> None:
    """Cost against load: one dot a run."""
    try:
        from matplotlib import figure  # noqa: PLC0415 - optional: see pyproject.toml, `bench`
    except ImportError:
        print("no picture: pip install tolokad[bench] has matplotlib", file=sys.stderr)
        return
    drawing = figure.Figure(figsize=(9, 6), layout="constrained")
    axes = drawing.subplots()
    for name in dict.fromkeys(figures.program for figures in found):
        runs = [figures for figures in found if figures.program == name]
        speeds, costs = [r.items_per_second for r in runs], [r.cpu_seconds_per_million for r in runs]
        axes.scatter(speeds, costs, label=name)
    axes.set(
        xlabel="items a second", ylabel="processor seconds per million items", ylim=(0, None), xscale="log"
    )
    axes.legend()
    drawing.savefig(path, dpi=120)
