"""Records on their way into the client's batches, by the thousand."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from daemon.model import Append

_place: Callable[[Append], tuple[str, int]] = itemgetter(0, 1)
# The client wants a list, and only reads it.
_NO_HEADERS: list[tuple[str, bytes]] = []


def by_place(appends: Iterable[Append]) -> Mapping[tuple[str, int], Sequence[Append]]:
    """The records for each partition, in their order."""
    groups: dict[tuple[str, int], list[Append]] = defaultdict(list)
    for place, run in groupby(appends, _place):
        groups[place].extend(run)
    return groups


def packed(create_batch: Callable[[], Any], appends: Iterable[Append]) -> Iterable[Any]:
    """The client's batches, each below the broker's limit; a record above it goes alone and is refused."""
    now_ms = time.time_ns() // 1_000_000
    batch, count = create_batch(), 0
    # Its own `append` takes twice the time, for serializers that we do not have.
    add = batch._builder.append  # noqa: SLF001 - see above
    for _, _, key, value, headers, timestamp_ms in appends:
        at = now_ms if timestamp_ms is None else timestamp_ms
        if add(count, at, key, value, [*headers] if headers else _NO_HEADERS) is None:
            yield _closed(batch, count)
            batch, count = create_batch(), 0
            add = batch._builder.append  # noqa: SLF001 - see above
            add(count, at, key, value, [*headers])
        count += 1
    if count:
        yield _closed(batch, count)


def _closed(batch: Any, count: int) -> Any:
    batch._relative_offset = count  # noqa: SLF001 - what `append` would have counted
    batch.close()
    return batch
