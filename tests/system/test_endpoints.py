"""What a running replica shows: health, metrics, status, holds; and that none of it shows the token."""

import json
from typing import Final

import httpx

from tests.canary import CANARY
from tests.kafka.clients import read_topic
from tests.system.conftest import Deploy
from tests.system.deployment import Deployment, eventually
from tests.system.feed import MARKERS, sources, without_id
from tests.system.processes import Replica, Scrape

ITEMS: Final = 600
# A lost answer, an overloaded moment, and items that become visible late.
TROUBLE: Final = [
    {"kind": "drop", "operations": ["bulk"], "times": 1, "committed": True},
    {
        "kind": "status",
        "status": 429,
        "style": "json",
        "operations": ["bulk"],
        # More than can be under way at once: an answer to one of these opens the door again without a wait.
        "times": 3,
        "retry_after": "1",
    },
]
# What every run moves, by the labels that matter.
MOVED: Final[tuple[tuple[str, dict[str, str]], ...]] = (
    ("tolokad_build_info", {}),
    ("tolokad_items_consumed_total", {}),
    ("tolokad_items_submitted_total", {}),
    ("tolokad_items_dead_lettered_total", {"reason": "NOT_JSON"}),
    ("tolokad_items_dead_lettered_total", {"reason": "VALUE_NOT_ALLOWED"}),
    ("tolokad_items_skipped_total", {}),
    ("tolokad_batch_items_count", {}),
    ("tolokad_submit_latency_seconds_count", {}),
    ("tolokad_intents_resolved_total", {}),
    ("tolokad_toloka_requests_total", {"operation": "bulk", "outcome": "success"}),
    ("tolokad_toloka_requests_total", {"operation": "bulk", "outcome": "rejected"}),
    ("tolokad_toloka_requests_total", {"operation": "bulk", "outcome": "throttled"}),
    ("tolokad_toloka_requests_total", {"operation": "list", "outcome": "success"}),
    ("tolokad_toloka_request_seconds_count", {"operation": "bulk"}),
    ("tolokad_throttled_seconds_total", {"flow": "submit"}),
    ("tolokad_results_published_total", {"status": "COMPLETED"}),
    ("tolokad_results_published_total", {"status": "ERROR"}),
    ("tolokad_result_latency_seconds_count", {}),
    ("tolokad_turnaround_seconds_count", {}),
    ("tolokad_late_results_total", {"found_by": "overlap"}),
    ("tolokad_unknown_items_total", {}),
    ("tolokad_cursor_timestamp_seconds", {}),
    ("tolokad_last_success_timestamp_seconds", {"flow": "submit"}),
    ("tolokad_last_success_timestamp_seconds", {"flow": "collect"}),
    ("tolokad_assigned_partitions", {}),
    ("tolokad_rebalances_total", {}),
    ("tolokad_transaction_seconds_count", {"kind": "intent"}),
    ("tolokad_transaction_seconds_count", {"kind": "settle"}),
    ("tolokad_transaction_seconds_count", {"kind": "results"}),
    ("tolokad_collector_active", {}),
    ("tolokad_flow_enabled", {"flow": "submit"}),
    ("tolokad_flow_enabled", {"flow": "collect"}),
)


async def create_foreign_item(deployment: Deployment) -> None:
    """Create an item at Toloka that no record asks for."""
    project = deployment.environment["TOLOKAD_TOLOKA__PROJECT_ID"]
    answer = await deployment.http.post(
        f"{deployment.simulator.url}/api/app/v0/app-projects/{project}/items",
        json={"input_data": {"text": "somebody else's"}},
        headers={"Authorization": f"ApiKey {CANARY}"},
    )
    answer.raise_for_status()


def unmoved(scrape: Scrape) -> list[str]:
    """What should have moved and has not."""
    return [f"{name} {labels}" for name, labels in MOVED if scrape(name, **labels) == 0]


async def shown(replica: Replica) -> str:
    """Everything that its server shows."""
    answers = [await replica.get(path) for path in ("/", "/livez", "/readyz", "/metrics", "/status.json")]
    return "".join(str(answer.headers) + answer.text for answer in answers)


