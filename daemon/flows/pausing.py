"""Pausing a flow at run time: an operator's word in the cursor topic, which every replica follows.

What is under way is finished; nothing further is announced, and no further page is asked for. The word stays
until it is taken back, over restarts too: a flow begins only once it is known.
"""

import asyncio
from collections.abc import Mapping, Sequence
from random import Random

import structlog

from daemon.flows.gate import Gate
from daemon.flows.keeping_up import Reading, keep_up
from daemon.flows.records import orders
from daemon.model import Record
from daemon.ports import Kafka

log = structlog.get_logger(__name__)


class Pausing:
    """Shuts and opens the doors of one replica's flows as the topic says.

    They are shut until it is known whether they may be open.
    """

    def __init__(self, kafka: Kafka, topic: str, gates: Mapping[str, Gate], rng: Random) -> None:
        self._kafka = kafka
        self._topic = topic
        self._gates = gates
        self._rng = rng
        self._told: dict[str, str | None] = {}
        self._words: dict[str, str] = {}
        for gate in gates.values():
            gate.pause(None)

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow the topic until the event is set; what was said last holds while it cannot be read."""
        reading = Reading(self._words.clear, self._note, lambda why: log.warning("pauses_unread", detail=why))
        await keep_up(self._kafka, self._topic, reading, self._rng, stopping)

    def _note(self, records: Sequence[Record], caught_up: bool) -> None:  # noqa: FBT001 - see `Reading`
        for record in records:
            flow = orders.paused_flow(record.key or b"")
            if flow is not None and record.value is not None:
                self._words[flow] = f"paused by an operator: `tolokad resume --flow {flow}` lets it go on"
            elif flow is not None:
                self._words.pop(flow, None)
        if caught_up:
            self._obey()

    def _obey(self) -> None:
        for flow, gate in self._gates.items():
            word = self._words.get(flow)
            if flow in self._told and self._told[flow] == word:
                continue
            self._told[flow] = word
            if word is None:
                gate.resume()
            else:
                gate.pause(word)
