"""Pure: what a seed makes of a schedule: Toloka's ways and faults, and which blow falls when, on whom."""

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from tests.canary import CANARY

REPLICAS: Final = 3
BLOWS: Final = 9
# The blows fall within so many seconds; then everything heals.
SECONDS: Final = 7.0
REQUEST_SECONDS: Final = 2.0
# Whatever delays a request here (a slow line, a frozen server, a late commit), together less than this.
QUARANTINE_SECONDS: Final = 7.0
# Items whose content others may have are adopted only when the doubts of other partitions have ended, after
# half a minute at the latest: most schedules spare the time.
TOLD_APART: Final = 0.75


class Range(NamedTuple):
    """A blow: how often it is chosen, compared with others, and how long it lasts."""

    weight: float
    shortest: float
    longest: float


KINDS: Final[Mapping[str, Range]] = {
    "replica_killed": Range(5, 0.0, 3.0),
    "replica_frozen": Range(3, 0.2, 4.0),
    "replica_frozen_for_long": Range(0.5, 9.0, 11.0),
    "replica_stopped": Range(2, 0.0, 2.0),
    "broker_killed": Range(1, 0.0, 2.0),
    "broker_restarted": Range(1, 0.0, 0.0),
    "broker_frozen": Range(1, 0.5, 4.0),
    "kafka_reset": Range(2, 0.0, 0.0),
    "kafka_cut": Range(1, 0.5, 3.0),
    "kafka_black_hole": Range(1, 0.5, 3.0),
    "kafka_slow": Range(1, 1.0, 4.0),
    "commit_held": Range(3, 0.5, 5.0),
    "offsets_held": Range(1, 0.5, 4.0),
    "coordinator_held": Range(1, 0.5, 4.0),
    "heartbeat_held": Range(1, 0.5, 4.0),
    "toloka_reset": Range(2, 0.0, 0.0),
    "toloka_cut": Range(1, 0.5, 3.0),
    "toloka_black_hole": Range(1, 0.5, 3.0),
    "toloka_slow": Range(1, 1.0, 3.0),
    "toloka_frozen": Range(1, 0.3, 1.5),
    "toloka_torn": Range(1, 0.5, 2.0),
}

# Every way in which Toloka may behave and this daemon must be right under. Left out: input that comes back
# trimmed or with more fields, for then comparing proves nothing and the daemon holds, on purpose; and items
# that finish twice, for which of their ends is published the checker cannot know.
KNOBS: Final[Mapping[str, Sequence[object]]] = {
    "bulk_max_items": (10, 30, 10_000),
    "bulk_status": (200, 201),
    "id_order": ("item", "shuffled"),
    "deduplication": ("whole", "without_id", "off"),
    "deduplicated_seconds": (0.0, 0.3),
    "changed_input": ("none", "reordered", "numbers"),
    "compress_answers": (True, False),
    "clock_skew_seconds": (0.0, -3600.0, 3600.0),
    "date_skew_seconds": (0.0, -10.0, 10.0),
    "requests_per_second": (None, 100),
    "retry_after_seconds": (None, 1),
    "unauthorized_status": (401, 403),
    "finish_distribution": ("uniform", "exponential"),
    "finish_seconds_max": (0.1, 1.0, 3.0),
    "error_share": (0.0, 0.05),
    "cancelled_share": (0.0, 0.05),
    "no_money_share": (0.0, 0.05),
    "stopped_share": (0.0, 0.05),
    "ends_carry_finished": (True, False),
    "created_digits": (0, 3, 6),
    "finished_digits": (0, 3, 6),
    "drop_trailing_zeros": (True, False),
    "zone_suffix": ("", "Z"),
    "hidden_precision": (True, False),
    "late_share": (0.0, 0.1),
    "late_seconds": (1.0, 3.0),
    "late_created_share": (0.0, 0.1),
    "late_by_id": (True, False),
    "tie_order": ("id", "insertion", "random"),
    "cursor_compare": ("tuple", "time"),
    "null_finished": ("excluded", "last", "first"),
    "unknown_cursor": (404, 400),
    "filtered_cursor": ("position", "unknown"),
    "over_limit": ("rejected", "clamped"),
    "status_list": ("union", "rejected"),
    "archived_items": ("asked", "listed"),
    "unknown_parameters": ("rejected", "ignored"),
}
FIXED: Final[Mapping[str, object]] = {
    "late_created_seconds": 0.5,
    "return_seconds": 2.0,
}

