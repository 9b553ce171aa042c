"""One of Toloka's APIs behind the flows' ports, and what both have in common."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from daemon.edges.toloka.endpoint import Endpoint
from daemon.edges.toloka.limits import ItemQuota, RequestLimiter
from daemon.flows.records.items import RecordReader
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
    """One of the APIs, or a stand-in for it.

    Attributes:
        submissions: opens so many connections for one partition's way.
        results: the collector's connection.
        record_reader: turns records into items.
        look_again: asks anew what an item must look like.
        share: is told which part of the limits is ours: of requests, and of items.
        attempts_once: Toloka carries an attempt out once at most, however often it is sent.
        about: what was found at start, for people.
        closed: why nothing is taken in there, with the way out; None where all is well.
        item_price: what an item costs, in the account's currency (the budget's); None where Toloka does not
            say.
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
        """See `Service.share`."""
        self.requests.share(of_requests)
        self.quota.share(of_items)


def way_out(settings: Settings) -> str:
    """What to look at where Toloka stays away."""
    toloka = settings.toloka
    proxy = toloka.read_proxy()
    through = "" if proxy is None else f" through TOLOKAD_TOLOKA__PROXY={proxy}"
    return f"TOLOKAD_TOLOKA__URL: is {toloka.url} right, and reachable from here{through}?"
