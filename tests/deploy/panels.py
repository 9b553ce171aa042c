"""What the dashboard shows, row by row: every panel with its unit, its queries, and a sentence."""

from dataclasses import dataclass
from typing import Final, Literal

# Every query is about the chosen deployments and replicas.
CHOSEN: Final = 'job=~"$job", instance=~"$instance"'
JOB: Final = 'job=~"$job"'
Kind = Literal["timeseries", "stat", "state-timeline"]


@dataclass(frozen=True)
class Query:
    """A PromQL expression, and how its series are called."""

    expression: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: what it is.
        description: one or two sentences: what it says, and when to worry.
        unit: Grafana's name of the unit.
        queries: what it draws.
        kind: how.
        width: of 24 columns.
        red_from: the value from which a `stat` turns red.
        stacked: draw the series on top of each other.
    """

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"
    width: int = 8
    red_from: float | None = None
    stacked: bool = False


def query(expression: str, legend: str) -> Query:
    """A query with the selections of `$job` and `$instance` filled in."""
    return Query(expression.replace("CHOSEN", CHOSEN).replace("JOB", JOB), legend)


def quantiles(metric: str, by: str = "") -> tuple[Query, ...]:
    """Half, and 99 in 100, of a histogram's values."""
    grouping = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    buckets = f"sum by ({grouping}) (rate({metric}_bucket{{CHOSEN}}[$__rate_interval]))"
    return tuple(
        query(f"histogram_quantile({share}, {buckets})", f"{name}{legend}")
        for share, name in ((0.5, "half within"), (0.99, "99 % within"))
    )


def rate(metric: str, by: str, legend: str, matcher: str = "") -> Query:
    """A counter's speed, summed up."""
    chosen = f"CHOSEN, {matcher}" if matcher else "CHOSEN"
    inner = f"sum by ({by}) " if by else "sum "
    return query(f"{inner}(rate({metric}{{{chosen}}}[$__rate_interval]))", legend)


NOW: Final = (
    Panel(
        "Behind",
        "Records of the input topic that are not settled. It should come back to near 0 after every burst.",
        "short",
        (query("sum(tolokad_input_lag_records{CHOSEN})", "records"),),
        kind="stat",
        width=4,
    ),
    Panel(
        "Open items",
        "Items at Toloka whose result is not published yet.",
        "short",
        (query("max(tolokad_open_items{CHOSEN})", "items"),),
        kind="stat",
        width=4,
    ),
    Panel(
        "Oldest open item",
        "How long the oldest open item has been at Toloka. Compare it with what your crowd needs.",
        "s",
        (query("max(tolokad_oldest_open_item_seconds{CHOSEN})", "age"),),
        kind="stat",
        width=4,
        red_from=172_800,
    ),
    Panel(
        "Held",
        "Flows and partitions that wait on purpose. Anything but 0 has a section in the runbook.",
        "short",
        (query("sum(tolokad_held{CHOSEN})", "holds"),),
        kind="stat",
        width=4,
        red_from=1,
    ),
    Panel(
        "In doubt",
        "Batches that were sent and of which nobody knows yet. Minutes are normal after a lost answer.",
        "short",
        (query("sum(tolokad_intents_in_doubt{CHOSEN})", "batches"),),
        kind="stat",
        width=4,
        red_from=1,
    ),
    Panel(
        "Collectors",
        "Replicas that collect. Just one should; two for longer than a rebalance waste requests.",
        "short",
        (query("sum(tolokad_collector_active{CHOSEN})", "replicas"),),
        kind="stat",
        width=4,
        red_from=2,
    ),
)

