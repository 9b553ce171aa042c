"""A loop that stands still is seen from outside: in the probe, in the metric, and with the guilty line."""

import asyncio
import http.client
import time
from collections.abc import Callable
from typing import Any

import structlog

from daemon.edges.serving.http_server import HttpServer
from daemon.edges.serving.loop_watch import LoopWatch
from daemon.metrics import Metrics


def value(metrics: Metrics) -> float:
    """The lag as it would be scraped."""
    lag = metrics.registry.get_sample_value("tolokad_event_loop_lag_seconds")
    assert lag is not None
    return lag


def probe(port: int) -> int:
    """Ask `/livez`, blocking whoever asks."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/livez")
    status = connection.getresponse().status
    connection.close()
    return status


def block_until_seen(events: list[Any]) -> None:
    """Keep the loop from turning until the log says so."""
    while not events:
        time.sleep(0.001)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something holds."""
    for _ in iter(condition, True):  # noqa: FBT003 - the value that ends the iteration
        await asyncio.sleep(0.001)


async def test_a_blocked_loop_fails_the_probe_and_is_named_once() -> None:
    """The log holds the stack of the loop's thread; afterwards the loop is well again."""
    metrics = Metrics()
    watch = LoopWatch(metrics.event_loop_lag_seconds, stall_seconds=0.5, interval_seconds=0.01)
    server = HttpServer("127.0.0.1", 0, metrics.registry, watch.health, watch.health, dict)
    with server, structlog.testing.capture_logs() as events:
        async with watch:
            assert await asyncio.to_thread(probe, server.port) == 200
            block_until_seen(events)
            assert probe(server.port) == 503
            assert value(metrics) > 0.05
            assert [event["event"] for event in events] == ["event_loop_stalled"]
            assert "block_until_seen" in events[0]["stack"]
            assert watch.health().detail == {"event_loop": "stalled"}
            await until(lambda: watch.health().ok)
        assert [event["event"] for event in events][:2] == ["event_loop_stalled", "event_loop_resumed"]


async def test_a_turning_loop_is_well_and_its_lag_is_measured() -> None:
    """The gauge is set anew each time the loop turns."""
    metrics = Metrics()
    metrics.event_loop_lag_seconds.set(-1)
    async with LoopWatch(metrics.event_loop_lag_seconds, interval_seconds=0.001) as watch:
        await until(lambda: value(metrics) != -1)
        assert watch.health().ok
    assert value(metrics) >= 0


def test_a_stopped_process_is_not_a_stalled_loop() -> None:
    """After SIGCONT the loop gets its chance before it is blamed."""
    watch = LoopWatch(Metrics().event_loop_lag_seconds, stall_seconds=10, interval_seconds=0.25)
    now = watch._stamp
    watch._judge(now + 3600)
    assert watch.health().ok
    for _ in range(45):
        watch._judge(watch._looked + 0.25)
    assert not watch.health().ok


def test_a_lasting_stall_is_logged_once() -> None:
    """And again when it comes again."""
    watch = LoopWatch(Metrics().event_loop_lag_seconds, stall_seconds=1, interval_seconds=0.25)
    with structlog.testing.capture_logs() as events:
        for _ in range(2):
            for _ in range(20):
                watch._judge(watch._looked + 0.25)
            watch._stamp = watch._looked
            watch._judge(watch._looked + 0.25)
    names = [event["event"] for event in events]
    assert names == ["event_loop_stalled", "event_loop_resumed"] * 2
