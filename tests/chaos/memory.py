"""Resident memory of processes over a run."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

EVERY_SECONDS: Final = 1.0
MEBIBYTE: Final = 1 << 20


class Memory:
    """VmRSS of each process, sampled every second; what was sampled while it warmed up is the base.

    Args:
        pids: which processes, asked anew each time.
        warm_up_seconds: a process's base is the largest sample of so many seconds after its first.
    """

    def __init__(self, pids: Callable[[], Iterable[int]], warm_up_seconds: float) -> None:
        self._pids = pids
        self._warm_up_seconds = warm_up_seconds
        self._samples: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)

    @asynccontextmanager
    async def sampled(self) -> AsyncIterator[None]:
        """Sample for as long as the block lasts."""
        task = asyncio.create_task(self._sample())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _sample(self) -> None:
        while True:
            for pid in self._pids():
                if size := resident_bytes(pid):
                    self._samples[pid].append((time.monotonic(), size))
            await asyncio.sleep(EVERY_SECONDS)

    def growth(self) -> tuple[float, float, float]:
        """The process that has grown the most: by how many MiB, from how many, over how many seconds."""
        grown = [(0.0, 0.0, 0.0)]
        for samples in self._samples.values():
            began = samples[0][0]
            base = [size for moment, size in samples if moment - began <= self._warm_up_seconds]
            later = [size for moment, size in samples if moment - began > self._warm_up_seconds]
            if later:
                lived = samples[-1][0] - began
                grown.append(((max(later) - max(base)) / MEBIBYTE, max(base) / MEBIBYTE, lived))
        return max(grown)


def resident_bytes(pid: int) -> int:
    """VmRSS; 0 where the process has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    sizes = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(sizes[0]) * 1024 if sizes else 0
