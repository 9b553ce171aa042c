"""A pool: what is asked of it before, and while, tasks go into it (`GET /pools/{id}`)."""

from dataclasses import dataclass
from typing import Any

from daemon.edges.toloka.answers import CODE_LETTERS, no_answer, refusal, text
from daemon.edges.toloka.asking import ask
from daemon.edges.toloka.endpoint import path
from daemon.edges.toloka.sending import LineError
from daemon.edges.toloka.transport import Line, Probe
from daemon.model import NotNow
from daemon.ports import TolokaClock

API = ("api", "v1")


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool of tasks.

    Attributes:
        id: the pool's.
        status: OPEN, CLOSED, ARCHIVED or LOCKED.
        close_reason: why it was closed last, if it was.
        default_overlap: of tasks that have none of their own, where these may be created.
        dynamic: Toloka itself decides how many results a task needs.
    """

    id: str
    status: str
    close_reason: str
    default_overlap: int | None
    dynamic: bool


def probe_of(pool_id: str) -> Probe:
    """The question that a line asks to see whether Toloka is there."""
    return Probe("pool", path(*API, "pools", pool_id))


async def pool(line: Line, pool_id: str, clock: TolokaClock) -> Pool | NotNow:
    """Ask for a pool."""
    about = await ask(line, probe_of(pool_id), f"the pool {pool_id}", clock)
    return about if isinstance(about, NotNow) else _pool(pool_id, about)


async def open_pool(line: Line, pool_id: str, clock: TolokaClock) -> NotNow | None:
    """Ask Toloka to open a pool; None where it is open, is being opened, or is still empty."""
    asked = f"opening the pool {pool_id}"
    try:
        answer = await line.request("pool", "POST", path(*API, "pools", pool_id, "open"))
    except LineError as error:
        return no_answer(asked, error)
    if answer.succeeded or b'"EMPTY_POOL"' in answer.body:
        return None
    return refusal(asked, answer, clock.now())


def _pool(pool_id: str, about: dict[str, Any]) -> Pool:
    defaults = about.get("defaults")
    overlap = defaults.get("default_overlap_for_new_tasks") if isinstance(defaults, dict) else None
    return Pool(
        id=pool_id,
        status=text(about.get("status"), CODE_LETTERS),
        close_reason=text(about.get("last_close_reason"), CODE_LETTERS),
        default_overlap=overlap if isinstance(overlap, int) and not isinstance(overlap, bool) else None,
        dynamic=isinstance(about.get("dynamic_overlap_config"), dict),
    )
