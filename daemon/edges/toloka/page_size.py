"""How many rows of a listing are asked for at a time: fewer for a while, once that was too many."""

from daemon.edges.toloka.sending import LineError

# After this many pages, as many rows as once were too many are tried again.
PAGES_UNTIL_MORE = 100
# An answer that does not come in time may be too large for the network; with so few rows it is rather Toloka
# that is slow.
FEWEST_IN_TIME = 100


class PageSize:
    """Learns from what becomes of pages how many rows an answer may have."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.rows = most
        self._too_many = most + 1
        self._pages = 0

    def failed(self, rows: int, error: LineError) -> bool:
        """A page of so many rows did not come; whether fewer are to be asked for from now on."""
        fewest = 1 if error.is_too_large else FEWEST_IN_TIME
        if rows <= fewest or not (error.is_too_large or error.outcome == "timeout"):
            return False
        self._too_many, self.rows, self._pages = rows, max(rows // 2, fewest), 0
        return True

    def succeeded(self) -> None:
        """A page came: the next may have more rows, below what was too many."""
        self._pages += 1
        if self._pages % PAGES_UNTIL_MORE == 0:
            self._too_many = self._most + 1
        if (more := min(2 * self.rows, self._most)) < self._too_many:
            self.rows = more
