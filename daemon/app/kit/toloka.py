"""Toloka for a command: asked once, and what it answered."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime

from daemon.app.service import Service
from daemon.app.world import connect_toloka, open_service
from daemon.flows.doubts.quarantine import COARSE
from daemon.metrics import Metrics
from daemon.ports import TolokaClock
from daemon.settings import Settings


@dataclass(frozen=True, slots=True)
class Toloka:
    """The API that the settings name.

    Attributes:
        service: its parts, as the flows have them.
        toloka_clock: its clock.
        until: the time at Toloka when it was asked, at the latest.
    """

    service: Service
    toloka_clock: TolokaClock
    until: datetime


async def toloka_of(settings: Settings, stack: AsyncExitStack) -> Toloka:
    """Ask for the project or pool; what is opened is closed with the stack.

    Raises:
        StartError: it is away, refuses the credential, or does not know the project or pool.
    """
    metrics = Metrics()
    # Nothing is logged, so nothing is to be masked.
    endpoint = connect_toloka(settings, metrics, lambda _: None)
    service = await open_service(settings, endpoint, metrics, stack)
    # A `Date` header leaves out the fraction of its second: what was created in it would be overlooked.
    return Toloka(service, endpoint.toloka_clock, endpoint.toloka_clock.now() + COARSE)
