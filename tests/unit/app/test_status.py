"""What `/status.json` says of a replica."""

import asyncio
import json
import re

from daemon.app.status import Status
from daemon.app.words import WORDS, in_words
from daemon.edges.serving.http_server import Health
from daemon.edges.serving.status_page import POLICY, status_page
from daemon.flows.holding import Hold, Holds
from daemon.metrics import HOLD_REASONS, Metrics
from daemon.settings import load

TOKEN = "s3cret-token-of-nobody"
ENVIRON = {
    "TOLOKAD_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9092",
    "TOLOKAD_TOLOKA__PROJECT_ID": "p-1",
    "TOLOKAD_TOLOKA__TOKEN": TOKEN,
}
ERROR = {"at": "2026-11-24T16:00:00Z", "level": "warning", "event": "held", "detail": "why"}


def status(metrics: Metrics, holds: Holds, **environ: str) -> Status:
    """Of a replica that has not connected yet."""
    return Status(
        load({**ENVIRON, **environ}),
        holds,
        asyncio.Event(),
        metrics,
        lambda: Health(ok=True),
        lambda: [ERROR],
    )


def test_figures_are_the_metrics_added_up() -> None:
    """Whatever labels they have; times that never were are null."""
    metrics = Metrics()
    for reason in ("NOT_JSON", "TOO_LARGE"):
        metrics.items_dead_lettered.labels(reason).inc(2)
    metrics.items_submitted.inc(7)
    metrics.open_items.set(3)
    metrics.cursor_timestamp_seconds.set(1_795_000_000.5)
    said = status(metrics, Holds(metrics)).report()
    assert said["totals"] == {
        "consumed": 0,
        "submitted": 7,
        "published": 0,
        "dead_lettered": 4,
        "skipped": 0,
    }
    assert said["open"] == {
        "in_doubt": 0,
        "oldest_intent_seconds": 0,
        "collecting": False,
        "items": 3,
        "oldest_item_seconds": 0,
        "cursor_finished_at": "2026-11-18T11:06:40.500Z",
    }
    assert (said["live"], said["ready"], said["last_errors"]) == (True, False, [ERROR])


def test_a_flow_that_waits_for_the_world_outside_is_enabled_all_the_same() -> None:
    """It has not joined its group yet; one that is switched off says so and nothing else."""
    metrics = Metrics()
    said = status(metrics, Holds(metrics), TOLOKAD_COLLECT__ENABLED="false").report()
    waiting = {"enabled": True, "joined": False, "partitions": [], "last_success_at": None}
    assert said["flows"] == {"submit": waiting, "collect": {"enabled": False}}


def test_a_hold_is_shown_in_words_and_since_when() -> None:
    """Beside its reason and its detail; nothing of it is left when it has ended."""
    metrics = Metrics()
    holds = Holds(metrics)
    shown = status(metrics, holds)
    with holds.holding(Hold("submit", "offset_lost", "the group lost it", 3)):
        (hold,) = json.loads(json.dumps(shown.report()))["holds"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", hold.pop("since"))
        assert hold == {
            "flow": "submit",
            "reason": "offset_lost",
            "detail": "the group lost it",
            "partition": 3,
            "words": WORDS["offset_lost"],
        }
    assert shown.report()["holds"] == []


def test_every_reason_has_words() -> None:
    """A sentence each; one that is new is still shown."""
    assert set(WORDS) == set(HOLD_REASONS)
    assert all(words.endswith(".") for words in WORDS.values())
    assert "brand_new" in in_words("brand_new")


def test_secrets_are_masked() -> None:
    """Settings are all there, the token is not."""
    metrics = Metrics()
    said = json.dumps(status(metrics, Holds(metrics)).report())
    assert "TOLOKAD_TOLOKA__TOKEN" in said
    assert TOKEN not in said


def test_the_page_can_be_filled_by_nobody_else() -> None:
    """Text from outside ends no element, and the policy allows just this style and this script."""
    page = status_page(
        live=True, ready=False, status={"detail": "</script><script>alert(1)</script>{{style}}"}
    )
    assert "alert(1)</script>" not in page
    assert page.count("<style>") == 1
    assert "not ready" in page
    assert "unsafe" not in POLICY
    assert POLICY.count("'sha256-") == 2
