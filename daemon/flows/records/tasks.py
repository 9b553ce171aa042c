"""Pure: an input record's value as a task of `POST /tasks`: its checks, and what is sent."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from daemon.content import ContentError, content_hash
from daemon.flows.records.items import ItemReader, RecordReader
from daemon.model import BareRecord, Flaw, Item

MAX_OVERLAP = 30_000
MAX_INPUT_BYTES = 1_048_576
MAX_SOLUTIONS_BYTES = 4_194_304
# Members that are ours to set; whatever a record has there is left out.
OURS = ("pool_id", "__item_idx")

_json = msgspec.json.Encoder()
_EXPECTED = re.compile(r"Expected `(\w+)")
_WHERE = re.compile(r" - at `\$\.?([^`]*)`$")
_MISSING = re.compile(r"missing required field `([^`]+)`")
_CODES = {
    "int": "INTEGER_EXPECTED",
    "float": "FLOAT_EXPECTED",
    "str": "STRING_EXPECTED",
    "bool": "BOOLEAN_EXPECTED",
    "array": "ARRAY_EXPECTED",
    "object": "OBJECT_EXPECTED",
}

Weight = Annotated[float, msgspec.Meta(ge=0, le=1)]


class KnownSolution(msgspec.Struct):
    """A correct response to a control or training task."""

    output_values: dict[str, Any]
    correctness_weight: Weight | None = None


class BaselineSolution(msgspec.Struct):
    """A preliminary response, for dynamic overlap and aggregation."""

    output_values: dict[str, Any]
    confidence_weight: Weight | None = None


class Task(msgspec.Struct):
    """A task as `POST /tasks` documents it; a member that it does not name is tolerated."""

    input_values: dict[str, Any]
    pool_id: str | None = None
    overlap: Annotated[int, msgspec.Meta(ge=1, le=MAX_OVERLAP)] | None = None
    infinite_overlap: bool | None = None
    known_solutions: list[KnownSolution] | None = None
    baseline_solutions: list[BaselineSolution] | None = None
    message_on_unknown_solution: str | None = None
    reserved_for: list[str | int] | None = None
    unavailable_for: list[str | int] | None = None
    localization_config: dict[str, Any] | None = None
    origin_task_id: str | None = None


@dataclass(frozen=True, slots=True)
class PoolTerms:
    """What a pool says of the overlap of its tasks.

    `default_overlap` is what a task gets that has none, where it may; in a `dynamic` pool Toloka decides.
    """

    default_overlap: int | None = None
    dynamic: bool = False


class TaskSpec:
    """The checks of a task: only what is certainly wrong, or would be read otherwise than it is sent.

    A task that names no pool goes to `pool_id`; `pools` are all that it may name, by id. Where a pool has a
    default overlap, and `allow_defaults`, a task may have none.
    """

    takes_id = False
    shape = None

    def __init__(self, pool_id: str, pools: Mapping[str, PoolTerms], *, allow_defaults: bool) -> None:
        self._pool_id = pool_id
        self._pools = pools
        self._allow_defaults = allow_defaults

    def takes(self, _identity: str) -> bool:
        """No task is given an id."""
        return False

    def flaw(self, parsed: Mapping[str, Any]) -> Flaw | None:
        """The first thing that is wrong with a task; None where nothing is."""
        try:
            task = msgspec.convert(parsed, Task)
        except msgspec.ValidationError as error:
            return _flaw(str(error))
        if self.pool_of(task) not in self._pools:
            return Flaw("VALUE_NOT_ALLOWED", "pool_id: not one of TOLOKAD_TASKS__POOL_IDS")
        if self._overlap(task) is None:
            return Flaw("VALUE_REQUIRED", "overlap: neither the task nor its pool has one")
        for name in ("reserved_for", "unavailable_for"):
            users = getattr(task, name) or []
            if len(set(map(str, users))) < len(users):
                return Flaw("VALUE_NOT_ALLOWED", f"{name}: somebody is named twice")
        return _oversized(task)

    def pool_of(self, task: Task) -> str:
        """The pool that a task goes to."""
        return task.pool_id or self._pool_id

    def wanted(self, task: Task) -> int:
        """How many results are awaited of a task; 0 where Toloka decides."""
        dynamic = self._pools[self.pool_of(task)].dynamic
        return 0 if task.infinite_overlap or dynamic else self._overlap(task) or 0

    def _overlap(self, task: Task) -> int | None:
        if task.infinite_overlap:
            return 0
        default = self._pools[self.pool_of(task)].default_overlap if self._allow_defaults else None
        return default if task.overlap is None else task.overlap


def _oversized(task: Task) -> Flaw | None:
    if (size := len(_json.encode(task.input_values))) > MAX_INPUT_BYTES:
        return Flaw("TOO_LARGE", f"input_values: {size} bytes, above the {MAX_INPUT_BYTES} of a request")
    solutions = [*(task.known_solutions or ()), *(task.baseline_solutions or ())]
    if (size := sum(len(_json.encode(one.output_values)) for one in solutions)) > MAX_SOLUTIONS_BYTES:
        return Flaw("TOO_LARGE", f"output_values: {size} bytes, above the {MAX_SOLUTIONS_BYTES} of a request")
    return None


def _flaw(error: str) -> Flaw:
    """What the library says, in Toloka's words."""
    where = _WHERE.search(error)
    field, said = (where[1] if where else ""), _WHERE.sub("", error)
    if missing := _MISSING.search(said):
        name = f"{field}.{missing[1]}" if field else missing[1]
        return Flaw("VALUE_REQUIRED", f"{name}: the value must be present and not null")
    expected = _EXPECTED.search(said)
    code = _CODES.get(expected[1], "VALUE_NOT_ALLOWED") if expected else "VALUE_NOT_ALLOWED"
    if ">=" in said:
        code = "VALUE_LESS_THAN_MIN"
    elif "<=" in said:
        code = "VALUE_GREATER_THAN_MAX"
    return Flaw(code, f"{field}: {said}")


class TaskReader(RecordReader):
    """Turns records into tasks: as items are read, and then with the pool that each goes to."""

    def __init__(self, reader: ItemReader, spec: TaskSpec) -> None:
        self._reader = reader
        self._spec = spec

    def read(self, record: BareRecord, where: str) -> Item | Flaw:
        """The task in a record that is no tombstone, or why there is none."""
        return self._task(record, self._reader.read(record, where))

    def read_unchecked(self, record: BareRecord, where: str) -> Item | Flaw:
        """What may have been sent of a record by another limit of a request than today's."""
        found = self._reader.read_unchecked(record, where)
        if isinstance(found, Item) and (flaw := self._spec.flaw(msgspec.json.decode(found.body))):
            return flaw
        return self._task(record, found)

    def _task(self, record: BareRecord, found: Item | Flaw) -> Item | Flaw:
        if isinstance(found, Flaw):
            return found
        parsed = msgspec.json.decode(found.body)
        task = msgspec.convert(parsed, Task)
        body, pool_id = found.body, self._spec.pool_of(task)
        if any(name in parsed for name in OURS):
            body = _json.encode({name: value for name, value in parsed.items() if name not in OURS})
        body = b'{"pool_id":' + _json.encode(pool_id) + b"," + body.lstrip()[1:]
        try:
            hashed = content_hash(task.input_values)
        except ContentError as error:
            return Flaw(error.code, str(error))
        return Item(record, body, hashed, wanted=self._spec.wanted(task), pool=pool_id)

    def follow(self, spec: TaskSpec) -> None:
        """Check by this spec from now on."""
        self._spec = spec
        self._reader.follow(spec)
