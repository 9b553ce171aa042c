"""Mutants of what is sent before the answer to the batch before it has come."""

from tests.mutants.planting import Mutant

DELIVER = "daemon.flows.batches.delivering"
CLAIM = "daemon.flows.doubts.claiming"
DOUBTS = "tests/unit/flows/doubts/test_ahead_doubts.py::"

AHEAD = (
    Mutant(
        "sent-behind-unannounced",
        "the second batch under way is not announced: a crash sends it twice",
        "daemon.flows.batches.ahead",
        "    return replace(first.intent, doubt_end=last.batch.end, doubt_at=last.intent.at)\n",
        "    return first.intent\n",
    ),
    Mutant(
        "sent-before-it-is-announced",
        "the second batch is sent while its intent is written: a crash in between sends it twice",
        DELIVER,
        "            await self._outbox.note(attempt.batch.first, covering(attempt, behind))\n"
        "            ahead.send_behind(behind)\n",
        "            ahead.send_behind(behind)\n"
        "            await self._outbox.note(attempt.batch.first, covering(attempt, behind))\n",
        only="kill,kill_all,slow",
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
        "            await self._outbox.record(known, intent)\n",
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
        "            attempts = [*ahead.attempts, *([behind] if behind else [])]\n",
        "            attempts = [behind] if behind else []\n",
        found_by="tests/unit/flows/batches/test_ahead.py::test_while_an_answer_takes_its_time_the_next_batch_is_sent",
    ),
    Mutant(
        "only-the-first-awaited",
        "equal items of another partition's second batch are adopted",
        CLAIM,
        "        blocking = {p: intent.reach for",
        "        blocking = {p: intent.end for",
        found_by="tests/unit/flows/doubts/test_claiming.py::"
        "test_what_another_partition_sent_behind_its_batch_is_waited_for_as_well",
    ),
    Mutant(
        "later-answers-not-awaited",
        "another partition's second batch is taken for one in doubt while its answer may still come",
        CLAIM,
        "Term(intent.last_at, self._over_after, self._clock)",
        "Term(intent.at, self._over_after, self._clock)",
        found_by="tests/unit/flows/doubts/test_claiming.py::"
        "test_an_answer_to_what_was_sent_behind_another_may_come_later",
    ),
    Mutant(
        "next-attempt-taken-for-the-last",
        "another partition's next attempt is taken for over, for the same batch lies behind it",
        CLAIM,
        "        announced = intent.attempt, intent.at, intent.doubt_at\n",
        '        announced = "", intent.last_at, None\n',
        found_by="tests/unit/flows/doubts/test_claiming.py::"
        "test_another_partitions_next_attempt_is_waited_for_as_long_as_the_one_before",
    ),
    Mutant(
        "absent-before-its-predecessor",
        "the second batch is sent again while the first's, which is to take its place, may still land",
        DELIVER,
        "                ahead.not_before(intent.at)\n",
        "",
        found_by=f"{DOUBTS}test_the_second_is_believed_absent_only_when_the_first_cannot_land_either",
    ),
    Mutant(
        "absent-before-its-predecessor-for-a-successor",
        "as before, where the first is sent again by a successor",
        DELIVER,
        "            resolved = replace(resolved, doubt_at=intent.last_at)\n",
        "            pass\n",
        found_by=f"{DOUBTS}test_nor_where_a_successor_sends_the_first_again",
    ),
    Mutant(
        "the-decided-hides-what-is-behind",
        "another partition adopts what lies in doubt behind a decided batch, while its own may still land",
        CLAIM,
        "    return not intent.decided or intent.reach > intent.end\n",
        "    return not intent.decided\n",
        found_by=f"{DOUBTS}test_what_is_decided_does_not_hide_what_is_in_doubt_behind_it",
    ),
    Mutant(
        "two-settlements-in-one",
        "the second of two slow settlements is not waited for: its items are adopted for others",
        CLAIM,
        "SETTLING = ABORTING + timedelta(seconds=20)",
        "SETTLING = ABORTING",
        found_by=f"{DOUBTS}test_a_slow_brokers_second_settlement_is_waited_for",
    ),
    Mutant(
        "dead-letters-alone",
        "a batch whose good items are in the ledger already is held for its dead letters",
        "daemon.flows.batches.guarding",
        " + batch.known\n",
        "\n",
        found_by=f"{DOUBTS}test_the_share_of_dead_letters_counts_what_is_in_the_ledger_already",
    ),
    Mutant(
        "a-no-told-late",
        "all go on asking a Toloka that says no, until an answer to what was sent behind has come",
        DELIVER,
        "            self._shared.gate.shut(outcome)\n        batch, intent",
        "            pass\n        batch, intent",
        found_by=f"{DOUBTS}test_a_no_to_the_first_is_obeyed_at_once",
    ),
    Mutant(
        "the-refused-in-doubt",
        "a batch that was certainly refused is looked for, and waited for by others, for hours",
        DELIVER,
        "                intent = replace(intent, decided=True)\n",
        "                pass\n",
        found_by=f"{DOUBTS}test_nobody_waits_for_a_batch_that_was_certainly_refused",
    ),
    Mutant(
        "not-handed-over",
        "who is given a partition fences an owner that is well, and leaves its request in doubt",
        "daemon.flows.submitting",
        "                await self._handed_over(stopping)\n",
        "",
        found_by="tests/unit/flows/test_submitting.py::test_a_predecessor_at_work_is_not_fenced",
    ),
    Mutant(
        "one-way-at-the-door",
        "who has just failed tries first again, and what it fails for keeps everybody out",
        "daemon.flows.gate",
        "            self._last_tried = None\n            return False\n",
        "            self._last_tried = None\n",
        found_by="tests/unit/flows/test_gate.py::test_who_has_failed_lets_another_try",
    ),
    Mutant(
        "own-ids-not-looked-at",
        "an item of ours that Toloka gives back with more than it was sent is sent again",
        "daemon.flows.doubts.matching",
        "each.likeness in sought or each.own_id in given",
        "each.likeness in sought",
        found_by="tests/unit/flows/doubts/test_known_items.py::"
        "test_an_item_with_an_id_of_ours_is_ours_whatever_else_it_holds",
    ),
    Mutant(
        "a-date-believed-at-once",
        "one answer of a proxy with another clock ends a quarantine early",
        "daemon.edges.toloka.clocks",
        "if is_near or not self._is_agreed or self._is_confirmed(moment, at):",
        "if True:",
        found_by="tests/unit/edges/toloka/test_clocks.py::test_one_answer_does_not_make_the_clock_jump",
    ),
    Mutant(
        "leftovers-kept",
        "what a server sends behind an answer is taken for the next one: good items become dead letters",
        "daemon.edges.toloka.transport",
        "if self._connection.has_leftovers:",
        "if False:",
        found_by="tests/unit/edges/toloka/test_transport.py::test_what_comes_behind_an_answer_is_nobodys",
    ),
)
