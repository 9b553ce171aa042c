"""Toloka's own client library agrees with the simulator, where it is installed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.simulator.serving import spawn

REPOSITORY = Path(__file__).parents[2]
INTERPRETER = REPOSITORY / ".venv-toloka-kit" / "bin" / "python"


@pytest.mark.toloka_kit
@pytest.mark.skipif(not INTERPRETER.exists(), reason="toloka-kit has no environment here")
def test_second_opinion() -> None:
    """Every check that toloka-kit makes of the simulator holds."""
    with spawn() as url:
        command = [str(INTERPRETER), "tests/contract/toloka_kit.py", url]
        run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("ok  ") > 40
