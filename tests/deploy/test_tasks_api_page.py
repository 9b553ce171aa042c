"""The table of config/tasks-api.md holds what it says: whatever it names is there."""

import re
from pathlib import Path

import pytest

from daemon.settings.variables import variables

ROOT = Path(__file__).parents[2]
VARIABLES = {variable.name.removeprefix("TOLOKAD_") for variable in variables()}


def rows() -> list[list[str]]:
    """The table's rows but for its head and the headings in it."""
    lines = (ROOT / "config" / "tasks-api.md").read_text().splitlines()
    cells = [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| ")
    ]
    return [row for row in cells[1:] if not row[0].startswith("**")]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:40])
def test_what_a_row_names_is_there(row: list[str]) -> None:
    """No cell is empty; its variables, files and tests exist."""
    assert len(row) == 4
    assert all(row)
    _, _, served, shown = row
    for name in re.findall(r"`([^`]+)`", served):
        assert name in VARIABLES or (ROOT / "daemon" / name).is_file(), name
    (test,) = re.findall(r"`([^`]+)`", shown)
    path, name = test.split("::")
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE), test


def test_the_table_is_whole() -> None:
    """Every parameter and field of the page has a row."""
    named = " ".join(row[0] for row in rows())
    page = (
        *("async_mode", "allow_defaults", "skip_invalid_items", "open_pool", "operation_id"),
        *("pool_id", "input_values", "known_solutions", "correctness_weight", "baseline_solutions"),
        *("confidence_weight", "overlap", "infinite_overlap", "message_on_unknown_solution"),
        *("origin_task_id", "reserved_for", "unavailable_for", "validation_errors", "items", "created"),
        *("PENDING", "RUNNING", "SUCCESS", "FAIL", "submitted", "started", "finished", "progress"),
        *("total_count", "valid_count", "not_valid_count", "success_count", "failed_count"),
    )
    assert [name for name in page if name not in named] == []
