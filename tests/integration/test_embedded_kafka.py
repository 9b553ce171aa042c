"""The embedded broker keeps the promises that tolokad's protocol stands on, and leaves nothing behind."""

import asyncio
import re
import shutil
import signal
import ssl
import struct
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiokafka.errors
import pytest
import trustme
from aiokafka import AIOKafkaProducer, OffsetAndMetadata, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.kafka import (
    DEFAULT_VERSION,
    VERSIONS,
    Acl,
    EmbeddedKafka,
    KafkaUnavailableError,
    Security,
    free_port,
    jars,
    wire,
)
from tests.kafka.clients import (
    admin_client,
    committed_offset,
    patient_producer,
    read_stable,
    read_topic,
    started_producer,
)
from tests.kafka.fixtures import Cluster, StartKafka
from tests.kafka.proxy import END_TXN, proxied_kafka
from tests.kafka.security import pem_keystore
from tests.kafka.topics import Topics
from tests.proxy import Proxy

NEVER_AGAIN_SECONDS = 20.0

# Puts a shell script on PATH under a name.
AddTool = Callable[[str, str], None]


@pytest.fixture(scope="module", params=VERSIONS)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The shared broker, then one of each other version."""
    if request.param == DEFAULT_VERSION:
        yield request.getfixturevalue("kafka")
        return
    with EmbeddedKafka(request.param) as broker:
        yield broker


@pytest.fixture
def servers(cluster: Cluster) -> str:
    """Where clients connect."""
    return cluster.bootstrap_servers


@pytest.fixture
async def topics(servers: str) -> AsyncIterator[Topics]:
    """Creates topics there and deletes them after the test."""
    factory = Topics(servers)
    yield factory
    await factory.delete_all()


def unique(name: str) -> str:
    """A name that no other test uses."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for another process, which has no event to wait for."""
    deadline = time.monotonic() + NEVER_AGAIN_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(state.stdout.strip()) and not state.stdout.startswith("Z")


async def test_transaction_is_seen_whole_or_not_at_all(servers: str, topics: Topics) -> None:
    """A read_committed reader gets the records of the committed transaction and none of the aborted."""
    topic = await topics()
    async with started_producer(servers, transactional_id=unique("writer")) as producer:
        async with producer.transaction():
            await producer.send_and_wait(topic, b"kept")
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"aborted")
        await producer.abort_transaction()
    everything = await read_topic(servers, topic, isolation_level="read_uncommitted")
    assert [record.value for record in everything] == [b"kept", b"aborted"]
    assert [record.value for record in await read_topic(servers, topic)] == [b"kept"]


async def test_successor_fences_its_predecessor(servers: str, topics: Topics) -> None:
    """Starting a producer aborts the open transaction of the same id, whose owner can commit no more."""
    topic, name = await topics(), unique("owner")
    async with started_producer(servers, transactional_id=name) as zombie:
        await zombie.begin_transaction()
        await zombie.send_and_wait(topic, b"unfinished")
        async with started_producer(servers, transactional_id=name) as successor:
            async with successor.transaction():
                await successor.send_and_wait(topic, b"finished")
            with pytest.raises(aiokafka.errors.ProducerFenced):
                await zombie.commit_transaction()
        assert [record.value for record in await read_topic(servers, topic)] == [b"finished"]


async def test_offset_metadata_is_committed_in_the_transaction(servers: str, topics: Topics) -> None:
    """A successor reads the offset with the metadata of the last commit, and nothing of an abort."""
    topic, group = await topics(), unique("group")
    partition, metadata = TopicPartition(topic, 0), "m" * 4096
    async with started_producer(servers, transactional_id=group) as producer:
        async with producer.transaction():
            await producer.send_offsets_to_transaction({partition: OffsetAndMetadata(7, metadata)}, group)
        await producer.begin_transaction()
        await producer.send_offsets_to_transaction({partition: OffsetAndMetadata(8, "aborted")}, group)
        await producer.abort_transaction()
    async with started_producer(servers, transactional_id=group):
        assert await committed_offset(servers, group, partition) == OffsetAndMetadata(7, metadata)
    never = await committed_offset(servers, unique("group"), partition)
    assert never is not None
    assert never.offset == -1


