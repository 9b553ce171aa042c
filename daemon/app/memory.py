"""What keeps the process as small as what it holds, through weeks of outages, and what it holds at hand."""

import asyncio
import ctypes
import gc
import time

from daemon.flows.waiting import pause

EVERY_SECONDS = 1.0
# Where there is next to none, it is looked for less and less often, up to this.
SELDOM_SECONDS = 4.0
LITTLE_OBJECTS = 500
# It takes one part in so many of a processor's time at the most.
TIME_SHARE = 100
# Bodies, fetches and batches are smaller; what is larger is new memory each time (mallopt(3)).
KEPT_BYTES = 32 * 1024 * 1024
# So much that is free at the end of the heap is not given back.
KEPT_FREE_BYTES = 16 * 1024 * 1024
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def spare_what_stays() -> None:
    """Have Python's collector of cycles never look again at what the start has made, nor on its own.

    Records and items come and go by the thousand and are no part of a cycle: looking for some among them,
    each time that there were many, took a sixth of the time of a record.
    """
    gc.collect()
    gc.freeze()
    gc.disable()


def keep_what_is_freed() -> bool:
    """Have the C library use memory again that it would give back to the kernel; False where it cannot.

    A page of results is copied half a dozen times on its way, half a megabyte each. By default every copy is
    new memory, whose pages the kernel clears when they are first written to: that takes longer than copying.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # Both, for to set one of them ends the library's own search for either.
    return bool(mallopt(_MMAP_THRESHOLD, KEPT_BYTES)) and bool(mallopt(_TRIM_THRESHOLD, KEPT_FREE_BYTES))


async def collect_garbage(stopping: asyncio.Event) -> None:
    """Collect all garbage every second, or every four while there is little, until the event is set.

    A connection that has failed leaves a cycle of sixty objects and its buffers, and a broker that is away
    makes a hundred of them a second. Were they left until there are many, what is made meanwhile and stays
    would come to lie among them, and the memory of each outage could not be given back.
    """
    seconds = EVERY_SECONDS
    while not stopping.is_set():
        began = time.thread_time()
        little = gc.collect() < LITTLE_OBJECTS
        took = time.thread_time() - began
        seconds = min(2 * seconds, SELDOM_SECONDS) if little else EVERY_SECONDS
        await pause(max(seconds, took * TIME_SHARE), stopping)