FLOW: Final = (
    Panel(
        "In and out",
        "Records taken from the input topic, items that Toloka accepted, results published.",
        "cps",
        (
            rate("tolokad_items_consumed_total", "", "taken"),
            rate("tolokad_items_submitted_total", "", "submitted"),
            rate("tolokad_results_published_total", "", "published"),
        ),
        width=12,
    ),
    Panel(
        "Backlog by partition",
        "Records that are not settled, by partition. One that grows alone is held or has a heavy producer.",
        "short",
        (query("sum by (partition) (tolokad_input_lag_records{CHOSEN})", "partition {{partition}}"),),
        width=12,
        stacked=True,
    ),
    Panel(
        "Results by status",
        "How items ended at Toloka.",
        "cps",
        (rate("tolokad_results_published_total", "status", "{{status}}"),),
        stacked=True,
    ),
    Panel(
        "Dead letters by reason",
        "Records that cannot be submitted. A new reason usually means a changed producer or project.",
        "cps",
        (rate("tolokad_items_dead_lettered_total", "reason", "{{reason}}"),),
        stacked=True,
    ),
    Panel(
        "Share of dead letters",
        "Dead letters per record taken, over a quarter of an hour; above 5 % an alert fires.",
        "percentunit",
        (query("job:tolokad_dead_letters:ratio_rate15m{JOB}", "{{job}}"),),
    ),
)

LATENCY: Final = (
    Panel(
        "From record to settled",
        "From a record's timestamp to the commit that settles it: waiting, filling, sending, writing.",
        "s",
        quantiles("tolokad_submit_latency_seconds"),
    ),
    Panel(
        "From finished to published",
        "From an item's end at Toloka to the commit that publishes its result.",
        "s",
        quantiles("tolokad_result_latency_seconds"),
    ),
    Panel(
        "Turnaround",
        "From submitting an item to its end at Toloka: the crowd's own time.",
        "s",
        quantiles("tolokad_turnaround_seconds"),
    ),
    Panel(
        "Age of the oldest open item",
        "Rises while the crowd works; a line that never falls is an item that nobody finishes.",
        "s",
        (query("max by (instance) (tolokad_oldest_open_item_seconds{CHOSEN})", "{{instance}}"),),
    ),
    Panel(
        "Behind the cursor",
        "How long ago the last item finished that the collector has passed; it grows where none does.",
        "s",
        (query("time() - max(tolokad_cursor_timestamp_seconds{CHOSEN} > 0)", "ago"),),
    ),
    Panel(
        "Open and stalled items",
        "Items at Toloka, and the overdue ones by status. NO_MONEY and STOPPED want somebody to act.",
        "short",
        (
            query("max(tolokad_open_items{CHOSEN})", "open"),
            query("sum by (status) (tolokad_stalled_items{CHOSEN})", "overdue: {{status}}"),
        ),
    ),
)

TOLOKA: Final = (
    Panel(
        "Requests by outcome",
        "All requests to Toloka. Anything but success and rejected is trouble on the way or a limit.",
        "reqps",
        (rate("tolokad_toloka_requests_total", "outcome", "{{outcome}}"),),
        stacked=True,
    ),
    Panel(
        "Requests by operation",
        "What is asked: bulk submits, list collects, resolves and sweeps.",
        "reqps",
        (rate("tolokad_toloka_requests_total", "operation", "{{operation}}"),),
        stacked=True,
    ),
    Panel(
        "How long Toloka takes",
        "99 of 100 answers came within this time, by operation.",
        "s",
        (quantiles("tolokad_toloka_request_seconds", "operation")[1],),
    ),
    Panel(
        "Throttled",
        "The share of time that a flow waits for limits, Toloka's and our own, where it waits most.",
        "percentunit",
        (
            query(
                "max by (flow) (rate(tolokad_throttled_seconds_total{CHOSEN}[$__rate_interval]))", "{{flow}}"
            ),
        ),
    ),
    Panel(
        "Items in a request",
        "How full batches are. Far below TOLOKAD_SUBMIT__MAX_ITEMS is fine where little comes in.",
        "short",
        quantiles("tolokad_batch_items"),
    ),
    Panel(
        "Late results and fallbacks",
        "Results that the tail had missed, by what found them; times that the tail went on by time.",
        "cps",
        (
            rate("tolokad_late_results_total", "found_by", "found by {{found_by}}"),
            rate("tolokad_cursor_fallbacks_total", "", "fallbacks"),
            rate("tolokad_unknown_items_total", "", "somebody else's"),
        ),
    ),
)

