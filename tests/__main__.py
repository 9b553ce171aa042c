"""Every test, in groups that run side by side: `python -m tests`, which is `make test`.

`make test SIMULATION_SEEDS=0-99` runs fewer seeds of the simulation than 0-499.
`python -m tests system` is `make test-system`: what needs a container engine, a browser or models of its own.

The simulation has the machine to itself at first, for it is all work and no waiting. Then the groups run,
the longest first, three at a time on two cores: those on a real Kafka wait more than they work. What each
says is shown when it ends, whole, and the last line counts them all.
"""

import asyncio
import os
import re
import sys
import time

# The simulation and its mutants are not measured: it would double their time, and what they run the units run
# as well.
UNITS = "simulation, units, properties, contracts"
SEEDS = os.environ.get("SIMULATION_SEEDS", "0-499")
BESIDES = ("--kills", "0-2999/150", "--steered", "0-19")
RUN = ("-m", "tests.simulation", "--seeds", SEEDS, *BESIDES, "--jobs", "2")
SIMULATION = (*RUN, "--count-as=simulation")
MUTANTS = ("-m", "tests.mutants", "--hinted")
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
    UNITS: (
        "tests/unit",
        "tests/property",
        "tests/contract",
        "tests/simulation",
        "tests/mutants",
        "tests/deploy",
        "tests/supply",
    ),
    "on a real Kafka, brokers that fail": BROKERS,
    "on a real Kafka, processes that are killed": KILLS,
    "on a real Kafka, processes": ("tests/system", *(f"--ignore={path}" for path in (*KILLS, *BROKERS))),
    "on a real Kafka": ("tests/integration",),
}
SYSTEM_GROUPS = {
    "in containers": ("tests/containers",),
    "manifests, and the status page in a browser": ("tests/manifests", "tests/browser"),
}
COUNTED = re.compile(r"(\d+) (passed|failed|errors?|skipped)\b")


async def run(
    name: str, folders: tuple[str, ...], lanes: asyncio.Semaphore, *, measured: bool
) -> tuple[int, str]:
    """Run one group, under coverage if it is measured; returns its exit code and what its tests said."""
    async with lanes:
        return await _run(name, folders, measured=measured)


async def _run(name: str, folders: tuple[str, ...], *, measured: bool) -> tuple[int, str]:
    first = (await ran(MUTANTS))[0] if name == UNITS else 0
    coverage = ("-m", "coverage", "run") if measured else ()
    faults = (f"--faults-as={re.sub('[^a-z]+', '-', name.lower())}",) if measured else ()
    pytest = (*coverage, "-m", "pytest", "-p", "no:cacheprovider", *faults, *folders)
    code, text = await ran(pytest, name)
    return max(code, first), text


async def ran(arguments: tuple[str, ...], name: str = "") -> tuple[int, str]:
    """Run Python to its end, and show what it said; returns its exit code as well."""
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    text = said.decode(errors="replace")
    print(f"\n##### {name or ' '.join(arguments[1:])}: {time.monotonic() - began:.0f} s\n{text}", flush=True)
    return process.returncode or 0, text


async def main(*, system: bool) -> int:
    """Run all groups of one kind; 0 where all of them passed."""
    simulated = 0 if system else (await ran(SIMULATION))[0]
    groups = SYSTEM_GROUPS if system else GROUPS
    lanes = asyncio.Semaphore(AT_A_TIME)
    runs = (run(name, folders, lanes, measured=not system) for name, folders in groups.items())
    ended = await asyncio.gather(*runs)
    total = dict.fromkeys(("passed", "failed", "error", "skipped"), 0)
    for _, text in ended:
        closing = [line for line in text.splitlines() if line.startswith("=") and COUNTED.search(line)]
        for number, what in COUNTED.findall(closing[-1] if closing else "1 error"):
            total[what.removesuffix("s")] += int(number)
    failed = total["failed"] + total["error"]
    print(f"{total['passed']} passed, {failed} failed, {total['skipped']} skipped", flush=True)
    return max(simulated, *(code for code, _ in ended))


if __name__ == "__main__":
    sys.exit(asyncio.run(main(system=sys.argv[1:] == ["system"])))
