"""Where the collector stands: the cursor's record, and where a first one begins."""

from datetime import datetime

from daemon.errors import ConfigurationError
from daemon.flows.collector.ledger import Ledger
from daemon.flows.keeping_up import until_ends
from daemon.flows.records import codec, orders
from daemon.flows.skew import SKEW
from daemon.model import Cursor
from daemon.ports import Kafka, TolokaClock


async def read_cursor(
    kafka: Kafka, topic: str, project: str, *, whole: bool = True
) -> tuple[Cursor | None, int]:
    """The project's cursor, and when it was written in milliseconds; partition 0 holds it.

    Where it is wanted `whole`, open transactions are waited for, such as that of a collector that was killed;
    else what can be read now is enough.

    Raises:
        ConfigurationError: the topic holds another project's cursor, or a newer release's.
        Transient: Kafka failed.
    """
    found, written_ms = None, 0
    end = (await (kafka.end_offsets if whole else kafka.stable_offsets)(topic))[0]
    async with kafka.reader(topic, {0: (await kafka.start_offsets(topic))[0]}) as reader:
        async for records in until_ends(reader, {0: end}):
            for record in records:
                if orders.is_order(record.key or b""):
                    continue
                found = _cursor_in(record.key, record.value, topic, project)
                written_ms = record.timestamp
    return found, written_ms


def _cursor_in(key: bytes | None, value: bytes | None, topic: str, project: str) -> Cursor | None:
    if key != project.encode():
        raise ConfigurationError(
            f"the topic {topic} holds the cursor of another project, {(key or b'').decode(errors='replace')},"
            f" and not only that of {project}: give each project its own TOLOKAD_KAFKA__GROUP_ID"
        )
    try:
        return None if value is None else codec.read_cursor(value)
    except codec.UnreadableError as error:
        raise ConfigurationError(f"the cursor in {topic} cannot be read: {error}") from error


def first_cursor(start_at: datetime | None, ledger: Ledger, clock: TolokaClock) -> Cursor:
    """Where to begin; not behind the time when what is open already was submitted."""
    begin = start_at or clock.now()
    oldest = ledger.oldest()
    return Cursor(None, begin if oldest is None else min(begin, oldest - SKEW))
