"""Topics full of items, some of which are wanting, and items that come one after the other."""

import asyncio
import random
import time
from collections.abc import Iterator

from tests.kafka.clients import started_producer

ITEM_BYTES = 300
SEED = 20260504
TICK_SECONDS = 0.05


def values(count: int, kind: str = "plain") -> Iterator[bytes]:
    """So many items of about 300 bytes; `bare` ones have no id, and 5 % of `flawed` ones no text."""
    dice = random.Random(SEED)
    words = ["".join(dice.choices("abcdefghijklmnopqrstuvwxyz", k=dice.randint(2, 10))) for _ in range(3000)]
    for number in range(count):
        text = ""
        while len(text) < ITEM_BYTES - 40:
            text += dice.choice(words) + " "
        field = "comment" if kind == "flawed" and number % 20 == 0 else "text"
        identity = "" if kind == "bare" else f'"id":"{number:09d}-{dice.getrandbits(48):012x}",'
        yield f'{{{identity}"{field}":"{text}"}}'.encode()


async def feed(broker: str, topic: str, count: int, kind: str, partitions: int) -> None:
    """Write the items, spread evenly over the topic's partitions."""
    async with started_producer(broker, compression_type="lz4") as producer:
        batch, partition = producer.create_batch(), 0
        for value in values(count, kind):
            full = batch.append(key=None, value=value, timestamp=None) is None
            if full or batch.record_count() >= 1000:
                await producer.send_batch(batch, topic, partition=partition % partitions)
                batch, partition = producer.create_batch(), partition + 1
            if full:
                batch.append(key=None, value=value, timestamp=None)
        await producer.send_batch(batch, topic, partition=partition % partitions)
        await producer.flush()


async def trickle(broker: str, topic: str, per_second: float, partitions: int) -> None:
    """Write items at this rate until cancelled; each says in its text when it was written."""
    padding = "x" * (ITEM_BYTES - 80)
    async with started_producer(broker, linger_ms=0) as producer:
        began, number = time.monotonic(), 0
        while True:
            while number < (time.monotonic() - began) * per_second:
                now = time.time()
                value = f'{{"id":"{number:09d}","text":"{now:.6f} {padding}"}}'.encode()
                await producer.send(topic, value, partition=number % partitions, timestamp_ms=int(now * 1000))
                number += 1
            await asyncio.sleep(TICK_SECONDS)
