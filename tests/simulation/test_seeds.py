"""The promise holds under seeded faults: results and dead letters for every input, each once, paid for once.

`TOLOKAD_SIMULATION_SEEDS` says how many seeds are run (4), `TOLOKAD_SIMULATION_FIRST_SEED` which is first.
"""

import os
import re
import subprocess
import sys

import pytest

SEEDS_VARIABLE, FIRST_VARIABLE = "TOLOKAD_SIMULATION_SEEDS", "TOLOKAD_SIMULATION_FIRST_SEED"


def simulate(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the simulation in an interpreter of its own, as its command line does."""
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.mark.timeout(1800)
def test_every_seed_keeps_the_promise() -> None:
    """No seed's faults lose an item, publish one twice, or pay for one twice; each can be replayed."""
    count, first = int(os.environ.get(SEEDS_VARIABLE, "4")), int(os.environ.get(FIRST_VARIABLE, "0"))
    ran = simulate("--seeds", f"{first}-{first + count - 1}", "--jobs", "1")
    print(ran.stdout)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_seed_replays_exactly() -> None:
    """The same seed gives the same trace, event by event, in another process."""
    digests = {re.findall(r"trace (\w+)", simulate("--seed", "7").stdout)[0] for _ in range(2)}
    assert len(digests) == 1
