"""The moments that times are counted from."""

from datetime import UTC, datetime
from typing import Final

# Nothing of ours is older, and what counts in microseconds or seconds begins here.
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
