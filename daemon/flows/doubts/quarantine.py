"""When to look next for what is in doubt, and from when on its absence is believed.

That is only after the quarantine, when a late request has landed or died.
"""

from dataclasses import dataclass
from datetime import timedelta

from daemon.flows.doubts.claiming import SETTLING
from daemon.flows.doubts.terms import Term
from daemon.model import Intent
from daemon.ports import TolokaClock

# Toloka may show times in whole seconds; its `Date` header does.
COARSE = timedelta(seconds=1)
# A look at the end of a quarantine comes this long after it, so that clocks agree that it has ended.
PROMPTLY_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a request may take, and how long after it began its absence is believed.

    `settling` is how long after its end what it came to may still be committed by whoever sent it.
    """

    request: timedelta
    quarantine: timedelta
    settling: timedelta = SETTLING

    @property
    def lasts(self) -> timedelta:
        """How long after it was announced an attempt may still do something.

        Whoever wrote the intent may have had a clock behind ours by what its `Date` headers left out.
        """
        return self.quarantine + COARSE


class Quarantine(Term):
    """The time in which what an intent announced may still land; then its absence can be believed."""

    def __init__(self, intent: Intent, patience: Patience, clock: TolokaClock) -> None:
        super().__init__(intent.at, patience.lasts, clock)
        self.intent = intent

    def look_seconds(self, at_most: float) -> float:
        """How long until the next look; there is one just when absence can be believed."""
        left = (self.ends_at - self._clock.now()).total_seconds()
        return min(at_most, left + PROMPTLY_SECONDS) if left > 0 else at_most
