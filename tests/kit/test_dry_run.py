"""`tolokad dry-run`, and what a real run then does."""

from collections import Counter

import pytest

from tests.kit.commands import tolokad
from tests.system.conftest import Deploy
from tests.system.feed import GOOD, Kinds, no_item, sources, tombstone

RECORDS = 10_000
KINDS: Kinds = (*((make, weight * 0.96) for make, weight in GOOD), (no_item, 0.03), (tombstone, 0.01))
pytestmark = pytest.mark.timeout(300)


async def test_equals_what_a_real_run_does(deploy: Deploy) -> None:
    """It only reads, moves no offset, and reports exactly what a run then sends and rejects."""
    deployment = await deploy(SUBMIT__MAX_ITEMS="1000")
    first = await deployment.started()
    await first.stopped()
    before = await deployment.progress()
    await deployment.feed(sources(RECORDS, 7, KINDS))
    report = (await tolokad(deployment.environment, "dry-run", "--records", str(RECORDS), "--json")).json
    assert report["records"] == RECORDS
    assert report["dead_letters"] == len(report["rejected"]) == sum(report["reasons"].values())
    requests = (await deployment.control("GET", "stats"))["requests"]
    assert set(requests) <= {"project", "app", "list"}, requests
    after = await deployment.progress()
    assert [part.committed for part in after] == [part.committed for part in before]
    few = await tolokad(deployment.environment, "dry-run", "--records", "10")
    assert few.out.splitlines()[0].split() == ["records", "10"]

    first.start()
    await deployment.until_done()
    audit = (await tolokad(deployment.environment, "audit", "--json")).json
    assert (audit["skipped"], audit["dead_letters"]) == (report["skipped"], report["dead_letters"])
    assert audit["results"] + audit["open"] == report["items"]
    letters = (await tolokad(deployment.environment, "dlq", "list", "--json")).json
    assert Counter((row["origin"]["partition"], row["origin"]["offset"], row["code"]) for row in letters) == (
        Counter((row["partition"], row["offset"], row["code"]) for row in report["rejected"])
    )
