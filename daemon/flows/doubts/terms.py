"""When an attempt is over: by Toloka's clock, and by the loop's, for Toloka's may be set meanwhile."""

import asyncio
from datetime import datetime, timedelta

from daemon.ports import TolokaClock

# A clock may be corrected by this much; what sets it further does not make anything pass.
CORRECTED = timedelta(seconds=5)


class Term:
    """How long an attempt may still do something. It had begun when it was first seen, whatever clocks say.

    Attributes:
        begun: when it was announced, by Toloka's clock as it was then.
        ends_at: when it is over, by the same clock.
    """

    def __init__(self, begun: datetime, lasts: timedelta, clock: TolokaClock) -> None:
        self.begun = begun
        self.ends_at = begun + lasts
        self._lasts = lasts
        self._clock = clock
        self._seen = clock.now()
        self._seen_at = _elapsed()

    @property
    def is_over(self) -> bool:
        """Whether what the attempt has not done by now it will never do.

        A clock that was set forward since ends nothing, and one that was set back prolongs nothing.
        """
        undisturbed = self.undisturbed
        by_toloka = min(self._clock.now(), undisturbed + CORRECTED)
        return by_toloka >= self.ends_at or undisturbed >= self._seen + self._lasts

    @property
    def was_set_back(self) -> bool:
        """Whether Toloka's clock was seen to be set back since the attempt was announced."""
        return self._seen < self.begun - CORRECTED or self._clock.now() < self.undisturbed - CORRECTED

    @property
    def undisturbed(self) -> datetime:
        """What Toloka's clock would show now, had nobody set it since."""
        return self._seen + (_elapsed() - self._seen_at)


def _elapsed() -> timedelta:
    return timedelta(seconds=asyncio.get_running_loop().time())
