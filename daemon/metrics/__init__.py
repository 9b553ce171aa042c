"""Every metric, once: what it is called, what it says, and which series it has from the start.

`declaring` is how that is said, and `labels` holds the values that each label can take.
"""

# ruff: noqa: RUF009 - the calls make `dataclasses.field`s, once, on purpose

import platform
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from daemon.metrics.declaring import SPEC, BatchHistogram, Kind, Spec, counter, gauge, histogram
from daemon.metrics.labels import (
    DEAD_LETTER_REASONS,
    FLOWS,
    FOUND_BY,
    HOLD_REASONS,
    OPEN_STATUSES,
    OPERATIONS,
    REQUEST_OUTCOMES,
    RESOLUTIONS,
    RESULT_STATUSES,
    TRANSACTION_KINDS,
    WATCHED_TOPICS,
    bounded,
)

__all__ = [
    "DEAD_LETTER_REASONS",
    "FLOWS",
    "HOLD_REASONS",
    "OPEN_STATUSES",
    "OPERATIONS",
    "REQUEST_OUTCOMES",
    "RESULT_STATUSES",
    "BatchHistogram",
    "Metrics",
    "bounded",
    "catalogue",
]

# Around the objectives: seconds when all is well, up to hours behind a backlog.
LATENCY_SECONDS = (0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200)
REQUEST_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60)
TRANSACTION_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 10, 30)
# A crowd's time: a minute to a week.
TURNAROUND_SECONDS = (60, 300, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400, 259_200, 604_800)
BATCH_ITEMS = (1, 10, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)


