"""What tolokad demands of its topics, each with the way out (deploy/topics-and-records.md)."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from daemon.edges.kafka.topics import Topic, Wanted
from daemon.errors import ConfigurationError
from daemon.settings import KafkaSettings

DAY_MS = 86_400_000
# Tombstones must outlive the longest hold: until then a resolver asks them who an item belonged to.
TOMBSTONE_MS = 7 * DAY_MS
DEFAULT_PARTITIONS = 4
# The broker's default for a record batch; a result and a dead letter carry more than their record.
MESSAGE_BYTES = 1_048_588
HEADROOM_BYTES = 1_048_576
COMPACTED = {
    "cleanup.policy": "compact",
    "delete.retention.ms": str(TOMBSTONE_MS),
    "segment.ms": str(600_000),
    "min.cleanable.dirty.ratio": "0.1",
}
# Beyond these a start reads hours of what is over, or half as much again as is open.
SLOW_SEGMENT_MS = 3_600_000
SLOW_RATIO = 0.3
# What the daemon does with each kind of topic (deploy/kafka-acls.md).
NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "input": ("Read",),
    "output": ("Write",),
    "compacted": ("Read", "Write"),
    "budget": ("Read", "Write"),
}
# Whoever reads on from a while ago still finds what every partition had spent by then.
BUDGET = {"min.compaction.lag.ms": str(DAY_MS)}


@dataclass(frozen=True, slots=True)
class Demanded:
    """A topic that a flow needs: the variable that names it, and what it is for."""

    variable: str
    name: str
    use: str


def demanded(kafka: KafkaSettings, *, budget: bool = False) -> tuple[Demanded, ...]:
    """The topics that must be there; that of the spend guard where there is a limit."""
    prefix = "TOLOKAD_KAFKA__"
    return (
        Demanded(f"{prefix}INPUT_TOPIC", kafka.input_topic, "input"),
        Demanded(f"{prefix}OUTPUT_TOPIC", kafka.output_topic, "output"),
        Demanded(f"{prefix}DEAD_LETTER_TOPIC", kafka.dead_letter_topic, "output"),
        Demanded(f"{prefix}LEDGER_TOPIC", kafka.ledger_topic, "compacted"),
        Demanded(f"{prefix}CURSOR_TOPIC", kafka.cursor_topic, "compacted"),
        *((Demanded("TOLOKAD_BUDGET__…", kafka.budget_topic, "budget"),) if budget else ()),
    )


def missing(demands: tuple[Demanded, ...], found: Mapping[str, Topic]) -> list[Wanted]:
    """The topics that are not there, as they should be made."""
    source = _source(demands, found)
    partitions = DEFAULT_PARTITIONS if source is None else source.partitions
    largest_bytes = MESSAGE_BYTES if source is None else source.max_message_bytes
    return [_wanted(topic, partitions, largest_bytes) for topic in demands if topic.name not in found]


def _source(demands: tuple[Demanded, ...], found: Mapping[str, Topic]) -> Topic | None:
    inputs = (found[topic.name] for topic in demands if topic.use == "input" and topic.name in found)
    return next(inputs, None)


def _wanted(topic: Demanded, partitions: int, largest_bytes: int) -> Wanted:
    if topic.use == "budget":
        return Wanted(topic.name, 1, {**COMPACTED, **BUDGET})
    if topic.variable.endswith("CURSOR_TOPIC"):
        return Wanted(topic.name, 1, COMPACTED)
    if topic.use == "compacted":
        return Wanted(topic.name, partitions, COMPACTED)
    if topic.use == "output":
        return Wanted(topic.name, partitions, {"max.message.bytes": str(largest_bytes + HEADROOM_BYTES)})
    return Wanted(topic.name, partitions, {})


def insist(demands: tuple[Demanded, ...], found: Mapping[str, Topic]) -> None:
    """Refuse topics that are missing or would lose or double something.

    Raises:
        ConfigurationError: naming each topic, its variable and the way out.
    """
    wrong = [problem for topic in demands for problem in problems(topic, found.get(topic.name))]
    if wrong:
        raise ConfigurationError(*wrong)


def altering(topic: str) -> str:
    """How a topic's setting is changed; the setting comes behind it."""
    command = "kafka-configs.sh --bootstrap-server … --alter --entity-type topics"
    return f"{command} --entity-name {topic} --add-config"


