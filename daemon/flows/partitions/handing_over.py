"""A partition that moves between two replicas that are both well: the old one finishes what it has announced.

Fenced at once, it would leave its request in doubt. Nothing is lost by that, but Toloka must be asked what
became of it, and a quarantine goes by where it was just about to be sent.
"""

import asyncio
from datetime import timedelta

import structlog

from daemon.errors import Held, Transient
from daemon.flows.place import Place
from daemon.flows.records import codec
from daemon.flows.waiting import pause
from daemon.ports import Kafka, TolokaClock

# What was announced earlier than this is not waited for: by the time that the group misses an owner which was
# killed, whatever that one has announced is older.
FRESH = timedelta(seconds=5)
# The group tells all at about the same time: until it is told, an old owner may announce one batch more.
QUIET_SECONDS = 0.3
LOOK_SECONDS = 0.1

log = structlog.get_logger(__name__)


async def handed_over(kafka: Kafka, clock: TolokaClock, place: Place, until: asyncio.Event) -> None:
    """Return once nobody has been at work for a moment, after `FRESH` at most, or when the event is set."""
    loop = asyncio.get_running_loop()
    busy_at = loop.time()
    try:
        async with asyncio.timeout(FRESH.total_seconds()):
            while loop.time() - busy_at < QUIET_SECONDS and not until.is_set():
                await pause(LOOK_SECONDS, until)
                if await _is_at_work(kafka, clock, place):
                    busy_at = loop.time()
    except TimeoutError:
        log.info("not_handed_over", waited_seconds=FRESH.total_seconds())
    except (Held, Transient) as failure:
        # Whoever takes the partition over meets the same, and holds or tries again for it.
        log.debug("predecessor_unknown", detail=str(failure))


async def _is_at_work(kafka: Kafka, clock: TolokaClock, place: Place) -> bool:
    """Whether a batch was announced just now whose answer is still awaited."""
    # A transaction that somebody has left open would keep what is certain from us until it times out.
    found = await kafka.committed(place.group, place.topic, [place.partition], stable=False)
    try:
        intent = codec.read_intent(found[place.partition].metadata)
    except codec.UnreadableError:
        # Whoever takes it over holds for that, and says so.
        return False
    return intent is not None and not intent.doubted and clock.now() - intent.last_at < FRESH