_BULK: Final = {"operations": ["bulk"]}
_TATTLING: Final = {"input_data.0.text": {"code": "VALUE_REQUIRED", "message": f"not with {CANARY}"}}
FAULTS: Final[Sequence[Mapping[str, Any]]] = (
    {"kind": "drop", **_BULK},
    {"kind": "drop", "committed": True, "reset": True, **_BULK},
    {"kind": "drop_request", **_BULK},
    {"kind": "drop_answer", **_BULK},
    {"kind": "late_commit", "delay_seconds": 2.0, **_BULK},
    {"kind": "late_commit", "delay_seconds": 2.0, "hangs": True, **_BULK},
    {"kind": "hang", **_BULK},
    {"kind": "hang", "committed": True, **_BULK},
    {"kind": "slow", "delay_seconds": 0.4, **_BULK},
    {"kind": "slow", "delay_seconds": 0.4, "committed": True, **_BULK},
    {"kind": "status", "status": 500, "style": "html"},
    {"kind": "status", "status": 502, "style": "html", "committed": True, **_BULK},
    {"kind": "status", "status": 503, "style": "json"},
    {"kind": "status", "status": 504, "style": "empty", "committed": True, **_BULK},
    {"kind": "status", "status": 401, "style": "json"},
    {"kind": "status", "status": 403, "style": "html"},
    {"kind": "status", "status": 404, "style": "json", **_BULK},
    {"kind": "status", "status": 409, "style": "json", **_BULK},
    {"kind": "status", "status": 413, "style": "html", **_BULK},
    {"kind": "status", "status": 415, "style": "json", **_BULK},
    {"kind": "status", "status": 429, "style": "json", "retry_after": "1"},
    {"kind": "status", "status": 429, "style": "json"},
    {"kind": "status", "status": 400, "style": "json", "payload": _TATTLING, **_BULK},
    {"kind": "redirect"},
    {"kind": "redirect", "committed": True, **_BULK},
    {"kind": "truncated"},
    {"kind": "wrong_type"},
    {"kind": "duplicate_keys"},
    {"kind": "missing_id", **_BULK},
    {"kind": "extra_id", **_BULK},
    {"kind": "repeated_id", **_BULK},
    {"kind": "gigantic", "size_bytes": 128 << 20, "operations": ["list"]},
    {"kind": "bomb", "size_bytes": 128 << 20, "operations": ["list"]},
    {"kind": "empty_page", "operations": ["list"]},
    {"kind": "same_page", "operations": ["list"]},
    {"kind": "drop", "operations": ["list"]},
)


# Which rows of the fault matrix a blow, or an answer of Toloka's, fires; what could be several is left out.
ROWS: Final[Mapping[str, int]] = {
    "replica_stopped": 9,
    "replica_frozen": 11,
    "replica_frozen_for_long": 11,
    "broker_killed": 16,
    "broker_restarted": 16,
    "coordinator_held": 18,
    "heartbeat_held": 19,
    "commit_held": 22,
    "kafka_cut": 28,
    "toloka_cut": 33,
    "toloka_torn": 34,
    "toloka_black_hole": 34,
    "toloka_reset": 36,
    "answer: drop": 34,
    "answer: late_commit": 34,
    "answer: truncated": 46,
    "answer: wrong_type": 46,
    "answer: missing_id": 47,
    "answer: extra_id": 47,
    "answer: repeated_id": 47,
    "answer: duplicate_keys": 48,
    "answer: gigantic": 49,
    "answer: bomb": 49,
    "answer: redirect": 50,
    "answer: empty_page": 56,
    "answer: same_page": 57,
}


