"""One input partition's way: take it over, finish what is in doubt, and then deliver batch after batch.

It first waits for what its predecessor can still finish by itself.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog
from structlog.contextvars import bound_contextvars

from daemon.errors import Fenced, Held, Transient
from daemon.flows.batches.acknowledged import Acknowledged
from daemon.flows.batches.batching import Allowance, Filling
from daemon.flows.batches.delivering import Delivery
from daemon.flows.batches.filling import Source, filled
from daemon.flows.batches.outbox import Outbox
from daemon.flows.batches.shared_parts import SharedParts, SubmitOptions
from daemon.flows.batches.tallying import last_tally
from daemon.flows.doubts.resolving import Resolver
from daemon.flows.holding import HELD_APART, HELD_BY_RECORDS, ShownHold
from daemon.flows.partitions.taking_over import Beginning, take_over
from daemon.flows.place import Place
from daemon.flows.waiting import LONGEST_PROBE_SECONDS, Backoff, pause
from daemon.ports import Submissions, Writer

log = structlog.get_logger(__name__)


class Submitting:
    """The way of one partition, from take-over until it is told to stop.

    `handed_over` returns once no predecessor is at work on the partition any more, `still_ours` once the
    group has confirmed that it is ours; both return early when the event is set.
    """

    def __init__(
        self,
        place: Place,
        shared: SharedParts,
        connections: Sequence[Submissions],
        resolver: Resolver,
        options: SubmitOptions,
        handed_over: Callable[[asyncio.Event], Awaitable[None]],
        still_ours: Callable[[asyncio.Event], Awaitable[None]],
    ) -> None:
        self._place = place
        self._shared = shared
        self._connections = connections
        self._options = options
        self._handed_over = handed_over
        self._still_ours = still_ours
        self._resolver = resolver
        self._allowance = Allowance(options.limits)
        self._acknowledged = Acknowledged()
        self._shown = ShownHold("submit", shared.holds, place.partition)

    async def run(self, stopping: asyncio.Event) -> None:
        """Submit until the event is set; after any failure start over from what Kafka says."""
        backoff = Backoff(self._shared.rng)
        place = self._place
        with self._shared.gate.used(), bound_contextvars(topic=place.topic, partition=place.partition):
            try:
                await self._handed_over(stopping)
                while not stopping.is_set():
                    await self._once(backoff, stopping)
            finally:
                self._shown.end()

    async def _once(self, backoff: Backoff, stopping: asyncio.Event) -> None:
        try:
            async with self._shared.kafka.writer(self._place.transactional_id) as writer:
                await self._go(writer, backoff, stopping)
        except Fenced as fenced:
            self._shared.gate.leave()
            log.warning("fenced", detail=str(fenced))
            await self._still_ours(stopping)
        except Held as held:
            self._shared.gate.leave()
            self._shown.begin(held)
            await pause(backoff.seconds(), stopping)
            await self._shared.look_again()
        except Transient as failure:
            self._shared.gate.leave()
            log.warning("starting_over", detail=str(failure))
            self._shown.stumble(failure)
            await pause(backoff.seconds(LONGEST_PROBE_SECONDS), stopping)

    async def _go(self, writer: Writer, backoff: Backoff, stopping: asyncio.Event) -> None:
        place, shared, options = self._place, self._shared, self._options
        outbox = Outbox(
            writer,
            place,
            shared.toloka_clock,
            shared.new_attempt,
            once=options.attempts_once,
            acknowledged=self._acknowledged,
        )
        seal = partial(outbox.seal, () if shared.budget is None else shared.budget.written)
        await seal()
        delivery = Delivery(
            outbox, self._allowance, shared, self._connections, self._resolver, options, stopping, self._shown
        )
        take = partial(take_over, shared.kafka, place, outbox, options.start_from, shared.record_reader)
        if (first := await self._take_over(take, outbox, delivery)) is None:
            return
        try:
            await self._deliver_from(first, delivery, seal, backoff, stopping)
        except Held as held:
            if held.reason == "offset_out_of_range":
                # It tells whether the log begins behind the offset or ends before it, and notes the latter.
                await take()
            raise

    async def _take_over(
        self, take: Callable[[], Awaitable[Beginning]], outbox: Outbox, delivery: Delivery
    ) -> int | None:
        """Finish what the predecessor left in doubt; the offset to go on from, None when stopped first."""
        beginning = await take()
        tally = await last_tally(self._shared.kafka, self._place)
        outbox.resume(tally)
        if (budget := self._shared.budget) is not None:
            outbox.spend_from(await budget.purse(self._place.budget_key))
        self._connections[0].resume(tally)
        log.info("taken_over", offset=beginning.offset, in_doubt=beginning.found is not None)
        self._shown.end_unless(*HELD_APART)
        while beginning.found is not None:
            if not await delivery.finish(*beginning.found):
                return None
            self._shown.end_unless(*HELD_BY_RECORDS)
            # There may have been more in doubt behind it.
            beginning = await take()
        return beginning.offset

    async def _deliver_from(
        self,
        first: int,
        delivery: Delivery,
        seal: Callable[[], Awaitable[None]],
        backoff: Backoff,
        stopping: asyncio.Event,
    ) -> None:
        """Deliver batch after batch, from this offset on, until the event is set."""
        place, shared = self._place, self._shared
        filling = Filling(place.topic, place.partition, first, self._allowance, shared.record_reader.read_all)
        async with shared.kafka.reader(place.topic, {place.partition: first}) as reader:
            source = Source(reader, filling, self._options.linger_seconds, shared.turn)

            async def rest() -> None:
                await seal()
                self._shown.end()

            async with filled(source, stopping, rest) as batches, delivery.ahead(source) as ahead:
                async for batch in batches:
                    shared.watch.consumed(batch)
                    if not await delivery.deliver(batch, ahead):
                        return
                    backoff.reset()
                    self._shown.end()
                await delivery.drain(ahead)