async def test_compacted_topic_keeps_its_settings(servers: str, topics: Topics) -> None:
    """A topic's settings are accepted and reported; a wrong one is refused."""
    settings = {"cleanup.policy": "compact", "delete.retention.ms": "604800000", "segment.ms": "60000"}
    topic = await topics("ledger", partitions=3, configs=settings)
    async with admin_client(servers) as admin:
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
    reported = {entry[0]: entry[1] for answer in answers for entry in answer.resources[0][4]}
    assert settings.items() <= reported.items()
    with pytest.raises(aiokafka.errors.InvalidConfigurationError):
        await topics("ledger", configs={"cleanup.policy": "wrong"})


@pytest.mark.parametrize("version", VERSIONS)
async def test_committed_records_survive_a_kill(version: str, private_kafka: StartKafka) -> None:
    """After kill -9 the same broker comes back with what was committed; closing it leaves nothing."""
    broker = await private_kafka(version=version)
    topic, folder, first_pid = await Topics(broker.bootstrap_servers)(), broker.folder, broker.pid
    async with started_producer(broker.bootstrap_servers, transactional_id="writer") as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"kept")
        await producer.commit_transaction()
    # Until the markers are written: see `EmbeddedKafka.kill` for what 4.3.1 would do without.
    assert len(await read_topic(broker.bootstrap_servers, topic)) == 1
    broker.kill()
    assert not is_running(first_pid)
    await asyncio.to_thread(broker.start)
    assert [record.value for record in await read_topic(broker.bootstrap_servers, topic)] == [b"kept"]
    second_pid = broker.pid
    broker.close()
    assert not is_running(second_pid)
    assert not folder.exists()


async def test_paused_broker_answers_nothing_until_resumed(private_kafka: StartKafka) -> None:
    """A frozen broker accepts connections but answers no request; then it goes on, and restarts in order."""
    broker = await private_kafka()
    broker.pause()
    assert wire.accepts(broker.port, timeout_seconds=1.0)
    assert not wire.has_broker(broker.port, timeout_seconds=0.2)
    broker.resume()
    await asyncio.to_thread(eventually, lambda: wire.has_broker(broker.port, timeout_seconds=1.0))
    before = broker.pid
    await asyncio.to_thread(broker.restart)
    assert broker.pid != before


async def test_a_patient_producer_is_not_misled_by_a_broker_that_goes(servers: str, topics: Topics) -> None:
    """It starts where a broker knew of no broker, went, and came back; a client by itself never would."""
    topic, port = await topics(), int(servers.rpartition(":")[2])
    proxy = Proxy("127.0.0.1", port, free_port())

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The versions of ApiVersions (18) and of Metadata (3), 0 each; then no broker and no topic.
        for said in (struct.pack(">hi6h", 0, 2, 3, 0, 0, 18, 0, 0), struct.pack(">ii", 0, 0)):
            (size,) = struct.unpack(">i", await reader.readexactly(4))
            _key, _version, correlation = struct.unpack_from(">hhi", await reader.readexactly(size))
            writer.write(struct.pack(">ii", 4 + len(said), correlation) + said)
        writer.close()
        going.close()
        await proxy.up()

    going = await asyncio.start_server(answer, "127.0.0.1", proxy.port)
    async with patient_producer(proxy.address, try_seconds=2.0) as producer:
        assert not going.is_serving()
        await producer.send_and_wait(topic, b"appended")
    await proxy.down()
    assert [record.value for record in await read_topic(servers, topic)] == [b"appended"]