@dataclass(frozen=True, slots=True)
class Metrics:
    """All metrics of one process, in a registry of their own.

    A field is named as the metric, less `tolokad_` and `_total`.
    """

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    build_info: Gauge = gauge(
        "tolokad_build_info",
        "What runs, always 1.",
        **dict.fromkeys(("version", "python", "aiokafka", "httpx"), ()),
    )

    # --- submitting
    items_consumed: Counter = counter("tolokad_items_consumed_total", "Records taken from the input topic.")
    items_submitted: Counter = counter("tolokad_items_submitted_total", "Items that Toloka has accepted.")
    items_dead_lettered: Counter = counter(
        "tolokad_items_dead_lettered_total",
        "Records written to the dead letter topic, by error code.",
        reason=DEAD_LETTER_REASONS,
    )
    items_skipped: Counter = counter("tolokad_items_skipped_total", "Tombstones in the input topic.")
    batch_items: BatchHistogram = histogram(
        "tolokad_batch_items", "Items in a bulk request.", buckets=BATCH_ITEMS
    )
    submit_latency_seconds: BatchHistogram = histogram(
        "tolokad_submit_latency_seconds",
        "From a record's timestamp to the commit that settles it.",
        buckets=LATENCY_SECONDS,
    )
    intents_in_doubt: Gauge = gauge(
        "tolokad_intents_in_doubt", "Batches that were sent and of which nobody knows yet."
    )
    intents_resolved: Counter = counter(
        "tolokad_intents_resolved_total", "Batches in doubt, by how the doubt ended.", outcome=RESOLUTIONS
    )
    oldest_intent_seconds: Gauge = gauge(
        "tolokad_oldest_intent_seconds",
        "How long ago the oldest unsettled batch of an owned partition was first announced; 0 for none.",
    )
    input_lag_records: Gauge = gauge(
        "tolokad_input_lag_records", "Records of an assigned partition that are not settled.", partition=()
    )
    input_expiring_records: Gauge = gauge(
        "tolokad_input_expiring_records",
        "Of these, those older than three quarters of the input topic's retention: about to be lost.",
        partition=(),
    )
    assigned_partitions: Gauge = gauge(
        "tolokad_assigned_partitions", "Input partitions that this replica owns."
    )
    rebalances: Counter = counter("tolokad_rebalances_total", "Assignments received from the group.")

    # --- Toloka
    toloka_requests: Counter = counter(
        "tolokad_toloka_requests_total",
        "Requests to Toloka, by what they came to.",
        operation=OPERATIONS,
        outcome=REQUEST_OUTCOMES,
    )
    toloka_request_seconds: BatchHistogram = histogram(
        "tolokad_toloka_request_seconds",
        "How long Toloka took to answer.",
        buckets=REQUEST_SECONDS,
        operation=OPERATIONS,
    )
    throttled_seconds: Counter = counter(
        "tolokad_throttled_seconds_total", "Time spent waiting for limits, Toloka's and our own.", flow=FLOWS
    )

    # --- both flows
    flow_enabled: Gauge = gauge(
        "tolokad_flow_enabled", "1 where the settings let this replica take part in a flow.", flow=FLOWS
    )
    held: Gauge = gauge("tolokad_held", "What waits on purpose, by reason.", flow=FLOWS, reason=HOLD_REASONS)
    last_success_timestamp_seconds: Gauge = gauge(
        "tolokad_last_success_timestamp_seconds",
        "When a flow last did its work, or saw that there was none; 0 before the first time.",
        flow=FLOWS,
    )
    transaction_seconds: BatchHistogram = histogram(
        "tolokad_transaction_seconds",
        "How long a Kafka transaction took.",
        buckets=TRANSACTION_SECONDS,
        kind=TRANSACTION_KINDS,
    )
    transaction_failures: Counter = counter(
        "tolokad_transaction_failures_total",
        "Kafka transactions that failed or whose end is unknown.",
        kind=TRANSACTION_KINDS,
    )

    held_up_seconds: Gauge = gauge(
        "tolokad_held_up_seconds",
        "How long an open transaction, whosever it is, has kept readers of a topic from its end.",
        topic=WATCHED_TOPICS,
    )

    # --- collecting
    collector_active: Gauge = gauge(
        "tolokad_collector_active", "1 where this replica collects, 0 where it stands by."
    )
    results_published: Counter = counter(
        "tolokad_results_published_total", "Results in the output topic, by status.", status=RESULT_STATUSES
    )
    result_latency_seconds: BatchHistogram = histogram(
        "tolokad_result_latency_seconds",
        "From an item's end at Toloka to the commit that publishes it.",
        buckets=LATENCY_SECONDS,
    )
    turnaround_seconds: BatchHistogram = histogram(
        "tolokad_turnaround_seconds",
        "From submitting an item to its end at Toloka.",
        buckets=TURNAROUND_SECONDS,
    )
    late_results: Counter = counter(
        "tolokad_late_results_total",
        "Results that the tail had missed, by what found them.",
        found_by=FOUND_BY,
    )
    open_items: Gauge = gauge("tolokad_open_items", "Items at Toloka whose result is not published.")
    oldest_open_item_seconds: Gauge = gauge(
        "tolokad_oldest_open_item_seconds", "Age of the oldest open item; 0 where there is none."
    )
    stalled_items: Gauge = gauge(
        "tolokad_stalled_items", "Overdue items that are still open, by status.", status=OPEN_STATUSES
    )
    unknown_items: Counter = counter(
        "tolokad_unknown_items_total", "Finished items that someone else had submitted."
    )
    cursor_timestamp_seconds: Gauge = gauge(
        "tolokad_cursor_timestamp_seconds", "When the last item up to the cursor finished; 0 without cursor."
    )
    cursor_fallbacks: Counter = counter(
        "tolokad_cursor_fallbacks_total", "Times that the tail had to go on by time instead of by item."
    )

    # --- the process
    event_loop_lag_seconds: Gauge = gauge(
        "tolokad_event_loop_lag_seconds", "How late the event loop last turned."
    )

    def __post_init__(self) -> None:
        """Register everything."""
        # They double the series of counters and histograms and fail Prometheus's own lint. The library
        # can switch them off for the whole process only.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library left it untyped
        for declared in fields(self):
            if SPEC in declared.metadata:
                object.__setattr__(self, declared.name, declared.metadata[SPEC].build(self.registry))
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        packages = (version(name) for name in ("aiokafka", "httpx"))
        self.build_info.labels(version("tolokad"), platform.python_version(), *packages).set(1)


class Described(NamedTuple):
    """A metric for people."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str


def catalogue() -> list[Described]:
    """Every metric of ours, in the order of declaration."""
    specs: list[Spec] = [item.metadata[SPEC] for item in fields(Metrics) if SPEC in item.metadata]
    return [Described(spec.name, spec.kind, tuple(spec.labels), spec.help) for spec in specs]
