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


async def test_garbage_is_collected_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds itself is gone soon after nobody else holds it, until the daemon stops."""
    monkeypatch.setattr(memory, "EVERY_SECONDS", 0.001)
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


MAPPINGS = """
import ctypes
from daemon.app.memory import LARGE_BYTES, give_back_large_buffers

class Use(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", *"abcdef")]

library = ctypes.CDLL(None)
library.mallinfo2.restype = Use
give_back_large_buffers()
# glibc learns from what is freed: the next one of its size would be no mapping of its own any more.
bytearray(2 * LARGE_BYTES)
before = library.mallinfo2().hblks
held = bytearray(2 * LARGE_BYTES)
print(library.mallinfo2().hblks - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="another C library than glibc")
def test_a_large_buffer_stands_by_itself() -> None:
    """A buffer of a megabyte is a mapping of its own, also when one like it has come and gone."""
    # In a process of its own: what is told to the C library cannot be taken back.
    done = subprocess.run([sys.executable, "-c", MAPPINGS], capture_output=True, check=True, text=True)
    assert done.stdout == "1\n"
