"""Counts which rows of the conformance checklist were really proven in this run.

A row's number stands for one thing that Toloka's APIs do; the tests that are marked with it say which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.simulator.bench import Bench, bench

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

ROWS = frozenset(range(1, 89))
PROPERTY = "toloka_row"


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers."""
    config.addinivalue_line(
        "markers", "row(*numbers): the rows of the conformance checklist that a test proves"
    )
    config.addinivalue_line("markers", "toloka_kit: asks toloka-kit for a second opinion")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Write each test's rows into its report."""
    for item in items:
        rows = {row for mark in item.iter_markers("row") for row in mark.args}
        if not rows <= ROWS:
            raise pytest.UsageError(f"{item.nodeid}: no such rows: {sorted(rows - ROWS)}")
        item.user_properties.extend((PROPERTY, row) for row in sorted(rows))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many rows passed; a row counts if all of its tests that ran passed."""
    passed = _rows(terminalreporter.getreports("passed"))
    broken = _rows([*terminalreporter.getreports("failed"), *terminalreporter.getreports("error")])
    if not passed | broken:
        return
    covered, missing = passed - broken, ROWS - (passed - broken)
    line = f"Toloka conformance: {len(covered)} of {len(ROWS)} rows covered ({_ranges(ROWS)})"
    terminalreporter.write_line(line + (f"; missing: {_ranges(missing)}" if missing else ""))


def _rows(reports: Iterable[pytest.TestReport | pytest.CollectReport]) -> set[int]:
    # A module that could not be imported has run nothing.
    run = (report for report in reports if isinstance(report, pytest.TestReport))
    return {int(str(value)) for report in run for name, value in report.user_properties if name == PROPERTY}


def _ranges(rows: Iterable[int]) -> str:
    """Return numbers as in "1-59, 86-88"."""
    runs: list[list[int]] = []
    for row in sorted(rows):
        if runs and row == runs[-1][-1] + 1:
            runs[-1].append(row)
        else:
            runs.append([row])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


@pytest.fixture
async def toloka() -> AsyncIterator[Bench]:
    """A simulator with default knobs, a clock that stands still, and a client."""
    async with bench() as running:
        yield running
