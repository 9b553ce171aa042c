"""`tolokad resolve`: an operator decides what becomes of a batch in doubt, beside the running daemon.

Starting the partition's writer fences the daemon's: what it may still do of the batch fails. It reads its
committed metadata again from time to time, finds there what was decided, and goes on.
"""

import asyncio
import uuid
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from random import SystemRandom

from daemon.app.kit.kafka import FENCED_TRIES, reached
from daemon.app.kit.toloka import Toloka, toloka_of
from daemon.app.places import patience_of, place_of
from daemon.app.starting import start_error
from daemon.edges.kafka.cluster import KafkaCluster
from daemon.edges.toloka.clocks import DateClock, SystemClock
from daemon.errors import ConfigurationError, Fenced, Held, StartError, UnavailableAtStart
from daemon.flows.batches.budgeting import Budget, Purse
from daemon.flows.batches.outbox import Outbox
from daemon.flows.batches.spending import Limits
from daemon.flows.batches.tallying import last_tally
from daemon.flows.doubts.scanning import unaccounted
from daemon.flows.doubts.searching import Search
from daemon.flows.holding import Holds
from daemon.flows.partitions.taking_over import insist_on_range, read_range
from daemon.flows.place import Place
from daemon.flows.records import codec
from daemon.flows.records.items import ItemReader
from daemon.flows.records.spec import InputSpec
from daemon.metrics import Metrics
from daemon.model import Batch, Flaw, Intent
from daemon.ports import Submissions, TolokaClock
from daemon.settings import Settings

CODE = "RESOLVED_BY_OPERATOR"
GONE = (
    "Without its records nothing can be compared, sent again or made a dead letter: restore them, or count"
    " what Toloka has of that time and commit an offset that is there by hand; see range_gone in"
    " deploy/runbook.md"
)
# What is said of a batch beforehand does not wait longer for Toloka than this.
ABOUT_SECONDS = 5.0
# Intents of other partitions are waited for as long as this, where content may repeat.
OTHERS_SECONDS = 60.0
# A batch that is sent anew all the time is waited for as often as this.
OVER_TRIES = 5

# What tells an announcement from the next; an attempt that is sent once more remains the same.
Announcement = tuple[str, datetime | None]


