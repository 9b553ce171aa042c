"""Whom TLS trusts: what the settings name, and nothing that the environment says."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme
from aiokafka.client import AIOKafkaClient

from daemon.edges.kafka import kafka_client
from daemon.edges.toloka.endpoint import tls_context
from daemon.errors import ConfigurationError, Held
from daemon.settings import KafkaSettings
from tests.security.certificates import Authority


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """The file of an authority that nobody has named in a setting."""
    file = tmp_path / "theirs.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    return file


def test_the_environment_names_no_authorities_and_gets_no_keys(
    theirs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE and SSL_CERT_DIR add nobody, SSLKEYLOGFILE is not written: for Kafka as for Toloka."""
    kafka = KafkaSettings(security_protocol="SSL")
    before = [tls_context(None), kafka_client.tls_context(kafka)]
    monkeypatch.setenv("SSL_CERT_FILE", str(theirs))
    monkeypatch.setenv("SSL_CERT_DIR", str(theirs.parent))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    after = [tls_context(None), kafka_client.tls_context(kafka)]
    assert [context.get_ca_certs() for context in after] == [context.get_ca_certs() for context in before]
    assert not (tmp_path / "keys").exists()
    assert all(context.check_hostname for context in after)


def test_a_named_authority_is_the_only_one_for_kafka(theirs: Path) -> None:
    """With SSL_CAFILE the system's own authorities sign for no broker."""
    context = kafka_client.tls_context(KafkaSettings(security_protocol="SSL", ssl_cafile=theirs))
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize(
    ("cafile", "certificate", "key", "words"),
    [
        ("broken", None, None, "SSL_CAFILE: .*PEM"),
        (None, "broken", "broken", "SSL_CERTFILE .*PEM"),
        (None, "right", "other", "SSL_CERTFILE with .*SSL_KEYFILE: do not belong together"),
        (None, "locked", "locked", "SSL_KEYFILE: .*pass phrase"),
    ],
)
def test_files_that_cannot_be_used(
    tmp_path: Path, cafile: str | None, certificate: str | None, key: str | None, words: str
) -> None:
    """Each ends the start with a sentence that names its variable; nobody is asked for a pass phrase."""
    ours = Authority(tmp_path)
    (tmp_path / "broken.pem").write_text("no certificate")
    files = {each: ours.certificate(each) for each in ("right", "other")}
    files |= {"broken": tmp_path / "broken.pem", "locked": ours.locked("locked")}
    named = {"ssl_cafile": cafile, "ssl_certfile": certificate, "ssl_keyfile": key}
    given = {field: files[name] for field, name in named.items() if name}
    settings = KafkaSettings.model_validate({"security_protocol": "SSL", **given})
    with pytest.raises(ConfigurationError, match=words):
        kafka_client.tls_context(settings)


async def test_what_lives_long_connects_with_the_files_of_the_day(tmp_path: Path) -> None:
    """Kafka's client keeps what it was made with; where a file is just being replaced, so does ours."""
    ours, file = Authority(tmp_path), tmp_path / "ours.pem"
    file.write_bytes(ours.certificate("first").read_bytes())
    settings = KafkaSettings(
        security_protocol="SSL", ssl_cafile=ours.file, ssl_certfile=file, ssl_keyfile=file
    )
    client = AIOKafkaClient(security_protocol="SSL", ssl_context=kafka_client.tls_context(settings))
    made = client._ssl_context
    kafka_client.keep_current(client, settings)
    file.write_text("half of it")
    assert await client._get_conn(0) is None
    assert client._ssl_context is made
    file.write_bytes(ours.certificate("second").read_bytes())
    assert await client._get_conn(0) is None
    assert client._ssl_context is not made
    connected = SimpleNamespace(connected=lambda: True)
    client._conns[0, 0], made = connected, client._ssl_context
    assert await client._get_conn(0) is connected
    assert client._ssl_context is made


def test_files_that_are_just_being_replaced_hold_a_running_replica(tmp_path: Path) -> None:
    """At start an unusable file is the operator's to mend; later it is waited for, and named."""
    file = tmp_path / "password"
    file.write_text("secret")
    settings = KafkaSettings(
        bootstrap_servers=("127.0.0.1:9092",),
        security_protocol="SASL_SSL",
        sasl_mechanism="PLAIN",
        sasl_username="user",
        sasl_password_file=file,
    )
    assert kafka_client.connection(settings, "c")["sasl_plain_password"] == "secret"
    file.unlink()
    with pytest.raises(ConfigurationError, match="TOLOKAD_KAFKA__SASL_PASSWORD_FILE"):
        kafka_client.arguments(settings, "c")
    with pytest.raises(Held, match="TOLOKAD_KAFKA__SASL_PASSWORD_FILE") as held:
        kafka_client.connection(settings, "c")
    assert held.value.reason == "kafka"
