"""Pure: tasks and assignments as they come in answers (`GET /tasks`, `GET /assignments`)."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import msgspec

from daemon import content
from daemon.edges.toloka.wire import MalformedError, has_more_of, hash_of, text_of, time_of
from daemon.model import Finished, Page
from daemon.odd_json import mended

# An assignment that came to an earlier status of those that count, so long before, was shown with it: to
# whoever looked at that time.
ECHO = timedelta(seconds=60)

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_encoder = msgspec.json.Encoder()


def task_of(raw: bytes) -> tuple[Finished, Mapping[str, Any]]:
    """A task, which has no result by itself: its raw says its overlap, "0" if infinite; and its members.

    Raises:
        MalformedError: it is not JSON, has a key twice, or lacks something that every task has.
    """
    try:
        raw, task = _parsed(raw)
        created = time_of(task["created"])
        overlap = 0 if task.get("infinite_overlap") is True else task.get("overlap")
        if not isinstance(task["input_values"], dict):
            raise MalformedError("input_values is no object")
        content_hash = hash_of(task["input_values"])
        found = Finished(text_of(task["id"]), "NEW", created, None, content_hash, str(overlap).encode())
    except KeyError as error:
        raise MalformedError(f"a task without {error}") from None
    except ValueError as error:
        raise MalformedError(f"not a task: {error}") from None
    return found, task


def tasks_page(body: bytes, limit: int) -> Page:
    """A listing of tasks.

    Raises:
        MalformedError: the page, or any task in it, is malformed.
    """
    rows, has_more = _page(body)
    items = tuple(task_of(bytes(row))[0] for row in rows)
    return Page(items, len(rows) >= limit if has_more is None else has_more)


def assignments_page(status: str, statuses: Collection[str]) -> Callable[[bytes, int], Page]:
    """Reads listings of assignments that have come to this status, one of those that count.

    What is read raises MalformedError where the page, or any assignment in it, is malformed.
    """
    earlier = tuple(name.lower() for name in statuses if name != status)
    return partial(_assignments, status.lower(), earlier)


def _assignments(event: str, earlier: Collection[str], body: bytes, limit: int) -> Page:
    rows, has_more = _page(body)
    items = tuple(item for row in rows for item in results_of(bytes(row), event, earlier))
    return Page(items, len(rows) >= limit if has_more is None else has_more)


def results_of(raw: bytes, event: str = "", earlier: Collection[str] = ()) -> Iterator[Finished]:
    """The results in an assignment: one for each of its tasks.

    Args:
        raw: the assignment's JSON.
        event: the member that says when it came to its status; by default, that of the status itself.
        earlier: members that say when it came to other statuses that count.

    Raises:
        MalformedError: it is not JSON, has a key twice, or lacks something that every assignment has.
    """
    try:
        raw, assignment = _parsed(raw)
        status, share = text_of(assignment["status"]), text_of(assignment["id"])
        created = time_of(assignment["created"])
        ended = _time(assignment, event or status.lower())
        before = [moment for name in earlier if (moment := _time(assignment, name)) is not None]
        first = min(before, default=None)
        shown = first if first is not None and ended is not None and first < ended - ECHO else None
        tasks, solutions = assignment["tasks"], assignment.get("solutions") or []
        if solutions and len(solutions) != len(tasks):
            raise MalformedError("an assignment whose solutions are not those of its tasks")
        raws = _raw_results(_members.decode(raw), tasks, solutions)
        for task, joined in zip(tasks, raws, strict=True):
            content_hash = hash_of(task["input_values"])
            yield Finished(text_of(task["id"]), status, created, ended, content_hash, joined, share, shown)
    except KeyError as error:
        raise MalformedError(f"an assignment without {error}") from None
    except (ValueError, TypeError, msgspec.DecodeError) as error:
        raise MalformedError(f"not an assignment: {error}") from None


def _raw_results(
    members: Mapping[str, msgspec.Raw], tasks: Sequence[Any], solutions: Sequence[Any]
) -> Iterator[bytes]:
    """For each task of an assignment the JSON of its result, without the braces around it."""
    raw_tasks = _raws.decode(members["tasks"])
    raw_solutions = _raws.decode(members["solutions"]) if solutions else []
    rest = {name: value for name, value in members.items() if name not in ("tasks", "solutions")}
    about = _encoder.encode(rest)
    for index, task in enumerate(tasks):
        parts = (
            b'"task_id":',
            _encoder.encode(task["id"]),
            b',"assignment":',
            about,
            b',"task":',
            bytes(raw_tasks[index]),
            b',"solution":',
            bytes(raw_solutions[index]) if solutions else b"null",
        )
        yield b"".join(parts)


def _page(body: bytes) -> tuple[list[msgspec.Raw], bool | None]:
    try:
        body = _readable(body)
        members = _members.decode(body)
        rows = _raws.decode(members["items"])
        has_more = msgspec.json.decode(members["has_more"]) if "has_more" in members else None
        if _encoder.encode(members) != body:
            content.parse(body)
    except KeyError as error:
        raise MalformedError(f"a page without {error}") from None
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise MalformedError(f"not a page: {error}") from None
    return rows, has_more_of(has_more)


def _readable(body: bytes) -> bytes:
    """The JSON as it is, or with U+FFFD for each half of an emoji that somebody has written."""
    try:
        _members.decode(body)
    except msgspec.DecodeError:
        return mended(body)
    return body


def _parsed(raw: bytes) -> tuple[bytes, dict[str, Any]]:
    try:
        return raw, content.parse(raw)
    except content.ContentError:
        readable = mended(raw)
        return readable, content.parse(readable)


def _time(assignment: Mapping[str, Any], name: str) -> datetime | None:
    value = assignment.get(name)
    return None if value is None else time_of(value)
