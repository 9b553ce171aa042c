"""What keeps the process no larger than what it holds, through weeks of outages, and freed memory at hand."""

import asyncio
import ctypes
import gc
import time

from daemon.flows.waiting import pause

LOOK_SECONDS = 0.5
# Once this many objects have come since garbage was collected, and not gone, some of them may be garbage.
MANY_OBJECTS = 5_000
# At least this often.
SELDOM_SECONDS = 4.0
# It takes at most one part in this many of a processor's time, and, where it finds much, one in these.
TIME_SHARE = 200
OUTAGE_TIME_SHARE = 10
# Bodies, fetches and batches are smaller; what is larger is new memory each time (mallopt(3)).
KEPT_BYTES = 32 * 1024 * 1024
# This much that is free at the end of the heap is not given back at once.
KEPT_FREE_BYTES = 16 * 1024 * 1024
# Where it is needed again it is new memory, thirty megabytes in a tenth of a second: so seldom, nothing.
GIVE_BACK_SECONDS = 60.0
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def spare_what_stays() -> None:
    """Have Python's collector of cycles never look again at what the start has made, nor run on its own.

    Records and items come and go by the thousand and are no part of a cycle: looking for cycles among them,
    each time that there were many, took a sixth of a record's time.
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


async def give_back_free_memory(stopping: asyncio.Event) -> None:
    """Give free pages back to the kernel now and then, wherever they lie, until the event is set.

    What a table of open items leaves behind each time that it grows lies in the midst of the heap.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while trim is not None and not stopping.is_set():
        await pause(GIVE_BACK_SECONDS, stopping)
        trim(0)


async def collect_garbage(stopping: asyncio.Event) -> None:
    """Collect all garbage every few seconds, or as soon as there may be much, until the event is set.

    A connection that has failed leaves a cycle of sixty objects and its buffers, and a broker that is away
    makes a hundred and fifty of them a second, megabytes. Were they left until then, what is made meanwhile
    and stays would come to lie among them, and the memory of each outage could not be given back.
    """
    collected_at, pause_seconds = time.monotonic(), LOOK_SECONDS
    while not stopping.is_set():
        await pause(pause_seconds, stopping)
        began, pause_seconds = time.monotonic(), LOOK_SECONDS
        # Python counts them whether or not it collects any on its own.
        if gc.get_count()[0] > MANY_OBJECTS or began - collected_at >= SELDOM_SECONDS:
            spent = time.thread_time()
            found = gc.collect()
            collected_at = began
            pause_seconds = rest_seconds(time.thread_time() - spent, found)


def rest_seconds(spent_seconds: float, found: int) -> float:
    """How long garbage is left alone once looking for it took so long and found so many objects.

    Where there was much there will be more, and in an outage there is little else to do.
    """
    share = OUTAGE_TIME_SHARE if found >= MANY_OBJECTS else TIME_SHARE
    return max(LOOK_SECONDS, spent_seconds * share)
