"""Where the flows read and write, as whom, and how patiently: from the settings and partition counts."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from daemon.flows.batches.batching import BatchLimits
from daemon.flows.batches.shared_parts import SubmitOptions
from daemon.flows.collecting import CollectIntervals
from daemon.flows.collector.publishing import Outlets
from daemon.flows.collector.state import CollectOptions
from daemon.flows.doubts.claiming import ABORTING, SETTLING
from daemon.flows.doubts.quarantine import Patience
from daemon.flows.place import Place
from daemon.model import EPOCH
from daemon.settings import KafkaSettings, Settings

# Second looks by the sweep take one request in so many: the tail comes first.
SWEEP_SHARE = 10


def place_of(kafka: KafkaSettings, partition: int, partitions: Mapping[str, int]) -> Place:
    """Where the way of an input partition writes; `partitions` is how many each topic has."""
    return Place(
        kafka.group_id,
        kafka.input_topic,
        partition,
        kafka.ledger_topic,
        partitions[kafka.ledger_topic],
        kafka.dead_letter_topic,
        partitions[kafka.dead_letter_topic],
    )


def _outlets(settings: Settings, partitions: Mapping[str, int], max_result_bytes: int) -> Outlets:
    """Where the collector of a project writes, and how large a result may be."""
    kafka = settings.kafka
    return Outlets(
        project=settings.toloka.target_id,
        output_topic=kafka.output_topic,
        output_partitions=partitions[kafka.output_topic],
        ledger_topic=kafka.ledger_topic,
        ledger_partitions=partitions[kafka.ledger_topic],
        cursor_topic=kafka.cursor_topic,
        dead_letter_topic=kafka.dead_letter_topic,
        dead_letter_partitions=partitions[kafka.dead_letter_topic],
        max_result_bytes=max_result_bytes,
    )


def collector_transactional_id(settings: Settings) -> str:
    """What keeps two collectors of a project apart."""
    return f"{settings.kafka.collect_group_id}.{settings.toloka.target_id}"


def patience_of(settings: Settings) -> Patience:
    """How long a request may take, and how long what is in doubt is not believed to be absent.

    A frozen replica keeps its partitions, and may settle, until the group's session has timed out.
    """
    submit, session = settings.submit, timedelta(seconds=settings.kafka.session_timeout_seconds)
    return Patience(
        request=timedelta(seconds=submit.request_timeout_seconds),
        quarantine=timedelta(seconds=submit.quarantine_seconds),
        settling=max(SETTLING, session + ABORTING),
    )


def submit_options(settings: Settings, *, attempts_once: bool) -> SubmitOptions:
    """How ways begin, cut batches and wait; for `attempts_once` see `SubmitOptions`."""
    submit = settings.submit
    return SubmitOptions(
        start_from=settings.kafka.start_from,
        limits=BatchLimits(submit.max_items, submit.max_bytes),
        linger_seconds=submit.linger_seconds,
        request_seconds=submit.request_timeout_seconds,
        attempts_once=attempts_once,
    )


def collect_options(
    settings: Settings, partitions: Mapping[str, int], max_result_bytes: int
) -> CollectOptions:
    """Where the collector writes, how far back it looks, and where a new cursor starts."""
    collect = settings.collect
    return CollectOptions(
        _outlets(settings, partitions, max_result_bytes),
        timedelta(seconds=collect.overlap_seconds),
        _start_at(settings),
        publish_foreign=collect.unknown_items == "publish",
    )


def collect_intervals(settings: Settings) -> CollectIntervals:
    """How often the collector looks, and how much at a time."""
    collect = settings.collect
    return CollectIntervals(
        interval_seconds=collect.interval_seconds,
        page_size=collect.page_size,
        overlap_every_seconds=collect.overlap_every_seconds,
        sweep_after=timedelta(seconds=collect.sweep_after_seconds),
        sweep_every_seconds=collect.sweep_every_seconds,
        sweep_requests_per_second=settings.toloka.requests_per_second / SWEEP_SHARE,
    )


def _start_at(settings: Settings) -> datetime | None:
    """Where a new cursor starts; None for now."""
    chosen = settings.collect.start_at
    if isinstance(chosen, datetime):
        return chosen
    return None if chosen == "now" else EPOCH
