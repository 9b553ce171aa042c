"""Pure: what is left of a batch, and how a refusal that names nobody is narrowed down.

Toloka's bulk request is atomic: one bad item refuses all. Where the refusal does not name it, halves are
sent, the first one first, so that every request is one contiguous range and ranges settle in order. A bad
item costs at most 2·log2(n) + 1 requests.
"""

from daemon.model import Batch, Flaw


class Pieces:
    """A batch on its way, cut into contiguous pieces where it must be; the earliest is next.

    `end` is the whole batch's.
    """

    def __init__(self, batch: Batch) -> None:
        self._left = [batch]
        self.end = batch.end
        # That of the last piece whose bad item nobody named; once it is settled, every other ends later.
        self._bad_end: int | None = None

    def next(self) -> Batch | None:
        """The piece to be sent now; None when all are settled. What is known to be bad is halved unsent."""
        if not self._left:
            return None
        batch = self._left.pop()
        if batch.end == self._bad_end and len(batch.items) > 1:
            self._halve(batch)
            batch = self._left.pop()
        return batch

    def again(self, batch: Batch) -> None:
        """The same range once more, with less to be sent or later."""
        self._left.append(batch)

    def refused(self, batch: Batch, flaw: Flaw) -> None:
        """Something in this piece is bad, and nobody says what; where it is one item, that is the one."""
        if len(batch.items) == 1:
            self._left.append(dead(batch, flaw))
            return
        self._bad_end = batch.end
        self._left.append(batch)

    def too_large(self, batch: Batch, flaw: Flaw) -> None:
        """This piece is too large for one request; where it is one item, it can be sent in none."""
        if len(batch.items) == 1:
            self._left.append(dead(batch, flaw))
        else:
            self._halve(batch)

    def unanswered(self, batch: Batch, *, repeatedly: bool) -> None:
        """This got no clear answer, and is absent; repeatedly: one item may be why, and the rest gets on."""
        if repeatedly and len(batch.items) > 1:
            self._halve(batch)
        else:
            self._left.append(batch)

    def _halve(self, batch: Batch) -> None:
        first, second = batch.split(len(batch.items) // 2)
        self._left += (second, first)


def dead(batch: Batch, flaw: Flaw) -> Batch:
    """The batch with all that was still to be sent as dead letters."""
    return batch.without(dict.fromkeys(range(len(batch.items)), flaw))
