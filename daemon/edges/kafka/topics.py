"""What the cluster says of topics, and making those that are missing."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.protocol.metadata import MetadataRequest

from daemon.edges.kafka import kafka_client
from daemon.errors import Held, NoTopic, Transient

CREATED_SECONDS = 10.0
ASK_AGAIN_SECONDS = 0.1
# How long it is asked whether what could not be written to is there.
LOOK_SECONDS = 2.0
REPLICATION = 3
DEFAULT_MESSAGE_BYTES = 1_048_588

# Asks for those of a topic; raises as `daemon.ports.Kafka.partitions`.
Partitions = Callable[[str], Awaitable[Collection[int]]]


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic that is there: its partitions and replicas, counted, and its settings as Kafka spells them."""

    name: str
    partitions: int
    configs: Mapping[str, str]
    replicas: int = 1

    @property
    def max_message_bytes(self) -> int:
        """The largest batch of records that it takes; Kafka's default where it is not shown."""
        return int(self.configs.get("max.message.bytes", DEFAULT_MESSAGE_BYTES))

    @property
    def retention_seconds(self) -> float | None:
        """How long it keeps a record; None for ever, or where that is not shown."""
        kept_ms = int(self.configs.get("retention.ms", -1))
        return None if kept_ms < 0 else kept_ms / 1000


@dataclass(frozen=True, slots=True)
class Wanted:
    """A topic to be made."""

    name: str
    partitions: int
    configs: Mapping[str, str]


class Topics:
    """Questions about topics; `admin` is started by its owner."""

    def __init__(self, admin: AIOKafkaAdminClient) -> None:
        self._admin = admin

    async def find(self, names: Collection[str]) -> Mapping[str, Topic]:
        """Those of these topics that are there.

        Raises:
            Held: `not_permitted`.
            Transient: Kafka cannot say now.
        """
        with kafka_client.translated(f"asking for the topics {', '.join(names)}"):
            async with kafka_client.answering(kafka_client.ANSWER_SECONDS, self._admin._client):  # noqa: SLF001 - what it talks through
                described = await describe(self._admin, names)
                found = {topic["topic"]: topic["partitions"] for topic in described if _there(topic)}
                configs = await self._configs(list(found))
        return {
            name: Topic(name, len(parts), configs.get(name, {}), min(len(part["replicas"]) for part in parts))
            for name, parts in found.items()
        }

    async def _configs(self, names: list[str]) -> Mapping[str, Mapping[str, str]]:
        if not names:
            return {}
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        answers = await self._admin.describe_configs(resources)
        rows = [row for answer in answers for row in answer.to_object()["resources"]]
        # Whoever may not see a topic's settings may still use it: what is unknown is not insisted on.
        return {row["resource_name"]: _values(row) for row in rows if _shown(row)}

    async def create(self, wanted: Collection[Wanted]) -> Mapping[str, Topic]:
        """Make these topics, and wait until the cluster shows them: as what; another may make them meanwhile.

        Raises:
            Held: `not_permitted`.
            Transient: Kafka did not make them.
        """
        with kafka_client.translated(f"making the topics {', '.join(topic.name for topic in wanted)}"):
            async with asyncio.timeout(kafka_client.ANSWER_SECONDS):
                replicas = min(len((await self._admin.describe_cluster())["brokers"]), REPLICATION)
                answer = await self._admin.create_topics([_new(topic, replicas) for topic in wanted])
                for _, code, *_ in answer.topic_errors:
                    error = kafka_errors.for_code(code)
                    if error not in {kafka_errors.NoError, kafka_errors.TopicAlreadyExistsError}:
                        raise error
        return await self._until_shown({topic.name for topic in wanted})

    async def _until_shown(self, names: set[str]) -> Mapping[str, Topic]:
        try:
            async with asyncio.timeout(CREATED_SECONDS):
                # What one broker has shown the next may not have heard of yet.
                found = dict(await self.find(names))
                while names - set(found):
                    await asyncio.sleep(ASK_AGAIN_SECONDS)
                    found |= await self.find(names)
                return found
        except TimeoutError as error:
            raise Transient(f"the topics {', '.join(sorted(names))} were made, and are not shown") from error


async def insist_on_places(partitions: Partitions, places: Collection[tuple[str, int]]) -> None:
    """See that none of these partitions is gone; returns where the brokers do not say.

    Raises:
        Held: `kafka`, naming those that are, of one topic.
    """
    for topic in sorted({topic for topic, _ in places}):
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                shown = await partitions(topic)
        except NoTopic:
            shown = ()
        except (Transient, TimeoutError):
            return
        if gone := sorted(
            partition for name, partition in places if name == topic and partition not in shown
        ):
            raise Held(
                "kafka",
                f"the topic {topic} has no partitions {gone} any more: it was deleted, or made with fewer."
                " Make them again, or restart tolokad, which goes by those that it finds",
            )


async def describe(admin: AIOKafkaAdminClient, names: Collection[str]) -> Collection[Mapping[str, Any]]:
    """What the cluster shows of these topics.

    The client's own question would have a broker with `auto.create.topics.enable` make what is missing, with
    its defaults: a ledger that forgets.
    """
    question = MetadataRequest(list(names), allow_auto_topic_creation=False)
    answer = await admin._send_request(question)  # noqa: SLF001 - its own questions cannot say it
    described: Collection[Mapping[str, Any]] = answer.to_object()["topics"]
    return described


def _there(topic: Mapping[str, Any]) -> bool:
    error = kafka_errors.for_code(topic["error_code"])
    if error is kafka_errors.NoError:
        return True
    if error is kafka_errors.UnknownTopicOrPartitionError:
        return False
    raise error(topic["topic"])


def _shown(row: Mapping[str, Any]) -> bool:
    error = kafka_errors.for_code(row["error_code"])
    # A broker that has not heard of the topic yet is no reason to leave its settings unseen.
    if error.retriable:
        raise error(row["resource_name"])
    return error is kafka_errors.NoError


def _values(row: Mapping[str, Any]) -> Mapping[str, str]:
    return {entry["config_names"]: entry["config_value"] for entry in row["config_entries"]}


def _new(topic: Wanted, replicas: int) -> NewTopic:
    configs = dict(topic.configs)
    if replicas == REPLICATION:
        configs["min.insync.replicas"] = str(REPLICATION - 1)
    return NewTopic(topic.name, topic.partitions, replicas, topic_configs=configs)
