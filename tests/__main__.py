"""Every test, in groups that run side by side: `python -m tests`, which is `make test`.

The groups are as long as each other on two cores. What each says is shown when it ends, whole, and the last
line counts them all.
"""

import asyncio
import re
import sys
import time

from tests.matrix import counts

GROUPS = {
    "units, properties, contracts, simulation": (
        "tests/unit",
        "tests/property",
        "tests/contract",
        "tests/simulation",
        "tests/deploy",
    ),
    "on a real Kafka": (
        "tests/integration",
        "tests/system",
        "tests/kit",
        "tests/chaos",
        "tests/demo",
        "tests/checker",
        "tests/matrix",
    ),
}
COUNTED = re.compile(r"(\d+) (passed|failed|errors?|skipped)\b")


async def run(name: str, folders: tuple[str, ...]) -> tuple[int, str]:
    """Run one group under coverage; returns its exit code and what it said."""
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "coverage", "run", "-m", "pytest", "-p", "no:cacheprovider"),
        f"--faults-as={re.sub('[^a-z]+', '-', name.lower())}",
        *folders,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    text = said.decode(errors="replace")
    print(f"\n##### {name}: {time.monotonic() - began:.0f} s\n{text}", flush=True)
    return process.returncode or 0, text


async def main() -> int:
    """Run all groups; 0 where all of them passed."""
    counts.forget()
    ended = await asyncio.gather(*(run(name, folders) for name, folders in GROUPS.items()))
    total = dict.fromkeys(("passed", "failed", "error", "skipped"), 0)
    for _, text in ended:
        closing = [line for line in text.splitlines() if line.startswith("=") and COUNTED.search(line)]
        for number, what in COUNTED.findall(closing[-1] if closing else "1 error"):
            total[what.removesuffix("s")] += int(number)
    failed = total["failed"] + total["error"]
    print(f"{total['passed']} passed, {failed} failed, {total['skipped']} skipped", flush=True)
    return max(code for code, _ in ended)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
