"""When to look next for what is in doubt, and from when on its absence is believed.

That is only after the quarantine, when a late request has landed or died.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.flows.doubts.claiming import SETTLING
from daemon.model import Intent
from daemon.ports import TolokaClock

# Toloka may show times in whole seconds; its `Date` header does.
COARSE = timedelta(seconds=1)
# A clock may be corrected by this much; what sets it further does not make anything pass.
CORRECTED_SECONDS = 5.0
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

    def end(self, intent: Intent) -> datetime:
        """From when on what the attempt has not done it will never do.

        Whoever wrote the intent may have had a clock behind ours by what its `Date` headers left out.
        """
        return intent.at + self.quarantine + COARSE


class Quarantine:
    """The time in which what an intent announced may still land; it has begun by now, whatever clocks say.

    Toloka's clock tells when it ends, and the loop's that it does not end early.
    """

    def __init__(self, intent: Intent, patience: Patience, clock: TolokaClock) -> None:
        self.intent = intent
        self.ends_at = patience.end(intent)
        self._clock = clock
        left = min(self._left_seconds, (patience.quarantine + COARSE).total_seconds())
        self._passed_at = asyncio.get_running_loop().time() + left - CORRECTED_SECONDS

    @property
    def has_ended(self) -> bool:
        """Whether, by Toloka's clock, what the attempt has not done by now it will never do."""
        return self._clock.now() >= self.ends_at

    @property
    def is_over(self) -> bool:
        """Whether absence can be believed: a clock that was set forward since has ended no quarantine."""
        return asyncio.get_running_loop().time() >= self._passed_at and self.has_ended

    def look_seconds(self, at_most: float) -> float:
        """How long until the next look; there is one just when absence can be believed."""
        left = self._left_seconds
        return min(at_most, left + PROMPTLY_SECONDS) if left > 0 else at_most

    @property
    def _left_seconds(self) -> float:
        """How long until it ends by Toloka's clock; negative once it has."""
        return (self.ends_at - self._clock.now()).total_seconds()
