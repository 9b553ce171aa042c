"""Pausing a flow at run time: an operator's word in the cursor topic, which every replica follows.

What is under way is finished; nothing further is announced, and no further page is asked for. The word stays
until it is taken back, over restarts too: a flow begins only once it is known.
"""

import asyncio
from collections.abc import Iterable, Mapping
from random import Random

import structlog

from daemon.errors import Held, Transient
from daemon.flows import orders
from daemon.flows.holding import Backoff, Gate
from daemon.flows.waiting import pause, unless
from daemon.model import Record
from daemon.ports import Kafka

READ_RECORDS = 1000
READ_SECONDS = 10.0
PARTITION = 0

log = structlog.get_logger(__name__)


class Pausing:
    """Shuts and opens the doors of one replica's flows as the topic says.

    Args:
        kafka: where the topic is.
        topic: the cursor topic.
        gates: by flow; shut until it is known whether they may be open.
        rng: spreads the waits after a failure.
    """

    def __init__(self, kafka: Kafka, topic: str, gates: Mapping[str, Gate], rng: Random) -> None:
        self._kafka = kafka
        self._topic = topic
        self._gates = gates
        self._rng = rng
        self._told: dict[str, str | None] = {}
        for gate in gates.values():
            gate.pause(None)

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow the topic until the event is set."""
        backoff = Backoff(self._rng)
        while not stopping.is_set():
            try:
                await self._follow(backoff, stopping)
            except (Transient, Held) as failure:
                # What was said last still holds.
                log.warning("pauses_unread", detail=str(failure))
                await pause(backoff.seconds(), stopping)

    async def _follow(self, backoff: Backoff, stopping: asyncio.Event) -> None:
        start = (await self._kafka.start_offsets(self._topic))[PARTITION]
        end = (await self._kafka.end_offsets(self._topic))[PARTITION]
        words: dict[str, str] = {}
        async with self._kafka.reader(self._topic, {PARTITION: start}) as reader:
            while not stopping.is_set():
                if reader.position(PARTITION) >= end:
                    self._obey(words)
                    backoff.reset()
                records = await unless(stopping, reader.read(READ_RECORDS, READ_SECONDS))
                _note(words, records or ())

    def _obey(self, words: Mapping[str, str]) -> None:
        for flow, gate in self._gates.items():
            word = words.get(flow)
            if flow in self._told and self._told[flow] == word:
                continue
            self._told[flow] = word
            if word is None:
                gate.resume()
            else:
                gate.pause(word)


def _note(words: dict[str, str], records: Iterable[Record]) -> None:
    for record in records:
        flow = orders.paused_flow(record.key or b"")
        if flow is None:
            continue
        if record.value is None:
            words.pop(flow, None)
        else:
            words[flow] = f"paused by an operator: `tolokad resume --flow {flow}` lets it go on"
