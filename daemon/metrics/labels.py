"""Every value that a label can take: bounded, so that a scrape stays small whatever Toloka answers."""

from collections.abc import Collection
from typing import Final

FLOWS: Final = ("submit", "collect")
TRANSACTION_KINDS: Final = ("intent", "settle", "results")
RESOLUTIONS: Final = ("adopted", "resubmitted", "partial", "held")
WATCHED_TOPICS: Final = ("input", "ledger", "output")
FOUND_BY: Final = ("overlap", "sweep")
HOLD_REASONS: Final = (
    "budget",
    "conflict",
    "content_altered",
    "forbidden",
    "intent_unreadable",
    "kafka",
    "ledger_unreadable",
    "listing_failed",
    "not_found",
    "not_permitted",
    "offset_lost",
    "offset_out_of_range",
    "others_in_doubt",
    "paused",
    "range_gone",
    "refused",
    "rejected_ratio",
    "throttled",
    "too_large",
    "unauthorized",
    "unreachable",
)
OPERATIONS: Final = (
    # The app API: POST …/items/bulk, GET …/items, …/items/{id}, /app-projects/{id}, /apps/{id}.
    "bulk",
    "list",
    "item",
    "project",
    "app",
    # The tasks API: POST /tasks, GET /tasks, /operations/{id}, …/log, /assignments, /pools/{id}.
    "tasks",
    "task_list",
    "operation",
    "operation_log",
    "assignments",
    "pool",
)
REQUEST_OUTCOMES: Final = (
    "success",
    "rejected",
    "too_large",
    "throttled",
    "unauthorized",
    "forbidden",
    "not_found",
    "conflict",
    "server_error",
    "timeout",
    "connection",
    "refused",
    "unreadable",
)

OTHER: Final = "OTHER"
# Ends of an item (app API) and statuses of an assignment (tasks API).
RESULT_STATUSES: Final = (
    *("COMPLETED", "ERROR", "CANCELLED", "ARCHIVE", "ARCHIVED"),
    *("SUBMITTED", "ACCEPTED", "REJECTED", "SKIPPED", "EXPIRED"),
    OTHER,
)
OPEN_STATUSES: Final = ("NEW", "PROCESSING", "NO_MONEY", "STOPPED", OTHER)
# The codes in the header `tolokad-error-code`: our own, then Toloka's for fields.
DEAD_LETTER_REASONS: Final = (
    *("NOT_JSON", "NOT_AN_OBJECT", "REPEATED_KEY", "TOO_DEEP", "TOO_LARGE", "HEADERS_TOO_LARGE"),
    *("POINTER_MISSES", "ITEM_VANISHED", "NO_RESULT", "RESULT_TOO_LARGE", "RESOLVED_BY_OPERATOR"),
    *("VALIDATION_ERROR", "ENTITY_TOO_LARGE", "ENTITY_DOES_NOT_EXIST", "VALUE_REQUIRED", "VALUE_NOT_ALLOWED"),
    *("VALUE_GREATER_THAN_MAX", "VALUE_LESS_THAN_MIN", "UNKNOWN_ENUM_VALUE"),
    *("STRING_EXPECTED", "INTEGER_EXPECTED", "FLOAT_EXPECTED", "BOOLEAN_EXPECTED", "ARRAY_EXPECTED"),
    *("OBJECT_EXPECTED", "JSON_EXPECTED", "UUID_EXPECTED"),
    *("INVALID_URL_SYNTAX", "INVALID_DATE_TIME_SYNTAX"),
    *("STRING_LENGTH_GREATER_THAN_MAX", "STRING_LENGTH_LESS_THAN_MIN"),
    *("ARRAY_SIZE_GREATER_THAN_MAX", "ARRAY_SIZE_LESS_THAN_MIN", "OBJECT_SIZE_BYTES_GREATER_THAN_MAX"),
    OTHER,
)


def bounded(value: str, known: Collection[str]) -> str:
    """The value itself where it is known, else `OTHER`: for codes and statuses that Toloka may invent."""
    return value if value in known else OTHER
