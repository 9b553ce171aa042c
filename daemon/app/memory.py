"""What keeps the process as small as what it holds, through weeks of outages."""

import asyncio
import ctypes
import gc
import time

from daemon.flows.waiting import pause

COLLECT_AFTER_OBJECTS = 20_000
EVERY_SECONDS = 1.0
# It takes one part in so many of a processor's time at the most.
TIME_SHARE = 100
# Above what a socket is read with (256 KiB), which comes and goes all the time; below what a fetch makes.
LARGE_BYTES = 512 * 1024
# glibc's names for its parameters, from <malloc.h>.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3


def give_back_large_buffers() -> None:
    """Have the C library take large buffers from the system and give each back when it is freed.

    glibc begins so, too, but lays them among everything else once one was freed: whatever comes to stand
    behind a fetch of megabytes keeps its place from being given back. Other C libraries are left as they are.
    """
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is not None:
        tune(M_MMAP_THRESHOLD, LARGE_BYTES)
        # The relation that glibc itself keeps between the two.
        tune(M_TRIM_THRESHOLD, 2 * LARGE_BYTES)


def spare_what_stays() -> None:
    """Have Python's collector of cycles look less often, and never again at what the start has made.

    Records and items come and go by the thousand and are no part of a cycle: looking for some among them took
    a tenth of the time of a record.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS)


async def collect_garbage(stopping: asyncio.Event) -> None:
    """Collect all garbage every second, until the event is set.

    A connection that has failed leaves a cycle of sixty objects and its buffers, and a broker that is away
    makes a hundred of them a second. Were they left until there are many, what is made meanwhile and stays
    would come to lie among them, and the memory of each outage could not be given back.
    """
    while not stopping.is_set():
        began = time.thread_time()
        gc.collect()
        took = time.thread_time() - began
        await pause(max(EVERY_SECONDS, took * TIME_SHARE), stopping)
