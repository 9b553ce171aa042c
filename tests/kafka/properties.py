"""The server properties of a one-node KRaft broker that is small and starts fast."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CLIENT = "CLIENT"
INTERNAL = "INTERNAL"
CONTROLLER = "CONTROLLER"

_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": CONTROLLER,
    # Not the client listener: transaction markers travel on it, and must not pass a fault proxy.
    "inter.broker.listener.name": INTERNAL,
    "auto.create.topics.enable": "false",
    # One node holds every replica.
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Few partitions load fast after a restart; more than one, for coordinators to differ in.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "1",
    # Indexes are preallocated per segment and partition.
    "log.index.size.max.bytes": "262144",
    "log.segment.bytes": "134217728",
    "log.cleaner.dedupe.buffer.size": "8388608",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    # What a test would otherwise wait for.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "100",
    "log.cleaner.backoff.ms": "1000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "log.segment.delete.delay.ms": "1000",
    "broker.heartbeat.interval.ms": "200",
    # A killed broker may register again when its old session has ended (default: 9 s).
    "broker.session.timeout.ms": "2000",
}


@dataclass(frozen=True)
class Listeners:
    """The loopback ports of one broker and what it tells clients to connect to."""

    client: int
    internal: int
    controller: int
    advertised: int
    protocol: str

    def properties(self) -> dict[str, str]:
        """The server properties that describe the listeners."""
        internal = f"{INTERNAL}://127.0.0.1:{self.internal}"
        protocols = {CLIENT: self.protocol, INTERNAL: "PLAINTEXT", CONTROLLER: "PLAINTEXT"}
        return {
            "listeners": f"{CLIENT}://127.0.0.1:{self.client},{internal},{CONTROLLER}://127.0.0.1:{self.controller}",
            "advertised.listeners": f"{CLIENT}://127.0.0.1:{self.advertised},{internal}",
            "listener.security.protocol.map": ",".join(
                f"{name}:{protocol}" for name, protocol in protocols.items()
            ),
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller}",
        }


def server_properties(listeners: Listeners, data: Path, *more: Mapping[str, str]) -> str:
    """The text of server.properties; later mappings win over earlier ones."""
    settings = {**_SETTINGS, **listeners.properties(), "log.dirs": str(data)}
    for mapping in more:
        settings |= mapping
    return "".join(f"{name}={_escaped(value)}\n" for name, value in settings.items())


def _escaped(value: str) -> str:
    # java.util.Properties takes a backslash as the beginning of an escape.
    return value.replace("\\", "\\\\").replace("\n", "\\n")
