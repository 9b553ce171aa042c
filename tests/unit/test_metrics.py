"""Every metric of the declared catalogue is there: name, labels, and what Prometheus's lint says of it."""

import shutil
import subprocess
from dataclasses import FrozenInstanceError
from itertools import product
from typing import get_type_hints

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics import exposition
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from daemon.metrics import (
    DEAD_LETTER_REASONS,
    FLOWS,
    HOLD_REASONS,
    OPERATIONS,
    REQUEST_OUTCOMES,
    RESULT_STATUSES,
    BatchHistogram,
    Metrics,
    bounded,
    catalogue,
)

# The declared catalogue, and what alerts need beside it: name, type, labels.
DECLARED = {
    ("tolokad_build_info", "gauge", ("version", "python", "aiokafka", "httpx")),
    ("tolokad_items_consumed_total", "counter", ()),
    ("tolokad_items_submitted_total", "counter", ()),
    ("tolokad_items_dead_lettered_total", "counter", ("reason",)),
    ("tolokad_items_skipped_total", "counter", ()),
    ("tolokad_batch_items", "histogram", ()),
    ("tolokad_submit_latency_seconds", "histogram", ()),
    ("tolokad_intents_in_doubt", "gauge", ()),
    ("tolokad_intents_resolved_total", "counter", ("outcome",)),
    ("tolokad_toloka_requests_total", "counter", ("operation", "outcome")),
    ("tolokad_toloka_request_seconds", "histogram", ("operation",)),
    ("tolokad_throttled_seconds_total", "counter", ("flow",)),
    ("tolokad_held", "gauge", ("flow", "reason")),
    ("tolokad_results_published_total", "counter", ("status",)),
    ("tolokad_result_latency_seconds", "histogram", ()),
    ("tolokad_turnaround_seconds", "histogram", ()),
    ("tolokad_late_results_total", "counter", ("found_by",)),
    ("tolokad_open_items", "gauge", ()),
    ("tolokad_oldest_open_item_seconds", "gauge", ()),
    ("tolokad_stalled_items", "gauge", ("status",)),
    ("tolokad_unknown_items_total", "counter", ()),
    ("tolokad_cursor_timestamp_seconds", "gauge", ()),
    ("tolokad_cursor_fallbacks_total", "counter", ()),
    ("tolokad_last_success_timestamp_seconds", "gauge", ("flow",)),
    ("tolokad_input_lag_records", "gauge", ("partition",)),
    ("tolokad_assigned_partitions", "gauge", ()),
    ("tolokad_rebalances_total", "counter", ()),
    ("tolokad_transaction_seconds", "histogram", ("kind",)),
    ("tolokad_transaction_failures_total", "counter", ("kind",)),
    ("tolokad_collector_active", "gauge", ()),
    ("tolokad_event_loop_lag_seconds", "gauge", ()),
    ("tolokad_oldest_intent_seconds", "gauge", ()),
    ("tolokad_input_expiring_records", "gauge", ("partition",)),
    ("tolokad_held_up_seconds", "gauge", ("topic",)),
    ("tolokad_flow_enabled", "gauge", ("flow",)),
}


def scraped(metrics: Metrics) -> str:
    """What Prometheus gets."""
    return generate_latest(metrics.registry).decode()


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every series by name and label values, with its value."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in parse(scraped(metrics))
        for sample in family.samples
    }


def test_the_metrics_are_those_of_the_declared_catalogue() -> None:
    """None is missing, none is there that the declared catalogue does not name."""
    assert {(metric.name, metric.kind, metric.labels) for metric in catalogue()} == DECLARED


def test_a_field_is_named_as_its_metric() -> None:
    """Whoever knows the one knows the other, and its type."""
    hints = get_type_hints(Metrics)
    for metric in catalogue():
        field = metric.name.removeprefix("tolokad_").removesuffix("_total")
        assert hints[field].__name__.lower().removeprefix("batch") == metric.kind


def test_every_metric_is_scraped_with_its_type_and_help() -> None:
    """Even before anything has happened."""
    families = {family.name: family for family in parse(scraped(Metrics()))}
    for metric in catalogue():
        family = families[metric.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind, metric.help)
        assert metric.help.endswith(".")


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("tolokad_held", (FLOWS, HOLD_REASONS)),
        ("tolokad_toloka_requests_total", (OPERATIONS, REQUEST_OUTCOMES)),
        ("tolokad_toloka_request_seconds_count", (OPERATIONS,)),
        ("tolokad_items_dead_lettered_total", (DEAD_LETTER_REASONS,)),
        ("tolokad_results_published_total", (RESULT_STATUSES,)),
        ("tolokad_intents_resolved_total", (("adopted", "resubmitted", "partial", "held"),)),
        ("tolokad_late_results_total", (("overlap", "sweep"),)),
        ("tolokad_transaction_failures_total", (("intent", "settle", "results"),)),
        ("tolokad_stalled_items", (("NEW", "PROCESSING", "NO_MONEY", "STOPPED", "OTHER"),)),
        ("tolokad_last_success_timestamp_seconds", (("submit", "collect"),)),
        ("tolokad_throttled_seconds_total", (("submit", "collect"),)),
        ("tolokad_flow_enabled", (("submit", "collect"),)),
        ("tolokad_held_up_seconds", (("input", "ledger", "output"),)),
    ],
)
def test_labelled_series_exist_at_zero(name: str, labels: tuple[tuple[str, ...], ...]) -> None:
    """A rate over a series that appears with its first event would miss that event."""
    found = {key[1]: value for key, value in samples(Metrics()).items() if key[0] == name}
    assert found == dict.fromkeys(product(*labels), 0.0)


