"""What Kafka may do to a running replica: it goes on, or it holds and says why; it never starts over."""

import asyncio
import json
from typing import Final

import pytest
from aiokafka.admin import NewPartitions, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.protocol.admin import DeleteGroupsRequest
from aiokafka.structs import TopicPartition

from daemon.flows.records import codec
from tests.kafka.clients import admin_client, read_topic, started_producer
from tests.kafka.fixtures import StartKafka
from tests.kafka.topics import Topics
from tests.system.conftest import Deploy, DeployOn
from tests.system.deployment import Deployment, eventually
from tests.system.feed import no_item, sources, without_id
from tests.system.processes import Replica

ITEMS: Final = 50
AWAY_SECONDS: Final = 8.0


async def feed(deployment: Deployment, seed: int, count: int = ITEMS) -> None:
    """Some items, whom nobody has anything against."""
    await deployment.feed(sources(count, seed, kinds=((without_id, 1),)))


async def until_held(deployment: Deployment, replica: Replica, *reasons: str) -> None:
    """Wait until the replica holds for one of these reasons; it stays alive and ready."""

    async def held() -> bool:
        holds = (await replica.get("/readyz")).json()["holds"]
        scrape = await replica.scrape()
        counted = any(scrape("tolokad_held", flow="submit", reason=reason) >= 1 for reason in reasons)
        return counted and not {hold["reason"] for hold in holds}.isdisjoint(reasons)

    await eventually(held, lambda: f"never {reasons}: {deployment.state()}")
    assert (await replica.get("/livez")).status_code == 200


async def sent(deployment: Deployment) -> int:
    """How many bulk requests the simulator has seen."""
    requests = (await deployment.control("GET", "stats"))["requests"]
    return sum(requests.get("bulk", {}).values())


async def concluded(deployment: Deployment) -> None:
    """Everything has come to one end each."""
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert verdict.complete, str(verdict)


@pytest.mark.fault(14)
async def test_clocks_that_are_hours_apart(deploy: Deploy) -> None:
    """Toloka's clock is far ahead of the broker's and ours, or far behind: every result comes."""
    await asyncio.gather(_with_clock(deploy, -2), _with_clock(deploy, 2))


async def _with_clock(deploy: Deploy, hours: int) -> None:
    lost = {"kind": "drop", "operations": ["bulk"], "committed": True, "times": 2}
    flags = ("--clock-skew-seconds", str(hours * 3600), "--faults", json.dumps([lost]))
    deployment = await deploy(*flags, partitions=2)
    await deployment.started()
    await feed(deployment, 1, 4 * ITEMS)
    await concluded(deployment)


async def test_retention_passes_the_end_of_a_transaction(deploy: Deploy) -> None:
    """An idle topic of a transactional producer loses its last segment: nothing was unread, nothing holds."""
    deployment = await deploy(partitions=1)
    replica, topic = await deployment.started(), deployment.topic("items")
    servers = deployment.kafka.bootstrap_servers
    async with (
        started_producer(servers, transactional_id=f"{deployment.group}.feed") as producer,
        producer.transaction(),
    ):
        for number in range(ITEMS):
            await producer.send_and_wait(topic, b'{"text":"a %d"}' % number, partition=0)
    await deployment.until_outcomes(ITEMS)

    async def passed() -> bool:
        return all(part.settled for part in await deployment.progress())

    await eventually(passed, lambda: f"the marker is never settled: {deployment.state()}")
    assert await replica.stopped() == 0
    async with admin_client(servers) as admin:
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(ITEMS + 1)})
    replica.start()
    await replica.ready()
    await feed(deployment, 2)
    await deployment.until_outcomes(2 * ITEMS)
    assert list(replica.events("held")) == []


@pytest.mark.fault(19)
async def test_lost_offsets_hold(deploy: Deploy) -> None:
    """A group whose offsets are gone is held by the ledger's mark: nothing is submitted a second time."""
    deployment = await deploy(partitions=1)
    replica = await deployment.started()
    await feed(deployment, 1)
    await deployment.until_done()
    assert await replica.stopped() == 0
    before = await sent(deployment)
    async with admin_client(deployment.kafka.bootstrap_servers) as admin:
        coordinator = await admin.find_coordinator(deployment.group)
        answer = await admin._client.send(coordinator, DeleteGroupsRequest([deployment.group]))
        assert [code for _, code in answer.results] == [0]
    replica.start()
    await replica.ready()
    await until_held(deployment, replica, "offset_lost")
    assert await sent(deployment) == before


