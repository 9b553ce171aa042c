"""Records that no client would write: appended to a topic as bytes."""

import struct
from collections.abc import Sequence
from typing import Final

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from tests.kafka import wire

PRODUCE: Final = 0
TIMEOUT_MS: Final = 10_000
ALL_REPLICAS: Final = -1
# In a batch of the second format: the checksum, and what it is of.
CHECKSUM: Final = slice(17, 21)
CHECKED_FROM: Final = 21

Header = tuple[bytes, bytes]


def batch(value: bytes, headers: Sequence[Header] = (), timestamp_ms: int = 0) -> bytes:
    """A batch of one record; its headers may have any names of the same length each."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 20,
    )
    # The client's builder takes text only: stand-ins are put in, and replaced.
    stand_ins = [(f"{number:x}".zfill(len(name)), content) for number, (name, content) in enumerate(headers)]
    builder.append(0, timestamp=timestamp_ms, key=None, value=value, headers=stand_ins)
    built = bytes(builder.build())
    for (stand_in, content), (name, _) in zip(stand_ins, headers, strict=True):
        size = bytes([2 * len(content)])
        built = built.replace(stand_in.encode() + size + content, name + size + content)
    whole = bytearray(built)
    whole[CHECKSUM] = struct.pack(">I", calc_crc32c(memoryview(whole)[CHECKED_FROM:]))
    return bytes(whole)


def produce(port: int, topic: str, partition: int, data: bytes) -> None:
    """Append a batch through a plaintext listener.

    Raises:
        AssertionError: the broker refused it.
    """
    body = (
        wire.string(None)
        + struct.pack(">hii", ALL_REPLICAS, TIMEOUT_MS, 1)
        + wire.string(topic)
        + struct.pack(">iii", 1, partition, len(data))
        + data
    )
    answer = wire.call(port, PRODUCE, 3, body, timeout_seconds=10.0)
    (error_code,) = struct.unpack_from(">h", answer, 4 + len(wire.string(topic)) + 8)
    assert error_code == 0, f"Kafka error {error_code}"
