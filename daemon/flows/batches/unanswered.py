"""What is sent again and again without a clear answer: nothing behind it gets on, and that is shown."""

from daemon.errors import Held
from daemon.flows.holding import HELD_APART, ShownHold
from daemon.model import Batch, InDoubt, Outcome


def show(shown: ShownHold, batch: Batch, outcome: Outcome | None) -> None:
    """Show that a batch which was in doubt before is so once more, until there is a clear answer.

    Each time it takes a quarantine, and Toloka may answer everything else: no other hold would tell. An
    outcome of None is that of what was not sent.
    """
    if isinstance(outcome, InDoubt):
        if batch.since is not None and not outcome.listing:
            detail = (
                f"what is still to be sent of the offsets {batch.first} to {batch.end - 1} was sent again,"
                f" and again without a clear answer: {outcome}; it is tried again, and tolokad"
                f" resolve --partition {batch.partition} decides by hand"
            )
            shown.begin(Held("unreachable", detail))
    elif outcome is not None:
        shown.end_unless(*HELD_APART)
