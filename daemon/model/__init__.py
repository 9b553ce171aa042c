"""The words of tolokad as frozen data: items, batches, intents, what a submission comes to, results.

`items` has records and batches as well, `many_items` many at once; `attempts` intents, and what they come
to; `results` what Toloka shows; `writing` what goes to Kafka.

Times are aware `datetime`s in UTC; where Kafka says milliseconds, the name does.
"""

from datetime import UTC, datetime
from typing import Final

from daemon.model.attempts import (
    Accepted,
    Committed,
    Deadline,
    Divided,
    InDoubt,
    Intent,
    NotNow,
    Outcome,
    Rejected,
    Tally,
    TooLarge,
)
from daemon.model.items import (
    BareRecord,
    Batch,
    DeadLetter,
    Flaw,
    Headers,
    Item,
    Likeness,
    PlacedRecord,
    Record,
)
from daemon.model.many_items import Columns, Items, body_bytes, in_parts, parts_of, timestamps_of
from daemon.model.results import Created, Cursor, Finished, Page, Sight, UnknownCursor
from daemon.model.writing import Append, Appends, Column, OffsetCommit, Transaction

__all__ = [
    "EPOCH",
    "Accepted",
    "Append",
    "Appends",
    "BareRecord",
    "Batch",
    "Column",
    "Columns",
    "Committed",
    "Created",
    "Cursor",
    "DeadLetter",
    "Deadline",
    "Divided",
    "Finished",
    "Flaw",
    "Headers",
    "InDoubt",
    "Intent",
    "Item",
    "Items",
    "Likeness",
    "NotNow",
    "OffsetCommit",
    "Outcome",
    "Page",
    "PlacedRecord",
    "Record",
    "Rejected",
    "Sight",
    "Tally",
    "TooLarge",
    "Transaction",
    "UnknownCursor",
    "body_bytes",
    "in_parts",
    "parts_of",
    "timestamps_of",
]

# Nothing of ours is older, and what counts in microseconds or seconds begins here.
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