async def test_metrics_are_moved_by_a_run(deploy: Deploy) -> None:
    """A run in which everything happens once moves every metric, and the sums are right."""
    flags = ("--faults", json.dumps(TROUBLE), "--late-share", "0.1", "--error-share", "0.05")
    deployment = await deploy(*MARKERS, *flags, partitions=1, COLLECT__OVERLAP_EVERY_SECONDS="0.5")
    replica = await deployment.started()
    await create_foreign_item(deployment)
    await deployment.feed(sources(ITEMS, seed=9))
    await deployment.until_done()

    async def quiet() -> bool:
        scrape = await replica.scrape()
        known = scrape("tolokad_unknown_items_total") == 1
        return known and scrape("tolokad_open_items") == scrape("tolokad_input_lag_records") == 0

    await eventually(quiet, lambda: f"never quiet: {deployment.state()}")
    scrape = await replica.scrape()
    assert unmoved(scrape) == []
    verdict = await deployment.verdict()
    assert scrape("tolokad_items_consumed_total") == ITEMS
    assert scrape("tolokad_items_submitted_total") == verdict.results
    assert scrape("tolokad_results_published_total") == verdict.results
    assert scrape("tolokad_result_latency_seconds_count") == verdict.results
    assert scrape("tolokad_items_dead_lettered_total") == verdict.dead_letters
    assert scrape("tolokad_items_skipped_total") == verdict.skipped
    assert scrape("tolokad_intents_in_doubt") == scrape("tolokad_held") == 0
    assert scrape("tolokad_transaction_failures_total") == 0


async def test_pages(deploy: Deploy) -> None:
    """Health, status page, metrics and status are served; anything else is 404; `healthcheck` agrees."""
    deployment = await deploy()
    replica = await deployment.started()
    assert (await replica.get("/livez")).json()["ok"]
    ready = (await replica.get("/readyz")).json()
    assert (ready["ok"], ready["holds"], ready["draining"]) == (True, [], False)
    page = await replica.get("/")
    assert page.headers["Content-Type"].startswith("text/html")
    assert deployment.group in page.text
    status = (await replica.get("/status.json")).json()
    assert status["settings"]["TOLOKAD_KAFKA__GROUP_ID"] == deployment.group
    assert status["flows"]["submit"]["partitions"] == [0, 1, 2, 3]
    assert "tolokad_open_items" in (await replica.get("/metrics")).text
    for path in ("/metrics/", "/healthz", "/metricsx", "/../etc/passwd", "/status.json/x"):
        assert (await replica.get(path)).status_code == httpx.codes.NOT_FOUND
    assert CANARY not in await shown(replica)


async def test_hold_is_seen_everywhere_and_heals(deploy: Deploy) -> None:
    """A refused token holds submission in metric, page, readiness and log, and dead-letters nothing."""
    deployment = await deploy(partitions=1)
    replica = await deployment.started()
    refusal = {"kind": "status", "status": 401, "style": "json", "operations": ["bulk", "project"]}
    await deployment.control("PUT", "faults", json=[refusal])
    await deployment.feed(sources(100, seed=10, kinds=((without_id, 1),)))

    async def held() -> bool:
        return (await replica.scrape())("tolokad_held", flow="submit", reason="unauthorized") == 1

    await eventually(held, lambda: f"never held: {deployment.state()}")
    ready = await replica.get("/readyz")
    assert ready.status_code == httpx.codes.OK
    assert [hold["reason"] for hold in ready.json()["holds"]] == ["unauthorized"]
    assert "unauthorized" in (await replica.get("/")).text
    assert "unauthorized" in replica.output()
    assert CANARY not in await shown(replica)
    await deployment.control("PUT", "faults", json=[])
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    assert (verdict.results, verdict.dead_letters) == (100, 0)


async def test_token_is_in_no_dead_letter(deploy: Deploy) -> None:
    """A Toloka that repeats the credential in its errors does not get it into a dead letter, or a log."""
    payload = {"input_data.0.text": {"code": "VALUE_REQUIRED", "message": f"bad {CANARY}"}}
    fault = {"kind": "status", "status": 400, "style": "json", "code": "VALIDATION_ERROR", "times": 1}
    faults = [{**fault, "operations": ["bulk"], "payload": payload}]
    deployment = await deploy("--faults", json.dumps(faults), partitions=1)
    await deployment.started()
    await deployment.feed(sources(10, seed=11, kinds=((without_id, 1),)))
    verdict = await deployment.conclusion()
    assert verdict.ok, str(verdict)
    servers, topic = deployment.kafka.bootstrap_servers, deployment.topic("dead-letters")
    (letter,) = await read_topic(servers, topic)
    headers = dict(letter.headers)
    assert headers["tolokad-error-code"] == b"VALUE_REQUIRED"
    assert CANARY.encode() not in b"".join(value or b"" for value in headers.values())
