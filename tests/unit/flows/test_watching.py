"""Figures: what the flows tell Prometheus."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from daemon.flows.collector.publishing import Publication
from daemon.flows.records.ledger_records import Entry, Origin
from daemon.flows.watching import CollectWatch
from daemon.metrics import Metrics
from tests.doubles import INPUT, finished


@pytest.mark.parametrize(("apart_seconds", "told_seconds"), [(0.9, 0.5), (-0.9, 0.5), (3600.0, 3600.5)])
def test_how_late_a_result_is(apart_seconds: float, told_seconds: float) -> None:
    """By this machine's clock, the more exact one, where Toloka's tells the same time but for a second."""
    metrics, now = Metrics(), datetime.now(UTC)
    entry = Entry(Origin(INPUT, 0, 0, 0), 1, now, 0, None, ())
    item = replace(finished("a", b"{}"), finished_at=now - timedelta(seconds=0.5))
    publication = Publication(results=[(entry, item)])
    CollectWatch(metrics).published(publication, "tail", now + timedelta(seconds=apart_seconds))
    assert metrics.result_latency_seconds._sum.get() == pytest.approx(told_seconds, abs=0.2)
