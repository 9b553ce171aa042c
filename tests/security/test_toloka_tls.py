"""Toloka over TLS, in real processes: whom tolokad trusts, by which way it goes, and how it gets over it."""

from functools import partial
from pathlib import Path
from typing import Final

import pytest

from daemon.app import starting
from daemon.app.checking import check
from tests.canary import CANARY
from tests.kafka import free_port
from tests.security.certificates import Authority
from tests.security.conftest import Secured
from tests.security.doors import Door, Tunnel
from tests.system.conftest import DeployOn
from tests.system.deployment import Deployment, eventually
from tests.system.feed import sources, without_id
from tests.system.processes import Replica

HOST: Final = "toloka.test"
ITEMS: Final = 10
PROXY_PASSWORD: Final = "Proxy-" + CANARY
UNAVAILABLE: Final = 69
pytestmark = pytest.mark.timeout(240)


async def feed(deployment: Deployment, seed: int) -> None:
    """Some items, whom nobody has anything against."""
    await deployment.feed(sources(ITEMS, seed, kinds=((without_id, 1),)))


async def bulks(deployment: Deployment) -> int:
    """How many bulk requests have come through."""
    requests = (await deployment.control("GET", "stats"))["requests"]
    return sum(requests.get("bulk", {}).values())


async def both_hold(replica: Replica, words: str) -> bool:
    """Whether both flows hold because Toloka is away, and say this."""
    holds = [each for each in (await replica.get("/readyz")).json()["holds"] if words in each["detail"]]
    return {each["flow"] for each in holds if each["reason"] == "unreachable"} == {"submit", "collect"}


async def until_both_hold(deployment: Deployment, replica: Replica, words: str) -> None:
    """Wait until both flows hold and say why; the replica stays alive and ready."""
    why = f"it never says {words!r}"
    await eventually(partial(both_hold, replica, words), lambda: f"{why}: {deployment.state()}", 60)
    assert (await replica.get("/livez")).status_code == 200
    assert (await replica.get("/readyz")).status_code == 200


def untrusted(folder: Path, ours: Authority) -> dict[str, tuple[Path, str]]:
    """Certificates that prove nothing, each with the words that tell why."""
    return {
        "another host's": (ours.certificate("elsewhere", "elsewhere.test"), "Hostname mismatch"),
        "out of date": (ours.expired("old", HOST), "certificate has expired"),
        "signed by nobody we know": (Authority(folder).certificate("forged", HOST), "local issuer"),
        "signed by itself": (ours.self_signed("itself", HOST), "self-signed certificate"),
    }


@pytest.mark.fault(33)
async def test_a_certificate_or_a_name_that_goes_bad(
    secured: Secured, deploy_on: DeployOn, tmp_path: Path
) -> None:
    """While it runs: each wrong certificate, then no address. It holds, says why, sends nothing, recovers.

    The process's environment leads elsewhere all the while: proxies, authorities, a password for the host.
    """
    deployment = await deploy_on(secured.direct, partitions=1)
    ours, address = Authority(tmp_path / "ours"), tmp_path / "address"
    address.write_text("127.0.0.1")
    right = ours.certificate("right", HOST)
    async with Door(deployment.simulator.port) as door:
        await door.show(right)
        deployment.settings |= {
            **misleading(tmp_path),
            "PYTHONPATH": str(Path(__file__).with_name("resolver")),
            "TEST_HOST": HOST,
            "TEST_HOST_FILE": str(address),
            "TOLOKAD_TOLOKA__URL": f"https://{HOST}:{door.port}",
            "TOLOKAD_TOLOKA__CA_FILE": str(ours.file),
        }
        replica = await deployment.started()
        await feed(deployment, 0)
        await deployment.until_outcomes(deployment.due)
        for number, (certificate, words) in enumerate(untrusted(tmp_path / "theirs", ours).values(), 1):
            before = await bulks(deployment)
            await door.show(certificate)
            await feed(deployment, number)
            await until_both_hold(deployment, replica, words)
            assert await bulks(deployment) == before
            await door.show(right)
            await deployment.until_outcomes(deployment.due)
        address.write_text("")
        await door.show(right)
        await feed(deployment, 9)
        await until_both_hold(deployment, replica, "not known")
        address.write_text("127.0.0.1")
        verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert (verdict.results, verdict.dead_letters) == (deployment.fed, 0)
    assert len(list(replica.history("starting"))) == 1
    assert not (tmp_path / "tls-keys").exists()