KAFKA: Final = (
    Panel(
        "Transactions",
        "99 of 100 transactions took less, by kind.",
        "s",
        (quantiles("tolokad_transaction_seconds", "kind")[1],),
    ),
    Panel(
        "Failed transactions",
        "Transactions that failed or whose end is unknown; each starts its partition over.",
        "cps",
        (rate("tolokad_transaction_failures_total", "kind", "{{kind}}"),),
    ),
    Panel(
        "Readers held up",
        "How long an open transaction has kept readers of a topic from its end; ours end within 30 s.",
        "s",
        (query("max by (topic) (tolokad_held_up_seconds{CHOSEN})", "{{topic}}"),),
    ),
    Panel(
        "Partitions",
        "Input partitions of each replica.",
        "short",
        (query("sum by (instance) (tolokad_assigned_partitions{CHOSEN})", "{{instance}}"),),
        stacked=True,
    ),
    Panel(
        "Rebalances",
        "Assignments received from the group, an hour. Each costs a take-over of the partitions that move.",
        "short",
        (query("sum by (instance) (increase(tolokad_rebalances_total{CHOSEN}[1h]))", "{{instance}}"),),
    ),
    Panel(
        "About to be lost",
        "Unsettled records beyond three quarters of the input's retention, and the oldest intent's age.",
        "short",
        (
            query("sum(tolokad_input_expiring_records{CHOSEN})", "records"),
            query("max(tolokad_oldest_intent_seconds{CHOSEN})", "oldest intent, seconds"),
        ),
    ),
)

HOLDS: Final = (
    Panel(
        "Holds by reason",
        "What waited on purpose, when, and why. The runbook has a section for each reason.",
        "short",
        (query("sum by (flow, reason) (tolokad_held{CHOSEN})", "{{flow}}: {{reason}}"),),
        kind="state-timeline",
        width=12,
    ),
    Panel(
        "Doubts",
        "Batches in doubt now, and how doubts ended.",
        "short",
        (
            query("sum(tolokad_intents_in_doubt{CHOSEN})", "in doubt"),
            query("sum by (outcome) (increase(tolokad_intents_resolved_total{CHOSEN}[1h]))", "{{outcome}}"),
        ),
        width=12,
    ),
)

RESOURCES: Final = (
    Panel(
        "CPU",
        "Cores in use by each replica; one is all that an event loop can use.",
        "none",
        (query("rate(process_cpu_seconds_total{CHOSEN}[$__rate_interval])", "{{instance}}"),),
    ),
    Panel(
        "Memory",
        "Resident memory. It grows with the open items, by some hundred bytes each.",
        "bytes",
        (query("process_resident_memory_bytes{CHOSEN}", "{{instance}}"),),
    ),
    Panel(
        "Event loop lag",
        "How late the event loop turns. Beyond half a second for long, the process lacks CPU.",
        "s",
        (query("tolokad_event_loop_lag_seconds{CHOSEN}", "{{instance}}"),),
    ),
    Panel(
        "Since the last success",
        "How long ago a flow last did its work, or saw that there was none.",
        "s",
        (
            query(
                "time() - max by (flow) (tolokad_last_success_timestamp_seconds{CHOSEN} > 0)",
                "{{flow}}",
            ),
        ),
        width=12,
    ),
    Panel(
        "What runs",
        "Replicas by version, and which flows they take part in.",
        "none",
        (
            query("count by (version) (tolokad_build_info{CHOSEN})", "version {{version}}"),
            query("sum by (flow) (tolokad_flow_enabled{CHOSEN})", "{{flow}}"),
        ),
        width=12,
    ),
)

ROWS: Final = {
    "Now": NOW,
    "Flow": FLOW,
    "Latency": LATENCY,
    "Toloka": TOLOKA,
    "Holds": HOLDS,
    "Kafka": KAFKA,
    "Resources": RESOURCES,
}