@dataclass(frozen=True, slots=True)
class Blow:
    """At so many seconds a thing of this kind happens, to this replica where it is one's, for so long."""

    at: float
    kind: str
    replica: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """What a seed stands for.

    Attributes:
        seed: as given.
        version: of Kafka.
        flags: the simulator's.
        faults: Toloka's, in the simulator's words.
        settings: the replicas', without the prefix.
        told_apart: whether tolokad gives every item an id, so that none can be mistaken for another.
        blows: in order.
    """

    seed: int
    version: str
    flags: tuple[str, ...]
    faults: tuple[Mapping[str, Any], ...]
    settings: Mapping[str, str]
    told_apart: bool
    blows: tuple[Blow, ...]


def scheduled(seed: int) -> Schedule:
    """The same for the same seed; half of the seeds stand for each version of Kafka."""
    dice = random.Random(seed)
    version = ("3.9.2", "4.3.1")[seed % 2]
    knobs = {name: dice.choice(values) for name, values in KNOBS.items()}
    knobs.update(FIXED)
    flags = [text for name, value in knobs.items() if value != "none" for text in _flag(name, value)]
    faults = tuple(
        {**fault, "probability": dice.uniform(0.02, 0.15), "times": dice.randint(1, 3)}
        for fault in dice.sample(FAULTS, 8)
    )
    settings = {
        "SUBMIT__MAX_ITEMS": str(dice.choice([7, 20, 50])),
        "SUBMIT__REQUEST_TIMEOUT_SECONDS": str(REQUEST_SECONDS),
        "SUBMIT__QUARANTINE_SECONDS": str(QUARANTINE_SECONDS),
        "COLLECT__PAGE_SIZE": str(dice.choice([5, 50, 1000])),
        "COLLECT__OVERLAP_SECONDS": str(dice.choice([5, 60])),
        "COLLECT__INTERVAL_SECONDS": "0.5",
        "COLLECT__SWEEP_AFTER_SECONDS": "5",
        "COLLECT__SWEEP_EVERY_SECONDS": "2",
        "SHUTDOWN_SECONDS": str(dice.choice([1, 5])),
        "LOG__LEVEL": dice.choice(["INFO", "DEBUG"]),
    }
    told_apart = dice.random() < TOLD_APART
    return Schedule(seed, version, tuple(flags), faults, settings, told_apart, _blows(dice))


def _blows(dice: random.Random) -> tuple[Blow, ...]:
    chosen = dice.choices(list(KINDS), [each.weight for each in KINDS.values()], k=BLOWS)
    # A broker takes its time to come back: it is struck once at most.
    broken = [kind for kind in chosen if kind.startswith("broker")][:1]
    chosen = broken + [kind for kind in chosen if not kind.startswith("broker")]
    return tuple(
        sorted(
            (
                Blow(
                    at=dice.uniform(0.0, SECONDS),
                    kind=kind,
                    replica=dice.randrange(REPLICAS),
                    seconds=dice.uniform(KINDS[kind].shortest, KINDS[kind].longest),
                )
                for kind in chosen
            ),
            key=lambda blow: blow.at,
        )
    )


def rows_fired(faults: Mapping[str, int]) -> Counter[int]:
    """How often each row of the fault matrix was fired, as far as a kind of fault is one row's."""
    fired: Counter[int] = Counter()
    for kind, count in faults.items():
        if kind in ROWS:
            fired[ROWS[kind]] += count
    return fired


def _flag(name: str, value: object) -> tuple[str, str]:
    shown = json.dumps(value) if isinstance(value, bool) else "none" if value is None else str(value)
    return f"--{name.replace('_', '-')}", shown
