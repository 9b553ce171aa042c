"""The state that all APIs of one Toloka share."""

from __future__ import annotations

import string
import uuid
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.simulator.schedule import Schedule
from tests.simulator.shelf import Shelf
from tests.simulator.times import microseconds

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from tests.simulator.items import Item
    from tests.simulator.knobs import Knobs
    from tests.simulator.operations import Operation
    from tests.simulator.tasks import Task
    from tests.simulator.world import World

ALPHANUMERICS = string.ascii_letters + string.digits
ID_LENGTH = 20


def _nobody(_items: Sequence[Item]) -> None:
    """Take no notice of new items."""


def _no_one(_tasks: Sequence[Task]) -> None:
    """Take no notice of new tasks."""


@dataclass
class State:
    """One Toloka's clock, randomness, knobs and items.

    Attributes:
        clock: unix seconds, the host's; Toloka's own is ahead by the knob clock_skew_seconds.
        rng: the only source of randomness.
        knobs: replaced as a whole when changed.
        world: apps and projects.
        on_created: told of new items before their request is answered.
        now_us: the time of what is being processed, microseconds since 1970.
        record: every item ever created, in order; nothing is taken out.
        creating_requests: how many requests have created items.
        on_tasks: told of new tasks.
        tasks: every task ever created, in order.
        operations: by id, in order.
        repeated_operations: how many requests named an operation that was there already.
        assignments_made: how many assignments there have been.
    """

    clock: Callable[[], float]
    rng: random.Random
    knobs: Knobs
    world: World
    on_created: Callable[[Sequence[Item]], None] = _nobody
    now_us: int = 0
    schedule: Schedule = field(default_factory=Schedule)
    shelves: defaultdict[str, Shelf] = field(default_factory=lambda: defaultdict(Shelf))
    record: list[Item] = field(default_factory=list)
    creating_requests: int = 0
    on_tasks: Callable[[Sequence[Task]], None] = _no_one
    tasks: list[Task] = field(default_factory=list)
    operations: dict[str, Operation] = field(default_factory=dict)
    repeated_operations: int = 0
    assignments_made: int = 0

    def advance(self) -> None:
        """Bring everything up to the present."""
        now_us = microseconds(self.clock() + self.knobs.clock_skew_seconds)
        self.schedule.run(now_us)
        self.now_us = now_us

    def chance(self, share: float) -> bool:
        """Return true for this share of the calls."""
        return share > 0 and self.rng.random() < share

    def new_id(self) -> str:
        """Return 20 random alphanumerics."""
        return "".join(self.rng.choices(ALPHANUMERICS, k=ID_LENGTH))

    def pool_object_id(self, pool_id: str, at_us: int) -> str:
        """Return the id of a new task, suite or assignment of a pool."""
        return f"{int(pool_id):010x}--{at_us // 1_000_000:08x}{self.rng.getrandbits(64):016x}"

    def new_request_id(self) -> str:
        """Return a random UUID."""
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))
