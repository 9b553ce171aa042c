"""Every test, in groups that run side by side: `python -m tests`, which is `make test`.

`make test SIMULATION_SEEDS=0-99` runs fewer seeds of the simulation than 0-499.
`python -m tests system` is `make test-system`: what needs a container engine, a browser or models of its own.
`python -m tests all` is `make test KIND=all`, which CI runs: both of them.

The groups run three at a time on two cores, the longest first: those on a real Kafka wait more than they
work. Beside them the simulation runs and then its mutants, which never wait: they take what the others leave
of the processor. What each says is shown when it ends, whole, and the last line counts all tests.
"""

import asyncio
import os
import re
import sys
import time

# The simulation and its mutants are not measured: it would double their time, and what they run the units run
# as well.
SEEDS = os.environ.get("SIMULATION_SEEDS", "0-499")
BESIDES = ("--kills", "0-2999/150", "--steered", "0-19")
RUN = ("-m", "tests.simulation", "--seeds", SEEDS, *BESIDES, "--jobs", "2")
SIMULATION = (*RUN, "--count-as=simulation")
MUTANTS = ("-m", "tests.mutants", "--hinted", "--jobs", "2")
AT_A_TIME = 3
# By itself their folder would be done long after all the others; what is new there goes with the rest of it.
KILLS = ("tests/system/test_kill.py", "tests/system/test_kill_tasks.py")
BROKERS = ("tests/system/test_kafka_faults.py", "tests/system/test_cluster.py")
GROUPS = {
    "commands, chaos, security, demo": (
        "tests/kit",
        "tests/security",
        "tests/chaos",
        "tests/demo",
        "tests/checker",
        "tests/matrix",
        "tests/benchmarks",
    ),
    "on a real Kafka, processes that are killed": KILLS,
    "on a real Kafka, brokers that fail": BROKERS,
    "on a real Kafka, processes": ("tests/system", *(f"--ignore={path}" for path in (*KILLS, *BROKERS))),
    "simulation, units, properties, contracts": (
        "tests/unit",
        "tests/property",
        "tests/contract",
        "tests/simulation",
        "tests/mutants",
        "tests/deploy",
        "tests/supply",
    ),
    "on a real Kafka": ("tests/integration",),
}
SYSTEM_GROUPS = {
    "in containers": ("tests/containers",),
    "manifests, and the status page in a browser": ("tests/manifests", "tests/browser"),
}
KINDS = {"most": GROUPS, "system": SYSTEM_GROUPS, "all": GROUPS | SYSTEM_GROUPS}
COUNTED = re.compile(r"(\d+) (passed|failed|errors?|skipped)\b")


async def run(name: str, folders: tuple[str, ...], lanes: asyncio.Semaphore) -> tuple[int, str]:
    """Run one group, under coverage where the daemon runs; returns its exit code and what its tests said."""
    measured = name in GROUPS
    coverage = ("-m", "coverage", "run") if measured else ()
    faults = (f"--faults-as={re.sub('[^a-z]+', '-', name.lower())}",) if measured else ()
    async with lanes:
        return await ran((*coverage, "-m", "pytest", "-p", "no:cacheprovider", *faults, *folders), name)


async def simulated() -> list[int]:
    """Run the simulation and then its mutants, as far as others leave them time; returns their exit codes."""
    return [(await ran(work, first=False))[0] for work in (SIMULATION, MUTANTS)]


async def ran(arguments: tuple[str, ...], name: str = "", *, first: bool = True) -> tuple[int, str]:
    """Run Python to its end, and show what it said; returns its exit code as well.

    Args:
        arguments: Python's.
        name: what is shown for them.
        first: whether it comes before those that are not.
    """
    began = time.monotonic()
    command = (*(() if first else ("nice",)), sys.executable, *arguments)
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    text = said.decode(errors="replace")
    print(f"\n##### {name or ' '.join(arguments[1:])}: {time.monotonic() - began:.0f} s\n{text}", flush=True)
    return process.returncode or 0, text


async def main(kind: str) -> int:
    """Run all groups of one kind; 0 where all of them passed."""
    simulation = None if kind == "system" else asyncio.create_task(simulated())
    lanes = asyncio.Semaphore(AT_A_TIME)
    runs = (run(name, folders, lanes) for name, folders in KINDS[kind].items())
    ended = await asyncio.gather(*runs)
    total = dict.fromkeys(("passed", "failed", "error", "skipped"), 0)
    for _, text in ended:
        closing = [line for line in text.splitlines() if line.startswith("=") and COUNTED.search(line)]
        for number, what in COUNTED.findall(closing[-1] if closing else "1 error"):
            total[what.removesuffix("s")] += int(number)
    failed = total["failed"] + total["error"]
    codes = [code for code, _ in ended] + (await simulation if simulation else [])
    print(f"{total['passed']} passed, {failed} failed, {total['skipped']} skipped", flush=True)
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:] or ["most"])))
