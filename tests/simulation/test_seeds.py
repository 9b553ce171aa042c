"""The promise holds under seeded faults: results and dead letters for every input, each once, paid for once.

`TOLOKAD_SIMULATION_SEEDS` says how many seeds are run (4), `TOLOKAD_SIMULATION_FIRST_SEED` which is first.
"""

import os
import re
import subprocess
import sys

import pytest

from tests.system.processes import MEASURING

SEEDS_VARIABLE, FIRST_VARIABLE = "TOLOKAD_SIMULATION_SEEDS", "TOLOKAD_SIMULATION_FIRST_SEED"


def simulate(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the simulation in an interpreter of its own, as its command line does.

    It is not under coverage: a run leaves without cleaning up, so that what was measured would be lost.
    """
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    own = {name: value for name, value in os.environ.items() if name not in MEASURING}
    return subprocess.run(command, env=own, check=False, capture_output=True, text=True)


@pytest.mark.timeout(1800)
def test_every_seed_keeps_the_promise() -> None:
    """No seed's faults lose an item, publish one twice, or pay for one twice; each can be replayed."""
    count, first = int(os.environ.get(SEEDS_VARIABLE, "4")), int(os.environ.get(FIRST_VARIABLE, "0"))
    ran = simulate("--seeds", f"{first}-{first + count - 1}", "--jobs", "1")
    print(ran.stdout)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.timeout(900)
def test_every_seed_keeps_the_promise_with_tasks() -> None:
    """So it is with the tasks API: as many results as a task's overlap, and no task is created twice."""
    count, first = int(os.environ.get(SEEDS_VARIABLE, "4")), int(os.environ.get(FIRST_VARIABLE, "0"))
    ran = simulate("--api", "tasks", "--seeds", f"{first}-{first + count - 1}", "--jobs", "1")
    print(ran.stdout)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("api", ["app", "tasks"])
def test_a_seed_replays_exactly(api: str) -> None:
    """The same seed gives the same trace, event by event, in another process."""
    ran = [simulate("--api", api, "--seed", "7").stdout for _ in range(2)]
    assert len({re.findall(r"trace (\w+)", each)[0] for each in ran}) == 1


@pytest.mark.timeout(300)
@pytest.mark.parametrize("api", ["app", "tasks"])
def test_an_operator_at_work_is_obeyed(api: str) -> None:
    """A limit is used up and kept, and pauses are, whichever API it is that creates what is paid for."""
    ran = simulate("--api", api, "--steered", "0-1", "--jobs", "1")
    assert ran.returncode == 0, ran.stdout + ran.stderr
