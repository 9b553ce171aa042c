"""Pure: the request `POST /tasks`, and what a synchronous answer comes to."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any
from urllib.parse import urlencode

import msgspec

from daemon.edges.toloka.answers import Complaint, complaint, field_flaw, not_created
from daemon.edges.toloka.sending import Answer
from daemon.model import Accepted, Divided, Flaw, InDoubt, Intent, Item, NotNow, Outcome, Rejected, TooLarge

ASKED = "creating tasks"
INDEX = "__item_idx"
ALREADY_EXISTS = "OPERATION_ALREADY_EXISTS"

_CULPRIT = re.compile(r"(?:tasks\.|items\.)?\[?([0-9]{1,6})\]?(?:\.(.*))?", re.DOTALL)

_bytes_of = attrgetter("body")


@dataclass(frozen=True, slots=True)
class Parameters:
    """The query parameters of `POST /tasks`, as the settings have them."""

    allow_defaults: bool
    skip_invalid_items: bool
    open_pool: bool

    def query(self, intent: Intent) -> str:
        """The query of a request; an attempt that Toloka carries out once is an operation of its name."""
        flags = {
            "allow_defaults": self.allow_defaults,
            "skip_invalid_items": self.skip_invalid_items,
            "open_pool": self.open_pool,
            "async_mode": intent.once,
        }
        query = {name: "true" if flag else "false" for name, flag in flags.items()}
        return urlencode(query | ({"operation_id": intent.attempt} if intent.once else {}))


def body_of(items: Sequence[Item], intent: Intent) -> bytes:
    """The request's body: the tasks' bytes as they are.

    Those of an operation begin with their place in the batch, which the operation's log gives back.
    """
    if not intent.once:
        return b"".join((b"[", b",".join(map(_bytes_of, items)), b"]"))
    tasks = (
        b'{"%b":"%d",' % (INDEX.encode(), item.record.offset - intent.first) + item.body.lstrip()[1:]
        for item in items
    )
    return b"".join((b"[", b",".join(tasks), b"]"))


def repeats(answer: Answer) -> bool:
    """Whether an answer says that the operation is there already; the code tells, whatever the status."""
    return not answer.succeeded and complaint(answer).code == ALREADY_EXISTS


def outcome(answer: Answer, count: int, now: datetime) -> Outcome:
    """What an answer to a synchronous request with so many tasks comes to, at this time of Toloka's."""
    return _created(answer, count) if answer.succeeded else refused(answer, count, now)


def refused(answer: Answer, count: int, now: datetime) -> InDoubt | Rejected | TooLarge | NotNow:
    """What an answer other than success comes to; see `outcome`."""
    return not_created(ASKED, answer, now, partial(_culprits, count=count))


def _created(answer: Answer, count: int) -> Accepted | Divided | InDoubt:
    try:
        body = msgspec.json.decode(answer.body, type=dict[str, Any])
    except (msgspec.DecodeError, ValueError, RecursionError):
        return InDoubt(f"answered {answer.status} with something else than tasks")
    # A request of one task may be answered with that task itself; where none is valid, items may be missing.
    made = {"0": body} if "id" in body and count == 1 else body.get("items") or {}
    wrong = body.get("validation_errors") or {}
    if not isinstance(made, dict) or not isinstance(wrong, dict):
        return InDoubt(f"answered {answer.status} with something else than tasks")
    ids = {index: task.get("id") for index, task in made.items() if isinstance(task, dict)}
    named = sorted([*ids, *wrong])
    if named != sorted(map(str, range(count))) or not all(isinstance(i, str) and i for i in ids.values()):
        return InDoubt(f"answered {answer.status} with {len(named)} of {count} tasks")
    if len(set(ids.values())) != len(ids):
        return InDoubt(f"answered {answer.status} with an id twice")
    if not wrong:
        return Accepted(tuple(str(ids[str(index)]) for index in range(count)))
    invalid = Flaw("VALIDATION_ERROR", "the task is invalid")
    flaws = {int(index): flaw_of(errors, invalid) for index, errors in wrong.items()}
    return Divided({int(index): str(task_id) for index, task_id in ids.items()}, flaws)


def flaw_of(errors: Any, otherwise: Flaw) -> Flaw:
    """The first of a task's errors, which come by field; or what else is known."""
    fields = errors if isinstance(errors, dict) else {}
    for field, error in fields.items():
        if isinstance(error, dict):
            return field_flaw(error, field, otherwise)
    return otherwise


def _culprits(said: Complaint, whole: Flaw, count: int) -> Mapping[int, Flaw]:
    """Index to flaw, of several flaws of one task the first; a lone task may be named by its fields alone."""
    culprits: dict[int, Flaw] = {}
    for key, error in said.payload.items():
        named = _CULPRIT.fullmatch(key)
        if named is not None and (index := int(named[1])) < count:
            flaw = flaw_of(error, whole) if named[2] is None else field_flaw(error, named[2], whole)
            culprits.setdefault(index, flaw)
    if not culprits and count == 1 and said.payload:
        culprits[0] = flaw_of(said.payload, whole)
    return culprits
