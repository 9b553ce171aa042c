"""Questions that may be asked again, and one for a thing: a project, an app or a pool."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from daemon import content
from daemon.edges.toloka.answers import no_answer, refusal
from daemon.edges.toloka.sending import LineError
from daemon.edges.toloka.transport import Line, Probe
from daemon.errors import Held
from daemon.model import NotNow
from daemon.ports import TolokaClock

AGAIN_SECONDS = 0.25

Found = TypeVar("Found")


async def ask(line: Line, probe: Probe, asked: str, clock: TolokaClock) -> dict[str, Any] | NotNow:
    """What Toloka says of a thing: an object, whose members may be anything.

    `asked` is the thing, for the operator.
    """
    try:
        answer = await line.request(probe.operation, "GET", probe.path)
    except LineError as error:
        return no_answer(asked, error)
    if not answer.succeeded:
        return refusal(asked, answer, clock.now())
    try:
        return content.parse(answer.body)
    except content.ContentError as error:
        line.unreadable(probe.operation)
        return NotNow("unreachable", f"{asked}: {error}")


async def ask_twice(question: Callable[[], Awaitable[Found | NotNow]]) -> Found | NotNow:
    """Ask, and wait out once what may pass: silence, or a short throttling. Its callers look again, too."""
    found = await question()
    if (
        isinstance(found, NotNow)
        and found.reason in ("unreachable", "throttled")
        and (found.wait_seconds or 0.0) <= AGAIN_SECONDS
    ):
        await asyncio.sleep(AGAIN_SECONDS)
        found = await question()
    return found


async def insist(question: Callable[[], Awaitable[Found | NotNow]]) -> Found:
    """As `ask_twice`, for something that must be known.

    Raises:
        Held: `listing_failed`.
    """
    return given(await ask_twice(question))


def given(found: Found | NotNow) -> Found:
    """What was answered.

    Raises:
        Held: `listing_failed`, where nothing was.
    """
    if isinstance(found, NotNow):
        raise Held("listing_failed", found.detail, found.wait_seconds or 0.0)
    return found