def misleading(folder: Path) -> dict[str, str]:
    """Variables that many programs heed."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    netrc = folder / "netrc"
    netrc.write_text(f"machine {HOST} login nobody password wrong\n")
    proxies = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
    bundles = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    return {
        **dict.fromkeys(proxies, nowhere),
        **dict.fromkeys(bundles, str(folder / "nowhere.pem")),
        "NO_PROXY": "",
        "NETRC": str(netrc),
        "SSLKEYLOGFILE": str(folder / "tls-keys"),
    }


async def test_a_start_that_trusts_nobody(
    secured: Secured, deploy_on: DeployOn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`check` waits for Toloka as a start does, then says which certificate it was and what to set: 69."""
    monkeypatch.setattr(starting, "START_SECONDS", 1.0)
    deployment = await deploy_on(secured.direct, partitions=1)
    ours = Authority(tmp_path / "ours")
    async with Door(deployment.simulator.port) as door:
        await door.show(ours.certificate("right", "127.0.0.1"))
        deployment.settings["TOLOKAD_TOLOKA__URL"] = f"https://127.0.0.1:{door.port}"
        report = await check(deployment.environment, connect=True)
        assert report.exit_code == UNAVAILABLE
        (failed,) = (each.message for each in report.checks if not each.ok)
        assert "unable to get local issuer certificate" in failed
        assert "TOLOKAD_TOLOKA__CA_FILE" in failed
        deployment.settings["TOLOKAD_TOLOKA__CA_FILE"] = str(ours.file)
        assert (await check(deployment.environment, connect=True)).exit_code == 0
    assert await bulks(deployment) == 0


async def test_by_way_of_a_proxy(secured: Secured, deploy_on: DeployOn, tmp_path: Path) -> None:
    """A host that only the proxy knows; when the proxy refuses, both flows hold, say so, and recover."""
    deployment = await deploy_on(secured.direct, partitions=1)
    ours = Authority(tmp_path / "ours")
    async with Door(deployment.simulator.port) as door, Tunnel("toloka.invalid:443", door.port) as proxy:
        await door.show(ours.certificate("right", "toloka.invalid"))
        replica = await deployment.started(
            TOLOKA__URL="https://toloka.invalid",
            TOLOKA__CA_FILE=str(ours.file),
            TOLOKA__PROXY=f"http://user:{PROXY_PASSWORD}@127.0.0.1:{proxy.port}",
        )
        await feed(deployment, 1)
        await deployment.until_outcomes(deployment.due)
        for refusal in ("407 Proxy Authentication Required", "502 Bad Gateway"):
            proxy.refusal = refusal
            await door.show(ours.certificate("right", "toloka.invalid"))
            await feed(deployment, 2)
            await until_both_hold(deployment, replica, refusal)
            proxy.refusal = None
            await deployment.until_outcomes(deployment.due)
        verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert (verdict.results, verdict.dead_letters) == (deployment.fed, 0)
    assert all(head.startswith("CONNECT ") for head in proxy.heads)
    assert all("proxy-authorization: Basic " in head for head in map(_lowered, proxy.heads))
    assert not any("\nauthorization" in head.lower() for head in proxy.heads)


def _lowered(head: str) -> str:
    """The head with its names in lower case."""
    lines = (line.partition(":") for line in head.splitlines())
    return "\n".join(name.lower() + colon + value for name, colon, value in lines)
