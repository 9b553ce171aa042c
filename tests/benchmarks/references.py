"""What one would write instead, promising nothing: `python -m tests.benchmarks.references NAME`.

`floor` reads and posts the same bytes and commits now and then; `hand` is the loop that everybody writes
first: decode, send, commit; `poll` its way back: ask, decode, send. Settings come from the environment, as
`tests.benchmarks.stage.plain_settings` has them.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Sequence

import httpx
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

IN_FLIGHT = 4

Records = Sequence[ConsumerRecord[bytes, bytes]]
Post = Callable[[bytes], Awaitable[None]]


async def floor(consumer: AIOKafkaConsumer, post: Post, count: int) -> None:
    """The bytes as they are, several requests in flight, offsets whenever the client commits them."""
    running: set[asyncio.Task[None]] = set()
    while True:
        for records in (await consumer.getmany(timeout_ms=200, max_records=count)).values():
            body = b'{"items":[' + b",".join([record.value or b"" for record in records]) + b"]}"
            running.add(asyncio.ensure_future(_sent(post, body)))
            if len(running) >= IN_FLIGHT:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()


async def _sent(post: Post, body: bytes) -> None:
    await post(body)


async def hand(consumer: AIOKafkaConsumer, post: Post, count: int) -> None:
    """Decode, encode, send, commit; one after the other."""
    while True:
        found: Sequence[Records] = list((await consumer.getmany(timeout_ms=200, max_records=count)).values())
        items = [json.loads(record.value or b"null") for records in found for record in records]
        if items:
            await post(json.dumps({"items": items}).encode())
            await consumer.commit()


async def poll(http: httpx.AsyncClient) -> None:
    """Page after page of what has finished, each item a record; nothing is remembered."""
    place = os.environ
    async with AIOKafkaProducer(bootstrap_servers=place["BROKER"], linger_ms=5) as producer:
        query = {"sort": "finished,id", "limit": place["COUNT"]}
        while True:
            page = (await http.get(place["URL"], params=query)).raise_for_status().json()
            for item in page["content"]:
                await producer.send(place["OUTPUT"], json.dumps({"item": item}).encode())
                query["after_id"] = item["id"]
            await producer.flush()
            if not page["has_more"]:
                await asyncio.sleep(1)


async def main(name: str) -> None:
    """Run one of them until the process is ended."""
    place = os.environ
    if name == "poll":
        async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
            await poll(http)
    consumer = AIOKafkaConsumer(
        place["TOPIC"],
        bootstrap_servers=place["BROKER"],
        group_id=place["GROUP"],
        auto_offset_reset="earliest",
        enable_auto_commit=name == "floor",
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:

        async def post(body: bytes) -> None:
            (await http.post(place["URL"] + "/bulk", content=body)).raise_for_status().json()

        await consumer.start()
        try:
            await {"floor": floor, "hand": hand}[name](consumer, post, int(place["COUNT"]))
        finally:
            await consumer.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
