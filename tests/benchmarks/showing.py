"""What was measured, as tables of figures and ratios."""

from collections.abc import Mapping, Sequence
from statistics import median

from tests.benchmarks.stage import Row

# Told as tolokad's to that of the program in the row, round by round.
COMPARED = {"items_per_second": "speed x", "cpu_seconds_per_million": "cost x"}
OURS = "tolokad"
SMALL = 100

Groups = Mapping[tuple[str, str], Sequence[Row]]


def spread(values: Sequence[float]) -> str:
    """Least, median and greatest; one where there is but one."""
    digits = 2 if max(map(abs, values)) < SMALL else 0
    shown = (min(values), median(values), max(values)) if len(values) > 1 else values
    return " / ".join(f"{value:,.{digits}f}" for value in shown)


def tables(found: Sequence[Row]) -> str:
    """Markdown, a table for each measurement."""
    names = dict.fromkeys(row.measurement for row in found)
    return "\n\n".join(_table(name, [row for row in found if row.measurement == name]) for name in names)


def _table(name: str, found: Sequence[Row]) -> str:
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in found:
        groups.setdefault((row.job, row.program), []).append(row)
    columns = list(dict.fromkeys(column for row in found for column in row.figures))
    ratios = {}
    if len({row.program for row in found}) > 1:
        ratios = {what: title for what, title in COMPARED.items() if what in columns}
    head = ["job", "program", *(column.replace("_", " ") for column in columns), *ratios.values()]
    lines = [f"### {name}", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for (job, program), rows in groups.items():
        cells = [job, program, *(_figure(rows, column) for column in columns)]
        cells += [_ratio(groups, job, program, what) for what in ratios]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _figure(rows: Sequence[Row], column: str) -> str:
    values = [row.figures[column] for row in rows if column in row.figures]
    return spread(values) if values else ""


def _ratio(groups: Groups, job: str, program: str, what: str) -> str:
    pairs = zip(groups.get((job, OURS), ()), groups[job, program], strict=False)
    ratios = [ours.figures[what] / theirs.figures[what] for ours, theirs in pairs if program != OURS]
    return spread(ratios) if ratios else ""
