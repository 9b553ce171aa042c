"""Every way in which Toloka may behave and the documentation does not settle."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, Literal

import msgspec

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Digits = Annotated[int, msgspec.Meta(ge=0, le=6)]
Interval = Literal["", "MIN", "HOUR", "DAY"]
API_KEY = "A" * 22 + ".simulator.key"
OAUTH_TOKEN = "y0_simulator"


@dataclass(frozen=True)
class Knobs:
    """How this Toloka behaves; each knob has its default, and its line of --help."""

    credentials: Annotated[tuple[str, ...], "accepted Authorization headers, separated by commas"] = (
        f"ApiKey {API_KEY}",
        f"OAuth {OAUTH_TOKEN}",
    )
    unauthorized_status: Annotated[Literal[401, 403], "answer to a missing or bad credential"] = 401
    max_body_bytes: Annotated[int, "a larger request body is a 413"] = 64 << 20
    compress_answers: Annotated[bool, "gzip answers to clients that accept it"] = False
    date_header: Annotated[bool, "send a Date header"] = True
    date_skew_seconds: Annotated[float, "the Date header is this far ahead of the times in the answers"] = 0.0
    clock_skew_seconds: Annotated[float, "the whole of Toloka's clock is this far ahead"] = 0.0

    requests_per_second: Annotated[int | None, "more is a 429; none for no limit"] = 300
    retry_after_seconds: Annotated[int | None, "Retry-After of these 429s"] = None
    throttle_interval: Annotated[Interval, "payload.interval of these 429s"] = ""
    items_per_minute: Annotated[int | None, "more is a 429 with interval MIN"] = None
    items_per_hour: Annotated[int | None, "more tasks is a 429 with interval HOUR"] = None
    items_per_day: Annotated[int | None, "more is a 429 with interval DAY"] = None

    tasks_max_items: Annotated[int, "more tasks in one synchronous request are a 413"] = 5000
    tasks_max_bytes: Annotated[int, "more input_values in one request are a 413"] = 1_048_576
    operation_seconds_min: Annotated[float, "shortest time an operation takes"] = 0.0
    operation_seconds_max: Annotated[float, "longest time an operation takes"] = 0.05
    operation_repeat_status: Annotated[Literal[409, 400], "status of OPERATION_ALREADY_EXISTS"] = 409
    sync_errors: Annotated[Literal["nested", "dotted"], "how a 400 names tasks and fields"] = "nested"
    log_errors: Annotated[Literal["flat", "nested"], "where an operation's log has a task's errors"] = "flat"
    log_order: Annotated[Literal["item", "shuffled"], "order of the steps in an operation's log"] = "item"
    log_kept_seconds: Annotated[float | None, "an operation's log is archived after this; none for never"] = (
        None
    )
    suite_tasks: Annotated[int, "tasks in an assignment, at most"] = 1
    accept_seconds: Annotated[
        float | None, "submitted assignments are accepted after this; 0 for at once, none for never"
    ] = None
    rejected_share: Annotated[Share, "assignments that are rejected instead"] = 0.0
    skipped_share: Annotated[Share, "assignments that are skipped, for somebody else to do"] = 0.0
    expired_share: Annotated[Share, "assignments that expire, for somebody else to do"] = 0.0

    bulk_max_items: Annotated[int, "more items in one request are a 413"] = 10_000
    bulk_status: Annotated[Literal[200, 201], "status of a bulk that succeeded"] = 200
    id_order: Annotated[Literal["item", "shuffled"], "order of the ids in a bulk's answer"] = "item"
    deduplication: Annotated[Literal["whole", "without_id", "off"], "what counts as a duplicate"] = "whole"
    deduplicated_seconds: Annotated[float, "a duplicate completes after this time"] = 0.0
    unknown_fields: Annotated[Literal["allowed", "rejected"], "input fields the spec does not have"] = (
        "allowed"
    )
    opaque_marker: Annotated[str, "an item with this text makes a 400 that names nothing"] = ""
    named_marker: Annotated[str, "an item with this text makes a 400 that names the item"] = ""
    changed_input: Annotated[
        Literal["none", "reordered", "numbers", "trimmed", "extra_field"],
        "how input_data in answers differs from what was sent",
    ] = "none"

    start_seconds_min: Annotated[float, "earliest start of an item's processing"] = 0.0
    start_seconds_max: Annotated[float, "latest start"] = 0.02
    finish_distribution: Annotated[
        Literal["uniform", "exponential", "never"],
        "processing time: between min and max, or min plus an exponential that averages max - min",
    ] = "uniform"
    finish_seconds_min: Annotated[float, "shortest processing time"] = 0.02
    finish_seconds_max: Annotated[float, "longest processing time"] = 0.1
    error_share: Annotated[Share, "items that end in ERROR"] = 0.0
    cancelled_share: Annotated[Share, "items that end in CANCELLED"] = 0.0
    no_money_share: Annotated[Share, "items that come to NO_MONEY"] = 0.0
    stopped_share: Annotated[Share, "items that come to STOPPED"] = 0.0
    return_seconds: Annotated[float | None, "NO_MONEY and STOPPED go back to PROCESSING; none for never"] = (
        None
    )
    ends_carry_finished: Annotated[bool, "ERROR and CANCELLED items have a finished_at"] = True
    regress_share: Annotated[Share, "COMPLETED items that go back to PROCESSING once, and finish again"] = 0.0
    regress_seconds: Annotated[float, "when they do"] = 0.5

    created_digits: Annotated[Digits, "fraction digits of created_at, 0 to 6"] = 3
    finished_digits: Annotated[
        Digits, "fraction digits of started_at and finished_at; 0 makes ties of a second"
    ] = 6
    drop_trailing_zeros: Annotated[bool, "12.500000 is written 12.5"] = True
    zone_suffix: Annotated[Literal["", "Z"], "what follows a time"] = ""
    hidden_precision: Annotated[bool, "sort and filter by microseconds that the times shown leave out"] = (
        False
    )

    late_share: Annotated[Share, "finished items that listings show as PROCESSING for a while"] = 0.0
    late_seconds: Annotated[float, "for how long; finished_at stays truthful"] = 1.0
    late_created_share: Annotated[Share, "new items that listings leave out for a while"] = 0.0
    late_created_seconds: Annotated[float, "for how long"] = 1.0
    late_by_id: Annotated[bool, "reading one item by id is as late as the listings"] = False

    tie_order: Annotated[Literal["id", "insertion", "random"], "order of what the sort leaves equal"] = "id"
    cursor_compare: Annotated[
        Literal["tuple", "time"], "after_id compares the whole sort, or its head only"
    ] = "tuple"
    null_finished: Annotated[Literal["excluded", "last", "first"], "unfinished items under sort=finished"] = (
        "excluded"
    )
    unknown_cursor: Annotated[Literal[404, 400], "answer to an after_id that is not there"] = 404
    filtered_cursor: Annotated[Literal["position", "unknown"], "an after_id that the filters exclude"] = (
        "position"
    )
    over_limit: Annotated[Literal["rejected", "clamped"], "a limit above the maximum"] = "rejected"
    default_limit: Annotated[int, "items in a page where no limit is given"] = 100
    max_limit: Annotated[int, "the largest limit"] = 1000
    status_list: Annotated[Literal["union", "rejected"], "status=A,B"] = "union"
    archived_items: Annotated[
        Literal["hidden", "asked", "listed"],
        "archived items in listings and as cursors: asked: where the status asks for them",
    ] = "hidden"
    unknown_parameters: Annotated[Literal["rejected", "ignored"], "filters a listing does not have"] = (
        "rejected"
    )


def patched(knobs: Knobs, changes: dict[str, Any]) -> Knobs:
    """Return the knobs with some replaced; text is read as the type that the knob has.

    Raises:
        ValueError: a name or a value that no knob has.
    """
    unknown = changes.keys() - {each.name for each in fields(Knobs)}
    if unknown:
        raise ValueError(f"no such knob: {', '.join(sorted(unknown))}")
    return msgspec.convert({**asdict(knobs), **changes}, Knobs, strict=False)
