"""Where logs begin and end, as the brokers say that we are told to ask.

The client's own question goes to the broker that it takes for the leader, by what any one broker has told it
last: even by what one says that was frozen, or is cut off, and still takes itself for the leader.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from aiokafka import errors as kafka_errors
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.offset import OffsetRequest

# In place of a time, in milliseconds.
END: Final = -1
BEGINNING: Final = -2
_NO_REPLICA: Final = -1
_NONE: Final = -1


async def offsets(
    admin: AIOKafkaAdminClient, topic: str, leaders: Mapping[int, int], at: int, *, stable: bool
) -> Mapping[int, int]:
    """The offset of each of these partitions, less those that have none.

    Args:
        admin: knows the brokers.
        topic: whose partitions they are.
        leaders: whom to ask for each partition, -1 where there is nobody.
        at: `BEGINNING`, `END`, or a time in milliseconds: the first record that is not older.
        stable: the end is where an open transaction begins; else behind it.

    Raises:
        KafkaError: as the leaders say; a retriable one where there is none, or it is another by now.
    """
    shares: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for partition, leader in sorted(leaders.items()):
        if leader < 0:
            raise kafka_errors.LeaderNotAvailableError(f"{topic} {partition}")
        shares[leader].append((partition, at))
    answers = await asyncio.gather(
        *(_ask(admin, leader, topic, share, stable=stable) for leader, share in shares.items())
    )
    return {partition: offset for answer in answers for partition, offset in answer.items()}


async def _ask(
    admin: AIOKafkaAdminClient, leader: int, topic: str, share: Sequence[tuple[int, int]], *, stable: bool
) -> Mapping[int, int]:
    question = OffsetRequest(_NO_REPLICA, int(stable), [(topic, list(share))])
    answer = await admin._client.send(leader, question)  # noqa: SLF001 - it has no method that asks a certain one
    found = {}
    for _topic, parts in answer.topics:
        for partition, error_code, _time, offset, *_epoch in parts:
            if error_code:
                raise kafka_errors.for_code(error_code)(f"{topic} {partition}")
            if offset != _NONE:
                found[partition] = offset
    return found
