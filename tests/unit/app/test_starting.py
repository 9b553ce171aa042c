"""What a start waits for, what it says meanwhile, and what it ends with."""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from aiokafka import errors as kafka_errors
from structlog.testing import capture_logs

from daemon.app.service import way_out
from daemon.app.starting import insist_on_a_price, patiently, topics_in_order
from daemon.app.tasks_service import open_tasks
from daemon.edges.kafka.topics import Topics
from daemon.errors import (
    ConfigurationError,
    Held,
    NotPermittedAtStart,
    StartError,
    Transient,
    UnavailableAtStart,
)
from daemon.metrics import Metrics
from daemon.settings import load
from tests.doubles import in_virtual_time
from tests.unit.edges.toloka.wire import Connection, endpoint, serving

USUAL = {
    "TOLOKAD_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9092",
    "TOLOKAD_TOLOKA__PROJECT_ID": "P",
    "TOLOKAD_TOLOKA__TOKEN": "y0_made-up",
}


@pytest.mark.parametrize("variable", ["TOLOKAD_BUDGET__MONEY_PER_DAY", "TOLOKAD_BUDGET__MONEY_TOTAL"])
def test_a_limit_in_money_needs_a_price(variable: str) -> None:
    """A spend guard that guards nothing would be worse than none."""
    settings = load({**USUAL, variable: "1.5", "TOLOKAD_BUDGET__ITEMS_TOTAL": "10"})
    insist_on_a_price(settings, Decimal("0.05"))
    for price in (None, Decimal(0)):
        with pytest.raises(ConfigurationError, match=variable):
            insist_on_a_price(settings, price)


async def test_a_time_that_one_answer_alone_tells_is_not_begun_with() -> None:
    """Where a start has one question alone, it is asked until two answers agree."""
    dates = ["Sun, 22 Nov 2026 18:00:00 GMT"]

    async def script(connection: Connection) -> None:
        while True:
            await connection.request()
            date = dates.pop() if dates else "Sun, 22 Nov 2026 17:00:00 GMT"
            await connection.answer(200, msgspec.json.encode({"id": "1", "status": "OPEN"}), {"Date": date})

    async with serving(script) as wire, AsyncExitStack() as stack:
        variables = {"TOLOKAD_TOLOKA__API": "tasks", "TOLOKAD_TOLOKA__POOL_ID": "1"}
        there = endpoint(wire.url)
        await open_tasks(load({**USUAL, **variables}), there, Metrics(), stack)
        told = there.toloka_clock.now()
    assert abs(told - datetime(2026, 11, 22, 17, tzinfo=UTC)) < timedelta(minutes=1)
    assert len(wire.requests) <= 4


@in_virtual_time
async def test_a_start_that_gets_no_answer_says_so() -> None:
    """With the way out; an error that has no words is no explanation."""

    async def silence() -> None:
        await asyncio.sleep(3600)

    with pytest.raises(UnavailableAtStart, match=r"^no answer in time\. Look at the broker$"):
        await patiently(silence, "Look at the broker")


@in_virtual_time
async def test_what_is_waited_for_is_told_once() -> None:
    """Not twice a second, until something else stands in the way."""
    failures = ["connecting: refused"] * 20 + ["connecting: no leader"] * 5

    async def ask() -> str:
        if failures:
            raise Transient(failures.pop(0))
        return "there"

    with capture_logs() as logs:
        assert await patiently(ask, "Look at the broker") == "there"
    assert [entry["detail"] for entry in logs] == ["connecting: refused", "connecting: no leader"]


@pytest.mark.parametrize(
    ("reason", "ends_with"),
    [
        ("not_permitted", NotPermittedAtStart),
        ("unauthorized", NotPermittedAtStart),
        ("unreachable", UnavailableAtStart),
        ("kafka", ConfigurationError),
        ("ledger_unreadable", ConfigurationError),
    ],
)
@in_virtual_time
async def test_a_hold_at_start_ends_it_by_its_reason(reason: str, ends_with: type[StartError]) -> None:
    """A clock that is wrong, or a ledger that cannot be read, is no matter of permissions."""

    async def ask() -> None:
        raise Held(reason, "writing")

    with pytest.raises(ends_with, match=r"^writing\. Look at the broker$"):
        await patiently(ask, "Look at the broker")


def test_a_toloka_that_stays_away_behind_a_proxy_may_be_the_proxys_doing() -> None:
    """The way out names it, without its password."""
    direct = way_out(load(USUAL))
    assert direct == "TOLOKAD_TOLOKA__URL: is https://toloka.dev right, and reachable from here?"
    behind = way_out(load({**USUAL, "TOLOKAD_TOLOKA__PROXY": "http://user:secret@proxy:3128"}))
    assert behind.endswith("from here through TOLOKAD_TOLOKA__PROXY=http://********@proxy:3128?")


class _Answer:
    def __init__(self, **rows: Any) -> None:
        self.topic_errors = rows.pop("topic_errors", ())
        self._rows = rows

    def to_object(self) -> Mapping[str, Any]:
        return self._rows


class _Admin:
    """Asks one broker after the other; every other one has not heard of topics that were just made."""

    def __init__(self, *topics: str) -> None:
        self._client = SimpleNamespace(_conns={})
        self._known = set(topics)
        self._made: set[str] = set()
        self._answers = 0

    async def describe_cluster(self) -> Mapping[str, Any]:
        return {"brokers": [1, 2]}

    async def create_topics(self, topics: Collection[Any]) -> _Answer:
        self._made = {topic.name for topic in topics}
        self._answers = 0
        return _Answer()

    async def _send_request(self, question: Any) -> _Answer:
        self._answers += 1
        shown = self._known | self._made if self._answers % 2 else self._known
        partitions = [{"replicas": [1, 2]}]
        unknown = kafka_errors.UnknownTopicOrPartitionError.errno
        return _Answer(
            topics=[
                {"topic": name, "error_code": 0 if name in shown else unknown, "partitions": partitions}
                for name in question._topics
            ]
        )

    async def describe_configs(self, _resources: Collection[Any]) -> list[_Answer]:
        return []


async def test_topics_that_were_made_are_not_missing_where_a_broker_has_not_heard_of_them() -> None:
    """Each question may go to another one: a start does not end with what the next one will show."""
    kafka = load(USUAL).kafka
    admin: Any = _Admin(kafka.input_topic)
    cluster: Any = SimpleNamespace(topics=Topics(admin))
    found = await topics_in_order(cluster, kafka, create=True)
    assert kafka.ledger_topic in found
    assert kafka.output_topic in found
