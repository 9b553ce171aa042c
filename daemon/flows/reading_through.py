"""Reading partitions to ends that were looked up before."""

from collections.abc import AsyncIterator, Mapping, Sequence

from daemon.model import Record
from daemon.ports import Reader

READ_RECORDS = 1000
READ_SECONDS = 1.0


async def until_ends(reader: Reader, ends: Mapping[int, int]) -> AsyncIterator[Sequence[Record]]:
    """What a reader gives until it stands at these ends; open transactions below them are waited for.

    Raises:
        Held, Transient: see `daemon.ports.Reader.read`.
    """
    while any(reader.position(p) < end for p, end in ends.items()):
        yield await reader.read(READ_RECORDS, READ_SECONDS)
