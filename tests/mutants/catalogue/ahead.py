"""Mutants of what is sent before the answer to the batch before it has come."""

from tests.mutants.planting import Mutant

DELIVER = "daemon.flows.delivering"
CLAIM = "daemon.flows.claiming"

AHEAD = (
    Mutant(
        "sent-behind-unannounced",
        "the second batch under way is not announced: a crash sends it twice",
        "daemon.flows.ahead",
        "    return replace(first.intent, doubt_end=last.batch.end, doubt_at=last.intent.at)\n",
        "    return first.intent\n",
    ),
    Mutant(
        "sent-before-it-is-announced",
        "the second batch is sent while its intent is written: a crash in between sends it twice",
        DELIVER,
        "        await outbox.note(attempt.batch.first, announcing(attempt, other))\n"
        "        ahead.send_behind(other)\n",
        "        ahead.send_behind(other)\n"
        "        await outbox.note(attempt.batch.first, announcing(attempt, other))\n",
    ),
    Mutant(
        "created-behind-a-no-forgotten",
        "what was created behind a batch that was refused is sent again",
        DELIVER,
        "                known = batch.adopting(dict(enumerate(ids)))\n",
        "                ahead.take()\n                return attempt.batch, attempt.intent\n",
    ),
    Mutant(
        "created-behind-unrecorded",
        "what was created behind a batch that was refused is not in the ledger: its results are nobody's",
        DELIVER,
        "            await outbox.record(known, intent)\n",
        "",
    ),
    Mutant(
        "comes-to-rest-twice",
        "what is known of a second batch is forgotten when its predecessor is refused once more",
        DELIVER,
        "(behind := ahead.next) is None or attempt.batch.has_doubt_behind:",
        "(behind := ahead.next) is None:",
    ),
    Mutant(
        "doubt-behind-dropped",
        "a second batch without an answer is taken for one that was not sent",
        DELIVER,
        "            case InDoubt():\n                pass\n",
        "            case InDoubt():\n                ahead.take()\n"
        "                return attempt.batch, attempt.intent\n",
    ),
    Mutant(
        "settled-without-what-is-behind",
        "the settlement of the first takes the intent of the second away: a crash sends it twice",
        DELIVER,
        "            attempts = [*ahead.attempts, *([further] if further else [])]\n",
        "            attempts = [further] if further else []\n",
    ),
    Mutant(
        "only-the-first-awaited",
        "equal items of another partition's second batch are adopted",
        CLAIM,
        "        blocking = {p: intent.reach for",
        "        blocking = {p: intent.end for",
        found_by="tests/unit/flows/test_resolving.py::"
        "test_what_another_partition_sent_behind_its_batch_is_waited_for_as_well",
    ),
    Mutant(
        "later-answers-not-awaited",
        "another partition's second batch is taken for one in doubt while its answer may still come",
        CLAIM,
        "intent.last_at + self._request + SETTLING",
        "intent.at + self._request + SETTLING",
        found_by="tests/unit/flows/test_resolving.py::"
        "test_an_answer_to_what_was_sent_behind_another_may_come_later",
    ),
)