@pytest.mark.fault(29)
async def test_an_input_topic_made_anew_holds(deploy: Deploy) -> None:
    """The input topic is deleted while a replica runs, and made anew: it holds, and begins nothing over."""
    deployment = await deploy(partitions=1)
    replica, topic = await deployment.started(), deployment.topic("items")
    await feed(deployment, 1)
    await deployment.until_done()
    before = await sent(deployment)
    async with admin_client(deployment.kafka.bootstrap_servers) as admin:
        await admin.delete_topics([topic])
    await Topics(deployment.kafka.bootstrap_servers).create(topic)
    # Fewer than there were: the group goes on behind the end of the new log.
    await feed(deployment, 2, ITEMS // 2)
    # Kafka forgets what was committed for a topic that is gone, in its own time.
    await until_held(deployment, replica, "offset_out_of_range", "offset_lost")
    assert await sent(deployment) == before


@pytest.mark.fault(29)
async def test_an_input_topic_made_anew_while_a_batch_is_sent_holds(deploy: Deploy) -> None:
    """What is settled afterwards is committed for the new topic: when it grows, nothing is passed over."""
    deployment = await deploy(
        partitions=1, SUBMIT__REQUEST_TIMEOUT_SECONDS="20", SUBMIT__QUARANTINE_SECONDS="40"
    )
    replica, topic = await deployment.started(), deployment.topic("items")
    slow = {"kind": "slow", "operations": ["bulk"], "delay_seconds": 6}
    await deployment.control("PUT", "faults", json=[slow])
    await feed(deployment, 1)

    async def announced() -> bool:
        return any(part.metadata for part in await deployment.progress())

    await eventually(announced, deployment.state)
    async with admin_client(deployment.kafka.bootstrap_servers) as admin:
        await admin.delete_topics([topic])
    await Topics(deployment.kafka.bootstrap_servers).create(topic)

    async def noted() -> bool:
        return any(part.metadata == codec.ASTRAY for part in await deployment.progress())

    await eventually(noted, deployment.state)
    before = await sent(deployment)
    await feed(deployment, 2, 2 * ITEMS)
    # Whoever takes it over next finds the offset within the log.
    assert await replica.stopped() == 0
    replica.start()
    await replica.ready()
    await until_held(deployment, replica, "offset_out_of_range")
    assert await sent(deployment) == before


@pytest.mark.fault(29)
async def test_a_ledger_that_is_gone_is_not_made_anew(deploy: Deploy) -> None:
    """It knew what is open: a start with CREATE_TOPICS ends with 78 and says so."""
    deployment = await deploy(partitions=1)
    replica = await deployment.started()
    await feed(deployment, 1)
    await deployment.until_done()
    assert await replica.stopped() == 0
    async with admin_client(deployment.kafka.bootstrap_servers) as admin:
        await admin.delete_topics([deployment.topic("ledger")])
    replica.start()
    assert await replica.ended() == 78, replica.output()
    assert "TOLOKAD_KAFKA__LEDGER_TOPIC" in replica.output()
    assert "UNKNOWN_ITEMS" in replica.output()


@pytest.mark.fault(29)
async def test_results_made_anew_with_fewer_partitions_hold(deploy: Deploy) -> None:
    """What is written to a partition that is not there any more: it is named, with the way out."""
    deployment = await deploy("--finish-seconds-min", "5", "--finish-seconds-max", "6", partitions=2)
    replica, topic = await deployment.started(), deployment.topic("results")
    servers = deployment.kafka.bootstrap_servers
    await feed(deployment, 1)
    async with admin_client(servers) as admin:
        await admin.delete_topics([topic])
    await Topics(servers).create(topic)

    async def told() -> bool:
        holds = (await replica.get("/readyz")).json()["holds"]
        return any(f"{topic} has no partitions [1]" in hold["detail"] for hold in holds)

    await eventually(told, lambda: f"never told: {deployment.state()}")
    async with admin_client(servers) as admin:
        await admin.create_partitions({topic: NewPartitions(2)})
    await concluded(deployment)


@pytest.mark.fault(64)
async def test_an_unwritable_dead_letter_holds(deploy: Deploy) -> None:
    """A dead letter that its topic refuses stops the partition, not the record; once it may, it goes on."""
    deployment = await deploy(partitions=1)
    servers, topic = deployment.kafka.bootstrap_servers, deployment.topic("dead-letters")
    await Topics(servers).create(topic, configs={"max.message.bytes": "200"})
    replica = await deployment.started()
    await deployment.feed(sources(1, 1, kinds=((no_item, 1),)))
    await until_held(deployment, replica, "too_large")
    async with admin_client(servers) as admin:
        wider = ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": "1048588"})
        await admin.alter_configs([wider])
    await deployment.until_outcomes(1)
    await concluded(deployment)


@pytest.mark.fault(32)
async def test_a_result_that_its_topic_refuses(deploy: Deploy) -> None:
    """It becomes a dead letter that names Toloka's item; the others are published."""
    deployment = await deploy(partitions=1)
    servers = deployment.kafka.bootstrap_servers
    await Topics(servers).create(deployment.topic("results"), configs={"max.message.bytes": "2000"})
    await deployment.started()
    async with started_producer(servers) as producer:
        for text in (b"short", b"x" * 3000, b"short too"):
            await producer.send_and_wait(deployment.topic("items"), b'{"text":"%s"}' % text, partition=0)
    await deployment.until_outcomes(3)
    assert len(await read_topic(servers, deployment.topic("results"))) == 2
    (letter,) = await read_topic(servers, deployment.topic("dead-letters"))
    headers = dict(letter.headers)
    assert headers["tolokad-error-code"] == b"RESULT_TOO_LARGE"
    assert (letter.value, headers["tolokad-origin-offset"]) == (b'{"text":"%s"}' % (b"x" * 3000), b"1")


async def test_topics_that_take_records_but_not_many_at_once(deploy: Deploy) -> None:
    """Every record fits and a batch of them does not, from the start or later: smaller ones are written."""
    deployment = await deploy(partitions=1, SUBMIT__MAX_ITEMS="1000")
    topics, narrow = Topics(deployment.kafka.bootstrap_servers), {"max.message.bytes": "20000"}
    await topics.create(deployment.topic("results"), configs=narrow)
    await topics.create(deployment.topic("ledger"), configs={**narrow, "cleanup.policy": "compact"})
    replica = await deployment.started()
    await feed(deployment, 1, 6 * ITEMS)
    await deployment.until_outcomes(6 * ITEMS)
    async with admin_client(deployment.kafka.bootstrap_servers) as admin:
        for name, more in (("results", {}), ("ledger", {"cleanup.policy": "compact"})):
            settings = {"max.message.bytes": "6000", **more}
            topic = ConfigResource(ConfigResourceType.TOPIC, deployment.topic(name), settings)
            await admin.alter_configs([topic])
    await feed(deployment, 2, 6 * ITEMS)
    await concluded(deployment)
    assert "too_large" not in {event["reason"] for event in replica.history("held")}


@pytest.mark.fault(15)
async def test_another_project_in_our_group_does_not_start(deploy: Deploy) -> None:
    """Two deployments share the group's name but not the project: the second ends with 78 and says why."""
    deployment = await deploy(partitions=1)
    await deployment.started()
    await feed(deployment, 1)
    await deployment.until_done()
    other = await deploy("--project-id", "other", partitions=1, KAFKA__GROUP_ID=deployment.group)
    stranger = other.replica(
        TOLOKA__PROJECT_ID="other",
        KAFKA__INPUT_TOPIC=deployment.topic("items"),
        KAFKA__OUTPUT_TOPIC=deployment.topic("results"),
        KAFKA__DEAD_LETTER_TOPIC=deployment.topic("dead-letters"),
    )
    stranger.start()
    assert await stranger.ended() == 78, stranger.output()
    assert "TOLOKAD_KAFKA__GROUP_ID" in stranger.output()
    await concluded(deployment)


@pytest.mark.fault(16, 28)
@pytest.mark.timeout(300)
async def test_kafka_is_away_and_comes_back(private_kafka: StartKafka, deploy_on: DeployOn) -> None:
    """While no broker is there nothing is sent, nobody is restarted, and afterwards everything goes on."""
    kafka = await private_kafka()
    slow = {"kind": "slow", "operations": ["bulk"], "delay_seconds": 0.2}
    deployment = await deploy_on(kafka, "--faults", json.dumps([slow]), partitions=2, SUBMIT__MAX_ITEMS="5")
    replica = await deployment.started()
    await feed(deployment, 1, 6 * ITEMS)
    await deployment.until_outcomes(ITEMS)
    await asyncio.to_thread(kafka.stop)
    # A request whose intent was written before may still be under way.
    await asyncio.sleep(1)
    before, clock = await sent(deployment), asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() < clock + AWAY_SECONDS:
        assert (await replica.get("/livez")).status_code == 200
        await asyncio.sleep(0.5)
    assert await sent(deployment) == before
    await asyncio.to_thread(kafka.start)
    await deployment.until_done()
    assert len(list(replica.history("starting"))) == 1
    await concluded(deployment)


@pytest.mark.fault(15, 20)
async def test_a_stranger_with_our_transactional_id_is_noticed(deploy: Deploy) -> None:
    """Somebody outside the group fences us again and again: that is held and said, and nothing is lost."""
    deployment = await deploy(partitions=1)
    replica = await deployment.started()
    await feed(deployment, 1)
    await deployment.until_outcomes(ITEMS)
    transactional_id = f"{deployment.group}.submit.{deployment.topic('items')}.0"

    async def rival() -> bool:
        async with started_producer(deployment.kafka.bootstrap_servers, transactional_id=transactional_id):
            await feed(deployment, deployment.fed, 1)
        return (await replica.scrape())("tolokad_held", flow="submit", reason="kafka") == 1

    await eventually(rival, lambda: f"never noticed: {deployment.state()}")
    assert "TOLOKAD_KAFKA__GROUP_ID" in (await replica.get("/readyz")).text
    await concluded(deployment)


async def test_a_broker_that_takes_no_intent_is_named(private_kafka: StartKafka, deploy_on: DeployOn) -> None:
    """Its limit is too small for what an offset carries: the hold says which one, and nothing is sent."""
    kafka = await private_kafka(properties={"offset.metadata.max.bytes": "60"})
    deployment = await deploy_on(kafka, partitions=1)
    replica = await deployment.started()
    await feed(deployment, 1)
    await until_held(deployment, replica, "kafka")
    (hold,) = (await replica.get("/readyz")).json()["holds"]
    assert "offset.metadata.max.bytes: set it to 4096" in hold["detail"]
    assert await sent(deployment) == 0
    assert await replica.stopped() == 0