GUARDED = """
import pathlib, sys
from tests.kafka.guardian import Guardian
folder = pathlib.Path(sys.argv[1])
process = Guardian(folder).launch(["sleep", "1000"], folder / "log")
print(process.pid, flush=True)
sys.stdin.read()
"""


def test_broker_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    """Where its owner is killed, what it guarded ends and the folder is removed."""
    folder = tmp_path / "folder"
    folder.mkdir()
    command = [sys.executable, "-c", GUARDED, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert is_running(pid)
        owner.kill()
    eventually(lambda: not is_running(pid) and not folder.exists())


def test_command_runs_until_told_to_stop(tmp_path: Path) -> None:
    """`python -m tests.kafka` prints the address, ends with 0 on SIGTERM and keeps the given folder."""
    command = [sys.executable, "-m", "tests.kafka", "--data", str(tmp_path / "kept")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+)", line)
        assert found
        assert wire.has_broker(int(found[1]), timeout_seconds=5.0)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert not wire.accepts(int(found[1]), timeout_seconds=1.0)
    assert (tmp_path / "kept" / "data" / "meta.properties").exists()


async def test_users_and_rules_are_enforced(private_kafka: StartKafka) -> None:
    """Over SASL_SSL a user proves itself with SCRAM and may do what a rule allows, until it is taken back."""
    authority = trustme.CA()
    keystore = pem_keystore(authority.issue_cert("127.0.0.1"))
    security = Security(users={"alice": "alices-password"}, keystore_pem=keystore, authorizer=True)
    broker = await private_kafka(security=security)
    topic = await Topics(broker.internal_servers)()
    rule = Acl("alice", "topic", topic[:6], "Write", pattern="prefixed")
    login = sasl_options(authority, "alices-password")
    with pytest.raises(aiokafka.errors.KafkaConnectionError):
        async with started_producer(broker.bootstrap_servers, **sasl_options(authority, "wrong")):
            pass
    broker.allow(rule, Acl("alice", "cluster", "kafka-cluster", "IdempotentWrite"))
    async with started_producer(broker.bootstrap_servers, **login) as producer:
        await producer.send_and_wait(topic, b"allowed")
        broker.revoke(rule)
        with pytest.raises(aiokafka.errors.TopicAuthorizationFailedError):
            await until_refused(producer, topic)


def sasl_options(authority: trustme.CA, password: str) -> dict[str, object]:
    """What alice gives her client."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "alice",
        "sasl_plain_password": password,
        "ssl_context": context,
    }


async def until_refused(producer: AIOKafkaProducer, topic: str) -> None:
    """Send until the broker has applied a change of its rules."""
    async with asyncio.timeout(NEVER_AGAIN_SECONDS):
        while True:
            await producer.send_and_wait(topic, b"allowed still")


async def test_client_certificate_is_demanded(private_kafka: StartKafka) -> None:
    """With mutual TLS a client with a certificate of the CA gets in, and one without does not."""
    authority = trustme.CA()
    broker = await private_kafka(
        security=Security(
            keystore_pem=pem_keystore(authority.issue_cert("127.0.0.1")),
            client_ca_pem=authority.cert_pem.bytes(),
        )
    )
    topic = await Topics(broker.internal_servers)()
    stranger, guest = ssl.create_default_context(), ssl.create_default_context()
    for context in (stranger, guest):
        authority.configure_trust(context)
    authority.issue_cert("guest").configure_cert(guest)
    async with started_producer(
        broker.bootstrap_servers, security_protocol="SSL", ssl_context=guest
    ) as producer:
        await producer.send_and_wait(topic, b"welcome")
    with pytest.raises(aiokafka.errors.KafkaConnectionError):
        async with started_producer(broker.bootstrap_servers, security_protocol="SSL", ssl_context=stranger):
            pass


COMMITTER = """
import asyncio, sys
from tests.kafka.clients import started_producer
async def main(servers, topic):
    async with started_producer(servers, transactional_id="writer") as producer, producer.transaction():
        await producer.send_and_wait(topic, b"late")
asyncio.run(main(*sys.argv[1:]))
"""


async def test_commit_under_way_outlives_its_producer() -> None:
    """A commit held in the network is not seen; it takes effect when it arrives, its producer long dead."""
    async with proxied_kafka() as (broker, proxy):
        topic = await Topics(broker.internal_servers)()
        hold = proxy.hold(END_TXN)
        command = [sys.executable, "-c", COMMITTER, broker.bootstrap_servers, topic]
        producer = await asyncio.create_subprocess_exec(*command)
        await hold.caught()
        producer.kill()
        await producer.wait()
        await proxy.until(lambda: proxy.clients_gone == proxy.accepted)
        assert await read_stable(broker.internal_servers, topic) == []
        hold.release()
        assert [record.value for record in await read_topic(broker.internal_servers, topic)] == [b"late"]


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AddTool:
    """Replaces every command on PATH by shell scripts of the test's own, and the cache by an empty one."""
    shell = shutil.which("sh")
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    monkeypatch.setenv("PATH", str(bin_folder))
    monkeypatch.setenv(jars.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)

    def add(name: str, script: str) -> None:
        path = bin_folder / name
        path.write_text(f"#!{shell}\nPATH=/bin:/usr/bin\n{script}\n")
        path.chmod(0o755)

    return add


@pytest.mark.usefixtures("tools")
def test_missing_tools_are_named_with_their_remedy() -> None:
    """Without Java or Maven the error names the Debian package and the way around."""
    for needed, find in (
        ("openjdk-17-jre-headless", jars.java),
        ("install maven", lambda: jars.libs("4.3.1")),
    ):
        with pytest.raises(KafkaUnavailableError, match=needed) as raised:
            find()
        assert "TOLOKAD_KAFKA__BOOTSTRAP_SERVERS" in str(raised.value)


def test_old_java_is_refused(tools: AddTool) -> None:
    """Java 8 is told apart from 17 by its own way of counting."""
    tools("java", """echo 'openjdk version "1.8.0_402"' >&2""")
    with pytest.raises(KafkaUnavailableError, match="is Java 8"):
        jars.java()


def test_jars_are_fetched_once_for_all(tools: AddTool, tmp_path: Path) -> None:
    """Whoever asks while a fetch is under way waits for it and finds the complete folder."""
    calls = tmp_path / "calls"
    tools(
        "mvn",
        f"""echo call >>{calls}; for a; do case $a in *outputDirectory=*) mkdir "${{a#*=}}";; esac; done""",
    )
    with ThreadPoolExecutor() as pool:
        folders = set(pool.map(jars.libs, ["3.9.2"] * 8))
    assert folders == {tmp_path / "cache" / "3.9.2" / "libs"}
    assert calls.read_text() == "call\n"


@pytest.mark.usefixtures("tools")
def test_an_archive_is_made_once_for_all(tmp_path: Path) -> None:
    """Whoever asks while it is made waits for it; where nothing came of it, an empty one tells Java so."""
    folder = tmp_path / "cache" / "3.9.2"
    made: list[Path] = []
    (folder / "libs").mkdir(parents=True)

    def archive(_: int) -> tuple[Path, int]:
        path = jars.archive("3.9.2", made.append)
        return path, path.stat().st_size

    with ThreadPoolExecutor() as pool:
        assert set(pool.map(archive, range(8))) == {(folder / "classes.jsa", 0)}
    assert len(made) == 1


def test_failed_fetch_says_why_and_leaves_nothing(tools: AddTool, tmp_path: Path) -> None:
    """Maven's own words are in the error, and the next call fetches again."""
    tools("mvn", "echo no such artifact; exit 1")
    with pytest.raises(KafkaUnavailableError, match="no such artifact"):
        jars.libs("3.9.2")
    assert [path.name for path in (tmp_path / "cache" / "3.9.2").iterdir()] == ["fetch.lock"]
