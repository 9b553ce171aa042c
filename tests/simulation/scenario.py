"""What a seed decides before anything runs: settings, Toloka's habits, the paces, and the work."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from daemon.model import Append
from daemon.settings import Settings, load
from tests.simulation.broker import Pace
from tests.simulator.knobs import API_KEY, Knobs
from tests.simulator.world import MODERATION_APP, MODERATION_PROJECT, App, Project, World

GROUP = "tolokad"
INPUT, RESULTS, DEAD = "moderation.items", "moderation.results", "moderation.dead-letters"
LEDGER, CURSORS, BUDGET = "tolokad.ledger", "tolokad.cursors", "tolokad.budget"
# 2023-11-14T22:13:20Z, when virtual time begins.
EPOCH_SECONDS = 1_700_000_000.0

_NO_ITEMS = (b"no json", b"[1]", b'{"text":1}', b"{}", b'{"text":"a","text":"b"}', b"\xff")
OPAQUE, NAMED = "opaquely-bad", "namedly-bad"
VANISHING = "vanishing"
LARGE_LETTERS = 2000
# Longer than anything in this world lasts; beyond it replicas would only wait.
LONGEST_QUARANTINE_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Job:
    """A record to be produced, and when."""

    at: float
    append: Append


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that is decided beforehand.

    Attributes:
        partitions: of each topic.
        takes_id: the app's input has a field `id`, so that tolokad can tell equal items apart.
        max_result_bytes: what the output topic takes; where it is little, some results are too large.
        work: records of the input topic, in the order of their times.
    """

    settings: Settings
    partitions: dict[str, int]
    knobs: Knobs
    world: World
    pace: Pace
    takes_id: bool
    work: tuple[Job, ...]
    close_share: float
    max_result_bytes: int


class Repeated(NamedTuple):
    """How many items have a content that others have, relative to the rest, and of how many contents."""

    weight: float
    contents: int


def scenario(rng: Random, items: int = 200) -> Scenario:
    """Draw a scenario."""
    takes_id = rng.random() < 0.5
    partitions = {
        INPUT: rng.randint(3, 4),
        RESULTS: rng.randint(2, 4),
        DEAD: rng.randint(1, 2),
        LEDGER: rng.randint(1, 3),
        CURSORS: 1,
    }
    return Scenario(
        settings=_settings(rng),
        partitions=partitions,
        knobs=_knobs(rng),
        world=_world(takes_id=takes_id),
        pace=Pace(marker=rng.choice((0.002, 0.02, 0.2)), first_delay=rng.choice((0.0, 1.0, 3.0))),
        takes_id=takes_id,
        work=tuple(_work(rng, partitions[INPUT], items)),
        close_share=rng.choice((0.0, 0.0, 0.05, 1.0)),
        max_result_bytes=rng.choice((1 << 20, 1 << 20, LARGE_LETTERS)),
    )


def _settings(rng: Random) -> Settings:
    request = rng.choice((5, 10, 20))
    values: dict[str, Any] = {
        "KAFKA__BOOTSTRAP_SERVERS": "kafka.invalid:9092",
        "KAFKA__SESSION_TIMEOUT_SECONDS": rng.choice((6, 10, 15)),
        "TOLOKA__URL": "http://127.0.0.1",
        "TOLOKA__PROJECT_ID": MODERATION_PROJECT,
        "TOLOKA__TOKEN": API_KEY,
        "SUBMIT__MAX_ITEMS": rng.choices((1, 3, 7, 20, 50), (1, 4, 6, 6, 3))[0],
        "SUBMIT__LINGER_SECONDS": rng.choices((0.05, 0.5, 1.5, 4.0), (1, 3, 3, 2))[0],
        "SUBMIT__REQUEST_TIMEOUT_SECONDS": request,
        "SUBMIT__QUARANTINE_SECONDS": min(request * rng.choice((3, 6, 9)), LONGEST_QUARANTINE_SECONDS),
        "SUBMIT__MAX_REJECTED_RATIO": 1,
        "COLLECT__INTERVAL_SECONDS": rng.choice((1, 3)),
        "COLLECT__PAGE_SIZE": rng.choice((2, 10, 100)),
        "COLLECT__OVERLAP_SECONDS": rng.choice((40, 60)),
        "COLLECT__OVERLAP_EVERY_SECONDS": rng.choice((5, 20)),
        "COLLECT__SWEEP_AFTER_SECONDS": rng.choice((60, 120)),
        "COLLECT__SWEEP_EVERY_SECONDS": rng.choice((10, 30)),
        "COLLECT__START_AT": rng.choice(("now", "earliest")),
        "COLLECT__UNKNOWN_ITEMS": rng.choice(("ignore", "publish")),
    }
    return load({f"TOLOKAD_{name}": str(value) for name, value in values.items()})


