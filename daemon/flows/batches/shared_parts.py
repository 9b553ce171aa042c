"""What the ways of one replica share, and how each of them goes about it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random

from daemon.flows.batches.batching import BatchLimits
from daemon.flows.batches.budgeting import Budget
from daemon.flows.batches.guarding import RejectionGuard
from daemon.flows.gate import Gate
from daemon.flows.holding import Holds
from daemon.flows.records.items import RecordReader
from daemon.flows.watching import SubmitWatch
from daemon.ports import Clock, Kafka, TolokaClock


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """How a way begins, how it cuts batches, and how long an attempt may take.

    `attempts_once` where Toloka carries an attempt out once at most, however often it is sent.
    """

    start_from: str
    limits: BatchLimits
    linger_seconds: float
    request_seconds: float
    attempts_once: bool = False


@dataclass(frozen=True, slots=True)
class SharedParts:
    """What all ways of one replica share.

    `look_again` asks Toloka anew what an item must look like; for `turn` see
    `daemon.flows.batches.filling.Source`.
    """

    kafka: Kafka
    clock: Clock
    toloka_clock: TolokaClock
    gate: Gate
    holds: Holds
    watch: SubmitWatch
    guard: RejectionGuard
    rng: Random
    record_reader: RecordReader
    look_again: Callable[[], Awaitable[None]]
    new_attempt: Callable[[], str]
    turn: asyncio.Lock
    budget: Budget | None = None
