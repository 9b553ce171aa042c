"""Pure: an operation that creates tasks, and what its log says of each (`GET /operations/{id}`)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from daemon import content
from daemon.edges.toloka.answers import CODE_LETTERS, MESSAGE_LETTERS, text
from daemon.edges.toloka.tasks_bulk import INDEX, flaw_of
from daemon.edges.toloka.wire import MalformedError
from daemon.model import Accepted, Divided, Flaw, InDoubt, Item, NotNow, Outcome, Rejected

TYPE = "TASK.BATCH_CREATE"
ARCHIVED = "OPERATION_LOGS_ARCHIVED"
_ENDS = frozenset({"SUCCESS", "FAIL"})
# Codes that speak of Toloka, the account or the pool, whichever task they are met with.
_NO_TASKS_FAULT = frozenset(
    {
        *("TOO_MANY_REQUESTS", "INTERNAL_ERROR", "OPERATION_EXECUTION_ERROR", "REMOTE_SERVICE_UNAVAILABLE"),
        *("AUTHENTICATION_ERROR", "OAUTH_AUTHENTICATION_ERROR", "ACCESS_DENIED", "NOT_ENOUGH_BALANCE"),
        *("CONFLICT_STATE", "INAPPROPRIATE_STATUS", "PROJECT_INAPPROPRIATE_STATUS"),
        *("POOL_INAPPROPRIATE_STATUS", "POOL_LOCKED_BY_ANOTHER_OPERATION", "POOL_TASKS_COUNT_EXCEEDED"),
        "MIXER_CONFIG_REQUIRED",
    }
)
_steps = msgspec.json.Decoder(list[dict[str, Any]])


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation's state; `created` is how many tasks it says it has created, if it does."""

    id: str
    type: str
    status: str
    created: int | None

    @property
    def over(self) -> bool:
        """Whether it has come to its end."""
        return self.status in _ENDS


def operation_of(body: bytes, operation_id: str) -> Operation:
    """The operation in an answer.

    Raises:
        MalformedError: it is none, or another.
    """
    try:
        members = content.parse(body)
    except content.ContentError as error:
        raise MalformedError(f"not an operation: {error}") from None
    details = members.get("details")
    count = details.get("success_count") if isinstance(details, dict) else None
    found = Operation(
        text(members.get("id"), CODE_LETTERS),
        text(members.get("type"), CODE_LETTERS),
        text(members.get("status"), CODE_LETTERS),
        count if isinstance(count, int) and not isinstance(count, bool) else None,
    )
    if found.id.replace("-", "").lower() != operation_id.replace("-", "").lower():
        raise MalformedError("another operation than was asked for")
    return found


def is_operation(body: bytes, operation_id: str) -> bool:
    """Whether an answer is the operation of this id."""
    try:
        operation_of(body, operation_id)
    except MalformedError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Log:
    """What an operation's log says.

    `ids` and `flaws` go by the index of the item; `unopened` is why the pool could not be opened, `refused`
    why a task was not created that is not to blame for it.
    """

    ids: Mapping[int, str]
    flaws: Mapping[int, Flaw]
    unopened: str = ""
    refused: str = ""


def log_of(body: bytes, items: Sequence[Item], first: int) -> Log:
    """Read a log.

    `items` is what was sent, or what is known of it; their places in the batch are counted from `first`.

    Raises:
        MalformedError: it is no log, or names a task twice.
    """
    try:
        steps = _steps.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise MalformedError(f"not a log: {error}") from None
    places = _Places(items, first)
    ids: dict[int, str] = {}
    flaws: dict[int, Flaw] = {}
    unopened = refused = ""
    for step in steps:
        output, succeeded = step.get("output"), step.get("success") is True
        members = output if isinstance(output, dict) else {}
        task_id = members.get("task_id")
        if step.get("type") == "POOL_OPEN" and not succeeded:
            unopened = _said(members)
        elif succeeded and isinstance(task_id, str) and task_id:
            for index in places.of(step.get("input"), taken=ids):
                ids[index] = task_id
        elif not succeeded and text(members.get("code"), CODE_LETTERS) in _NO_TASKS_FAULT:
            refused = refused or _said(members)
        elif not succeeded and str(step.get("type", "")).startswith("TASK"):
            for index in places.of(step.get("input"), taken=flaws):
                flaws[index] = _flaw(members)
    if len(set(ids.values())) != len(ids):
        raise MalformedError("a log with a task twice")
    return Log(ids, {index: flaw for index, flaw in flaws.items() if index not in ids}, unopened, refused)


def _said(output: Mapping[str, Any]) -> str:
    return f"{text(output.get('code'), CODE_LETTERS)} {text(output.get('message'), MESSAGE_LETTERS)}".strip()


class _Places:
    """Which item a step of a log speaks of: by its place in the batch; where that is missing, by content."""

    def __init__(self, items: Sequence[Item], first: int) -> None:
        self._by_place = {item.record.offset - first: index for index, item in enumerate(items)}
        self._by_content: dict[int, list[int]] = defaultdict(list)
        for index, item in enumerate(items):
            self._by_content[item.content_hash].append(index)

    def of(self, task: Any, taken: Mapping[int, object]) -> Iterator[int]:
        """The index of an item, once; none where the step speaks of nothing that was sent."""
        if not isinstance(task, dict):
            return
        place = str(task.get(INDEX, ""))
        if place.isascii() and place.isdecimal():
            index = self._by_place.get(int(place))
            if index is not None and index not in taken:
                yield index
            return
        values = task.get("input_values")
        alike = self._by_content.get(_hash(values), []) if isinstance(values, dict) else []
        yield from [index for index in alike if index not in taken][:1]


def _hash(values: dict[str, Any]) -> int:
    try:
        return content.content_hash(values)
    except content.ContentError:
        return -1


def _flaw(output: Mapping[str, Any]) -> Flaw:
    """A step's errors come by field, or in the payload of an error of their own."""
    payload = output.get("payload")
    code, message = text(output.get("code"), CODE_LETTERS), text(output.get("message"), MESSAGE_LETTERS)
    whole = Flaw(code or "VALIDATION_ERROR", message or "the task is invalid")
    return flaw_of(payload if isinstance(payload, dict) else output, whole)


def outcome(operation: Operation, log: Log, count: int) -> Outcome:
    """What an operation that is over has come to.

    `count` is of the items that were sent, or are known of what was sent.
    """
    if operation.created is not None and operation.created > len(log.ids):
        return InDoubt(f"{operation.created} tasks were created, and the log shows {len(log.ids)}")
    if log.ids or (operation.status == "SUCCESS" and (log.flaws or operation.created is None)):
        if len(log.ids) == count:
            return Accepted(tuple(log.ids[index] for index in range(count)))
        # A count of fewer than the log shows tells nothing of what it leaves out.
        if operation.created != len(log.ids) and len(log.ids) + len(log.flaws) < count:
            return InDoubt(f"the log shows {len(log.ids) + len(log.flaws)} of {count} tasks")
        return Divided(log.ids, log.flaws)
    if log.flaws:
        return Rejected(log.flaws, next(iter(log.flaws.values())), over=True)
    # No task is to blame: it is no reason to give any up.
    why = f": {log.refused}" if log.refused else ", and its log names no task"
    return NotNow("refused", f"the operation failed{why}", over=True)
