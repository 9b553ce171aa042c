"""Running both flows until a signal, then seeing them to their ends."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import structlog
import uvloop

from daemon import __version__
from daemon.app import memory
from daemon.app.assembling import Flows, World, assemble
from daemon.app.status import Status
from daemon.app.world import open_world
from daemon.edges.event_loop import Loop
from daemon.edges.serving.http_server import HttpServer
from daemon.edges.serving.loop_watch import LoopWatch
from daemon.errors import StartError
from daemon.flows.delaying import Delays
from daemon.flows.holding import Holds
from daemon.flows.lagging import Lag
from daemon.flows.waiting import unless
from daemon.logs import Logs, configure
from daemon.metrics import Metrics
from daemon.settings import KafkaSettings, Settings

INTERNAL = 70
# What a shell would show for a process that the signal has ended; also where a drain did not come to its end.
SIGNALS: Mapping[signal.Signals, int] = {signal.SIGTERM: 143, signal.SIGINT: 130}
CANCEL_SECONDS = 2.0

Run = Callable[[asyncio.Event], Coroutine[Any, Any, None]]

log = structlog.get_logger(__name__)


def main(settings: Settings) -> int:
    """Run until told to stop; returns the exit code.

    Raises:
        StartError: the program cannot start, or its settings turned out not to fit.
    """
    with configure(settings.log.level, settings.log.format, sys.stdout, settings.secrets()) as logs:
        try:
            return uvloop.run(_run(settings, logs), loop_factory=Loop)
        except StartError as error:
            log.critical("cannot_go_on", problem=str(error))
            raise
        except ExceptionGroup as group:
            if (start := _start_error(group)) is not None:
                log.critical("cannot_go_on", problem=str(start))
                raise start from None
            log.critical("internal_error", exc_info=group)
        except Exception as error:
            log.critical("internal_error", exc_info=error)
        return INTERNAL


def _start_error(group: BaseExceptionGroup[BaseException]) -> StartError | None:
    for error in group.exceptions:
        if isinstance(error, StartError):
            return error
        if isinstance(error, BaseExceptionGroup) and (found := _start_error(error)) is not None:
            return found
    return None


async def _run(settings: Settings, logs: Logs) -> int:
    stopping = asyncio.Event()
    heard = _listen(stopping)
    metrics = Metrics()
    holds = Holds(metrics)
    log.info("starting", version=__version__, pid=os.getpid())
    async with AsyncExitStack() as stack:
        watch = await stack.enter_async_context(LoopWatch(metrics.event_loop_lag_seconds))
        status = Status(settings, holds, stopping, metrics, watch.health, logs.recent.last)
        http = settings.http
        server = HttpServer(http.host, http.port, metrics.registry, watch.health, status.ready, status.report)
        stack.enter_context(server)
        world = await unless(stopping, open_world(settings, metrics, holds, stack, logs.secrets.add))
        if world is not None:
            flows = assemble(settings, world)
            lag, delays = _watches(settings.kafka, world, flows)
            status.begin(flows, lag)
            memory.spare_what_stays()
            memory.keep_what_is_freed()
            runs = [flow.run for flow in (flows.submit, flows.collect) if flow is not None]
            runs += [flows.pausing.run, lag.run, delays.run]
            runs += [memory.collect_garbage, memory.give_back_free_memory]
            runs += [flows.budget.run] if flows.budget else []
            if not await _until_ended(runs, stopping, settings.shutdown_seconds):
                return SIGNALS[heard[0]]
    log.info("stopped")
    return 0


def _watches(kafka: KafkaSettings, world: World, flows: Flows) -> tuple[Lag, Delays]:
    """What looks at Kafka beside the flows, for the metrics alone, and changes nothing."""
    lag = Lag(
        world.kafka,
        kafka.group_id,
        kafka.input_topic,
        world.input_retention_seconds,
        flows.ours,
        world.clock,
        world.toloka_clock,
        world.metrics,
    )
    topics = {"input": kafka.input_topic, "ledger": kafka.ledger_topic, "output": kafka.output_topic}
    return lag, Delays(world.kafka, topics, world.metrics)


def _listen(stopping: asyncio.Event) -> list[signal.Signals]:
    """The first signal asks for a drain, and is in the list then; a second one ends the process at once."""
    heard: list[signal.Signals] = []

    def asked(number: signal.Signals) -> None:
        if stopping.is_set():
            os._exit(SIGNALS[number])
        log.info("draining", signal=number.name)
        heard.append(number)
        stopping.set()

    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, asked, number)
    return heard


async def _until_ended(runs: Sequence[Run], stopping: asyncio.Event, drain_seconds: float) -> bool:
    """Run all of it; once the event is set, let them come to their ends for so long, and no longer.

    False where they did not.
    """
    running = asyncio.ensure_future(_together(runs, stopping))
    ending = asyncio.ensure_future(stopping.wait())
    await asyncio.wait([running, ending], return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait([running], timeout=0 if running.done() else drain_seconds)
    ending.cancel()
    if running.done():
        running.result()
        return True
    # What is under way stays announced in Kafka: whoever takes over resolves it.
    log.warning("drain_incomplete", after_seconds=drain_seconds)
    running.cancel()
    await asyncio.wait([running], timeout=CANCEL_SECONDS)
    return False


async def _together(runs: Sequence[Run], stopping: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as tasks:
        for run in runs:
            tasks.create_task(run(stopping))
