"""`tolokad check --connect` on topics that do not fit, and brokers of different releases."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.kafka.fixtures import Cluster
from tests.kit.commands import tolokad
from tests.kit.planting import CREDENTIAL, WEEK_MS, Plot
from tests.simulator.serving import spawn

DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def toloka() -> Iterator[str]:
    """The address of a simulated Toloka."""
    with spawn("--credentials", CREDENTIAL) as url:
        yield url


def by_name(report: Any) -> Mapping[str, Mapping[str, Any]]:
    """The checks of a report."""
    return {check["name"]: check for check in report["checks"]}


async def test_retention_against_turnaround(kafka: Cluster, toloka: str) -> None:
    """An input topic that forgets before items come back fails, and the fix can be carried out as it is."""
    plot = Plot(kafka.bootstrap_servers, toloka)
    await plot.lay_out(retention_ms=2 * WEEK_MS)
    await plot.write(plot.opened(plot.sources([b'{"text":"a"}'])))
    ended = await tolokad(plot.environment, "check", "--connect", "--json")
    assert ended.code == 78, ended.out
    failed = [check for check in ended.json["checks"] if not check["ok"]]
    assert [check["name"] for check in failed] == [f"topic {plot.topic('items')}"]
    assert "keeps records for 14 days, and an item has been open for" in failed[0]["message"]
    retention_ms = int(failed[0]["message"].rpartition("retention.ms=")[2])
    assert f"--entity-name {plot.topic('items')} --add-config retention.ms=" in failed[0]["message"]

    mended = Plot(kafka.bootstrap_servers, toloka)
    await mended.lay_out(retention_ms=retention_ms)
    await mended.write(mended.opened(mended.sources([b'{"text":"a"}'])))
    checked = await tolokad(mended.environment, "check", "--connect", "--json")
    assert checked.code == 0, checked.out
    checks = by_name(checked.json)
    assert "the oldest open item is" in checks[f"topic {mended.topic('items')}"]["message"]
    # They forget sooner than the input now, which is no mistake but worth a word.
    assert f"set retention.ms={retention_ms}" in checks[f"topic {mended.topic('results')}"]["message"]


async def test_the_first_failure_decides(kafka: Cluster, toloka: str) -> None:
    """All that fails is told, and the exit code is that of the first: a topic comes before the credential."""
    plot = Plot(kafka.bootstrap_servers, toloka)
    await plot.lay_out()
    wrong = {**plot.environment, "TOLOKAD_TOLOKA__TOKEN": "another"}
    denied = await tolokad(wrong, "check", "--connect", "--json")
    assert denied.code == 77
    assert [check["name"] for check in denied.json["checks"] if not check["ok"]] == ["credential"]
    wrong["TOLOKAD_KAFKA__OUTPUT_TOPIC"] = f"{plot.group}.nowhere"
    both = await tolokad(wrong, "check", "--connect")
    assert both.code == 78
    assert [line for line in both.out.splitlines() if line.startswith("✗ topic")]
    assert [line for line in both.out.splitlines() if line.startswith("✗ credential")]
