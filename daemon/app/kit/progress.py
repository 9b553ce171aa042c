"""How far a command has got: a line on a terminal that is written over and over, and nothing elsewhere."""

import sys
import time
from typing import Self, TextIO

WIDTH = 24
EVERY_SECONDS = 0.1


class Progress:
    """Counts towards a total, in steps that have names; shown where `out` is a terminal."""

    def __init__(self, out: TextIO = sys.stderr) -> None:
        self._out = out if out.isatty() else None
        self._name = ""
        self._done = self._total = 0
        self._shown_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._out is not None:
            self._out.write("\r\x1b[K")
            self._out.flush()

    def begin(self, name: str, total: int) -> None:
        """A step of this many things."""
        self._name, self._done, self._total = name, 0, total
        self._shown_at = 0.0
        self._show()

    def add(self, count: int) -> None:
        """This many more are done."""
        self._done += count
        self._show()

    def _show(self) -> None:
        now = time.monotonic()
        if self._out is None or now - self._shown_at < EVERY_SECONDS:
            return
        self._shown_at = now
        share = min(self._done / self._total, 1.0) if self._total else 1.0
        bar = "█" * round(share * WIDTH)
        self._out.write(f"\r\x1b[K{self._name:<14} {bar:<{WIDTH}} {share:4.0%} {self._done:,}")
        self._out.flush()
