"""The process stays as small as what it holds."""

import asyncio
import ctypes
import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from daemon.app import memory


class Knot:
    """Something that holds itself."""

    def __init__(self) -> None:
        self.itself = self


@contextmanager
def nothing_by_itself() -> Iterator[None]:
    """Python looks for no garbage on its own."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# Leaves a cycle behind, and says what becomes of it and of the search for more.
STARTING = """
import gc, weakref
from daemon.app import memory
class Knot:
    pass
gc.disable()
knot = Knot()
knot.itself, gone = knot, weakref.ref(knot)
del knot
gc.enable()
memory.spare_what_stays()
print(gone() is None, gc.isenabled(), gc.get_freeze_count() > 1000)
"""


def test_what_the_start_has_made_is_not_looked_through_again() -> None:
    """Nor does anything look for garbage on its own; what is garbage by then does not stay."""
    said = subprocess.run([sys.executable, "-c", STARTING], check=True, capture_output=True, text=True).stdout
    assert said.split() == ["True", "False", "True"]


async def test_a_c_library_that_can_do_neither_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is no reason for the daemon not to run on another one."""
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not memory.keep_what_is_freed()
    async with asyncio.timeout(20):
        await memory.give_back_free_memory(asyncio.Event())


# Copies a megabyte again and again, and says how many pages of memory it was given for that.
COPYING = """
import resource, sys
from daemon.app import memory
if sys.argv[1] == "kept":
    assert memory.keep_what_is_freed()
def copy(times):
    for _ in range(times):
        first = bytearray(bytes(1_000_000))
        second, third = bytes(first), bytes(first[1:])
        del first, second, third
copy(5)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
copy(100)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another C library")
def test_what_is_freed_is_used_again() -> None:
    """Large copies that come and go are not new memory each time."""
    pages = {
        how: int(subprocess.run([sys.executable, "-c", COPYING, how], check=True, capture_output=True).stdout)
        for how in ("kept", "given back")
    }
    assert pages["kept"] * 10 < pages["given back"]


# Frees much of its memory, but for what lies at the end, and says how much less it then has.
LEAVING_HOLES = """
import asyncio, pathlib
from daemon.app import memory
def resident_pages():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1])
async def main():
    memory.GIVE_BACK_SECONDS = 0.001
    assert memory.keep_what_is_freed()
    blocks = [bytes(range(256)) * 4000 for _ in range(64)]
    del blocks[:-1]
    before, stopping = resident_pages(), asyncio.Event()
    giving = asyncio.create_task(memory.give_back_free_memory(stopping))
    while before - resident_pages() < 10_000:
        await asyncio.sleep(0)
    stopping.set()
    await giving
asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="another C library")
def test_free_memory_is_given_back() -> None:
    """Free pages in the midst of the heap do not stay with the process."""
    subprocess.run([sys.executable, "-c", LEAVING_HOLES], check=True, timeout=20)


async def test_garbage_is_collected_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds itself is gone soon after nobody else holds it, until the daemon stops."""
    monkeypatch.setattr(memory, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(memory, "SELDOM_SECONDS", 0.001)
    # Here all that the tests have made is looked through, which takes long, and so would the pause behind it.
    monkeypatch.setattr(memory, "TIME_SHARE", 0)
    monkeypatch.setattr(memory, "OUTAGE_TIME_SHARE", 0)
    stopping = asyncio.Event()
    with nothing_by_itself():
        collecting = asyncio.create_task(memory.collect_garbage(stopping))
        for _ in range(3):
            gone = asyncio.Event()
            weakref.finalize(Knot(), gone.set)
            async with asyncio.timeout(20):
                await gone.wait()
        stopping.set()
        await collecting


async def test_much_garbage_is_collected_before_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage makes megabytes of it in seconds."""
    monkeypatch.setattr(memory, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(memory, "SELDOM_SECONDS", 10**9)
    stopping = asyncio.Event()
    with nothing_by_itself():
        collecting = asyncio.create_task(memory.collect_garbage(stopping))
        gone = asyncio.Event()
        weakref.finalize(Knot(), gone.set)
        await asyncio.sleep(0)
        knots = [Knot() for _ in range(memory.MANY_OBJECTS)]
        async with asyncio.timeout(20):
            await gone.wait()
        assert len(knots) == memory.MANY_OBJECTS
        stopping.set()
        await collecting


def test_much_garbage_is_looked_for_again_soon() -> None:
    """Little of it must not cost the time of records; what an outage makes must not pile up."""
    assert memory.rest_seconds(0.04, memory.MANY_OBJECTS - 1) == pytest.approx(8.0)
    assert memory.rest_seconds(0.04, memory.MANY_OBJECTS) == memory.LOOK_SECONDS
    assert memory.rest_seconds(0.2, memory.MANY_OBJECTS) == pytest.approx(2.0)
