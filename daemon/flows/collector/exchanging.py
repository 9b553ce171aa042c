"""Pure: where ids were not answered in item order, ledger records of a batch's open items change places.

An item's content tells which record is its own: the two have the same hash. Where Toloka has altered it, the
`id` in it tells, if it is one that we gave.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from daemon.flows.collector.ledger import Ledger, Mark, PackedEntry


class Swap(NamedTuple):
    """The records of two open items change places: `taken` is now that of the item that has finished.

    `left` is what it had before, and now the record of the open item `other_id`.
    """

    taken: PackedEntry
    other_id: str
    left: PackedEntry


class Exchange:
    """Finds the records of finished items whose content is not that of the record under their id.

    `changes` are the transaction's, by item id, as it grows; None closes an item. `batches` are those of the
    items; none where every item has its own record.
    """

    def __init__(
        self, ledger: Ledger, changes: Mapping[str, PackedEntry | None], batches: frozenset[tuple[int, int]]
    ) -> None:
        self._ledger = ledger
        self._changes = changes
        self._by_mark: defaultdict[tuple[tuple[int, int], Mark], list[str]] = defaultdict(list)
        # A walk through everything that is open.
        for item_id, entry in ledger.of_batches(batches) if batches else ():
            for mark in entry.marks:
                self._by_mark[entry.batch, mark].append(item_id)

    def swap(self, wanted: Mark, entry: PackedEntry) -> Swap | None:
        """The change of places that gives an item its record; None where no other of its batch has that.

        What has finished has the mark that is `wanted`; `entry` is what the ledger has under its id.
        """
        if wanted in entry.marks:
            return None
        for other_id in self._by_mark.get((entry.batch, wanted), ()):
            other = self._changes[other_id] if other_id in self._changes else self._ledger.find(other_id)
            if other is None or wanted not in other.marks:
                continue
            for mark in entry.marks:
                self._by_mark[entry.batch, mark].append(other_id)
            return Swap(
                PackedEntry(entry.ledger_partition, other.packed),
                other_id,
                PackedEntry(other.ledger_partition, entry.packed),
            )
        return None


def rearranged(
    mates: Mapping[str, PackedEntry], contents: Mapping[str, int]
) -> Iterator[tuple[str, PackedEntry]]:
    """The open items of a batch that get another record: that with their content, as far as that is known.

    What is left over belongs to those whose content nobody knows: by elimination. `mates` are all open items
    of the batch, `contents` the hashes of those of which it is known.
    """
    astray = [item_id for item_id, entry in mates.items() if entry.content_hash != contents.get(item_id)]
    records = [mates[item_id] for item_id in astray]
    for item_id in sorted(astray, key=lambda i: i not in contents):
        own, wanted = mates[item_id], contents.get(item_id)
        fitting = (entry for entry in records if wanted in {None, entry.content_hash})
        entry = next(fitting, own if own in records else records[0])
        records.remove(entry)
        if entry.packed != own.packed:
            yield item_id, PackedEntry(own.ledger_partition, entry.packed)
