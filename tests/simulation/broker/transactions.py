"""The transaction coordinator: epochs, fencing, timeouts, and markers that are written after the answer."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from daemon.model import Append, OffsetCommit
from tests.simulation.broker.errors import BusyError, FailedError, FencedError, TooLargeError
from tests.simulation.broker.groups import Groups
from tests.simulation.broker.log import PartitionLog

Place = tuple[str, int]


class Later(Protocol):
    """Runs something after so many seconds; while the broker is down, once it is up again."""

    def __call__(self, seconds: float, action: Callable[[], None]) -> None:
        """Run `action` after `seconds`."""


@dataclass(slots=True)
class _Producer:
    """A transactional id and what its present owner is doing.

    `begun` counts transactions, so that a timeout set for one does not end the next. `lost` are offsets whose
    marker was lost; `sealing` where a transaction ends those, too.
    """

    name: str
    epoch: int = -1
    state: Literal["empty", "ongoing", "ending"] = "empty"
    committing: bool = False
    begun: int = 0
    partitions: set[Place] = field(default_factory=set)
    offsets: list[OffsetCommit] = field(default_factory=list)
    lost: list[OffsetCommit] = field(default_factory=list)
    sealing: bool = False
    left: int = 0


class Transactions:
    """Coordinates the transactions of one cluster.

    Args:
        log: finds a partition's log.
        groups: keep the committed offsets.
        later: the cluster's timers.
        marker_seconds: how long each marker takes to be written after the decision.
        now_ms: the broker's clock.
        timeout_seconds: how long a transaction may be open.
    """

    def __init__(
        self,
        log: Callable[[Place], PartitionLog],
        groups: Callable[[], Groups],
        later: Later,
        marker_seconds: Callable[[], float],
        now_ms: Callable[[], int],
        timeout_seconds: float,
    ) -> None:
        self._log = log
        self._groups = groups
        self._later = later
        self._marker_seconds = marker_seconds
        self._now_ms = now_ms
        self._timeout_seconds = timeout_seconds
        self._producers: dict[str, _Producer] = {}
        # How many transactions were open for too long.
        self.expired = 0

    @property
    def open_ids(self) -> list[str]:
        """Transactional ids with a transaction that has not ended."""
        return [producer.name for producer in self._producers.values() if producer.state != "empty"]

    def init(self, name: str) -> int:
        """Start a producer: fence its predecessors; returns the new epoch.

        Raises:
            BusyError: a predecessor's transaction is being ended.
        """
        producer = self._producers.setdefault(name, _Producer(name))
        if producer.state == "ongoing":
            producer.epoch += 1
            self._end(producer, committing=False)
        if producer.state == "ending":
            raise BusyError
        producer.epoch += 1
        return producer.epoch

    def produce(self, name: str, epoch: int, batches: Mapping[Place, Sequence[Append]]) -> None:
        """Write records in the producer's transaction, which begins with the first.

        Raises:
            BusyError, FencedError, TooLargeError
        """
        producer = self._begun(name, epoch)
        for place, appends in batches.items():
            log = self._log(place)
            if any(_size(append) > log.max_record_bytes for append in appends):
                raise TooLargeError(f"a record for {place[0]}-{place[1]} is too large")
        for place, appends in batches.items():
            producer.partitions.add(place)
            for append in appends:
                self._log(place).append(append, self._now_ms(), name)

    def add_offset(self, name: str, epoch: int, offset: OffsetCommit) -> None:
        """Have an offset committed with the transaction.

        Raises:
            BusyError, FencedError
        """
        self._begun(name, epoch).offsets.append(offset)
        self._groups().unsettle(offset)

    def seal(self, name: str, epoch: int, places: Collection[Place], group: str | None) -> None:
        """Have these partitions, and the group's offsets, learn of this transaction's end.

        Raises:
            BusyError, FencedError
        """
        producer = self._begun(name, epoch)
        producer.partitions.update(places)
        producer.sealing = group is not None

    def end(self, name: str, epoch: int, *, torn: bool = False, lost: bool = False) -> None:
        """Commit; answered when it is decided, which is before the markers are written.

        `torn` loses the offsets that should have been committed with it; `lost` loses the marker that says
        that they are: they stay undecided until the producer ends another transaction (as with 4.3.1).

        Raises:
            BusyError, FencedError
            FailedError: there is nothing to commit.
        """
        producer = self._known(name, epoch)
        if producer.state == "ongoing":
            self._end(producer, committing=True, torn=torn, lost=lost)
        elif not producer.committing:
            raise FailedError("INVALID_TXN_STATE")

    def _known(self, name: str, epoch: int) -> _Producer:
        producer = self._producers[name]
        if producer.epoch != epoch:
            raise FencedError(f"{name}: epoch {epoch}, now {producer.epoch}")
        return producer

    def _begun(self, name: str, epoch: int) -> _Producer:
        producer = self._known(name, epoch)
        if producer.state == "ending":
            raise BusyError
        if producer.state == "empty":
            producer.state, producer.committing = "ongoing", False
            producer.begun += 1
            number = producer.begun
            self._later(self._timeout_seconds, lambda: self._expire(producer, number))
        return producer

    def _expire(self, producer: _Producer, number: int) -> None:
        if producer.state == "ongoing" and producer.begun == number:
            self.expired += 1
            producer.epoch += 1
            self._end(producer, committing=False)

    def _end(self, producer: _Producer, *, committing: bool, torn: bool = False, lost: bool = False) -> None:
        """Decide; each partition learns of it in its own time."""
        producer.state, producer.committing = "ending", committing
        places, offsets = sorted(producer.partitions), producer.offsets
        if offsets or producer.sealing:
            offsets, producer.lost = [*producer.lost, *offsets], []
        producer.partitions, producer.offsets, producer.sealing = set(), [], False
        if lost:
            producer.lost, offsets = offsets, []
        actions: list[Callable[[], None]] = [
            lambda place=place: self._log(place).mark(producer.name, committed=committing)  # type: ignore[misc] # a default binds the loop's value
            for place in places
        ]
        if offsets:
            # One marker for all of a group's: they follow one another as they were added.
            actions.append(lambda: self._end_offsets(offsets, committed=committing and not torn))
        producer.left = len(actions)
        if not actions:
            producer.state = "empty"
        for action in actions:
            self._later(self._marker_seconds(), lambda action=action: self._carry_out(producer, action))  # type: ignore[misc] # as above

    def _end_offsets(self, offsets: Sequence[OffsetCommit], *, committed: bool) -> None:
        for offset in offsets:
            self._groups().end(offset, committed=committed)

    def _carry_out(self, producer: _Producer, action: Callable[[], None]) -> None:
        action()
        producer.left -= 1
        if producer.left == 0:
            producer.state = "empty"


def _size(append: Append) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in append.headers)
    return len(append.key or b"") + len(append.value or b"") + headers
