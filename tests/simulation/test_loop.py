"""The virtual loop: asyncio's promises hold, time jumps, processes freeze and die, and hanging is noticed."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest

from tests.simulation.loop import DeadlockError, VirtualLoop


@contextmanager
def virtual(seed: int | None = None) -> Iterator[VirtualLoop]:
    """A loop that is closed in the end, with nothing left to run on it."""
    loop = VirtualLoop(None if seed is None else Random(seed))
    try:
        yield loop
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def test_time_jumps_to_the_next_timer() -> None:
    """Sleeping, timeouts and task groups take virtual time, and no other."""

    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1000):
                await asyncio.sleep(86_400)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep(5))
            tasks.create_task(asyncio.sleep(3600))
        return asyncio.get_running_loop().time()

    with virtual() as loop:
        assert loop.run_until_complete(main()) == 4600


def test_timers_of_one_time_fire_in_order() -> None:
    """Equal times keep the order in which they were set."""
    fired: list[int] = []
    with virtual(seed=1) as loop:
        for number in range(50):
            loop.call_later(1.0, fired.append, number)
        loop.run_until_complete(asyncio.sleep(2))
    assert fired == list(range(50))


def test_waiting_for_nothing_is_a_deadlock() -> None:
    """Where nothing can ever happen again, the loop says which tasks wait."""

    async def waits_for_ever() -> None:
        await asyncio.Event().wait()

    with virtual() as loop, pytest.raises(DeadlockError, match="waits_for_ever"):
        loop.run_until_complete(waits_for_ever())


def test_a_frozen_process_runs_late() -> None:
    """What became due while it was frozen runs at its thaw, in order."""
    ran: list[tuple[str, float]] = []

    async def main() -> None:
        for name in ("a", "b", "c"):
            await asyncio.sleep(1)
            ran.append((name, asyncio.get_running_loop().time()))

    with virtual() as loop:
        process = loop.process("frozen")
        process.start(main())
        loop.call_later(1.5, process.freeze)
        loop.call_later(10, process.thaw)
        loop.run_until_complete(asyncio.sleep(20))
    assert ran == [("a", 1.0), ("b", 10.0), ("c", 11.0)]


def test_a_killed_process_cleans_nothing_up() -> None:
    """Neither `finally` nor a cancellation runs in a process that was killed."""
    ran: list[str] = []

    async def main() -> None:
        try:
            await asyncio.sleep(5)
        finally:
            ran.append("cleaned up")

    with virtual() as loop:
        process = loop.process("killed")
        task = process.start(main())
        loop.call_later(1, process.kill)
        loop.run_until_complete(asyncio.sleep(10))
        task.cancel()
        loop.run_until_complete(asyncio.sleep(1))
        assert (ran, task.done()) == ([], False)
        # Only now, that nobody looks any more, may it end.
        process.alive = True
        loop.note(process)


def test_the_seed_decides_whose_turn_it_is() -> None:
    """Equal seeds interleave processes alike, others otherwise; within a process order is kept."""

    def interleaved(seed: int) -> str:
        ran: list[str] = []

        async def main(name: str) -> None:
            for step in range(5):
                ran.append(f"{name}{step}")
                await asyncio.sleep(0)

        with virtual(seed) as loop:
            tasks = [loop.process(name).start(main(name)) for name in "ab"]
            loop.run_until_complete(asyncio.wait(tasks))
        return "".join(ran)

    assert interleaved(1) == interleaved(1)
    assert len({interleaved(seed) for seed in range(10)}) > 1
    assert all(interleaved(seed).count("a0") == 1 for seed in range(10))


def test_a_fuse_burns_at_a_callback() -> None:
    """A process can be struck between any two of its callbacks."""
    ran: list[int] = []

    async def main() -> None:
        for step in range(5):
            ran.append(step)
            await asyncio.sleep(0)

    with virtual() as loop:
        process = loop.process("struck")
        process.fuse = (3, process.kill)
        process.start(main())
        loop.run_until_complete(asyncio.sleep(1))
        assert ran == [0, 1, 2]
        process.alive = True
        loop.note(process)
