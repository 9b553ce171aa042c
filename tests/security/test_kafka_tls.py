"""Kafka over TLS, with certificates on both sides: the main job, and every way not to be let in."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.canary import CANARY
from tests.kafka import Security
from tests.kafka.fixtures import ExistingCluster, StartKafka
from tests.kafka.security import pem_keystore
from tests.kit.commands import Ended, tolokad
from tests.security.acls import make_topics, table
from tests.security.certificates import Authority
from tests.security.conftest import PASSWORD, USER, Secured, prefixed
from tests.simulator.world import MODERATION_PROJECT
from tests.system.conftest import DeployOn
from tests.system.deployment import Deployment
from tests.system.feed import sources

ITEMS: Final = 300
AT_ONCE: Final = 2
CONFIGURATION, NOT_PERMITTED = 78, 77
CERTFILE, KEYFILE, CAFILE = (f"TOLOKAD_KAFKA__SSL_{each}FILE" for each in ("CERT", "KEY", "CA"))
FILES: Final = [f"KAFKA__SSL_{each}FILE" for each in ("CERT", "KEY", "CA")]
PROTOCOL: Final = "TOLOKAD_KAFKA__SECURITY_PROTOCOL"
pytestmark = pytest.mark.timeout(240)


async def main_job(deployment: Deployment) -> None:
    """Records of every kind in, one outcome each out."""
    await deployment.started()
    await deployment.feed(sources(ITEMS, seed=8))
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert verdict.complete, str(verdict)
    assert verdict.results + verdict.dead_letters + verdict.skipped == ITEMS


async def test_the_main_job_with_password_and_certificate(secured: Secured, deploy_on: DeployOn) -> None:
    """Over SASL_SSL, with SCRAM and a client certificate, under the documented rules: 0 lost, 0 twice."""
    await main_job(await secured.deployment(deploy_on, partitions=2))


async def test_the_main_job_with_a_certificate_alone(
    private_kafka: StartKafka, deploy_on: DeployOn, authority: Authority
) -> None:
    """Over SSL the certificate's name is the user whom the documented rules permit everything."""
    security = Security(
        keystore_pem=pem_keystore(authority.ca.issue_cert("127.0.0.1")),
        client_ca_pem=authority.file.read_bytes(),
        authorizer=True,
    )
    named = {"ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/"}
    broker = await private_kafka(security=security, properties=named)
    ours = str(authority.certificate(USER))
    deployment = await deploy_on(
        ExistingCluster(broker.internal_servers),
        partitions=1,
        KAFKA__BOOTSTRAP_SERVERS=broker.bootstrap_servers,
        KAFKA__SECURITY_PROTOCOL="SSL",
        KAFKA__SSL_CAFILE=str(authority.file),
        KAFKA__SSL_CERTFILE=ours,
        KAFKA__SSL_KEYFILE=ours,
        KAFKA__CREATE_TOPICS="false",
    )
    await make_topics(broker.internal_servers, deployment.group)
    broker.allow(*table(USER, deployment.group))
    await main_job(deployment)


def wrong_ways(secured: Secured, folder: Path) -> Mapping[str, tuple[dict[str, str], int, tuple[str, ...]]]:
    """What is changed in settings that are right, and what must come of it: exit code and words."""
    authority, stranger = secured.authority, Authority(folder / "stranger")

    def ours(file: Path) -> dict[str, str]:
        return {"KAFKA__SSL_CERTFILE": str(file), "KAFKA__SSL_KEYFILE": str(file)}

    refused = (CERTFILE, secured.broker.bootstrap_servers, "refuses our certificate")
    return {
        "no certificate": (
            {"KAFKA__SSL_CERTFILE": "", "KAFKA__SSL_KEYFILE": ""},
            NOT_PERMITTED,
            (CERTFILE, "asks for a certificate", KEYFILE),
        ),
        "expired": (ours(authority.expired("old")), NOT_PERMITTED, (*refused, "in date")),
        "of a stranger": (ours(stranger.certificate("forged")), NOT_PERMITTED, (*refused, "signed by")),
        "a broker of a stranger": (
            {"KAFKA__SSL_CAFILE": str(stranger.file)},
            CONFIGURATION,
            (CAFILE, secured.broker.bootstrap_servers, "is not trusted"),
        ),
        "another name for the broker": (
            {"KAFKA__BOOTSTRAP_SERVERS": secured.broker.bootstrap_servers.replace("127.0.0.1", "localhost")},
            CONFIGURATION,
            (CAFILE, "localhost", "is not trusted"),
        ),
        "a wrong password": (
            {"KAFKA__SASL_PASSWORD": f"{PASSWORD}.wrong"},
            NOT_PERMITTED,
            ("TOLOKAD_KAFKA__SASL_PASSWORD", "refuses"),
        ),
        "no TLS where the broker speaks it": (
            {**dict.fromkeys(FILES, ""), "KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT"},
            CONFIGURATION,
            (PROTOCOL, secured.broker.bootstrap_servers, "speaks SSL or SASL_SSL, and not SASL_PLAINTEXT"),
        ),
        "no password where the broker asks for one": (
            {
                **{f"KAFKA__SASL_{name}": "" for name in ("MECHANISM", "USERNAME", "PASSWORD")},
                "KAFKA__SECURITY_PROTOCOL": "SSL",
            },
            CONFIGURATION,
            (PROTOCOL, secured.broker.bootstrap_servers, "speaks SASL_SSL, and not SSL"),
        ),
        "TLS where the broker speaks none": (
            {"KAFKA__BOOTSTRAP_SERVERS": secured.broker.internal_servers},
            CONFIGURATION,
            (PROTOCOL, secured.broker.internal_servers, "speaks PLAINTEXT, and not SASL_SSL"),
        ),
    }


async def test_whoever_is_not_let_in_is_told_why_at_once(secured: Secured, tmp_path: Path) -> None:
    """One line that names the variable, no thirty seconds of waiting, and the documented exit code."""
    places = asyncio.Semaphore(AT_ONCE)
    well = {
        **secured.settings(),
        "TOLOKA__PROJECT_ID": MODERATION_PROJECT,
        "TOLOKA__TOKEN": CANARY,
        "HTTP__HOST": "127.0.0.1",
        "HTTP__PORT": "0",
    }

    async def ended(changes: dict[str, str]) -> Ended:
        async with places:
            return await tolokad(prefixed({**well, **changes}), "run")

    ways = wrong_ways(secured, tmp_path)
    runs = await asyncio.gather(*(ended(changes) for changes, _, _ in ways.values()))
    for (name, (_, code, words)), run in zip(ways.items(), runs, strict=True):
        assert run.code == code, f"{name}: {run.out} {run.err}"
        assert len(run.err.splitlines()) == 1, f"{name}: {run.err}"
        assert all(word in run.err for word in words), f"{name}: {run.err}"
        assert "waiting_for_start" not in run.out, name
        assert PASSWORD not in run.out + run.err, name
