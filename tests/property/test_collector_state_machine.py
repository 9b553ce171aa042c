"""Whatever happens between settling and finishing, each record gets exactly one result, its own.

Batches are settled with repeated contents, under ids in any order; items finish in any order, and are seen
again and again; the ledger is read in parts; transactions fail, written or not; collectors follow each other.
"""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, TypeVar

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from daemon.errors import Transient
from daemon.flows.collector import state as collector_state
from daemon.flows.collector.opening import open_state
from daemon.flows.collector.state import CollectOptions, CollectorState
from daemon.flows.records import codec
from daemon.flows.watching import CollectWatch
from daemon.metrics import Metrics
from daemon.model import Cursor, Finished, Item, Transaction
from tests.doubles import (
    INPUT,
    LEDGER,
    OUTPUT,
    START,
    FakeRecord,
    FakeTime,
    MemoryKafka,
    finished,
    item,
    outlets,
    packed_items,
    turns,
)
from tests.simulation.loop import VirtualLoop

OPENING = CollectOptions(outlets(), timedelta(seconds=60), None)
WATCH = CollectWatch(Metrics())
CONTENTS = {name: b'{"text":"%s"}' % name.encode() for name in "abc"}
HASHES = {name: item(0, body).content_hash for name, body in CONTENTS.items()}

T = TypeVar("T")


class Collectors(RuleBasedStateMachine):
    """One ledger, its collectors one after the other, and a simple model: content by origin and by id."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.kafka = MemoryKafka.usual()
        self.origins: list[str] = []
        self.running: dict[str, str] = {}
        self.ended: list[Finished] = []
        self.incarnations = 0
        self.batch_reads = collector_state.READ_RECORDS
        collector_state.READ_RECORDS = 3  # so that batches are taken in in parts
        self.do(self._open())

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry something out on the loop."""
        return self.loop.run_until_complete(work)

    async def _open(self) -> None:
        """A collector takes over."""
        self.incarnations += 1
        self.stack = AsyncExitStack()
        writer = await self.stack.enter_async_context(self.kafka.writer("collect"))
        opening = open_state(self.kafka, OPENING, writer, FakeTime(), WATCH, str(self.incarnations))
        self.state: CollectorState
        self.state, reader, partitions = await self.stack.enter_async_context(opening)
        self.following = asyncio.ensure_future(self.state.follow(reader, partitions))

    async def _close(self) -> None:
        """It is gone."""
        self.following.cancel()
        await asyncio.wait({self.following})
        await self.stack.aclose()

    @rule(
        contents=st.lists(st.sampled_from("abc"), min_size=1, max_size=7),
        data=st.data(),
        steps=st.integers(0, 3),
    )
    def settle(self, contents: list[str], data: st.DataObject, steps: int) -> None:
        """A way settles a batch; Toloka's ids are in any order, and some of them may be seen before."""
        first = len(self.origins)
        self.origins += contents
        ids = [f"t{first + index}" for index in range(len(contents))]
        answered = data.draw(st.permutations(ids))
        self.running |= dict(zip(ids, contents, strict=True))
        items = [Item(FakeRecord(first + i, b""), b"", HASHES[name]) for i, name in enumerate(contents)]
        partition, end = first % 2, len(self.origins)
        for item_id, packed in zip(answered, packed_items(items, end, START), strict=True):
            self.kafka.put(LEDGER, packed, partition, key=item_id.encode())
        self.kafka.put(LEDGER, codec.mark_value(end), partition, key=codec.mark_key(INPUT, 0))
        self.do(turns(steps))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), seconds=st.integers(0, 5))
    def finish(self, data: st.DataObject, seconds: int) -> None:
        """Some items come to their end at Toloka."""
        for item_id in data.draw(st.lists(st.sampled_from(sorted(self.running)), unique=True, max_size=5)):
            body = CONTENTS[self.running.pop(item_id)]
            self.ended.append(finished(item_id, body, len(self.ended) + seconds))

    @precondition(lambda self: self.ended)
    @rule(data=st.data(), fate=st.sampled_from(["written", "lost", "usual", "usual", "usual"]))
    def look(self, data: st.DataObject, fate: str) -> None:
        """A page of ended items, new ones and old ones; its transaction may fail either way."""
        page = data.draw(st.lists(st.sampled_from(self.ended), max_size=8))
        self.do(self._look(page, fate))

    async def _look(self, page: list[Finished], fate: str) -> None:
        self.kafka.spoil = {"usual": lambda _: None, "lost": self._lose, "written": self._write}[fate]
        last = max((one.finished_at for one in page if one.finished_at), default=START)
        try:
            await self.state.publish(page, "tail", Cursor(page[-1].item_id if page else None, last))
            await turns(2)
            if self.following.done():
                self.following.result()
        except Transient:
            self.kafka.spoil = lambda _: None
            await self._close()
            await self._open()
        self.kafka.spoil = lambda _: None

    def _lose(self, _: Transaction) -> Exception:
        return Transient("no answer, and not written")

    def _write(self, transaction: Transaction) -> Exception:
        self.kafka.transactions.append(("collect", transaction))
        self.kafka.put_all(transaction.appends)
        return Transient("no answer, but written")

    @rule()
    def take_over(self) -> None:
        """A collector dies, and another one reads what it wrote."""
        self.do(self._close())
        self.do(self._open())

    @invariant()
    def no_record_has_two_results_or_somebody_elses(self) -> None:
        """At any time."""
        results = [msgspec.json.decode(record.value or b"") for record in self.kafka.written(OUTPUT)]
        origins = Counter(result["origin"]["offset"] for result in results)
        assert all(count == 1 for count in origins.values())
        for result in results:
            assert self.origins[result["origin"]["offset"]] == result["item"]["input_data"]["text"]

    def teardown(self) -> None:
        """In the end everything finishes and is looked at: every record has its result."""
        try:
            self.ended += [finished(i, CONTENTS[name], 100) for i, name in self.running.items()]
            for start in range(0, len(self.ended), 4):
                self.do(self._look(self.ended[start : start + 4], "usual"))
            self.do(turns(200))
            self.do(self._look(self.ended, "usual"))
            self.no_record_has_two_results_or_somebody_elses()
            assert len(self.kafka.written(OUTPUT)) == len(self.origins)
            assert (len(self.state.ledger), self.state.waiting, self.state.ledger.altered) == (0, {}, False)
        finally:
            self.do(self._close())
            self.loop.close()
            collector_state.READ_RECORDS = self.batch_reads


TestCollectors = Collectors.TestCase
TestCollectors.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
