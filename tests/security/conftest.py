"""A broker that trusts nobody without a certificate, a password and a permission."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import pytest

from tests.canary import CANARY
from tests.kafka import EmbeddedKafka, Security
from tests.kafka.broker import QUICK_JAVA_OPTIONS
from tests.kafka.fixtures import ExistingCluster, kafka, private_kafka
from tests.kafka.security import pem_keystore
from tests.security.acls import make_topics, table
from tests.security.certificates import Authority
from tests.system.conftest import DeployOn, deploy, deploy_on, searched_kafka
from tests.system.deployment import Deployment

__all__ = ["deploy", "deploy_on", "kafka", "private_kafka", "searched_kafka"]

USER: Final = "tolokad"
OPERATOR: Final = "operator"
PASSWORD: Final = "Scram-" + CANARY


@dataclass(frozen=True)
class Secured:
    """A broker over SASL_SSL with SCRAM, client certificates and access rules.

    Attributes:
        broker: permits `USER` and `OPERATOR` nothing, unless a test allows it.
        authority: signs all certificates that the broker and its clients trust.
    """

    broker: EmbeddedKafka
    authority: Authority

    @property
    def direct(self) -> ExistingCluster:
        """The same, as its owner sees it: past every rule."""
        return ExistingCluster(self.broker.internal_servers)

    def settings(self, **changes: str) -> dict[str, str]:
        """What `USER` needs to be let in, less `TOLOKAD_`."""
        ours = str(self.authority.certificate(USER))
        return {
            "KAFKA__BOOTSTRAP_SERVERS": self.broker.bootstrap_servers,
            "KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA__SASL_MECHANISM": "SCRAM-SHA-512",
            "KAFKA__SASL_USERNAME": USER,
            "KAFKA__SASL_PASSWORD": PASSWORD,
            "KAFKA__SSL_CAFILE": str(self.authority.file),
            "KAFKA__SSL_CERTFILE": ours,
            "KAFKA__SSL_KEYFILE": ours,
            "KAFKA__CREATE_TOPICS": "false",
            **changes,
        }

    async def deployment(self, deploy_on: DeployOn, partitions: int = 1) -> Deployment:
        """A deployment that may do what the documentation's table has, and nothing else."""
        deployment = await deploy_on(self.direct, partitions=partitions, **self.settings())
        await make_topics(self.broker.internal_servers, deployment.group)
        self.broker.allow(*table(USER, deployment.group))
        return deployment


def prefixed(settings: Mapping[str, str]) -> dict[str, str]:
    """Variables with their prefix."""
    return {f"TOLOKAD_{name}": value for name, value in settings.items()}


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom this broker and its clients trust."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def secured(authority: Authority) -> Iterator[Secured]:
    """The broker that these tests share."""
    security = Security(
        users={USER: PASSWORD, OPERATOR: PASSWORD},
        keystore_pem=pem_keystore(authority.ca.issue_cert("127.0.0.1")),
        client_ca_pem=authority.file.read_bytes(),
        authorizer=True,
    )
    with EmbeddedKafka(security=security, java_options=QUICK_JAVA_OPTIONS) as broker:
        yield Secured(broker, authority)
