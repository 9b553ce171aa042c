"""What a run shows: figures for a table, and what is wrong in sentences."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.table import Table

from tests.canary import Searched
from tests.checker import Verdict


@dataclass(slots=True)
class Figures:
    """One run's.

    Attributes:
        title: of the table.
        rows: name and figure, in order.
        problems: what is wrong; none where the promise held.
    """

    title: str
    rows: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def show(self, name: str, value: float | str) -> None:
        """Add a row."""
        self.rows[name] = value if isinstance(value, str) else f"{value:,.1f}".removesuffix(".0")

    def insist(self, holds: bool, problem: str) -> None:  # noqa: FBT001 - it reads as an assertion does
        """Note what is wrong, unless it holds."""
        if not holds:
            self.problems.append(problem)

    def judge(self, verdict: Verdict, found: Searched) -> None:
        """Add the checker's rows and those of the search for the credential."""
        wrong = verdict.counts
        self.show("records", verdict.inputs)
        self.show("results / dead letters", f"{verdict.results:,} / {verdict.dead_letters:,}")
        self.show("lost", wrong["lost"])
        self.show("results twice", wrong["result_twice"] + wrong["item_twice"])
        self.show("submitted twice", wrong["submitted_twice"])
        self.show("the credential", str(found))
        self.insist(verdict.ok and verdict.complete, str(verdict))
        self.insist(not found.hits, str(found))

    def table(self) -> Table:
        """For people."""
        table = Table(title=self.title, title_justify="left", show_header=False)
        for name, value in self.rows.items():
            table.add_row(name, value)
        for problem in self.problems:
            table.add_row("FAILED", problem, style="bold red")
        return table


def shown(counts: Mapping[str, float]) -> str:
    """Counts in one cell."""
    return ", ".join(f"{count:,.0f} {name}" for name, count in counts.items() if count) or "none"
