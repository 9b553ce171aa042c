"""Mutants of the way back: what is published, closed, looked for again."""

from tests.mutants.planting import Mutant

FOLLOW = "daemon.flows.collector.state"
PUBLISH = "daemon.flows.collector.publishing"
FOREIGN = "daemon.flows.looks.foreign"

_TRANSACT = "        await self._writer.transact(self._publisher.transaction(publication, cursor))\n"
# Two transactions instead of one: the records of which this is true, then the others.
_SPLIT = """\
        whole = self._publisher.transaction(publication, cursor)
        first = [append for append in whole.appends if {}]
        for part in (first, [append for append in whole.appends if append not in first]):
            await self._writer.transact(replace(whole, appends=part))
"""

COLLECTING = (
    Mutant(
        "no-fence-of-the-collector",
        "two collectors publish at a time",
        "daemon.flows.collecting",
        "parts.kafka.writer(self._id)",
        "parts.kafka.writer(self._id + parts.new_incarnation())",
    ),
    Mutant(
        "result-before-tombstone",
        "results and what they close are written in two transactions, results first",
        FOLLOW,
        _TRANSACT,
        _SPLIT.format("append.topic != self.ledger_topic"),
    ),
    Mutant(
        "tombstone-before-result",
        "results and what they close are written in two transactions, tombstones first",
        FOLLOW,
        _TRANSACT,
        _SPLIT.format("append.topic == self.ledger_topic"),
    ),
    Mutant(
        "ledger-read-to-what-is-visible",
        "the ledger is read to the last stable offset: committed tombstones behind it are missed",
        "daemon.flows.collector.opening",
        "        noted(ledger, records)\n        recent",
        "        if not records:\n            break\n        noted(ledger, records)\n        recent",
        found_by="tests/unit/flows/collector/test_opening.py::test_opening_waits_for_what_an_open_transaction_hides",
    ),
    Mutant(
        "no-overlap",
        "what became visible late, or ties at a page's edge, is not looked for again",
        "daemon.flows.looks.second_looks",
        "    def _begin(self, state: CollectorState, now: float) -> bool:\n        if now",
        "    def _begin(self, state: CollectorState, now: float) -> bool:\n"
        "        return False\n        if now",
    ),
    Mutant(
        "a-known-item-makes-its-page-known",
        "a page that is looked at again is left out for one item in it that is known",
        "daemon.edges.toloka.app_items",
        "if not rows.content or not all(known(row.id) for row in rows.content):",
        "if not rows.content or not any(known(row.id) for row in rows.content):",
        found_by="tests/unit/edges/toloka/test_listing.py::test_of_what_is_known_whole_pages_are_left_out",
    ),
    Mutant(
        "closed-and-open-again",
        "an item that was taken for somebody else's stays known when its record comes",
        "daemon.flows.collector.ledger",
        "        self._closed.pop(key, None)\n",
        "",
        found_by="tests/unit/flows/collector/test_ledger.py::test_what_was_dismissed_is_known_no_longer_once_its_record_comes",
    ),
    Mutant(
        "no-sweep",
        "what ends without a time, or vanishes, is never found",
        "daemon.flows.looks.sweeping",
        "        if state.overdue:\n",
        "        return False\n        if state.overdue:\n",
    ),
    Mutant(
        "one-item-stops-the-sweep",
        "one item that Toloka cannot show keeps all others waiting, for ever",
        "daemon.flows.looks.sweeping",
        "            self._again.add(ids[0])\n            del run.left[ids[0]]\n",
        "",
        found_by="tests/unit/flows/looks/test_sweeping.py::"
        "test_one_item_of_which_toloka_says_nothing_keeps_no_other_waiting",
    ),
    Mutant(
        "a-moment-is-two-sweeps",
        "an item becomes a dead letter for one bad moment at Toloka",
        "daemon.flows.looks.vanishing",
        "            if now - at >= self._apart_seconds:\n",
        "            if now >= at:\n",
        found_by="tests/unit/flows/looks/test_vanishing.py::test_two_looks_within_a_moment_are_no_two_sweeps",
    ),
    Mutant(
        "waiting-items-dropped",
        "items that finish before their ledger record comes are forgotten, and so is the second look",
        FOLLOW,
        "            self.waiting.add(self._unknown(at_their_end))\n",
        "",
        found_by="tests/unit/flows/collector/test_state.py::"
        "test_an_item_that_finished_before_its_record_came_is_published_with_it",
    ),
    Mutant(
        "content-not-compared",
        "results are matched by the order of ids alone",
        PUBLISH,
        "        if entry.content_hash == item.content_hash:\n",
        "        if True:\n",
    ),
    Mutant(
        "places-changed-in-memory-only",
        "two records change places, and a restart forgets it",
        PUBLISH,
        "Append(topic, entry.ledger_partition, item_id.encode(), entry.packed, headers)",
        'Append(topic, entry.ledger_partition, b"altogether-else", entry.packed, headers)',
    ),
    Mutant(
        "moved-record-not-found-again",
        "a record that changed places within a page is not found by the next who looks for it",
        "daemon.flows.collector.exchanging",
        "self._by_mark[entry.batch, mark].append(other_id)",
        "self._by_mark[entry.batch, 0].append(other_id)",
    ),
    Mutant(
        "door-stays-shut",
        "after a no the collector does not open its door again",
        "daemon.flows.collecting",
        "            parts.gate.open(began)\n",
        "",
        found_by="tests/unit/flows/test_collecting.py::test_no_for_now_is_held_visibly_and_asked_again",
    ),
    Mutant(
        "unsettled-is-foreign",
        "an item is called somebody else's although an intent stands",
        FOREIGN,
        "if oldest is None or any(item.created_at < oldest - SKEW for item in found.values())",
        "if True",
    ),
    Mutant(
        "lost-offset-hides-no-intent",
        "an item is called somebody else's while the offset is lost that says whose it is",
        FOREIGN,
        "if found.is_none and",
        "if False and",
        found_by="tests/unit/flows/looks/test_foreign.py::test_nothing_is_foreign_while_an_offset_is_lost",
    ),
    Mutant(
        "foreign-before-the-ledger-is-read",
        "an item is called somebody else's before the ledger was read to its end",
        FOREIGN,
        "state.taken_in.get(p, -1) < end for p",
        "False for p",
        found_by="tests/unit/flows/looks/test_foreign.py::"
        "test_nothing_is_judged_before_the_ledger_has_been_read_that_far",
    ),
    Mutant(
        "own-ledger-records-undo",
        "the collector's own records, read back late, undo what it knows",
        "daemon.flows.collector.ledger",
        "(BY_HEADER, self._by) in record.headers or key",
        "key",
        found_by="tests/unit/flows/collector/test_ledger.py::test_what_the_collector_wrote_itself_is_passed_over",
    ),
    Mutant(
        "cursor-beyond-its-page",
        "the cursor moves to the present whatever the page held",
        "daemon.flows.collecting",
        'results = await state.publish(items, "tail", cursor)',
        'results = await state.publish(items, "tail", replace(cursor, item_id=None,'
        " finished_at=max(cursor.finished_at, self._parts.toloka_clock.now())))",
        found_by="tests/unit/flows/test_collecting.py::test_items_without_an_end_do_not_move_the_cursor",
    ),
    Mutant(
        "cursor-outside-the-transaction",
        "the cursor moves in a transaction of its own, before the results are written",
        FOLLOW,
        _TRANSACT,
        """\
        whole = self._publisher.transaction(publication, cursor)
        first = [append for append in whole.appends if append.topic == self._opening_cursors]
        for part in (first, [append for append in whole.appends if append not in first]):
            await self._writer.transact(replace(whole, appends=part))
""".replace("self._opening_cursors", '"tolokad.cursors"'),
        found_by="tests/unit/flows/collector/test_state.py::test_results_tombstones_and_cursor_are_one_transaction",
    ),
    Mutant(
        "lost-cursor-insisted-on",
        "a cursor that Toloka no longer knows is asked for again for ever",
        "daemon.flows.collecting",
        "                case UnknownCursor():\n                    await self._go_on_by_time(state)\n",
        "                case UnknownCursor():\n                    pass\n",
        only="archive",
    ),
    Mutant(
        "same-page-for-ever",
        "a page that leads nowhere is asked for again for ever",
        "daemon.flows.collecting",
        "            if stuck >= PATIENCE_PAGES:",
        "            if False:",
        only="pages_lead_nowhere",
        found_by="tests/unit/flows/test_collecting.py::test_a_tail_that_leads_nowhere_is_left_behind_by_time",
    ),
    Mutant(
        "second-looks-forgotten",
        "a successor begins its second looks at the cursor, whatever its predecessor had not looked at twice",
        "daemon.model.results",
        "return self.looked_until or self.finished_at",
        "return self.finished_at",
        found_by="tests/unit/flows/test_collecting.py::"
        "test_a_successor_looks_again_from_where_the_second_looks_had_come",
    ),
    Mutant(
        "ended-again-is-foreign",
        "an item that ends once more long after its result is published once more",
        FOREIGN,
        "if state.publishes_foreign and (again :=",
        "if False and (again :=",
        found_by="tests/unit/flows/looks/test_foreign.py::"
        "test_what_ends_again_long_after_its_result_is_not_foreign",
    ),
    Mutant(
        "open-status-is-an-end",
        "an item that waits for money is published as if it had ended",
        PUBLISH,
        "TERMINAL = frozenset(RESULT_STATUSES) - {OTHER}",
        'TERMINAL = frozenset({*RESULT_STATUSES, "NO_MONEY"}) - {OTHER}',
        found_by="tests/unit/flows/collector/test_publishing.py::test_an_item_that_is_not_at_its_end_is_left_open",
    ),
    Mutant(
        "vanished-at-first-sight",
        "an item that one answer does not know becomes a dead letter",
        "daemon.flows.looks.vanishing",
        "SWEEPS_UNTIL_GONE = 2",
        "SWEEPS_UNTIL_GONE = 0",
        found_by="tests/unit/flows/looks/test_vanishing.py::"
        "test_what_toloka_does_not_know_in_two_sweeps_is_a_dead_letter",
    ),
)
