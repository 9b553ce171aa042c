"""The same story with the tasks API: what a seed decides, and whether the promise was kept."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import Any

import msgspec

from daemon.content import ContentError, canonical, parse
from daemon.settings import Settings, effective, load
from tests.simulation import checker
from tests.simulation.broker.log import StoredRecord
from tests.simulation.scenario import DEAD, INPUT, NAMED, RESULTS, Job, Scenario, scenario
from tests.simulation.world import SimWorld
from tests.simulator.faults import Fault, Faults
from tests.simulator.knobs import API_KEY, Knobs
from tests.simulator.pools import TASKS_POOL

Origin = checker.Origin
# What a fault that is drawn for the app API befalls here.
OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "bulk": ("tasks",),
    "list": ("assignments", "task_list"),
    "item": ("task", "operation", "operation_log"),
    "project": ("pool",),
}


def tasks_scenario(rng: Random, items: int = 200) -> Scenario:
    """Draw a scenario; as for items, and what only tasks have."""
    drawn = scenario(rng, items)
    accept = rng.choice((None, 0.0, 4.0))
    return replace(
        drawn,
        settings=_settings(drawn.settings, rng, accepted=accept is not None),
        knobs=_knobs(drawn.knobs, rng, accept),
        work=tuple(_task(job, rng) for job in drawn.work),
    )


def _settings(drawn: Settings, rng: Random, *, accepted: bool) -> Settings:
    statuses = ["SUBMITTED,ACCEPTED", "SUBMITTED,ACCEPTED", *(["ACCEPTED"] if accepted else [])]
    chosen = {
        "TOLOKA__API": "tasks",
        "TOLOKA__POOL_ID": TASKS_POOL,
        "TOLOKA__TOKEN": API_KEY,
        "TASKS__ASYNC_MODE": rng.choice(("true", "true", "false")),
        "TASKS__SKIP_INVALID_ITEMS": rng.choice(("true", "true", "false")),
        "TASKS__ASSIGNMENT_STATUSES": rng.choice(statuses),
        "SUBMIT__MAX_BYTES": "1000000",
    }
    usual = effective(load({"TOLOKAD_KAFKA__BOOTSTRAP_SERVERS": "k:1", **_named(chosen)}))
    given = {name: value for name, value in effective(drawn).items() if value != usual[name]}
    return load({**given, **_named(chosen)})


def _named(values: Mapping[str, str]) -> dict[str, str]:
    return {f"TOLOKAD_{name}": value for name, value in values.items()}


def _knobs(drawn: Knobs, rng: Random, accept: float | None) -> Knobs:
    return replace(
        drawn,
        accept_seconds=accept,
        suite_tasks=rng.choice((1, 1, 3)),
        skipped_share=rng.choice((0.0, 0.1)),
        expired_share=rng.choice((0.0, 0.1)),
        operation_seconds_max=rng.choice((0.05, 2.0, 20.0)),
        operation_repeat_status=rng.choice((409, 409, 400)),
        log_errors=rng.choice(("flat", "nested")),
        log_order=rng.choice(("item", "shuffled")),
        log_kept_seconds=rng.choice((None, None, 15.0)),
        sync_errors=rng.choice(("nested", "dotted")),
        items_per_minute=rng.choice((None, None, 100)),
    )


def _task(job: Job, rng: Random) -> Job:
    """What was an item becomes a task; what could be none, still can be none."""
    try:
        item = parse(job.append.value or b"")
        text = item["text"]
    except (ContentError, KeyError):
        return job
    if not isinstance(text, str):
        return job
    values = {"text": text, **({"number": item["score"]} if "score" in item else {})}
    task = {"input_values": values, "overlap": rng.choice((1, 1, 2, 3))}
    return replace(job, append=msgspec.structs.replace(job.append, value=msgspec.json.encode(task)))


def translate(faults: Faults) -> None:
    """Have faults that are drawn for the app API befall the tasks API."""
    add = faults.add

    def translated(*drawn: Fault) -> None:
        for fault in drawn:
            names = [name for each in fault.operations for name in OPERATIONS.get(each, (each,))]
            add(replace(fault, operations=tuple(names)))

    faults.add = translated  # type: ignore[method-assign] # whoever injects faults need not know


# --- the verdict -----------------------------------------------------------------------------------------


def _results(world: SimWorld) -> Iterator[tuple[StoredRecord, dict[str, Any]]]:
    for log in world.cluster.topics[RESULTS]:
        for record in log.committed():
            yield record, msgspec.json.decode(record.value or b"")


def _dead(world: SimWorld, *codes: bytes) -> Counter[Origin]:
    """How many dead letters each record has, of these codes or of any."""
    dead: Counter[Origin] = Counter()
    for log in world.cluster.topics[DEAD]:
        for record in log.committed():
            headers = dict(record.headers)
            partition, offset = (headers[f"tolokad-origin-{name}"] for name in ("partition", "offset"))
            if not codes or headers["tolokad-error-code"] in codes:
                dead[int(partition or b""), int(offset or b"")] += 1
    return dead


def _asked(world: SimWorld) -> dict[Origin, StoredRecord]:
    logs = world.cluster.topics[INPUT]
    return {(record.partition, record.offset): record for log in logs for record in log.committed()}


def _wanted(record: StoredRecord) -> int:
    """How many results a record asks for, if its task is taken."""
    return 0 if record.value is None else int(_members(record).get("overlap", 1))


def _members(record: StoredRecord) -> dict[str, Any]:
    try:
        return parse(record.value or b"")
    except ContentError:
        return {}


def unsettled(world: SimWorld) -> Iterator[str]:
    """What is still under way; nothing once all has come to rest."""
    yield from checker.unsettled_batches(world)
    dead = _dead(world)
    origins = (value["origin"] for _, value in _results(world) if value["origin"] is not None)
    out = Counter((origin["partition"], origin["offset"]) for origin in origins)
    late = [o for o, record in _asked(world).items() if not dead[o] and out[o] < _wanted(record)]
    if late:
        yield f"{len(late)} inputs without an end: {late[:5]}"


def slow_results(world: SimWorld, healed_at: float, patience_seconds: float) -> Iterator[str]:
    """Results that came long after the last of: the assignment's end, the task's settling, the faults'."""
    settled = checker.settled_seconds(world)
    for record, value in _results(world):
        about = value["assignment"]
        ended = datetime.fromisoformat(about[about["status"].lower()]).replace(tzinfo=UTC).timestamp()
        could = max(ended, settled.get(value["task_id"], 0.0), healed_at)
        if (late := record.timestamp / 1000 - could) > patience_seconds:
            yield f"the result of {value['origin']} came {late:.0f} s later than it could: {about}"


