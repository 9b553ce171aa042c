"""One of Toloka's APIs behind the flows' ports, and what both have in common."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from daemon.edges.endpoint import Endpoint
from daemon.edges.limits import ItemQuota, RequestLimiter
from daemon.flows.items import RecordReader
from daemon.metrics import Metrics
from daemon.ports import Results, Submissions
from daemon.settings import Settings

# Statuses of a project or pool in which it takes nothing.
CLOSED: Final[Mapping[str, str]] = {
    "ARCHIVED": "take it out of the archive, or name another",
    "ERROR": "Toloka could not make it: look at it there, or name another",
}


@dataclass(frozen=True, slots=True)
class Service:
    """One of the APIs; see `daemon.app.assembling.World` for what its parts do.

    Attributes:
        about: what was found at start, for people.
        closed: why nothing is taken in there, with the way out; None where all is well.
        item_price: what an item costs, in the account's currency; None where Toloka does not say.
    """

    submissions: Callable[[int], AbstractAsyncContextManager[Sequence[Submissions]]]
    results: Results
    record_reader: RecordReader
    look_again: Callable[[], Awaitable[None]]
    share: Callable[[float, float], None]
    attempts_once: bool
    about: str
    closed: str | None = None
    item_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of Toloka this replica uses, and for how long a request may go out."""

    requests: RequestLimiter
    quota: ItemQuota
    fresh_seconds: float

    @classmethod
    def of(cls, settings: Settings, endpoint: Endpoint, metrics: Metrics) -> "Limits":
        """By the settings, of which this replica has all until it is told its share."""
        toloka = settings.toloka
        per_minute, per_day = toloka.items_per_minute, toloka.items_per_day
        return cls(
            RequestLimiter(toloka.requests_per_second, metrics),
            ItemQuota(per_minute, per_day, endpoint.toloka_clock, metrics),
            min(settings.submit.request_timeout_seconds, settings.kafka.session_timeout_seconds),
        )

    def share(self, of_requests: float, of_items: float) -> None:
        """See `daemon.app.assembling.World.share`."""
        self.requests.share(of_requests)
        self.quota.share(of_items)


def way_out(settings: Settings) -> str:
    """What to look at where Toloka stays away."""
    return f"TOLOKAD_TOLOKA__URL: is {settings.toloka.url} right, and reachable from here?"
