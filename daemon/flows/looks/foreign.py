"""Finished items that nobody here asked for: when are they certainly somebody else's?"""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime

import structlog

from daemon.flows.collector.state import CollectorState
from daemon.flows.doubts.scanning import scan
from daemon.flows.records import codec
from daemon.flows.skew import SKEW
from daemon.flows.watching import CollectWatch
from daemon.model import Finished
from daemon.ports import Kafka

EVERY_SECONDS = 5.0
INTENTS_SECONDS = 2.0

log = structlog.get_logger(__name__)


class Foreign:
    """Judges the items that wait for a ledger record.

    An item of ours exists only after its intent was written, and its ledger record replaces that intent:
    one that is older than every intent standing now, and that the ledger, read to its end afterwards,
    does not have, was created by somebody else.
    """

    def __init__(self, kafka: Kafka, group: str, input_topic: str, watch: CollectWatch) -> None:
        self._kafka = kafka
        self._group = group
        self._topic = input_topic
        self._watch = watch
        self._due_at = 0.0
        self._pending: tuple[Sequence[str], dict[int, int]] | None = None

    async def step(self, state: CollectorState, now: float) -> bool:
        """Judge what waits, if that is due; False when there is nothing to do now."""
        if self._pending is not None:
            return await self._judge(state)
        if not state.waiting or now < self._due_at:
            return False
        self._due_at = now + EVERY_SECONDS
        try:
            async with asyncio.timeout(INTENTS_SECONDS):
                oldest = await self._oldest_intent(state)
        except (codec.UnreadableError, LookupError, TimeoutError) as error:
            # Somebody else's metadata may hide an intent, or it is lost with its offset, or one is just being
            # written by a replica that has stopped in the middle: then nothing can be called foreign, and the
            # tail is not kept waiting.
            log.warning("foreign_unknown", detail=str(error) or "no intents in time")
            return False
        suspects = [
            i
            for i, found in state.waiting.items()
            # Of a task that is worked on all the time the first result tells: none is older than its task.
            if oldest is None or any(item.created_at < oldest - SKEW for item in found.values())
        ]
        if suspects:
            ends = await self._kafka.end_offsets(state.ledger_topic)
            self._pending = (suspects, dict(ends))
        return False

    async def _judge(self, state: CollectorState) -> bool:
        """Once the ledger has been read to where it ended then, what still waits is foreign."""
        if self._pending is None or any(
            state.taken_in.get(p, -1) < end for p, end in self._pending[1].items()
        ):
            return False
        suspects, self._pending = self._pending[0], None
        for item_id in filter(state.knows, suspects):
            state.waiting.pop(item_id, None)
        foreign = [item for i in suspects for item in state.waiting.get(i, {}).values()]
        if state.publishes_foreign and (again := await self._published_before(state, foreign)):
            log.warning("items_changed_after_their_end", items=sorted(again))
            state.dismiss([item for item in foreign if not again.isdisjoint(_names(item))])
            foreign = [item for item in foreign if again.isdisjoint(_names(item))]
        if state.publishes_foreign:
            await state.publish_foreign(foreign)
        else:
            state.dismiss(foreign)
        if foreign:
            self._watch.foreign(len(foreign))
            log.info("foreign_items", items=len(foreign), published=state.publishes_foreign)
        return True

    async def _published_before(self, state: CollectorState, items: Sequence[Finished]) -> frozenset[str]:
        """Those that ended a second time, so long after the first that the state has forgotten it.

        The ledger is read again for what may be among them, which is next to nothing.
        """
        names = {name for item in items for name in _names(item)}
        old = [name for name in names if state.ledger.may_have_closed(name)]
        if not old:
            return frozenset()
        taken = await scan(self._kafka, state.ledger_topic, self._topic, 0, range(0), old)
        return frozenset(taken.elsewhere)

    async def _oldest_intent(self, state: CollectorState) -> datetime | None:
        """Since when what is under way may have been made; None where nothing is.

        Raises:
            LookupError: an offset is lost.
            UnreadableError: a metadata is not an intent.
        """
        partitions = await self._kafka.end_offsets(self._topic)
        committed = await self._kafka.committed(self._group, self._topic, list(partitions))
        for partition, found in committed.items():
            if found.is_none and state.ledger.has_mark(self._topic, partition):
                raise LookupError(f"the offset of {self._topic}-{partition} is lost, and its intent with it")
        intents = (codec.read_intent(found.metadata) for found in committed.values())
        return min((intent.since for intent in intents if intent is not None), default=None)


def _names(item: Finished) -> Collection[str]:
    """The ids by which the ledger has it if it is published: its item's where that is ours, else its own."""
    return {item.item_id, item.result_id}
