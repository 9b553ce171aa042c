"""Why a flow is held, in words for people; the runbook has a section for each."""

from collections.abc import Mapping
from typing import Final

WORDS: Final[Mapping[str, str]] = {
    "budget": "The spend guard is reached.",
    "conflict": "The project's state at Toloka forbids the request.",
    "content_altered": "Toloka gives back other content than it was sent: comparing proves nothing.",
    "forbidden": "Toloka knows the credential, and does not let it do this.",
    "intent_unreadable": "The committed offset carries a note that this release cannot read.",
    "kafka": "Kafka fails or refuses something, however often it is tried.",
    "ledger_unreadable": "The ledger holds a record that this release cannot read.",
    "listing_failed": "Toloka does not say what it has, which a batch in doubt needs to know.",
    "not_found": "Toloka does not know the project, or its app.",
    "not_permitted": "Kafka denies a permission.",
    "offset_lost": "The group has lost its offset; starting again would pay for everything twice.",
    "offset_out_of_range": "The records that come next were deleted, or the topic was made anew.",
    "others_in_doubt": "It is in doubt, and waits for partitions in doubt whose items may be alike.",
    "paused": "Somebody paused it, on purpose.",
    "range_gone": "A batch is in doubt, and its records are no longer in the input topic.",
    "refused": "Toloka refuses the request itself, not its items.",
    "rejected_ratio": "Too large a share of the records would become dead letters.",
    "throttled": "A limit is reached: Toloka's, or our own.",
    "too_large": "A record is larger than its topic takes.",
    "unauthorized": "Toloka does not know the credential.",
    "unreachable": "Toloka does not answer, or what it answers cannot be read.",
}


def in_words(reason: str) -> str:
    """A sentence for a reason; the reason itself where there is none."""
    return WORDS.get(reason, f"It is held for {reason}.")