def problems(world: SimWorld) -> Iterator[str]:
    """Everything that breaks the promise, once all has come to rest."""
    asked, dead = _asked(world), _dead(world)
    shares: defaultdict[Origin, list[str]] = defaultdict(list)
    for record, value in _results(world):
        if value["origin"] is None:
            yield f"a result without origin: {value['task_id']}"
            continue
        origin = (value["origin"]["partition"], value["origin"]["offset"])
        shares[origin].append(value["assignment"]["id"])
        yield from _result_problems(asked[origin], record, value)
    for origin, record in asked.items():
        results, letters = len(shares[origin]), dead[origin]
        whole = (results, letters) == ((0, 0) if record.value is None else (_wanted(record), 0))
        if not whole and (results, letters) != (0, 1):
            yield f"input {origin} has {results} results and {letters} dead letters: {record.value!r}"
        if len(set(shares[origin])) != results:
            yield f"input {origin} has one assignment twice: {shares[origin]}"
    yield from _spending(world, asked, dead)
    yield from checker.cursor_problems(world)


def _result_problems(source: StoredRecord, record: StoredRecord, value: dict[str, Any]) -> Iterator[str]:
    where = f"the result of {(source.partition, source.offset)}"
    added = (
        ("toloka-item-id", value["task_id"].encode()),
        ("toloka-status", value["assignment"]["status"].encode()),
    )
    if record.key != source.key or tuple(record.headers) != (*source.headers, *added):
        yield f"{where} has the key {record.key!r} and the headers {record.headers}"
    if canonical(value["task"]["input_values"]) != canonical(_members(source).get("input_values", {})):
        yield f"{where} answers {value['task']}, not {source.value!r}"
    if value["task"]["id"] != value["task_id"] or not value["solution"]:
        yield f"{where} is {value}"


def made(world: SimWorld) -> int:
    """How many tasks Toloka was ever paid for by us."""
    return len(world.toloka.state.tasks)


def _spending(
    world: SimWorld, asked: Mapping[Origin, StoredRecord], dead: Mapping[Origin, int]
) -> Iterator[str]:
    """As many tasks were created with a content as records asked for it and were not refused."""
    taken = _dead(world, b"RESULT_TOO_LARGE")
    due = Counter(
        canonical(_members(record).get("input_values", {}))
        for origin, record in asked.items()
        if record.value is not None and (taken[origin] or not dead.get(origin))
    )
    created = Counter(canonical(task.input_values) for task in world.toloka.state.tasks)
    for content in {*due, *created}:
        if due[content] != created[content]:
            yield f"{created[content]} tasks were made where {due[content]} were asked for: {content!r}"
    refused = [origin for origin, record in asked.items() if NAMED.encode() in (record.value or b"")]
    for origin in refused:
        if not dead.get(origin):
            yield f"input {origin} is invalid, and no dead letter"
