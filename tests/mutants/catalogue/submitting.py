"""Mutants of the way to Toloka: what is announced, sent, looked for, settled."""

from tests.mutants.planting import Mutant

SUBMIT = "daemon.flows.submitting"
DELIVER = "daemon.flows.batches.delivering"
ANNOUNCE = "daemon.flows.batches.announcing"
OUTBOX = "daemon.flows.batches.outbox"
RESOLVE = "daemon.flows.doubts.searching"
QUARANTINE = "daemon.flows.doubts.quarantine"
TERMS = "daemon.flows.doubts.terms"
MATCH = "daemon.flows.doubts.matching"
CLAIM = "daemon.flows.doubts.claiming"

_LISTED = "        listed = await unless(until, self._listed(sought, quarantine, believable=believable))\n"

SUBMITTING = (
    Mutant(
        "offset-before-post",
        "the offset moves on before the batch is sent: a crash loses it",
        OUTBOX,
        "self._commit(intent.first, codec.intent_metadata(intent), opened)",
        "self._commit(batch.end, codec.intent_metadata(intent), opened)",
    ),
    Mutant(
        "intent-without-its-note",
        "a successor does not know that the range may have been sent",
        OUTBOX,
        "intent.first, codec.intent_metadata(intent), opened)",
        'intent.first, "", opened)',
    ),
    Mutant(
        "blind-retry",
        "what is in doubt is sent again without a look",
        DELIVER,
        "                resolved = await self._resolve(batch, intent)\n",
        "                resolved = batch\n",
    ),
    Mutant(
        "intent-ignored",
        "an intent that is found at take-over is skipped, with its range",
        SUBMIT,
        "while beginning.found is not None:\n            if not await delivery.finish(",
        "while False:\n            if not await delivery.finish(",
    ),
    Mutant(
        "no-fence",
        "a new owner does not end its predecessor",
        SUBMIT,
        "self._shared.kafka.writer(self._place.transactional_id)",
        "self._shared.kafka.writer(self._place.transactional_id + self._shared.new_attempt())",
    ),
    Mutant(
        "ends-not-sealed",
        "whose transaction's end the broker has forgotten waits for it for ever",
        SUBMIT,
        "        await seal()\n        delivery = Delivery(\n",
        "        delivery = Delivery(\n",
    ),
    Mutant(
        "no-seal-at-rest",
        "whose last transaction's end the broker has forgotten waits for the next, however long",
        "daemon.flows.batches.filling",
        "                await at_rest()\n",
        "",
        found_by="tests/unit/flows/test_submitting.py::test_a_way_at_rest_seals_what_it_wrote_itself",
    ),
    Mutant(
        "intent-taken-back-in-doubt",
        "a later definite no takes back the intent of a range that has been in doubt",
        ANNOUNCE,
        "        if batch.since is None:\n            await self._outbox.withdraw(",
        "        if True:\n            await self._outbox.withdraw(",
        found_by="tests/unit/flows/test_submitting_in_doubt.py::"
        "test_a_range_in_doubt_keeps_its_intent_when_toloka_says_not_now",
    ),
    Mutant(
        "since-not-carried-on",
        "a further attempt forgets when the first one was",
        OUTBOX,
        "batch.end, since, now, once, batch.first,",
        "batch.end, now, now, once, batch.first,",
        found_by="tests/unit/flows/batches/test_outbox.py::"
        "test_every_attempt_has_its_own_name_and_time_and_the_doubt_its_own_beginning",
    ),
    Mutant(
        "piece-forgets-the-rest",
        "the intent of a piece of a range in doubt says nothing of what lies behind it",
        OUTBOX,
        "once, batch.first, batch.doubt_end, batch.doubt_at)\n",
        "once, batch.first)\n",
        found_by="tests/unit/flows/test_submitting_in_doubt.py::"
        "test_what_was_adopted_behind_a_piece_in_doubt_is_not_sent_again",
    ),
    Mutant(
        "adopted-is-never-overdue",
        "an adopted item is taken for submitted with its range, though it is older and may have ended",
        OUTBOX,
        "        submitted_at = since if batch.oldest is None else min(since, batch.oldest)\n",
        "        submitted_at = since\n",
        found_by="tests/unit/flows/batches/test_outbox.py::"
        "test_what_was_adopted_was_not_submitted_later_than_it_was_created",
    ),
    Mutant(
        "at-not-renewed",
        "the quarantine of a further attempt is counted from the first",
        OUTBOX,
        "batch.end, since, now, once, batch.first,",
        "batch.end, since, since, once, batch.first,",
        found_by="tests/unit/flows/batches/test_outbox.py::"
        "test_every_attempt_has_its_own_name_and_time_and_the_doubt_its_own_beginning",
    ),
    Mutant(
        "settled-ahead-of-its-intent",
        "the batch that follows is sent unannounced: a crash in between sends it twice",
        OUTBOX,
        '"" if then is None else codec.intent_metadata(then)',
        '""',
        only="kill_upload",
    ),
    Mutant(
        "dead-letters-forgotten",
        "a batch is settled without its dead letters",
        OUTBOX,
        "            *self._dead(batch, now),\n",
        "",
    ),
    Mutant(
        "adopted-forgotten",
        "a batch is settled without the items that were adopted",
        OUTBOX,
        "            *self._adopted(batch, batch.since or now),\n",
        "",
    ),
    Mutant(
        "latest-instead-of-earliest",
        "a new group begins at the end of the input",
        "daemon.flows.partitions.taking_over",
        'if start_from == "earliest" or was_added:',
        "if was_added:",
    ),
    Mutant(
        "stale-attempt-sent",
        "a process that was frozen finishes its request",
        "daemon.edges.toloka.transport",
        "if left <= 0 or deadline.seconds - left > fresh_seconds:",
        "if False:",
        only="freeze_upload",
    ),
    Mutant(
        "doubt-taken-for-a-no",
        "a request without an answer is taken for one that was not carried out",
        "daemon.edges.toloka.posting",
        "return InDoubt(str(error))",
        "return no_answer(self._asked, error)",
    ),
    Mutant(
        "server-error-taken-for-a-no",
        "an answer 5xx is taken for a request that was not carried out",
        "daemon.edges.toloka.answers",
        'return InDoubt(f"answered {answer.status} {said.code} {said.message}".strip())',
        'return NotNow("unreachable", said.message)',
        only="answer_lost",
    ),
    Mutant(
        "opaque-refusal-of-all",
        "a refusal that names nobody makes dead letters of the whole batch",
        "daemon.flows.batches.pieces",
        '"""Something in this piece is bad, and nobody says what; where it is one item, that is the one."""',
        "self._left.append(dead(batch, flaw))\n        return",
        found_by="tests/unit/flows/batches/test_pieces.py::test_one_bad_item_is_found_in_few_requests_wherever_it_is",
    ),
    Mutant(
        "no-quarantine",
        "absence is believed at once",
        TERMS,
        "return by_toloka >= self.ends_at or undisturbed >= self._seen + self._lasts",
        "return True",
    ),
    Mutant(
        "quarantine-ended-before-it-began",
        "a clock that is set forward while a request is under way ends its quarantine",
        ANNOUNCE,
        "return replace(intent, at=at) if at > intent.at + CORRECTED else intent",
        "return intent",
        found_by="tests/unit/flows/test_submitting_in_doubt.py::"
        "test_a_clock_that_is_set_forward_before_the_doubt_begins_ends_no_quarantine",
    ),
    Mutant(
        "unlisted-by-a-clock-set-back",
        "what is created after Toloka's clock was set back is not listed, and sent once more",
        RESOLVE,
        "        if quarantine.was_set_back:\n",
        "        if False:\n",
        found_by="tests/unit/flows/doubts/test_searching.py::"
        "test_a_clock_that_is_set_back_prolongs_no_quarantine_and_hides_nothing",
    ),
    Mutant(
        "quarantine-by-the-later-clock",
        "the quarantine is cut short by what the clock that wrote the intent was behind",
        QUARANTINE,
        "return self.quarantine + COARSE",
        "return self.quarantine",
        found_by="tests/unit/flows/doubts/test_searching.py::test_nothing_is_absent_before_the_quarantine_is_over",
    ),
    Mutant(
        "absence-believed-without-another-look",
        "what was absent once is believed absent after the quarantine, without another look",
        RESOLVE,
        _LISTED,
        "        if (listed := getattr(self, 'seen', {}).get(intent.attempt)) is None:\n    "
        + _LISTED
        + "            self.seen = {intent.attempt: listed}\n",
    ),
    Mutant(
        "taken-ids-adopted",
        "items that the ledger has for other records are adopted",
        MATCH,
        "used = {*taken.accounted.values(), *taken.elsewhere, ",
        "used = {",
    ),
    Mutant(
        "others-not-waited-for",
        "items of another partition in doubt are adopted",
        CLAIM,
        "        blocking = {p: intent.reach for p, intent in (await self._blocking()).items()}\n",
        "        blocking: Mapping[int, int] = {}\n",
        found_by="tests/unit/flows/doubts/test_claiming.py::"
        "test_equal_content_waits_for_what_another_partition_is_sending",
    ),
    Mutant(
        "further-attempt-ends-a-doubt",
        "a new attempt of another partition is taken for the end of its doubt",
        CLAIM,
        "if p in standing and standing[p].first < reach",
        "if False",
        found_by="tests/unit/flows/doubts/test_claiming.py::"
        "test_a_new_attempt_at_a_range_in_doubt_does_not_end_the_doubt",
    ),
    Mutant(
        "claims-not-looked-at",
        "two ways that look at the same time adopt the same item",
        CLAIM,
        "        return other is None\n",
        "        return True\n",
        found_by="tests/unit/flows/doubts/test_claiming.py::test_who_claims_and_then_sees_another_steps_back",
    ),
    Mutant(
        "theirs-taken-while-ours-may-land",
        "what another way looks for is adopted while our own may still land, which nobody adopts then",
        CLAIM,
        "if is_doubt and (goes_first or not believable):",
        "if is_doubt and goes_first:",
        found_by="tests/unit/flows/doubts/test_claiming.py::"
        "test_what_another_looks_for_is_not_taken_while_our_own_may_still_land",
    ),
    Mutant(
        "claim-kept",
        "a way that adopts nothing keeps its claim, and the others wait for as long as it waits",
        RESOLVE,
        "                if resolved is None or not resolved.adopted:\n",
        "                if resolved is None:\n",
        found_by="tests/unit/flows/doubts/test_claiming.py::test_who_has_claimed_and_adopts_nothing_takes_it_back",
    ),
    Mutant(
        "found-and-sent-again",
        "what was found is not adopted: everything is sent again",
        MATCH,
        "return rest.adopting(ids, (created.created_at for created in pairs.values()))",
        "return rest",
    ),
    Mutant(
        "intent-reused",
        "what is sent again goes under the old intent: no quarantine is counted for it",
        OUTBOX,
        "        await self._commit(intent.first, codec.intent_metadata(intent), opened)\n",
        "        if batch.since is None:\n    "
        "        await self._commit(intent.first, codec.intent_metadata(intent), opened)\n",
    ),
    Mutant(
        "mark-forgotten",
        "a lost offset is taken for a new group: everything is paid for again",
        "daemon.flows.partitions.taking_over",
        "    if known.marked:\n",
        "    if False:\n",
        only="offset_lost,kill",
    ),
    Mutant(
        "loading-taken-for-none",
        "a coordinator that is loading is taken for one that knows of no offset",
        "tests.simulation.broker.client",
        "if all(partition in found for partition in partitions):\n                    return found",
        "if True:\n                    return {p: found.get(p, Committed(-1, '')) for p in partitions}",
        found_by="tests/simulation/test_broker.py::test_a_coordinator_that_loads_is_asked_again",
    ),
    Mutant(
        "found-in-the-ledger-and-sent-again",
        "a torn settlement is not recognised: what the ledger has is adopted or sent again",
        MATCH,
        "rest = batch.besides(taken.accounted)",
        "rest = batch",
    ),
    Mutant(
        "younger-leftover-unseen",
        "of equal items the one that another partition has left is not seen, and ours is sent once more",
        RESOLVE,
        "        return await self._api.created(intent.since - before, None, within, wanted)\n",
        "        until = end if end < now else None\n"
        "        return await self._api.created(intent.since - SKEW, until, None, wanted)\n",
        found_by="tests/unit/flows/doubts/test_alike_doubts.py::"
        "test_what_replaces_an_item_may_be_younger_than_its_own_quarantine",
    ),
    Mutant(
        "absence-by-our-clock-alone",
        "items of a clock that is behind the one of the answers are not seen, and sent once more",
        RESOLVE,
        "intent.since - before, None, within, wanted)",
        "intent.since - before, None, None, wanted)",
        found_by="tests/unit/flows/doubts/test_searching.py::"
        "test_before_absence_is_believed_another_clock_is_reckoned_with",
    ),
    Mutant(
        "newest-not-looked-at",
        "a listing that is to go by the newest item goes by the time of the answers",
        "daemon.edges.toloka.created",
        "    if earlier < since:\n",
        "    if False:\n",
        found_by="tests/unit/edges/toloka/test_listing.py::"
        "test_what_was_created_by_another_clock_than_answers_are_dated_by",
    ),
    Mutant(
        "left-out-taken-for-absent",
        "an archived item that a listing leaves out is sent again",
        "daemon.edges.toloka.created",
        "    if await _leaves_out(listing, earlier):\n",
        "    if False:\n",
        found_by="tests/unit/edges/toloka/test_listing.py::"
        "test_what_is_archived_is_given_before_absence_is_believed",
    ),
    Mutant(
        "possible-not-looked-for",
        "what a predecessor sent and today's checks refuse becomes a dead letter, though it is paid for",
        RESOLVE,
        "        sought = batch.with_possible()\n",
        "        sought = batch\n",
        found_by="tests/unit/flows/doubts/test_searching.py::"
        "test_what_todays_checks_refuse_is_adopted_where_it_was_sent_by_others",
    ),
    Mutant(
        "possible-not-adopted",
        "what was sent and today's checks refuse is seen at Toloka, and a dead letter all the same",
        MATCH,
        "rest = batch.besides(taken.accounted).with_possible()",
        "rest = batch.besides(taken.accounted)",
        found_by="tests/unit/flows/doubts/test_searching.py::"
        "test_what_todays_checks_refuse_is_adopted_where_it_was_sent_by_others",
    ),
    Mutant(
        "absence-of-the-possible-believed-at-once",
        "where today's checks refuse all of a batch, it is given up while its request may be under way",
        RESOLVE,
        "found.items or (not batch.items and len(found.adopted) < len(batch.possible))",
        "found.items",
        found_by="tests/unit/flows/doubts/test_searching.py::"
        "test_where_todays_checks_refuse_all_their_absence_is_waited_for",
    ),
    Mutant(
        "astray-forgotten",
        "a topic that was made anew grows past the offset, and all that lies before it is passed over",
        "daemon.flows.partitions.taking_over",
        "        await outbox.go_astray(offset)\n",
        "        pass\n",
        found_by="tests/unit/flows/partitions/test_taking_over.py::"
        "test_an_offset_behind_the_log_holds_until_another_is_committed",
    ),
    Mutant(
        "accounted-for-by-another-topics-record",
        "records of a topic that was made anew pass for what the ledger knows of the one before: lost",
        "daemon.flows.doubts.scanning",
        "known_ms is not None and known_ms < self._since_ms",
        "False",
        found_by="tests/unit/flows/doubts/test_scanning.py::"
        "test_what_was_there_before_a_topic_was_made_anew_is_not_accounted_for",
    ),
    Mutant(
        "a-standing-date-believed",
        "answers that always have the same date stop the clock: no quarantine ever ends",
        "daemon.edges.toloka.clocks",
        "        return at - self._stated[1] > _STOPPED_SECONDS\n",
        "        return False\n",
        found_by="tests/unit/edges/toloka/test_clocks.py::test_a_date_that_stands_still_does_not_stop_the_clock",
    ),
    Mutant(
        "strays-forgotten",
        "a request that was sent twice lands in the next transaction, and commits half of it",
        "daemon.edges.kafka.transactions",
        "        self._spent = self._producer.has_strays\n",
        "        self._spent = False\n",
        found_by="tests/unit/edges/kafka/test_producing.py::test_what_went_unanswered_was_a_writers_last",
    ),
    Mutant(
        "ways-never-end",
        "a way goes on after its partition was given to another, and fences that in turn",
        "daemon.flows.partitions.sharing",
        "            self._running[partition].stop.set()\n",
        "            pass\n",
        found_by="tests/unit/flows/partitions/test_sharing.py::test_a_way_begins_for_each_partition_and_ends_without_it",
    ),
)
