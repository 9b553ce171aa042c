"""`tolokad pause`, `resume` and `cursor set`: an operator's word, written where the daemon reads it."""

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

from daemon.app.kit.kafka import FENCED_TRIES, ending, reached
from daemon.app.kit.toloka import toloka_of
from daemon.app.places import collector_transactional_id
from daemon.edges.kafka.topics import Topic
from daemon.errors import ConfigurationError, Fenced, UnavailableAtStart
from daemon.flows.collector.cursors import read_cursor
from daemon.flows.records import codec, orders
from daemon.flows.skew import FUTURE
from daemon.model import Append, Cursor, Transaction
from daemon.ports import Kafka
from daemon.settings import KafkaSettings, Settings


async def pause(settings: Settings, flows: Sequence[str], *, paused: bool) -> None:
    """Pause these flows in all replicas, or let them go on.

    Raises:
        StartError: Kafka is away or refuses; the cursor topic is missing.
    """
    kafka = settings.kafka
    value = codec.order_value(datetime.now(UTC)) if paused else None
    appends = [Append(kafka.cursor_topic, 0, orders.pause_key(flow), value) for flow in flows]
    async with reached(settings) as (cluster, _), cluster.writer(f"{kafka.group_id}.orders") as writer:
        await writer.transact(Transaction("order", appends))


async def set_cursor(settings: Settings, to: datetime | str) -> Cursor:
    """Let the collector go on behind this item, or at this time; returns the new cursor.

    The collector's writer is taken over, so that nothing is published between; the one that runs notices by
    the ledger, and begins anew with the cursor that it finds. What is published already stays known: the
    ledger's tombstones tell.

    Raises:
        StartError: Kafka or Toloka is away or refuses; the item is unknown or unfinished; the time is out of
            reach, or still to come.
    """
    async with AsyncExitStack() as stack:
        if isinstance(to, datetime):
            wanted, now = Cursor(None, to), datetime.now(UTC)
        else:
            wanted, now = await _behind(settings, to, stack)
        if wanted.finished_at > now + FUTURE:
            raise ConfigurationError(
                f"cursor set: not later than now, {codec.iso(now)}: until {codec.iso(wanted.finished_at)}"
                " nothing would be looked for"
            )
        cluster, topics = await stack.enter_async_context(reached(settings))
        _insist_in_reach(settings, wanted, topics[settings.kafka.ledger_topic])
        for _ in range(FENCED_TRIES):
            try:
                return await _written(cluster, settings, wanted)
            except Fenced:
                # The collector has started its writer again in between.
                continue
    raise UnavailableAtStart("the collector takes its place back each time: try again")


async def _written(cluster: Kafka, settings: Settings, wanted: Cursor) -> Cursor:
    kafka, project = settings.kafka, settings.toloka.target_id
    async with cluster.writer(collector_transactional_id(settings)) as writer:
        # Read once the collector can no longer write.
        before, _ = await read_cursor(cluster, kafka.cursor_topic, project)
        cursor = Cursor(wanted.item_id, wanted.finished_at, 0 if before is None else before.published)
        await writer.transact(Transaction("order", _appends(kafka, project, cursor)))
    return cursor


def _appends(kafka: KafkaSettings, project: str, cursor: Cursor) -> Sequence[Append]:
    return (
        Append(kafka.cursor_topic, 0, project.encode(), codec.cursor_value(cursor)),
        Append(kafka.ledger_topic, 0, codec.REOPEN_KEY, None),
    )


async def _behind(settings: Settings, item_id: str, stack: AsyncExitStack) -> tuple[Cursor, datetime]:
    """The cursor behind an item of Toloka's, and what time it is there."""
    if settings.toloka.api != "app":
        raise ConfigurationError("cursor set: an item is found by its id in an app project only: give a time")
    toloka = await toloka_of(settings, stack)
    with ending():
        found = await toloka.service.results.by_id([item_id])
    sight = found.get(item_id)
    if sight is None:
        raise ConfigurationError(f"cursor set: Toloka does not know the item {item_id}: give a time instead")
    ends = [result.finished_at for result in sight.results if result.finished_at is not None]
    if not ends:
        raise ConfigurationError(f"cursor set: the item {item_id} is {sight.status}, and has not finished")
    return Cursor(item_id, max(ends)), toloka.toloka_clock.now()


def _insist_in_reach(settings: Settings, wanted: Cursor, ledger: Topic) -> None:
    """Foreign items are known by their tombstones alone: further back they would be published again."""
    kept = ledger.configs.get("delete.retention.ms")
    if settings.collect.unknown_items != "publish" or kept is None:
        return
    earliest = datetime.now(UTC) - timedelta(milliseconds=int(kept))
    if wanted.finished_at < earliest:
        raise ConfigurationError(
            f"cursor set: with TOLOKAD_COLLECT__UNKNOWN_ITEMS=publish not before {codec.iso(earliest)}: what"
            f" finished earlier may be forgotten in {ledger.name}, and would be published again"
        )


def paused_as_json(flows: Sequence[str], *, paused: bool) -> Mapping[str, object]:
    """As `pause --json` and `resume --json` print it."""
    return {"flows": list(flows), "paused": paused}
