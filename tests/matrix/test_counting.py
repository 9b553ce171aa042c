"""Which rows of the fault matrix fired is counted, not claimed."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.matrix import counts
from tests.matrix.__main__ import table
from tests.matrix.rows import ROWS

TESTS = Path(__file__).parents[1]
CONFTEST = """
from collections import Counter
from pathlib import Path
from tests.conftest import *
counts.FOLDER = Path(__file__).parent / "faults"
"""
SAMPLE = """
import pytest

@pytest.mark.fault(37, 41)
def test_passes():
    pass

@pytest.mark.fault(37)
@pytest.mark.parametrize("passes", [True, False])
def test_passes_once(passes):
    assert passes
"""


def run(folder: Path, source: str) -> int:
    """Run a file of tests with this plugin alone; returns the exit code."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_sample.py").write_text(source)
    options = ("--rootdir", str(folder), "-c", "/dev/null", "-p", "no:cacheprovider", "-p", "no:asyncio")
    command = [sys.executable, "-m", "pytest", *options, "--faults-as=sample", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode


def test_only_tests_that_passed_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row counts once for each test that carries it and has passed."""
    monkeypatch.setattr(counts, "FOLDER", tmp_path / "faults")
    assert run(tmp_path, SAMPLE) == pytest.ExitCode.TESTS_FAILED
    assert json.loads((tmp_path / "faults/sample.json").read_text()) == {"37": 2, "41": 1}
    assert counts.read() == {"sample": {37: 2, 41: 1}}


def test_a_row_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A test cannot claim a row that the matrix does not have."""
    assert run(tmp_path, SAMPLE.replace("41", "67")) == pytest.ExitCode.USAGE_ERROR
    with pytest.raises(LookupError, match="67"):
        counts.write("sample", {67: 1})


@pytest.mark.parametrize(
    ("row", "name"), [(row, name) for row in ROWS for name in re.findall(r"\btest_\w+", ROWS[row].fired_by)]
)
def test_who_is_said_to_fire_a_row_does(row: int, name: str) -> None:
    """A file of tests, or a test in one, that carries the row's number."""
    files = list(TESTS.rglob(f"{name}.py"))
    sources = [path.read_text() for path in files or TESTS.rglob("test_*.py")]
    sources = sources if files else [source for source in sources if f"def {name}(" in source]
    carried = {
        int(number)
        for source in sources
        for marks in re.findall(r"\bfault\(([\d, ]+)\)", source)
        for number in re.findall(r"\d+", marks)
    }
    assert row in carried


def test_every_row_says_who_fires_it_or_why_nobody_does() -> None:
    """And the table has a line for each."""
    assert sorted(ROWS) == list(counts.ROWS)
    assert all(bool(row.fired_by) != bool(row.why_not) for row in ROWS.values())
    lines = table({"simulation": Counter({1: 3}), "tests": Counter({1: 2, 66: 1})}).splitlines()
    assert len(lines) == 2 + len(ROWS)
    assert "| 5, simulation 3, tests 2 |" in lines[2]
