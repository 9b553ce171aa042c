"""The cluster: its topics and coordinators, and the network in front of them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.simulation.broker.errors import BrokerError, BusyError
from tests.simulation.broker.groups import Groups
from tests.simulation.broker.log import PartitionLog
from tests.simulation.broker.transactions import Place, Transactions
from tests.simulation.loop import Process, VirtualLoop, current_process

BUSY_SECONDS = 0.01
LOADING_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things take, in seconds.

    Attributes:
        hop: the network, one way; every request draws between half and twice of it.
        marker: from a transaction's decision to a marker, at most.
        first_delay: how long the first members of a group wait for more.
        transaction_timeout: how long a transaction may be open.
    """

    hop: float = 0.001
    marker: float = 0.01
    first_delay: float = 3.0
    transaction_timeout: float = 30.0


@dataclass(slots=True, eq=False)
class _Packet:
    """A request on its way; `outcome` once it was served, for it is served once however often it is sent."""

    name: str
    serve: Callable[[], Any]
    answer: "asyncio.Future[Any]"
    sender: Process | None
    outcome: tuple[Any, BrokerError | None] | None = None


class Cluster:
    """A cluster of one broker.

    Args:
        loop: the virtual loop.
        rng: for delays.
        now_ms: the broker's clock.
        pace: how long things take.
        passed: is told of each request as it is sent and as it is served: whose, and which.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        rng: Random,
        now_ms: Callable[[], int],
        pace: Pace | None = None,
        passed: Callable[[Process | None, str], None] = lambda _process, _point: None,
    ) -> None:
        self.loop = loop
        self.rng = rng
        self.pace = pace or Pace()
        self.now_ms = now_ms
        self.passed = passed
        self.topics: dict[str, list[PartitionLog]] = {}
        self.up = True
        self._held: list[Callable[[], None]] = []
        self.transactions = Transactions(
            self.log,
            lambda: self.groups,
            self.later,
            lambda: rng.uniform(0, self.pace.marker),
            now_ms,
            self.pace.transaction_timeout,
        )
        self.groups = Groups(loop, self.later, self.pace.first_delay, lambda: f"{rng.getrandbits(48):012x}")

    def add_topic(self, name: str, partitions: int, max_record_bytes: int = 1_048_576) -> None:
        """Make a topic."""
        self.topics[name] = [PartitionLog(name, p, max_record_bytes) for p in range(partitions)]

    def log(self, place: Place) -> PartitionLog:
        """A partition's log."""
        return self.topics[place[0]][place[1]]

    def hop_seconds(self) -> float:
        """Draw how long one message is on its way."""
        return self.pace.hop * (0.5 + 1.5 * self.rng.random())

    # --- being down

    def go_down(self) -> None:
        """Answer nobody."""
        self.up = False

    def come_up(self, loading_seconds: float) -> None:
        """Answer again; the coordinators load for a while first."""
        self.up = True
        self.groups.refresh()
        self.load(loading_seconds)
        held, self._held = self._held, []
        for action in held:
            self.later(self.hop_seconds(), action)

    def load(self, seconds: float) -> None:
        """Have the group coordinator load for a while."""
        self.groups.loading = True
        self.later(seconds, self._loaded)

    def _loaded(self) -> None:
        self.groups.loading = False

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something after so long; while the cluster is down, once it is up again."""
        self.loop.world_later(seconds, self._if_up, action)

    def _if_up(self, action: Callable[[], None]) -> None:
        if self.up:
            action()
        else:
            self._held.append(action)

    # --- requests

    async def call(
        self, name: str, serve: Callable[[], Any], *, until: float | None = None, delay_seconds: float = 0.0
    ) -> Any:
        """Have the broker do something, and wait for its answer.

        What was sent arrives whether or not the sender still waits, or lives, unless the cluster was down.
        `until` is how long the sender waits, by the loop's time; `delay_seconds` is how much longer than
        usual the request is on its way.

        Raises:
            BrokerError: the broker's answer, other than to ask again.
            TimeoutError: no answer came in time.
        """
        loop, sender = self.loop, current_process()
        while True:
            packet = _Packet(name, serve, loop.create_future(), sender)
            self.passed(sender, f"{name} sent")
            loop.world_later(delay_seconds + self.hop_seconds(), self._arrive, packet)
            timer = None if until is None else loop.call_at(until, _give_up, packet.answer)
            try:
                return await packet.answer
            except BusyError:
                seconds = LOADING_SECONDS if self.groups.loading else max(BUSY_SECONDS, self.pace.marker / 4)
                await asyncio.sleep(seconds * self.rng.uniform(0.5, 1.5))
                if until is not None and loop.now >= until:
                    raise TimeoutError from None
            finally:
                if timer is not None:
                    timer.cancel()

    def _arrive(self, packet: _Packet) -> None:
        if not self.up:
            self._held.append(lambda: self._arrive_late(packet))
            return
        if packet.outcome is None:
            try:
                packet.outcome = (packet.serve(), None)
            except BrokerError as error:
                packet.outcome = (None, error)
            if not isinstance(packet.outcome[1], BusyError):
                self.passed(packet.sender, f"{packet.name} served")
        value = packet.outcome[0]
        if isinstance(value, asyncio.Future):
            value.add_done_callback(lambda done: self._answered(packet, done))
        else:
            self.loop.world_later(self.hop_seconds(), self._deliver, packet)

    def _arrive_late(self, packet: _Packet) -> None:
        """Sent again by a client that could not connect, if it is still there."""
        dead = packet.sender is not None and not packet.sender.alive
        if not dead and not packet.answer.done():
            self._arrive(packet)

    def _answered(self, packet: _Packet, done: "asyncio.Future[Any]") -> None:
        error = done.exception()
        assert error is None or isinstance(error, BrokerError)
        packet.outcome = (None, error) if error else (done.result(), None)
        self.loop.world_later(self.hop_seconds(), self._deliver, packet)

    def _deliver(self, packet: _Packet) -> None:
        if packet.answer.done():
            return
        if not self.up:
            self._held.append(lambda: self._arrive_late(packet))
            return
        assert packet.outcome is not None
        value, error = packet.outcome
        if error is not None:
            packet.answer.set_exception(error)
            packet.answer.exception()
        else:
            packet.answer.set_result(value)


def _give_up(answer: "asyncio.Future[Any]") -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())
