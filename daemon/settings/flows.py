"""The variables `TOLOKAD_SUBMIT__…`, `TOLOKAD_BUDGET__…` and `TOLOKAD_COLLECT__…`."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from daemon.settings import kinds
from daemon.settings.kinds import Says, Section, Shown

Count = Annotated[int | None, Field(ge=1)]
Money = Annotated[Decimal | None, Field(gt=0)]


class SubmitSettings(Section):
    """From the input topic to Toloka."""

    enabled: bool = True
    """Run this flow."""

    max_items: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """The most items in one bulk request; Toloka takes 10,000 (tasks: 5,000)."""

    max_bytes: Annotated[int, Field(ge=1000, le=100_000_000), Shown("4000000 (tasks: 1000000)")] = 4_000_000
    """The most bytes in a request's body; Toloka refuses tasks whose values pass 1,048,576 together."""

    linger_seconds: Annotated[float, Field(ge=0, le=3600)] = 0.5
    """How long a batch that is not full waits for more: latency against the number of requests."""

    request_timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 20
    """The whole attempt, from the intent to the answer, waiting included."""

    quarantine_seconds: Annotated[float, Field(gt=0, le=86_400)] = 120
    """How long after an attempt that got no answer it is believed that its items are not there.

    At least twice REQUEST_TIMEOUT_SECONDS: Toloka may still be working on a request that we gave up.
    """

    force_new_original: bool = False
    """Have items labelled again although Toloka has a labelled duplicate: that costs again."""

    item_pointer: Annotated[
        str | None, AfterValidator(kinds.json_pointer), Says("a JSON Pointer such as /payload/item")
    ] = None
    """Where the item stands inside a larger record (RFC 6901); without it, the record is the item."""

    max_rejected_ratio: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Hold when more than this share of the last items was refused, rather than dead-letter a whole topic.

    1 switches it off.
    """

    rejected_window_items: Annotated[int, Field(ge=1, le=10_000_000)] = 1000
    """Over how many of the last items that share is taken."""


class BudgetSettings(Section):
    """A guard against spending too much: submission is held when a limit is reached."""

    items_per_day: Annotated[Count, Shown("no limit")] = None
    """Items submitted in a day."""

    items_total: Annotated[Count, Shown("no limit")] = None
    """Items submitted at all."""

    money_per_day: Annotated[Money, Shown("no limit")] = None
    """Money for the items submitted in a day, by the project's item_price and in its currency.

    The price is asked for at the start: where it is changed, restart.
    """

    money_total: Annotated[Money, Shown("no limit")] = None
    """Money for all items submitted, likewise."""

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return any(
            limit is not None
            for limit in (self.items_per_day, self.items_total, self.money_per_day, self.money_total)
        )


class CollectSettings(Section):
    """From Toloka to the output topic."""

    enabled: bool = True
    """Run this flow."""

    interval_seconds: Annotated[float, Field(gt=0, le=3600)] = 1
    """How long to wait between looks at what has finished; one small request each."""

    page_size: Annotated[int, Field(ge=1, le=1000)] = 1000
    """How many items to ask for at once, and the most results in one transaction; Toloka gives 1,000."""

    overlap_seconds: Annotated[float, Field(ge=0, le=86_400)] = 60
    """How far before the cursor to look again for items that became visible late."""

    overlap_every_seconds: Annotated[float, Field(gt=0, le=86_400)] = 30
    """How often to look there."""

    sweep_after_seconds: Annotated[float, Field(gt=0, le=31_536_000)] = 3600
    """How old an open item may grow before it is looked for by itself."""

    sweep_every_seconds: Annotated[float, Field(gt=0, le=86_400)] = 300
    """How often to see whether there are such items."""

    unknown_items: Literal["ignore", "publish"] = "ignore"
    """What to do with finished items that someone else submitted: count them, or publish them too."""

    start_at: Annotated[
        Literal["now", "earliest"] | datetime,
        BeforeValidator(kinds.start_at),
        Says("now, earliest, or a time such as 2026-01-31T12:00:00Z"),
    ] = "now"
    """Where to start where there is no cursor yet; a time without an offset is UTC."""
