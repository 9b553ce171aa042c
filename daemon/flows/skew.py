"""How far apart the times can be that Toloka tells: they come from different machines."""

from datetime import timedelta

# Of its `Date` header and a `created_at`, say.
SKEW = timedelta(seconds=60)
# None of them is as far ahead of another.
FUTURE = timedelta(minutes=5)
# No clock is set further: at the worst one time zone is taken for another.
FARTHEST = timedelta(days=1)
