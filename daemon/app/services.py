"""Toloka's two APIs behind the flows' ports: which one it is, only these rooms and the edges know."""

from contextlib import AsyncExitStack

from daemon.app.app_service import open_app
from daemon.app.service import Service
from daemon.app.tasks_service import open_tasks
from daemon.edges.endpoint import Endpoint
from daemon.metrics import Metrics
from daemon.settings import Settings


async def open_service(
    settings: Settings, endpoint: Endpoint, metrics: Metrics, stack: AsyncExitStack
) -> Service:
    """Connect to the API that the settings name; what is opened is closed with the stack.

    Raises:
        StartError: Toloka is away, refuses the credential, or does not know the project or pool.
    """
    opening = open_app if settings.toloka.api == "app" else open_tasks
    return await opening(settings, endpoint, metrics, stack)