def problems(topic: Demanded, found: Topic | None) -> Iterator[str]:
    """What is wrong with a topic, each with the way out."""
    where = f"{topic.variable}: the topic {topic.name}"
    if found is None:
        way_out = "create it, or let `tolokad run` do so with TOLOKAD_KAFKA__CREATE_TOPICS=true"
        yield f"{where} does not exist: {way_out}"
        return
    policy = found.configs.get("cleanup.policy")
    alter = altering(topic.name)
    if topic.use == "budget" and found.partitions != 1:
        yield f"{where} has {found.partitions} partitions, and order is what it is for: make it anew with 1"
    if topic.use in {"compacted", "budget"} and policy not in {None, "compact"}:
        yield f"{where} has cleanup.policy={policy} and would forget: {alter} cleanup.policy=compact"
    if topic.use == "input" and policy is not None and "compact" in policy:
        yield f"{where} has cleanup.policy={policy} and would drop items: {alter} cleanup.policy=delete"


def lacking(topic: Demanded, granted: Collection[str]) -> tuple[str, ...]:
    """Which of the operations that the daemon needs on a topic are not among those that are granted."""
    return tuple(operation for operation in NEEDED[topic.use] if operation not in granted)


def advice(demands: tuple[Demanded, ...], found: Mapping[str, Topic]) -> Iterator[str]:
    """What is not wrong, but unwise, about the topics that are there."""
    source = _source(demands, found)
    for topic in demands:
        if source is not None and topic.use == "output" and topic.name in found:
            yield from too_small(topic, found[topic.name], source.max_message_bytes)
    for topic in demands:
        if topic.use == "output" and topic.name in found:
            yield from _compacts(topic, found[topic.name])
        if topic.use in {"compacted", "budget"} and topic.name in found:
            yield from _slow(topic, found[topic.name])
    for topic in demands:
        if topic.use != "compacted" or topic.name not in found:
            continue
        kept = found[topic.name].configs.get("delete.retention.ms")
        if kept is not None and int(kept) < TOMBSTONE_MS:
            yield (
                f"{topic.variable}: the topic {topic.name} keeps tombstones for {int(kept) / DAY_MS:g} days:"
                f" set delete.retention.ms={TOMBSTONE_MS}, so that they outlive the longest hold"
            )


def _compacts(topic: Demanded, found: Topic) -> Iterator[str]:
    """Results and dead letters have the keys of their records, which may be alike, or none."""
    policy = found.configs.get("cleanup.policy", "")
    if "compact" in policy:
        yield (
            f"{topic.variable}: the topic {topic.name} has cleanup.policy={policy}: of records with one key"
            f" only the last is kept, and one without a key is refused: {altering(topic.name)}"
            " cleanup.policy=delete"
        )


def _slow(topic: Demanded, found: Topic) -> Iterator[str]:
    """What is not compacted yet is read to its end by whoever starts."""
    limits = {"segment.ms": SLOW_SEGMENT_MS, "min.cleanable.dirty.ratio": SLOW_RATIO}
    slow = [name for name, limit in limits.items() if float(found.configs.get(name, 0)) > limit]
    if slow:
        shown = " and ".join(f"{name}={found.configs[name]}" for name in slow)
        better = ",".join(f"{name}={COMPACTED[name]}" for name in slow)
        yield (
            f"{topic.variable}: the topic {topic.name} has {shown}, so that it is compacted late, and every"
            f" start reads what it no longer needs: {altering(topic.name)} {better}"
        )


def too_small(topic: Demanded, found: Topic, largest_bytes: int) -> Iterator[str]:
    """What an input record becomes is larger than it is; `largest_bytes` is what the input topic takes."""
    taken = found.max_message_bytes
    if taken <= largest_bytes:
        yield (
            f"{topic.variable}: the topic {topic.name} takes records of {taken} bytes; the input topic takes"
            f" {largest_bytes}: what becomes of the largest would not fit: {altering(topic.name)}"
            f" max.message.bytes={largest_bytes + HEADROOM_BYTES}"
        )
