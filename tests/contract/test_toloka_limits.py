"""Rows 86 and 87 of the conformance checklist: limits on requests and on items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.simulator.knobs import OAUTH_TOKEN
from tests.simulator.world import MODERATION_PROJECT

if TYPE_CHECKING:
    from tests.simulator.bench import Bench

PROJECT = f"app-projects/{MODERATION_PROJECT}"


@pytest.mark.row(86)
async def test_requests_per_second(toloka: Bench) -> None:
    """The 301st request within a second is a 429; a second later all is well; other clients are not hit."""
    for _ in range(300):
        assert (await toloka.http.get(PROJECT)).status_code == 200
    refused = await toloka.http.get(PROJECT)
    assert refused.status_code == 429
    assert (refused.json()["code"], refused.json()["message"]) == ("TOO_MANY_REQUESTS", "Too many requests")
    assert "payload" not in refused.json()
    assert "Retry-After" not in refused.headers
    other = await toloka.http.get(PROJECT, headers={"Authorization": f"OAuth {OAUTH_TOKEN}"})
    assert other.status_code == 200
    toloka.clock.move(1)
    assert (await toloka.http.get(PROJECT)).status_code == 200


@pytest.mark.row(86)
async def test_retry_after_and_interval(toloka: Bench) -> None:
    """Knobs add a Retry-After and a payload.interval."""
    toloka.simulator.core.turn(requests_per_second=0, retry_after_seconds=7, throttle_interval="HOUR")
    refused = await toloka.http.get(PROJECT)
    assert refused.headers["Retry-After"] == "7"
    assert refused.json()["payload"] == {"interval": "HOUR"}


@pytest.mark.row(87)
@pytest.mark.parametrize(
    ("knob", "interval", "seconds"), [("items_per_minute", "MIN", 60), ("items_per_day", "DAY", 86_400)]
)
async def test_item_quota(toloka: Bench, knob: str, interval: str, seconds: float) -> None:
    """One item too many in a minute or a day is a 429 that says which; nothing of its request is created."""
    toloka.simulator.core.turn(**{knob: 10})
    await toloka.new(8)
    refused = await toloka.bulk(*({"text": f"more {at}"} for at in range(3)))
    assert refused.status_code == 429
    assert refused.json()["code"] == "TOO_MANY_REQUESTS"
    assert refused.json()["payload"] == {"interval": interval}
    await toloka.new(2, "last")
    toloka.clock.move(seconds)
    await toloka.new(10, "next")
    assert len(toloka.simulator.core.record) == 20
