"""Every tenth bulk answer is lost: after the commit, or before a commit that comes seconds later."""

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from tests.chaos.figures import Figures, shown
from tests.chaos.stage import save_pages, searched, stats
from tests.system.conftest import Deploy
from tests.system.feed import Kinds, sources, with_own_id, without_id

BATCH_ITEMS: Final = 50
ITEMS: Final[Kinds] = ((without_id, 0.7), (with_own_id, 0.3))
LOST: Final[Mapping[str, Any]] = {
    "kind": "drop",
    "operations": ["bulk"],
    "every": 10,
    "committed": True,
    "reset": True,
}
LATE: Final[Mapping[str, Any]] = {
    "kind": "late_commit",
    "operations": ["bulk"],
    "every": 10,
    "delay_seconds": 3.0,
}
SETTINGS: Final = {
    "SUBMIT__MAX_ITEMS": str(BATCH_ITEMS),
    "SUBMIT__REQUEST_TIMEOUT_SECONDS": "3",
    "SUBMIT__QUARANTINE_SECONDS": "8",
    "LOG__LEVEL": "INFO",
}


async def lost_answers(deploy: Deploy, title: str, fault: Mapping[str, Any], items: int) -> Figures:
    """Two replicas, so many items in batches of 50; every tenth request befallen by the fault."""
    figures, deployment = Figures(title), await deploy(partitions=4, **SETTINGS)
    for _ in range(2):
        await deployment.started()
    await deployment.control("PUT", "faults", json=[fault])
    began = time.monotonic()
    await deployment.feed(sources(items, seed=20, kinds=ITEMS))
    await deployment.until_done(seconds=items / 20 + 60)
    figures.show("seconds", time.monotonic() - began)
    counted = await stats(deployment)
    resolved: Counter[str] = Counter()
    for replica in deployment.replicas:
        scrape = await replica.scrape()
        for outcome in ("adopted", "partial", "resubmitted", "held"):
            resolved[outcome] += int(scrape("tolokad_intents_resolved_total", outcome=outcome))
    fired = sum(counted["faults"].values())
    figures.show("bulk requests", sum(counted["requests"]["bulk"].values()))
    figures.show("answers lost", fired)
    figures.show("doubts ended", shown(resolved))
    figures.insist(fired >= items / BATCH_ITEMS / 12, f"only {fired} answers were lost")
    # More, where Kafka was late as well.
    figures.insist(resolved["adopted"] >= fired, f"{fired} answers lost, but {shown(resolved)}")
    await save_pages(deployment)
    verdict = await deployment.conclusion()
    figures.judge(verdict, searched(deployment.folder, deployment.kafka))
    return figures
