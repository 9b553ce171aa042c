"""What this replica is doing, for `/readyz` and `/status.json`."""

import asyncio
from collections.abc import Mapping

from daemon import __version__
from daemon.app.assembling import Flows
from daemon.edges.http_server import Health
from daemon.flows.holding import Holds
from daemon.flows.lagging import Lag
from daemon.flows.sharing import Sharing
from daemon.settings import Settings, effective


class Status:
    """Reads, from the HTTP server's threads, what the event loop's parts show; changes nothing."""

    def __init__(self, settings: Settings, holds: Holds, stopping: asyncio.Event) -> None:
        self._settings = effective(settings)
        self._holds = holds
        self._stopping = stopping
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
        """The status page's content."""
        lag = dict(self._lag.records) if self._lag is not None else {}
        return {
            "version": __version__,
            "ready": self.ready().ok,
            "draining": self._stopping.is_set(),
            "flows": {name: self._flow(flow) for name, flow in self._named()},
            "lag_records": {str(partition): records for partition, records in lag.items()},
            "holds": self._shown_holds(),
            "settings": self._settings,
        }

    def _named(self) -> tuple[tuple[str, Sharing | None], ...]:
        if self._flows is None:
            return (("submit", None), ("collect", None))
        return (("submit", self._flows.submit), ("collect", self._flows.collect))

    def _flow(self, flow: Sharing | None) -> Mapping[str, object]:
        if flow is None:
            return {"enabled": False}
        return {"enabled": True, "joined": flow.joined, "partitions": sorted(flow.ours)}

    def _shown_holds(self) -> list[Mapping[str, object]]:
        return [
            {"flow": hold.flow, "reason": hold.reason, "detail": hold.detail, "partition": hold.partition}
            for hold in self._holds
        ]
