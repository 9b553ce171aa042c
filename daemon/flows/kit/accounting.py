"""Pure: is every input record below the committed offset accounted for, exactly once?

The topics are read one after the other while a daemon may go on working. No false alarm comes of it where
each is read to an end that is looked up only once the one before has been read: committed offsets, ledger,
results and dead letters, and the input last.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import xxhash

from daemon.flows.kit.offsets import Offsets
from daemon.flows.kit.outcomes import Coordinates, dead_letter_origin, place_of, result_origin
from daemon.flows.records import codec, ledger_records
from daemon.flows.records.outputs import ITEM_ID_HEADER
from daemon.model import Record

RESULT, DEAD_LETTER = "results", "dead_letters"


@dataclass(slots=True)
class Account:
    """What was found; the lists name input records, or a record itself where it names none."""

    inputs: int = 0
    skipped: int = 0
    results: int = 0
    dead_letters: int = 0
    open: int = 0
    missing: list[Coordinates] = field(default_factory=list)
    twice: list[Coordinates] = field(default_factory=list)
    unknown: list[Coordinates] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Every record is accounted for, once."""
        return not (self.missing or self.twice or self.unknown)

    def as_json(self) -> dict[str, object]:
        """As `audit --json` prints it."""
        counts = {name: getattr(self, name) for name in ("inputs", "skipped", RESULT, DEAD_LETTER, "open")}
        lists = {name: [p.as_json() for p in getattr(self, name)] for name in ("missing", "twice", "unknown")}
        return {"ok": self.ok, **counts, **lists}


