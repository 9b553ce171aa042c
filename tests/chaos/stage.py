"""What chaos is played on: a broker behind a proxy, and deployments whose Toloka stands behind another."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

from tests.canary import Searched, search, topic_bytes
from tests.kafka import EmbeddedKafka
from tests.kafka.fixtures import Cluster, ExistingCluster
from tests.kafka.proxy import KafkaProxy, proxied_kafka
from tests.proxy import Proxy
from tests.system.deployment import Deployment, deployed

PAGES: Final = ("/", "/livez", "/readyz", "/metrics", "/status.json")


@dataclass(frozen=True, slots=True)
class Broker:
    """Kafka, and the network between it and the replicas; the tests themselves go past it."""

    kafka: EmbeddedKafka
    proxy: KafkaProxy


@dataclass(frozen=True, slots=True)
class Stage:
    """One deployment, and the network between it and its Toloka."""

    broker: Broker
    deployment: Deployment
    toloka: Proxy


@asynccontextmanager
async def broker(**options: Any) -> AsyncIterator[Broker]:
    """A broker of its own; options are `EmbeddedKafka`'s attributes."""
    async with proxied_kafka(**options) as (kafka, proxy):
        yield Broker(kafka, proxy)


async def staged(
    stack: AsyncExitStack,
    broker: Broker,
    folder: Path,
    *flags: str,
    partitions: int = 4,
    settings: Mapping[str, str] | None = None,
) -> Stage:
    """A deployment without replicas yet; everything but the broker ends with the stack.

    Args:
        stack: what is opened is closed with it.
        broker: as `broker` gives it.
        folder: for logs, pages and the simulator's record.
        flags: the simulator's.
        partitions: of the input topic.
        settings: the replicas' variables, without the prefix.
    """
    direct = ExistingCluster(broker.kafka.internal_servers)
    deployment = await deployed(stack, direct, folder, *flags, partitions=partitions, **(settings or {}))
    toloka = await stack.enter_async_context(Proxy("127.0.0.1", deployment.simulator.port))
    through = {
        "TOLOKAD_KAFKA__BOOTSTRAP_SERVERS": broker.kafka.bootstrap_servers,
        "TOLOKAD_TOLOKA__URL": f"http://{toloka.address}",
    }
    return Stage(broker, replace(deployment, settings={**deployment.settings, **through}), toloka)


async def save_pages(deployment: Deployment) -> None:
    """Keep what each replica's server shows now among the files of the deployment."""
    for number, replica in enumerate(deployment.replicas):
        with (deployment.folder / f"replica-{number}.pages").open("ab") as file:
            for path in PAGES if replica.running else ():
                answer = await replica.get(path)
                file.write(str(answer.headers).encode() + answer.content)


def searched(folder: Path, kafka: Cluster | None = None) -> Searched:
    """Look for the credential in all that a run has left: logs, pages, records, every topic's bytes."""
    topics = topic_bytes(kafka.folder) if isinstance(kafka, EmbeddedKafka) else ()
    return search([folder, *topics])


async def stats(deployment: Deployment) -> Mapping[str, Any]:
    """What the simulator has counted."""
    return cast(Mapping[str, Any], await deployment.control("GET", "stats"))
