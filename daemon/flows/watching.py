"""What the flows tell Prometheus: once for each batch or page, never once for each item."""

import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from daemon.flows.collector.ledger import Ledger
from daemon.flows.collector.publishing import Publication
from daemon.metrics import DEAD_LETTER_REASONS, OPEN_STATUSES, RESULT_STATUSES, Metrics, bounded
from daemon.model import Batch, Cursor, Item, timestamps_of

# Toloka's time is known to a second or so: within that, this machine's clock is the more exact one.
CLOSE = timedelta(seconds=2)


class SubmitWatch:
    """The submitting flow's figures."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def consumed(self, batch: Batch) -> None:
        """A batch was cut."""
        self._metrics.items_consumed.inc(len(batch.items) + len(batch.dead_letters) + batch.skipped)

    def posted(self, batch: Batch) -> None:
        """A bulk request is about to be sent."""
        self._metrics.batch_items.observe(len(batch.items))

    def settled(self, batch: Batch) -> None:
        """A piece of a batch has come to its end."""
        self._submitted(batch.items)
        self._submitted([item for item, _ in batch.adopted])
        self._metrics.items_skipped.inc(batch.skipped)
        codes = (bounded(letter.flaw.code, DEAD_LETTER_REASONS) for letter in batch.dead_letters)
        for code, count in Counter(codes).items():
            self._metrics.items_dead_lettered.labels(code).inc(count)
        self._metrics.last_success_timestamp_seconds.labels("submit").set_to_current_time()

    def recorded(self, batch: Batch) -> None:
        """What is known to have been created of a batch went to the ledger before the batch is settled."""
        self._submitted([item for item, _ in batch.adopted])

    def _submitted(self, accepted: Sequence[Item]) -> None:
        if accepted:
            self._metrics.items_submitted.inc(len(accepted))
            times_ms = timestamps_of(accepted)
            self._metrics.submit_latency_seconds.observe_since(times_ms, time.time_ns() // 1_000_000)


class CollectWatch:
    """The collecting flow's figures."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def active(self) -> None:
        """This replica has become the collector."""
        self._metrics.collector_active.set(1)

    def looked(self, cursor: Cursor, ledger: Ledger, now: datetime) -> None:
        """Toloka was asked for what is finished, and whatever it was is published; `now` is Toloka's time."""
        self._metrics.last_success_timestamp_seconds.labels("collect").set_to_current_time()
        self._metrics.cursor_timestamp_seconds.set(cursor.finished_at.timestamp())
        self.waiting(ledger, now)

    def waiting(self, ledger: Ledger, now: datetime) -> None:
        """This much is open, whether or not Toloka answers; `now` is its time, as is that of open items."""
        self._metrics.open_items.set(len(ledger))
        oldest = ledger.oldest()
        age = 0.0 if oldest is None else max((_exactly(now) - oldest).total_seconds(), 0.0)
        self._metrics.oldest_open_item_seconds.set(age)

    def published(self, publication: Publication, found_by: str, now: datetime) -> None:
        """A transaction with results was committed; `found_by` is tail, overlap or sweep.

        `now` is Toloka's time: by this machine's clock results would wait for as long as the two are apart.
        """
        self._metrics.items_dead_lettered.labels("RESULT_TOO_LARGE").inc(len(publication.oversized))
        for code, count in publication.buried.items():
            self._metrics.items_dead_lettered.labels(code).inc(count)
        results, now = publication.results, _exactly(now)
        statuses = [*(item.status for _, item in results), *(item.status for item in publication.strangers)]
        for status, count in Counter(statuses).items():
            self._metrics.results_published.labels(bounded(status, RESULT_STATUSES)).inc(count)
        if found_by != "tail" and results:
            self._metrics.late_results.labels(found_by).inc(len(results))
        ended = [(entry, item.finished_at) for entry, item in results if item.finished_at is not None]
        waited = [(now - finished).total_seconds() for _, finished in ended]
        worked = [(finished - entry.submitted_at).total_seconds() for entry, finished in ended]
        self._metrics.result_latency_seconds.observe_many(waited)
        self._metrics.turnaround_seconds.observe_many(worked)

    def fell_back(self) -> None:
        """The tail had to go on by time."""
        self._metrics.cursor_fallbacks.inc()

    def foreign(self, count: int) -> None:
        """This many finished items turned out to be somebody else's."""
        self._metrics.unknown_items.inc(count)

    def stalled(self, statuses: "Counter[str]") -> None:
        """What the overdue items were found to be doing."""
        shown: Counter[str] = Counter()
        for status, count in statuses.items():
            shown[bounded(status, OPEN_STATUSES)] += count
        for status in OPEN_STATUSES:
            self._metrics.stalled_items.labels(status).set(shown[status])

    def released(self) -> None:
        """This replica collects no longer: what it last knew of the ledger is nobody's figure."""
        self._metrics.collector_active.set(0)
        self._metrics.open_items.set(0)
        self._metrics.oldest_open_item_seconds.set(0)
        self.stalled(Counter())


def _exactly(now: datetime) -> datetime:
    """Toloka's time, as exactly as it can be told."""
    ours = datetime.now(UTC)
    return ours if abs(ours - now) <= CLOSE else now
