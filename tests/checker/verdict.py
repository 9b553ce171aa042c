"""What the checker found, for tests and for people."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rich.table import Table

Kind = Literal[
    "lost",
    "result_twice",
    "dead_letter_twice",
    "both",
    "item_twice",
    "submitted_twice",
    "unasked",
    "unknown_origin",
    "wrong_key",
    "wrong_headers",
    "wrong_value",
    "wrong_origin",
    "wrong_item",
    "wrong_dead_letter",
]
# In words, in the order of the table.
KINDS: Mapping[Kind, str] = {
    "lost": "neither result, nor dead letter, nor open",
    "result_twice": "more than one result",
    "dead_letter_twice": "more than one dead letter",
    "both": "a result and a dead letter",
    "item_twice": "one Toloka item in two results",
    "submitted_twice": "paid for more than once, or in vain",
    "unasked": "created at Toloka though no record asks for it",
    "unknown_origin": "a result or dead letter of no item",
    "wrong_key": "a result with another key",
    "wrong_headers": "a result with other headers",
    "wrong_value": "a result of another shape",
    "wrong_origin": "a result with another origin",
    "wrong_item": "a result with another item",
    "wrong_dead_letter": "a dead letter unlike its record",
}
# So many of each kind are kept; all are counted.
KEPT_FINDINGS = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: where (an input record, an item's id), and what."""

    kind: Kind
    place: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one input partition is settled: the group's committed offset, its metadata, the end."""

    partition: int
    committed: int
    end: int
    metadata: str

    @property
    def settled(self) -> bool:
        """Whether everything is settled, and no intent is left."""
        return self.committed >= self.end and not self.metadata


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of every input record.

    Attributes:
        inputs: records of the input topic, tombstones included.
        skipped: tombstones.
        results: records of the output topic with an origin; `foreign`: those without.
        open: records whose item Toloka has, by the ledger, and whose result is still to come.
        waiting: records at or behind the committed offset.
        created: items that Toloka ever created.
        counts: how often each kind of violation was found.
        findings: the first of each kind.
        latency_seconds: from `finished_at` to the result's timestamp: median, 99th percentile, largest.
        progress: each input partition.
    """

    inputs: int
    skipped: int
    results: int
    foreign: int
    dead_letters: int
    open: int
    waiting: int
    created: int
    counts: Mapping[Kind, int]
    findings: tuple[Finding, ...]
    latency_seconds: tuple[float, float, float] | None
    progress: tuple[Progress, ...]

    @property
    def ok(self) -> bool:
        """Whether no promise is broken; records may still be on their way."""
        return not any(self.counts.values())

    @property
    def complete(self) -> bool:
        """Whether nothing is on its way any more, and no intent is left."""
        return not (self.open or self.waiting) and all(part.settled for part in self.progress)

    def table(self) -> Table:
        """The verdict for people."""
        table = Table(title="Every input record, one outcome", title_justify="left", show_header=False)
        for name, number in self._account():
            table.add_row(name, f"{number:,}")
        table.add_section()
        for kind, words in KINDS.items():
            wrong = self.counts.get(kind, 0)
            table.add_row(words, f"{wrong:,}", style="bold red" if wrong else "green")
        table.add_section()
        table.add_row("offsets at the end, no intent left", self._settled())
        if self.latency_seconds is not None:
            shown = " / ".join(f"{seconds:.2f} s" for seconds in self.latency_seconds)
            table.add_row("from finished to published: p50 / p99 / max", shown)
        return table

    def _account(self) -> tuple[tuple[str, int], ...]:
        return (
            ("input records", self.inputs),
            ("  results", self.results),
            ("  dead letters", self.dead_letters),
            ("  tombstones, skipped", self.skipped),
            ("  open at Toloka", self.open),
            ("  not submitted yet", self.waiting),
            ("items created at Toloka", self.created),
            ("results of items that others created", self.foreign),
        )

    def _settled(self) -> str:
        settled = sum(part.settled for part in self.progress)
        return f"{settled} of {len(self.progress)} partitions"

    def __str__(self) -> str:
        """One line that says it all, for the message of a failed test."""
        wrong = {kind: count for kind, count in self.counts.items() if count}
        behind = [part for part in self.progress if not part.settled]
        account = ", ".join(f"{name.strip()} {number}" for name, number in self._account())
        return f"{account}; wrong: {wrong or 'nothing'}; unsettled: {behind}; {self.findings}"