class Audit:
    """Takes in every record once: ledger first, then results and dead letters, then the input.

    Args:
        topic: the input topic; its partitions begin at `starts`, and are settled up to what is `committed`.
        from_first: what lies before the first record that anything is known of was left out on purpose.
        with_ids: remember which of Toloka's items are accounted for, too.
    """

    def __init__(
        self,
        topic: str,
        starts: Mapping[int, int],
        committed: Mapping[int, int],
        *,
        from_first: bool = False,
        with_ids: bool = False,
    ) -> None:
        self._topic = topic
        self._starts = starts
        self._committed = committed
        self._from_first = from_first
        self._first = dict(committed)
        self._items: dict[int, tuple[int, int]] = {}
        self._settled = {kind: _bits(starts, committed) for kind in (RESULT, DEAD_LETTER)}
        self._shares: set[int] = set()
        self._open: Mapping[int, Offsets] = {}
        self._beyond: dict[int, set[int]] = defaultdict(set)
        self._elsewhere: dict[str, list[Coordinates]] = defaultdict(list)
        self._ids: set[int] | None = set() if with_ids else None
        self._account = Account()

    # --- ledger

    def note_ledger(self, record: Record) -> None:
        """A record of the ledger.

        Raises:
            UnreadableError: it is damaged, or of a newer release.
        """
        key = record.key or b""
        if codec.is_about_ledger(key):
            return
        name = xxhash.xxh3_64_intdigest(key)
        self._know(name)
        if record.value is None:
            self._items.pop(name, None)
            return
        ledger_records.check(record.value)
        topic, partition, offset = ledger_records.peek_origin(record.value)
        if topic == self._topic:
            self._items[name] = (partition, offset)

    def ledger_ends(self) -> None:
        """What is open now is known."""
        opened = _bits(self._starts, self._committed)
        for partition, offset in self._items.values():
            if self._in_range(partition, offset):
                opened[partition].add(offset)
                self._first[partition] = min(self._first[partition], offset)
        self._items.clear()
        self._open = opened

    # --- results and dead letters

    def note_result(self, record: Record) -> None:
        """A record of the output topic."""
        self._know_items_of(record)
        try:
            origin, share = result_origin(record.value)
        except ValueError:
            self._account.unknown.append(place_of(record))
            return
        if origin is not None:
            self._note_outcome(RESULT, origin, share)

    def note_dead_letter(self, record: Record) -> None:
        """A record of the dead letter topic."""
        self._know_items_of(record)
        try:
            origin = dead_letter_origin(record.headers)
        except ValueError:
            self._account.unknown.append(place_of(record))
            return
        self._note_outcome(DEAD_LETTER, origin, "")

    def _note_outcome(self, kind: str, origin: Coordinates, share: str) -> None:
        topic, partition, offset = origin
        if topic != self._topic:
            self._elsewhere[topic].append(origin)
        elif partition not in self._committed or offset < 0:
            self._account.unknown.append(origin)
        elif offset >= self._committed[partition]:
            self._beyond[partition].add(offset)
        elif offset >= self._starts[partition]:
            # What lies before was deleted with time: nothing can be said against its outcomes.
            self._count(kind, origin, share)

    def _count(self, kind: str, origin: Coordinates, share: str) -> None:
        _, partition, offset = origin
        account = self._account
        setattr(account, kind, getattr(account, kind) + 1)
        self._first[partition] = min(self._first[partition], offset)
        fresh = self._settled[kind][partition].add(offset)
        if share:
            # A task has as many results as it has assignments: each of these once.
            name = xxhash.xxh3_64_intdigest(f"{partition}/{offset}/{share}".encode())
            fresh = name not in self._shares
            self._shares.add(name)
        other = DEAD_LETTER if kind == RESULT else RESULT
        if not fresh or offset in self._settled[other][partition]:
            account.twice.append(origin)

    # --- input

    def other_topics(self) -> Collection[str]:
        """Topics that outcomes name and that are not the input topic."""
        return tuple(self._elsewhere)

    def until(self, ends: Mapping[int, int]) -> Mapping[int, int]:
        """Up to where each partition of the input must be read, given where they end."""
        far = {p: max(found) + 1 for p, found in self._beyond.items()}
        return {p: min(max(at, far.get(p, 0)), ends.get(p, 0)) for p, at in self._committed.items()}

    def note_input(self, record: Record) -> None:
        """A record of the input topic."""
        partition, offset = record.partition, record.offset
        if not self._in_range(partition, offset):
            self._beyond[partition].discard(offset)
            return
        if self._from_first and offset < self._first[partition]:
            return
        account = self._account
        account.inputs += 1
        outcomes = [self._settled[kind][partition].discard(offset) for kind in (RESULT, DEAD_LETTER)]
        if record.value is None:
            account.skipped += 1
        elif not any(outcomes):
            if offset in self._open[partition]:
                account.open += 1
            else:
                account.missing.append(Coordinates(self._topic, partition, offset))

    def conclude(self, existing: Iterable[str], starts: Mapping[int, int]) -> Account:
        """The account; of `other_topics` those that are there are `existing`.

        What lies before `starts`, where the input's partitions begin now, may have been deleted meanwhile.
        """
        account = self._account
        for kind, parts in self._settled.items():
            left = [
                Coordinates(self._topic, p, offset)
                for p, found in parts.items()
                for offset in found
                if offset >= starts.get(p, 0)
            ]
            setattr(account, kind, getattr(account, kind) - len(left))
            account.unknown.extend(left)
        account.unknown.extend(
            Coordinates(self._topic, p, o) for p, found in self._beyond.items() for o in found
        )
        known = set(existing)
        for topic, places in self._elsewhere.items():
            if topic not in known:
                account.unknown.extend(places)
        account.unknown = sorted(set(account.unknown))
        return account

    def accounts_for(self, item_id: str) -> bool:
        """Ledger, results or dead letters know this item of Toloka's."""
        return self._ids is not None and xxhash.xxh3_64_intdigest(item_id.encode()) in self._ids

    def _know(self, name: int) -> None:
        if self._ids is not None:
            self._ids.add(name)

    def _know_items_of(self, record: Record) -> None:
        for name, value in record.headers:
            if name == ITEM_ID_HEADER:
                self._know(xxhash.xxh3_64_intdigest(value or b""))

    def _in_range(self, partition: int, offset: int) -> bool:
        return self._starts.get(partition, 0) <= offset < self._committed.get(partition, 0)


def _bits(starts: Mapping[int, int], committed: Mapping[int, int]) -> dict[int, Offsets]:
    return {p: Offsets(starts.get(p, 0)) for p in committed}
