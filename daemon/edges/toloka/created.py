"""What was created in a time, whatever a listing leaves out by itself and by whose clock it goes.

What is not found may be sent again: so what cannot be found out is said, or holds.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import structlog

from daemon.edges.toloka.asking import ask_twice, given
from daemon.edges.toloka.listing import Listing, key_of
from daemon.edges.toloka.wire import filter_time
from daemon.model import Finished, NotNow

# This many are looked at, to see that they come in the order that was asked for.
NEWEST_ROWS = 20
# No two clocks are further apart: at the worst one time zone is taken for another.
FARTHEST = timedelta(days=1)

log = structlog.get_logger(__name__)


async def created(
    listing: Listing, since: datetime, until: datetime | None, within: timedelta | None = None
) -> AsyncIterator[Sequence[Finished]]:
    """Everything that was created in this time, each once; see `daemon.ports.Submissions.created`.

    Raises:
        Held: `listing_failed`.
    """
    filters = {"created_gte": filter_time(since)}
    if until is not None:
        filters["created_lte"] = filter_time(until)
    seen: set[int] = set()
    async for items in listing.walk(filters):
        if within is not None:
            seen.update(map(key_of, items))
        yield items
    if within is not None:
        async for items in _besides(listing, since, within):
            # Where filters are less exact than asked for, or ignored, these are shown once more.
            new = [item for item in items if key_of(item) not in seen]
            seen.update(map(key_of, new))
            yield new


async def _besides(listing: Listing, since: datetime, within: timedelta) -> AsyncIterator[Sequence[Finished]]:
    """What a time alone may not tell: older items, by the newest one's clock, and what is left out."""
    newest = await _newest(listing)
    earlier = since if newest is None else max(min(newest - within, since), since - FARTHEST)
    if earlier < since:
        filters = {"created_gte": filter_time(earlier), "created_lt": filter_time(since)}
        async for items in listing.walk(filters):
            yield items
    if await _leaves_out(listing, earlier):
        async for items in listing.walk({"created_gte": filter_time(earlier), **listing.left_out}):
            yield items


async def _newest(listing: Listing) -> datetime | None:
    """When the latest row was created; None where there is none, or Toloka does not say which is."""
    found = await ask_twice(lambda: listing.ask({"sort": "-created", "limit": str(NEWEST_ROWS)}))
    if isinstance(found, NotNow):
        # What it is for may still be found without it.
        log.warning("newest_not_listed", detail=found.detail)
        return None
    times = [item.created_at for item in found.items]
    if not all(later >= earlier for later, earlier in pairwise(times)):
        log.warning("newest_not_listed", detail="they come in another order than was asked for")
        return None
    return times[0] if times else None


async def _leaves_out(listing: Listing, since: datetime) -> bool:
    """Whether there is anything that a listing may leave out, where Toloka understands the question."""
    if not listing.left_out:
        return False
    query = {"created_gte": filter_time(since), **listing.left_out, "sort": "id", "limit": "1"}
    found = await ask_twice(lambda: listing.ask(query))
    if isinstance(found, NotNow) and found.reason == "refused":
        log.warning("left_out_not_listed", detail=found.detail)
        return False
    return bool(given(found).items)
