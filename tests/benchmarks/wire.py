"""On the wire: requests, transactions and bytes for a million items that go in and come out again."""

from collections.abc import AsyncIterator

from tests.benchmarks.running import SELDOM_SECONDS, replica, sink, until
from tests.benchmarks.stage import Row, Stage, settings
from tests.kafka.proxy import proxied_kafka
from tests.proxy import Proxy

ITEMS = 200_000
COUNTS = (1000, 5000)
KINDS = ("intent", "settle", "results")
OPERATIONS = ("bulk", "list")


async def measure(stage: Stage) -> AsyncIterator[Row]:
    """Through two proxies that count; they cost time, which is not measured here."""
    items = stage.count(ITEMS)
    async with proxied_kafka() as (kafka, to_kafka):
        inside, outside = (
            Stage(servers, stage.folder) for servers in (kafka.internal_servers, kafka.bootstrap_servers)
        )
        topic = await inside.topic("plain", items)
        for count in COUNTS:
            group = await inside.new_group()
            async with (
                sink(stage.folder) as toloka,
                Proxy("127.0.0.1", int(toloka.url.rsplit(":", 1)[1])) as to_toloka,
            ):
                told = {"SUBMIT__MAX_ITEMS": str(count), "COLLECT__START_AT": "earliest"}
                url, before = f"http://{to_toloka.address}", to_kafka.bytes_passed
                async with replica(stage.folder, settings(outside, topic, url, group, **told)) as program:
                    await until(program.published, lambda published: published >= items, SELDOM_SECONDS)
                    million = 1_000_000 / items
                    figures = {
                        "kafka_mb": (to_kafka.bytes_passed - before) / 1e6 * million,
                        "toloka_mb": to_toloka.bytes_passed / 1e6 * million,
                    }
                    for kind in KINDS:
                        done = await program.metric("tolokad_transaction_seconds_count", kind=kind)
                        figures[f"{kind}_transactions"] = done * million
                    for operation in OPERATIONS:
                        done = await program.metric("tolokad_toloka_requests_total", operation=operation)
                        figures[f"{operation}_requests"] = done * million
            yield Row("per million", f"batches of {count}", "tolokad", figures)
