"""What keeps the process as small as what it holds, through weeks of outages."""

import asyncio
import gc
import time

from daemon.flows.waiting import pause

EVERY_SECONDS = 1.0
# Where there is next to none, it is looked for less and less often, up to this.
SELDOM_SECONDS = 4.0
LITTLE_OBJECTS = 500
# It takes one part in so many of a processor's time at the most.
TIME_SHARE = 100


def spare_what_stays() -> None:
    """Have Python's collector of cycles never look again at what the start has made, nor on its own.

    Records and items come and go by the thousand and are no part of a cycle: looking for some among them,
    each time that there were many, took a sixth of the time of a record.
    """
    gc.collect()
    gc.freeze()
    gc.disable()


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
