"""One question of Toloka for what a start needs to know: a project, an app or a pool."""

from typing import Any

from daemon import content
from daemon.edges.toloka.answers import no_answer, refusal
from daemon.edges.toloka.sending import LineError
from daemon.edges.toloka.transport import Line, Probe
from daemon.model import NotNow
from daemon.ports import TolokaClock


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