def _knobs(rng: Random) -> Knobs:
    return Knobs(
        requests_per_second=None,
        bulk_max_items=rng.choice((10_000, 10_000, 5)),
        id_order=rng.choice(("item", "shuffled")),
        deduplication=rng.choice(("whole", "without_id", "off")),
        opaque_marker=OPAQUE,
        named_marker=NAMED,
        changed_input=rng.choice(("none", "reordered", "numbers")),
        start_seconds_max=rng.choice((0.02, 1.0)),
        finish_distribution=rng.choice(("uniform", "exponential")),
        finish_seconds_min=0.02,
        finish_seconds_max=rng.choice((0.1, 5.0, 30.0)),
        error_share=rng.choice((0.0, 0.1)),
        cancelled_share=rng.choice((0.0, 0.05)),
        no_money_share=rng.choice((0.0, 0.05)),
        regress_share=rng.choice((0.0, 0.0, 0.05)),
        return_seconds=5.0,
        ends_carry_finished=rng.choice((True, True, False)),
        created_digits=rng.choice((0, 3)),
        finished_digits=rng.choice((0, 3, 6)),
        date_skew_seconds=rng.uniform(-2, 2),
        late_share=rng.choice((0.0, 0.2)),
        late_seconds=rng.choice((1.0, 10.0)),
        late_created_share=rng.choice((0.0, 0.2)),
        late_created_seconds=rng.choice((0.5, 3.0)),
        tie_order=rng.choice(("id", "insertion", "random")),
        cursor_compare=rng.choice(("tuple", "time")),
        null_finished=rng.choice(("excluded", "last", "first")),
        unknown_cursor=rng.choice((404, 400)),
        archived_items=rng.choice(("asked", "listed")),
    )


def _world(*, takes_id: bool) -> World:
    rule = {"required": True, "hidden": False}
    spec: dict[str, dict[str, Any]] = {"text": {"type": "string", **rule}}
    if takes_id:
        spec["id"] = {"type": "string", "required": False, "hidden": False}
    output = {"result": {"type": "array_string", **rule, "allowed_values": ["OK", "BAD"]}}
    app = App(MODERATION_APP, "Text moderation", spec, output)
    project = Project(MODERATION_PROJECT, app)
    return World({app.id: app}, {project.id: project})


# --- the work ------------------------------------------------------------------------------------------


def _work(rng: Random, partitions: int, items: int) -> Iterator[Job]:
    """Bursts and trickles; in some worlds most items equal others."""
    repeated = rng.choices((Repeated(0.20, 6), Repeated(3.0, 3)), (5, 1))[0]
    times = sorted(
        rng.uniform(0, 30) if rng.random() < 0.7 else rng.choice((1.0, 15.0)) for _ in range(items)
    )
    for number, at in enumerate(times):
        headers = (("traceparent", f"00-{number:032x}-01".encode()),) if rng.random() < 0.5 else ()
        key = f"key-{rng.randrange(20)}".encode() if rng.random() < 0.8 else None
        yield Job(at, Append(INPUT, rng.randrange(partitions), key, _value(rng, number, repeated), headers))


def _value(rng: Random, number: int, repeated: Repeated) -> bytes | None:
    """Mostly items of their own; some repeated, some bad, some tombstones."""
    kinds: tuple[tuple[float, Callable[[], bytes | None]], ...] = (
        (0.05, lambda: None),
        (0.03, lambda: rng.choice(_NO_ITEMS)),
        (0.04, lambda: _item(f"{rng.choice((OPAQUE, NAMED))} {number}")),
        (repeated.weight, lambda: _item(f"repeated {rng.randrange(repeated.contents)}")),
        (0.03, lambda: _item(f"{VANISHING} {number}")),
        (0.05, lambda: _item(f"with an id {number}", id=f"own-{number % 9}")),
        (0.02, lambda: _item(f"large {number}".ljust(LARGE_LETTERS, "."))),
        (0.58, lambda: _item(f"item {number}", score=number, deep={"b": [1, 2.5], "a": number})),
    )
    shares, makers = zip(*kinds, strict=True)
    maker: Callable[[], bytes | None] = rng.choices(makers, shares)[0]
    return maker()


def _item(text: str, **members: Any) -> bytes:
    return json.dumps({"text": text, **members}).encode()