class NothingInDoubtError(Exception):
    """The partition has no intent that stands, or another than was shown."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """A batch in doubt: its intent, and what of it the ledger does not have already."""

    intent: Intent
    batch: Batch
    price: Decimal | None

    def cost(self, way: str) -> str:
        """What a decision may cost, in a sentence."""
        count = len(self.batch.items)
        money = "" if self.price is None else f", up to {self.price * count} in the project's currency"
        where = f"{self.batch.topic}-{self.batch.partition}, offsets {self.batch.first} to {self.batch.end}"
        consequences = {
            "adopt": "those that Toloka shows are taken as submitted, and nothing is sent; the daemon goes on"
            " looking for the others",
            "resubmit": f"all are sent again: those that Toloka has already are paid for twice{money}",
            "dead-letter": "all become dead letters: what Toloka has of them is paid for, and its results are"
            f" not published{money}",
        }
        return f"{where}: {count} items in doubt since {codec.iso(self.intent.since)}; {consequences[way]}"


class DoubtfulBatch:
    """One partition's batch in doubt, looked at and decided; see `opened`."""

    def __init__(
        self, settings: Settings, cluster: KafkaCluster, place: Place, stack: AsyncExitStack
    ) -> None:
        self._settings = settings
        self._cluster = cluster
        self._place = place
        self._stack = stack
        self._clock: TolokaClock = DateClock(SystemClock())
        self._toloka: Toloka | None = None
        self._about: tuple[int, datetime] | None = None

    async def doubt(self, way: str) -> Doubt:
        """What is in doubt, once a request that may be under way is over.

        Raises:
            NothingInDoubtError: there is nothing, or what there was is settled meanwhile.
            StartError: the intent cannot be read, or its range is gone; Toloka is away and `way` needs it; it
                is sent anew all the time.
        """
        await self._standing()
        await self._ask_about(insist=way == "adopt")
        await self._until_over()
        return await self._look()

    async def _until_over(self) -> Announcement:
        """Wait until no request for the batch can be under way; returns by what it was announced last.

        Where our clock and Toloka's differ, an announcement is over once it has stood for a request's time.
        """
        seconds = self._settings.submit.request_timeout_seconds
        waited: Announcement | None = None
        for _ in range(OVER_TRIES):
            intent, _ = await self._standing()
            left = seconds - (self._clock.now() - intent.last_at).total_seconds()
            if left <= 0 or _announcement(intent) == waited:
                return _announcement(intent)
            waited = _announcement(intent)
            await asyncio.sleep(min(left, seconds))
        raise UnavailableAtStart("the daemon sends the batch anew each time: try again")

    async def _standing(self) -> tuple[Intent, int]:
        """The intent that stands, of the batch that was first asked about: no other is decided."""
        place = self._place
        found = await self._cluster.committed(place.group, place.topic, [place.partition])
        committed = found[place.partition]
        try:
            intent = codec.read_intent(committed.metadata)
        except codec.UnreadableError as error:
            raise ConfigurationError(str(error)) from error
        if intent is None or intent.decided:
            raise NothingInDoubtError
        about = committed.offset, intent.since
        if self._about not in {None, about}:
            raise NothingInDoubtError
        self._about = about
        return intent, committed.offset

    async def _ask_about(self, *, insist: bool) -> None:
        """Toloka, if it is there: it knows prices, and what an item must look like."""
        try:
            async with asyncio.timeout(None if insist else ABOUT_SECONDS):
                self._toloka = await toloka_of(self._settings, self._stack)
        except (StartError, TimeoutError):
            if insist:
                raise
            return
        self._clock = self._toloka.toloka_clock

    async def _look(self) -> Doubt:
        intent, first = await self._standing()
        place, service = self._place, None if self._toloka is None else self._toloka.service
        reader = service.record_reader if service else _any_reader(self._settings)
        try:
            await insist_on_range(self._cluster, place, first, intent.reach)
        except Held as held:
            raise start_error(held, GONE) from held
        batch = await read_range(self._cluster, place, first, intent.end, reader)
        rest = await unaccounted(self._cluster, place, batch, intent.since)
        return Doubt(intent, intent.doubting(rest), service.item_price if service else None)

    async def decide(self, way: str) -> int:
        """Carry a decision out on what was shown; returns of how many items.

        Raises:
            NothingInDoubtError: it was decided or settled meanwhile.
            StartError: Kafka or Toloka is away or refuses; the batch is sent anew all the time.
        """
        for _ in range(FENCED_TRIES):
            over = await self._until_over()
            try:
                decided = await self._decide(way, over)
            except Fenced:
                # The daemon's way has started its writer again in between.
                continue
            if decided is not None:
                return decided
        raise UnavailableAtStart("the daemon takes the partition back each time: try again")

    async def _decide(self, way: str, over: Announcement) -> int | None:
        """As `decide`; None where the batch has been announced anew in between, and may be under way."""
        async with self._cluster.writer(self._place.transactional_id) as writer:
            # Read again behind the fence: only now nobody else can change it.
            doubt = await self._look()
            if _announcement(doubt.intent) != over:
                return None
            outbox = Outbox(writer, self._place, self._clock, lambda: str(uuid.uuid4()))
            outbox.resume(await last_tally(self._cluster, self._place))
            if self._settings.budget.limited:
                outbox.spend_from(await self._purse())
            match way:
                case "dead-letter":
                    return await self._bury(outbox, doubt)
                case "resubmit":
                    await outbox.decide(doubt.batch, doubt.intent)
                    return len(doubt.batch.items)
                case _:
                    return await self._adopt(outbox, doubt)

    async def _purse(self) -> Purse:
        # Nothing is announced here that would have to fit.
        unlimited = Limits(None, None)
        budget = Budget(self._cluster, self._settings.kafka.budget_topic, unlimited, SystemRandom())
        return await budget.purse(self._place.budget_key)

    async def _bury(self, outbox: Outbox, doubt: Doubt) -> int:
        flaw = Flaw(CODE, "an operator decided that what was in doubt is not sent again")
        buried = doubt.batch.without(dict.fromkeys(range(len(doubt.batch.items)), flaw))
        count = len(doubt.batch.items)
        await outbox.settle(buried, (), None, outbox.behind(buried, None), count)
        return count

    async def _adopt(self, outbox: Outbox, doubt: Doubt) -> int:
        if (toloka := self._toloka) is None:
            raise UnavailableAtStart("Toloka was not asked")
        until = asyncio.Event()
        timer = asyncio.get_running_loop().call_later(OTHERS_SECONDS, until.set)
        try:
            async with toloka.service.submissions(1) as (api,):
                note = partial(outbox.note, doubt.batch.first)
                found = await self._resolver(api).present(doubt.batch, doubt.intent, note, until)
        finally:
            timer.cancel()
        if found is None:
            raise UnavailableAtStart(
                "other partitions are in doubt, and items without an id of their own may be theirs:"
                " resolve the lowest partition first"
            )
        if found.items:
            # What is left is looked for, by the daemon: an operation of the old name may be under way.
            again = replace(doubt.intent, attempt=str(uuid.uuid4()), once=False)
            if found.adopted:
                await outbox.announce(found, again)
        else:
            await outbox.settle(found, (), None, outbox.behind(found, None))
        return len(found.adopted)

    def _resolver(self, api: Submissions) -> Search:
        patience, metrics, rng = patience_of(self._settings), Metrics(), SystemRandom()
        return Search(self._cluster, api, self._clock, self._place, patience, Holds(metrics), metrics, rng)


def _announcement(intent: Intent) -> Announcement:
    return intent.attempt, intent.doubt_at


def _any_reader(settings: Settings) -> ItemReader:
    """Where nobody says what an item must look like, everything that can be one is."""
    return ItemReader(InputSpec({}), settings.submit.item_pointer, 2**31)


async def opened(settings: Settings, partition: int, stack: AsyncExitStack) -> DoubtfulBatch:
    """What decides on a partition; closed with the stack.

    Raises:
        StartError: Kafka is away or refuses; a topic or the partition is missing.
    """
    cluster, topics = await stack.enter_async_context(reached(settings))
    counts: Mapping[str, int] = {name: topic.partitions for name, topic in topics.items()}
    if partition >= counts[settings.kafka.input_topic]:
        last = counts[settings.kafka.input_topic] - 1
        raise ConfigurationError(f"--partition {partition}: {settings.kafka.input_topic} has 0 to {last}")
    return DoubtfulBatch(settings, cluster, place_of(settings.kafka, partition, counts), stack)
