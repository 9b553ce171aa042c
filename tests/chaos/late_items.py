"""Items that become visible late, finishing times that tie, and a cursor whose item is deleted."""

import json
import time
from typing import Final

from tests.chaos.figures import Figures
from tests.chaos.stage import save_pages, searched
from tests.kafka.clients import read_topic
from tests.system.conftest import Deploy
from tests.system.deployment import Deployment, eventually
from tests.system.feed import GOOD, sources

LATE_SHARE: Final = 0.02
DELETIONS: Final = 2
SETTINGS: Final = {"SUBMIT__MAX_ITEMS": "500", "COLLECT__PAGE_SIZE": "50", "LOG__LEVEL": "INFO"}


async def late_items(deploy: Deploy, items: int, late_seconds: float) -> Figures:
    """Two replicas; 2 % of the items late, times to the second, pages of 50, the cursor's item deleted."""
    title = f"2 % of the items visible {late_seconds:.0f} s late, times to the second, pages of 50"
    flags = ("--late-share", str(LATE_SHARE), "--late-seconds", str(late_seconds), "--finished-digits", "0")
    figures, deployment = Figures(title), await deploy(*flags, partitions=4, **SETTINGS)
    for _ in range(2):
        await deployment.started()
    began, share = time.monotonic(), items // DELETIONS
    for number in range(DELETIONS):
        await deployment.feed(sources(share, seed=30 + number, kinds=GOOD))
        # All but what is late: now the cursor rests on its item, and there is more to come.
        await deployment.until_outcomes(int(deployment.fed * (1 - 3 * LATE_SHARE)))
        await _delete_cursor_item(deployment, number + 1)
    await deployment.until_done(seconds=items / 100 + 90)
    figures.show("seconds", time.monotonic() - began)
    published = await counted(deployment, "tolokad_results_published_total")
    overlap = await counted(deployment, "tolokad_late_results_total", found_by="overlap")
    sweep = await counted(deployment, "tolokad_late_results_total", found_by="sweep")
    tail = published - overlap - sweep
    figures.show("published by the tail", tail)
    figures.show("published by the overlap", overlap)
    figures.show("published by the sweep", sweep)
    figures.show("together", tail + overlap + sweep)
    figures.show("fallbacks of the cursor", await counted(deployment, "tolokad_cursor_fallbacks_total"))
    await save_pages(deployment)
    verdict = await deployment.conclusion()
    figures.insist(overlap + sweep > 0, "no result was late")
    figures.insist(published == verdict.results == items, f"{published} published of {items}")
    figures.judge(verdict, searched(deployment.folder, deployment.kafka))
    return figures


async def counted(deployment: Deployment, name: str, **labels: str) -> float:
    """A counter's sum over all replicas."""
    return sum([(await replica.scrape())(name, **labels) for replica in deployment.replicas])


async def _delete_cursor_item(deployment: Deployment, times: int) -> None:
    """Delete the cursor's item, and see that the tail had to go on without it for the so manieth time."""

    async def fallen_back() -> bool:
        if await counted(deployment, "tolokad_cursor_fallbacks_total") >= times:
            return True
        # Until the tail stumbles over it: it may have gone on to another item meanwhile.
        if (item_id := await _cursor_item(deployment)) is not None:
            answer = await deployment.http.post(
                f"{deployment.simulator.url}/_simulator/items/{item_id}", json={"action": "delete"}
            )
            assert answer.status_code in {200, 404}
        return False

    await eventually(fallen_back, lambda: f"no fallback: {deployment.state()}")


async def _cursor_item(deployment: Deployment) -> str | None:
    records = await read_topic(deployment.kafka.bootstrap_servers, deployment.topic("cursors"))
    found: str | None = json.loads(records[-1].value)["item_id"]
    return found