def test_a_series_per_partition_comes_and_goes() -> None:
    """Which partitions there are is not known before."""
    metrics = Metrics()
    assert not [key for key in samples(metrics) if key[0] == "tolokad_input_lag_records"]
    metrics.input_lag_records.labels("3").set(7)
    assert samples(metrics)["tolokad_input_lag_records", ("3",)] == 7
    metrics.input_lag_records.remove("3")
    assert not [key for key in samples(metrics) if key[0] == "tolokad_input_lag_records"]


def test_labels_hold_what_the_flows_say() -> None:
    """The reasons that other parts use are known here."""
    assert {"offset_lost", "budget", "paused", "not_permitted", "throttled"} <= set(HOLD_REASONS)
    assert bounded("NOT_JSON", DEAD_LETTER_REASONS) == "NOT_JSON"
    assert bounded("SOMETHING_NEW", DEAD_LETTER_REASONS) == "OTHER"


def test_what_runs_is_told() -> None:
    """One series, always 1, with the versions that matter."""
    (family,) = [f for f in parse(scraped(Metrics())) if f.name == "tolokad_build_info"]
    (sample,) = family.samples
    assert sample.value == 1
    assert all(version[0].isdigit() for version in sample.labels.values())


def test_two_processes_in_one_do_not_share_metrics() -> None:
    """Each has a registry of its own; nothing is global."""
    one, other = Metrics(), Metrics()
    one.items_consumed.inc(5)
    assert samples(one)["tolokad_items_consumed_total", ()] == 5
    assert samples(other)["tolokad_items_consumed_total", ()] == 0


def test_metrics_are_frozen() -> None:
    """Nobody replaces a metric by accident."""
    with pytest.raises(FrozenInstanceError):
        Metrics().open_items = None  # type: ignore[assignment,misc]  # that is the point


VALUES = [0.0, 0.1, 0.25, 0.25, 0.3, 7.5, 60, 7200, 7200.5, 1e9]


@pytest.mark.parametrize("values", [VALUES, VALUES[::-1], [], [0.5]])
def test_many_values_count_as_each_of_them(values: list[float]) -> None:
    """Bounds belong to their own bucket, as with one value at a time."""
    together, apart = Metrics(), Metrics()
    together.submit_latency_seconds.observe_many(value for value in values)
    for value in values:
        apart.submit_latency_seconds.observe(value)
    assert latencies(together) == latencies(apart)


def latencies(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    """The series of one histogram."""
    return {key: value for key, value in samples(metrics).items() if "submit_latency" in key[0]}


def test_many_values_of_a_labelled_histogram() -> None:
    """A child with labels is the same kind of histogram."""
    metrics = Metrics()
    child = metrics.toloka_request_seconds.labels("bulk")
    assert isinstance(child, BatchHistogram)
    child.observe_many([0.01, 100])
    assert samples(metrics)["tolokad_toloka_request_seconds_count", ("bulk",)] == 2
    assert samples(metrics)["tolokad_toloka_request_seconds_sum", ("bulk",)] == 100.01


def test_a_negative_value_counts_as_zero() -> None:
    """Toloka's clock and Kafka's differ; a sum that shrinks would look like a restart."""
    metrics = Metrics()
    metrics.result_latency_seconds.observe_many([-5.0, 2.0])
    assert samples(metrics)["tolokad_result_latency_seconds_sum", ()] == 2
    assert samples(metrics)["tolokad_result_latency_seconds_count", ()] == 2


@pytest.mark.parametrize("times_ms", [[], [0], [10_000, 10_001, 11_000], [9_999, 9_900, 9_750, 9_749, 2_500]])
def test_times_count_as_how_long_ago_they_were(times_ms: list[int]) -> None:
    """Each as its age in seconds; what is to come, by clocks that differ, as none."""
    together, apart = Metrics(), Metrics()
    together.submit_latency_seconds.observe_since(iter(times_ms), 10_000)
    apart.submit_latency_seconds.observe_many([(10_000 - time_ms) / 1000 for time_ms in times_ms])
    assert latencies(together) == pytest.approx(latencies(apart))


def test_buckets_are_few() -> None:
    """At most twelve, the last one included."""
    bounds: dict[str, set[str]] = {}
    for family in parse(scraped(Metrics())):
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                bounds.setdefault(family.name, set()).add(sample.labels["le"])
    assert bounds
    assert max(map(len, bounds.values())) <= 12
    assert {"60.0", "86400.0"} < bounds["tolokad_turnaround_seconds"]


def test_no_created_series() -> None:
    """They would double every counter and fail Prometheus's lint."""
    assert "_created" not in scraped(Metrics())


def test_the_openmetrics_form_is_valid() -> None:
    """Prometheus asks for it where it can."""
    text = exposition.generate_latest(Metrics().registry).decode()  # type: ignore[no-untyped-call]  # theirs
    families = list(parse_openmetrics(text))  # type: ignore[no-untyped-call]  # theirs
    assert len(families) >= len(DECLARED)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing() -> None:
    """Prometheus's own lint of the text form."""
    metrics = Metrics()
    metrics.input_lag_records.labels("0").set(1)
    run = subprocess.run(
        ["promtool", "check", "metrics"],
        input=scraped(metrics),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
