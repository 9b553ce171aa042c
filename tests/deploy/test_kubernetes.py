"""The manifests: they build, they agree with the settings and with each other, and they confine what runs."""

import re
import shutil

import pytest

from daemon.app import demands
from daemon.settings import Settings, load
from tests.deploy.manifests import BASE, OVERLAYS, container, deployment, manifests, pod, settings
from tests.deploy.prometheus_rule import PATH, text
from tests.deploy.yamls import REPOSITORY

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
EVERY = (BASE, *OVERLAYS)
ROW = re.compile(r"^\| (\w+) \| `([^`]+)` \| (literal|prefixed) \| (\w+) \|", re.MULTILINE)


def in_effect(name: str) -> Settings:
    """The settings that its pods would run with; for files, which are the pod's, a token stands in."""
    given = {
        variable: value
        for variable, value in settings(name).items()
        if not variable.endswith(("FILE", "PROTOCOL"))
    }
    return load({**given, "TOLOKAD_TOLOKA__TOKEN": "made-up"})


@pytest.mark.parametrize("name", EVERY)
def test_its_settings_are_tolokads_own(name: str) -> None:
    """Every variable exists, and every value can be used, once the project is named."""
    assert in_effect(name).kafka.group_id == "tolokad"
    assert settings(name)["TOLOKAD_TOLOKA__TOKEN_FILE"].startswith("/etc/tolokad/toloka/")


@pytest.mark.parametrize("name", EVERY)
def test_probes_ports_and_patience_agree_with_the_settings(name: str) -> None:
    """The port is the one that is listened on, a drain can end, and probes ask what is there."""
    found, defaults = container(name), in_effect(name)
    (port,) = found["ports"]
    assert (port["name"], port["containerPort"]) == ("http", defaults.http.port)
    assert defaults.http.host == "0.0.0.0"  # noqa: S104 - the kubelet asks from outside
    assert pod(name)["terminationGracePeriodSeconds"] >= defaults.shutdown_seconds + 10
    probes = {probe: found[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {probe["port"] for probe in probes.values()} == {"http"}
    paths = {name: probe["path"] for name, probe in probes.items()}
    assert paths == {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}


@pytest.mark.parametrize("name", EVERY)
def test_pods_are_confined(name: str) -> None:
    """As the restricted Pod Security Standard asks, and a little more."""
    spec, found = pod(name), container(name)
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["runAsUser"] >= 10_000
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
    assert found["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "memory" in found["resources"]["limits"]
    assert "cpu" not in found["resources"]["limits"]


@pytest.mark.parametrize("name", EVERY)
def test_the_token_is_a_file_that_nobody_committed(name: str) -> None:
    """It comes from a Secret that is made elsewhere, mounted read-only where the settings look for it."""
    assert manifests(name, "Secret") == []
    mounts = {mount["name"]: mount for mount in container(name)["volumeMounts"]}
    (volume,) = [each for each in pod(name)["volumes"] if each["name"] == "toloka"]
    assert mounts["toloka"]["readOnly"]
    assert settings(name)["TOLOKAD_TOLOKA__TOKEN_FILE"].startswith(mounts["toloka"]["mountPath"] + "/")
    assert volume["secret"]["secretName"] == "tolokad-toloka"
    assert volume["secret"]["defaultMode"] == 0o440


@pytest.mark.parametrize("name", EVERY)
def test_one_replica_at_a_time(name: str) -> None:
    """Updates and evictions take one away, none is put on top; budget and policy find the pods."""
    strategy = deployment(name)["spec"]["strategy"]["rollingUpdate"]
    assert (strategy["maxSurge"], strategy["maxUnavailable"]) == (0, 1)
    (budget,) = manifests(name, "PodDisruptionBudget")
    (policy,) = manifests(name, "NetworkPolicy")
    labels = deployment(name)["spec"]["template"]["metadata"]["labels"]
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["selector"]["matchLabels"] == labels
    assert policy["spec"]["podSelector"]["matchLabels"] == labels
    assert set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_what_prometheus_scrapes_is_what_listens(name: str) -> None:
    """The PodMonitor finds the pods and names their port."""
    (monitor,) = manifests(name, "PodMonitor")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == ("http", "/metrics")
    labels = deployment(name)["spec"]["template"]["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"] == labels


def test_the_prometheus_rule_is_up_to_date() -> None:
    """Made from deploy/prometheus; after a change there: `make rules`."""
    assert PATH.read_text() == text()


def test_the_scaler_stops_at_the_partitions() -> None:
    """A replica without a partition does nothing; the Deployment leaves the number to the scaler."""
    (scaler,) = manifests("overlays/keda", "ScaledObject")
    (topic,) = [
        each
        for each in manifests("overlays/strimzi", "KafkaTopic")
        if each["metadata"]["name"] == "moderation.items"
    ]
    defaults = in_effect("overlays/keda").kafka
    (trigger,) = scaler["spec"]["triggers"]
    assert scaler["spec"]["maxReplicaCount"] <= topic["spec"]["partitions"]
    assert trigger["metadata"]["topic"] == defaults.input_topic
    assert trigger["metadata"]["consumerGroup"] == defaults.group_id
    assert (
        trigger["metadata"]["bootstrapServers"]
        == settings("overlays/keda")["TOLOKAD_KAFKA__BOOTSTRAP_SERVERS"]
    )
    assert "replicas" not in deployment("overlays/keda")["spec"]


def test_strimzis_topics_are_what_tolokad_insists_on() -> None:
    """The same names and settings that it would make by itself, and nothing that the check objects to."""
    found = {each["metadata"]["name"]: each["spec"] for each in manifests("overlays/strimzi", "KafkaTopic")}
    wanted = demands.demanded(in_effect("overlays/strimzi").kafka)
    assert set(found) == {topic.name for topic in wanted}
    for topic in demands.missing(wanted, {}):
        assert topic.configs.items() <= found[topic.name]["config"].items()
        assert found[topic.name]["partitions"] == topic.partitions


def test_strimzis_user_may_do_what_the_page_lists() -> None:
    """No more, no less."""
    page = (REPOSITORY / "deploy" / "kafka-acls.md").read_text()
    listed = {
        (kind.lower(), name, pattern[:6], operation) for kind, name, pattern, operation in ROW.findall(page)
    }
    (user,) = manifests("overlays/strimzi", "KafkaUser")
    granted = {
        (
            rule["resource"]["type"].lower(),
            rule["resource"]["name"],
            rule["resource"]["patternType"][:6],
            operation,
        )
        for rule in user["spec"]["authorization"]["acls"]
        for operation in rule["operations"]
    }
    assert granted == listed
    assert len(granted) > 10
