"""Reading a small topic to its end and on."""

import asyncio
from collections.abc import Sequence

from daemon.errors import Held
from daemon.flows.keeping_up import Reading, keep_up
from daemon.model import Record
from tests.doubles import CURSORS, MemoryKafka, in_virtual_time, seeded


class Notes:
    """What is heard: each value with whether the end was reached, and `begin` and `failed`."""

    def __init__(self) -> None:
        self.heard: list[object] = []
        self.refuses: bytes | None = None
        self.reading = Reading(
            lambda: self.heard.append("begin"), self.note, lambda _: self.heard.append("failed")
        )

    def note(self, records: Sequence[Record], caught_up: bool) -> None:  # noqa: FBT001 - see `Reading`
        """Keep it, or refuse it once."""
        values = [record.value for record in records]
        if self.refuses in values:
            self.refuses = None
            raise Held("budget", "unreadable")
        self.heard.append((values, caught_up))


@in_virtual_time
async def test_the_end_is_not_called_reached_before_it_is() -> None:
    """What was there at the beginning is heard first; only with it the end is reached."""
    notes, stopping, kafka = Notes(), asyncio.Event(), MemoryKafka.usual()
    kafka.put(CURSORS, b"a", 0, key=b"k")
    running = asyncio.create_task(keep_up(kafka, CURSORS, notes.reading, seeded(), stopping))
    await asyncio.sleep(1)
    assert notes.heard == ["begin", ([], False), ([b"a"], True)]
    kafka.put(CURSORS, b"b", 0, key=b"k")
    await asyncio.sleep(11)
    assert ([b"b"], True) in notes.heard
    stopping.set()
    await running


@in_virtual_time
async def test_a_failure_is_told_and_the_topic_read_anew() -> None:
    """A record that cannot be used is tried again, from the beginning."""
    notes, stopping, kafka = Notes(), asyncio.Event(), MemoryKafka.usual()
    notes.refuses = b"a"
    kafka.put(CURSORS, b"a", 0, key=b"k")
    running = asyncio.create_task(keep_up(kafka, CURSORS, notes.reading, seeded(), stopping))
    await asyncio.sleep(60)
    assert notes.heard[:5] == ["begin", ([], False), "failed", "begin", ([], False)]
    assert ([b"a"], True) in notes.heard
    stopping.set()
    await running
