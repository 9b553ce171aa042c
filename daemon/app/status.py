"""What this replica is doing, for `/readyz` and `/status.json`."""

import asyncio
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from prometheus_client import Counter, Gauge

from daemon import __version__
from daemon.app.assembling import Flows
from daemon.app.words import in_words
from daemon.edges.serving.http_server import Health
from daemon.flows.holding import Holds
from daemon.flows.lagging import Lag
from daemon.flows.partitions.sharing import Sharing
from daemon.metrics import Metrics
from daemon.settings import Settings, effective


class Status:
    """Reads, from the HTTP server's threads, what the event loop's parts show; changes nothing.

    `last_errors` gives the last warnings and errors, latest first.
    """

    def __init__(
        self,
        settings: Settings,
        holds: Holds,
        stopping: asyncio.Event,
        metrics: Metrics,
        live: Callable[[], Health],
        last_errors: Callable[[], Sequence[Mapping[str, object]]],
    ) -> None:
        self._settings = effective(settings)
        self._enabled = {"submit": settings.submit.enabled, "collect": settings.collect.enabled}
        self._holds = holds
        self._stopping = stopping
        self._metrics = metrics
        self._live = live
        self._last_errors = last_errors
        self._started_at = time.time()
        self._flows: Flows | None = None
        self._lag: Lag | None = None

    def begin(self, flows: Flows, lag: Lag) -> None:
        """Everything outside has answered once, and the flows run."""
        self._flows, self._lag = flows, lag

    def ready(self) -> Health:
        """Connected once, in its groups, and not draining; holds are shown and make nobody unready."""
        joined = {name: flow.joined for name, flow in self._named() if flow is not None}
        connected = self._flows is not None
        draining = self._stopping.is_set()
        ok = connected and all(joined.values()) and not draining
        detail = {
            "connected": connected,
            "joined": joined,
            "draining": draining,
            "holds": self._shown_holds(),
        }
        return Health(ok, detail)

    def report(self) -> Mapping[str, object]:
        """The status page's content. Times are ISO 8601 in UTC, or null where there is none yet."""
        lag = dict(self._lag.records) if self._lag is not None else {}
        return {
            "version": __version__,
            "replica": platform.node(),
            "started_at": _iso(self._started_at),
            "now": _iso(time.time()),
            "live": self._live().ok,
            "ready": self.ready().ok,
            "draining": self._stopping.is_set(),
            "flows": {name: self._flow(name, flow) for name, flow in self._named()},
            "lag_records": {str(partition): records for partition, records in lag.items()},
            "totals": self._totals(),
            "open": self._open(),
            "holds": self._shown_holds(),
            "last_errors": self._last_errors(),
            "settings": self._settings,
        }

    def _named(self) -> tuple[tuple[str, Sharing | None], ...]:
        if self._flows is None:
            return (("submit", None), ("collect", None))
        return (("submit", self._flows.submit), ("collect", self._flows.collect))

    def _flow(self, name: str, flow: Sharing | None) -> Mapping[str, object]:
        if not self._enabled[name]:
            return {"enabled": False}
        return {
            "enabled": True,
            # Until everything outside has answered once there are no flows.
            "joined": flow is not None and flow.joined,
            "partitions": sorted(flow.ours) if flow is not None else [],
            "last_success_at": _iso(_sum(self._metrics.last_success_timestamp_seconds, flow=name)),
        }

    def _totals(self) -> Mapping[str, int]:
        """What this replica has done since it started."""
        metrics = self._metrics
        counters = {
            "consumed": metrics.items_consumed,
            "submitted": metrics.items_submitted,
            "published": metrics.results_published,
            "dead_lettered": metrics.items_dead_lettered,
            "skipped": metrics.items_skipped,
        }
        return {name: int(_sum(counter)) for name, counter in counters.items()}

    def _open(self) -> Mapping[str, object]:
        """What is under way; `items` and what follows it are known to the collector alone."""
        metrics = self._metrics
        return {
            "in_doubt": int(_sum(metrics.intents_in_doubt)),
            "oldest_intent_seconds": _sum(metrics.oldest_intent_seconds),
            "collecting": bool(_sum(metrics.collector_active)),
            "items": int(_sum(metrics.open_items)),
            "oldest_item_seconds": _sum(metrics.oldest_open_item_seconds),
            "cursor_finished_at": _iso(_sum(metrics.cursor_timestamp_seconds)),
        }

    def _shown_holds(self) -> list[Mapping[str, object]]:
        return [
            {
                "flow": hold.flow,
                "reason": hold.reason,
                "detail": hold.detail,
                "partition": hold.partition,
                "words": in_words(hold.reason),
                "since": _iso(since),
            }
            for hold, since in self._holds.since()
        ]


def _sum(metric: Counter | Gauge, **labels: str) -> float:
    """All series of a metric that have these labels, added up."""
    wanted = labels.items()
    (family,) = metric.collect()
    return sum(sample.value for sample in family.samples if wanted <= sample.labels.items())


def _iso(seconds: float) -> str | None:
    """A time since 1970 for people and machines; None for 0, which stands for never."""
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
