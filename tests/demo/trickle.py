"""A steady trickle of real text into an input topic: `python -m tests.demo.trickle`, in docker-compose.yml.

It reads from the environment:

KAFKA=host:port           the cluster, plaintext
TOPIC=moderation.items    the topic
ITEMS_PER_SECOND=20       how many
TOLOKA_URL=…              refused unless it is the simulator's: every item costs money at a real Toloka
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from itertools import cycle
from typing import Final
from urllib.parse import urlsplit

from aiokafka import AIOKafkaProducer

from tests.demo.texts import library_items

USAGE: Final = 64
SIMULATORS: Final = frozenset({"simulator", "127.0.0.1", "localhost"})


async def trickle(servers: str, topic: str, items_per_second: float, stopping: asyncio.Event) -> int:
    """Send item after item until the event is set; returns how many."""
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    sent = 0
    try:
        for source in cycle(library_items()):
            headers = list(source.headers)
            await producer.send_and_wait(topic, key=source.key, value=source.value, headers=headers)
            sent += 1
            try:
                async with asyncio.timeout(1 / items_per_second):
                    await stopping.wait()
                break
            except TimeoutError:
                continue
    finally:
        await producer.stop()
    return sent


async def run(environ: Mapping[str, str]) -> int:
    """Send until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    topic, speed = environ.get("TOPIC", "moderation.items"), float(environ.get("ITEMS_PER_SECOND", "20"))
    sent = await trickle(environ["KAFKA"], topic, speed, stopping)
    print(f"{sent:,} items sent to {topic}", flush=True)
    return 0


def main(environ: Mapping[str, str]) -> int:
    """Run; 64 where the items would go to anything but a simulator."""
    if urlsplit(environ.get("TOLOKA_URL", "")).hostname not in SIMULATORS:
        print("TOLOKA_URL is no simulator: made-up items are not sent to a Toloka that is paid", flush=True)
        return USAGE
    return asyncio.run(run(environ))


if __name__ == "__main__":
    sys.exit(main(os.environ))
