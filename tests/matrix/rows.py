"""The rows of the fault matrix: what goes wrong, what has to come of it, and who fires it.

The promise holds in every row unless its outcome says otherwise: each input ends once, and is paid for once.
"""

from typing import NamedTuple

SIM = "simulation"


class Row(NamedTuple):
    """One row.

    Attributes:
        fault: what goes wrong.
        outcome: what comes of it.
        fired_by: the tests and simulated faults that fire it; empty where none does.
        why_not: why none does; empty where one does.
    """

    fault: str
    outcome: str
    fired_by: str
    why_not: str = ""


ROWS = {
    1: Row("kill before the intent", "replayed", f"{SIM}: kill, kill_all"),
    2: Row(
        "kill after the intent, before the POST", "resolved after the quarantine", f"{SIM}: kill; make chaos"
    ),
    3: Row("kill in the middle of the POST", "resolved after the quarantine", f"{SIM}: kill at `post half`"),
    4: Row("kill after Toloka's commit", "ids adopted", f"{SIM}: kill at `post served`; make chaos"),
    5: Row("kill after the answer, before settling", "ids adopted", f"{SIM}: kill at `produce settle`"),
    6: Row("kill during the commit", "the committed metadata decides", f"{SIM}: kill at `end settle`"),
    7: Row("kill between page and publishing", "asked for again", f"{SIM}: kill at `list served`"),
    8: Row(
        "kill in the middle of a result's commit",
        "results and cursor, or neither",
        f"{SIM}: kill at `end results`",
    ),
    9: Row("SIGTERM", "finished, or the intent stands", f"{SIM}: terminate; system: test_signals"),
    10: Row(
        "SIGSTOP between fence and POST",
        "nothing is sent by a frozen process",
        f"{SIM}: freeze_upload; test_freeze",
    ),
    11: Row("SIGSTOP elsewhere", "fenced, starts over", f"{SIM}: freeze; system: test_freeze; make chaos"),
    12: Row(
        "out of memory",
        "as 1-8",
        "",
        "the kernel's kill is rows 1-8; what bounds memory is row 65 and the caps of rows 49 and 61",
    ),
    13: Row("disk full", "logging holds nothing up", "system: test_log_faults"),
    14: Row("wall clock an hour off", "none", f"{SIM}: wall_step; system: test_clocks_that_are_hours_apart"),
    15: Row(
        "two deployments share ids",
        "held as fenced, with its reason",
        "test_sharing; system: test_kafka_faults",
    ),
    16: Row("broker restart", "goes on", f"{SIM}: broker_restart; system; make chaos"),
    17: Row(
        "leader lost, too few in-sync replicas",
        "waits",
        "",
        "needs three brokers; to the client it is a write that is refused for a while, as in rows 16 and 24",
    ),
    18: Row(
        "transaction coordinator moves",
        "goes on",
        "",
        "needs two brokers; to the client it is a coordinator that loads, as after the restart of row 16",
    ),
    19: Row(
        "group coordinator moves, loads",
        "waits; never begins anew",
        f"{SIM}: coordinator_loading, offset_lost; system",
    ),
    20: Row("fenced", "all is dropped, asks the group", f"{SIM}: counted from the log; system"),
    21: Row("transaction expired", "a new producer, done again", f"{SIM}: freeze inside a transaction"),
    22: Row("commit outcome unknown", "read again from the log", f"{SIM}: commit_fate; test_stable_offsets"),
    23: Row(
        "late EndTxn tears a transaction",
        "what the ledger has counts as found; results torn from their tombstones would not be noticed",
        f"{SIM}: commit_fate `torn` of settling transactions; test_known_items",
    ),
    24: Row("transaction aborted", "done again", f"{SIM}: commit_fate `denied`"),
    25: Row("rebalance in the middle", "the new owner resolves", f"{SIM}: rebalance; make chaos"),
    26: Row(
        "a handler exceeds max.poll.interval",
        "none",
        "",
        "cannot happen: the consumer that is the member fetches nothing and is polled by itself",
    ),
    27: Row("hanging transaction", "the reader waits, an alert fires", "test_stable_offsets"),
    28: Row(
        "all brokers away",
        "no POST without an intent",
        f"system: test_kafka_is_away_and_comes_back; {SIM}: broker_restart",
    ),
    29: Row(
        "topic deleted, made anew", "held", "test_taking_over; system: test_an_input_topic_made_anew_holds"
    ),
    30: Row("Kafka unauthorized", "77 at start, held later", "security: test_kafka_acls"),
    31: Row("cursor undecodable", "the start is refused", "test_codec, test_opening"),
    32: Row(
        "result above the message limit", "dead letter that names the item", f"{SIM}: large items; system"
    ),
    33: Row("refused, DNS, TLS", "a definite no, backs off", f"{SIM}: outage; test_transport; make chaos"),
    34: Row(
        "reset or timeout before the commit",
        "in doubt",
        f"{SIM}: answer_lost, request_cut; test_transport_posting",
    ),
    35: Row("reset or timeout after the commit", "adopted", f"{SIM}: answer_lost, late_commit; make chaos"),
    36: Row(
        "kept-alive connection closed while sending",
        "in doubt; nothing is sent twice",
        f"{SIM}: close_share; test_transport",
    ),
    37: Row("400 that names indexes", "those become dead letters", f"{SIM}: namedly bad items; test_app_api"),
    38: Row("400 that names nobody", "halved to the culprit", f"{SIM}: opaquely bad items; test_app_api"),
    39: Row("401, 403", "held", f"{SIM}: refused; system: test_refusals"),
    40: Row("404, 409", "held", f"{SIM}: refused; system: test_refusals"),
    41: Row("413", "halved", f"{SIM}: too_large; system: test_refusals"),
    42: Row("415", "held: our defect", "system: test_refusals"),
    43: Row("429 with Retry-After", "obeyed, capped", f"{SIM}: throttled; test_app_bulk; make chaos"),
    44: Row("429 without", "jitter, or the quota's interval", f"{SIM}: throttled; test_app_bulk; make chaos"),
    45: Row("5xx on POST", "in doubt", f"{SIM}: answer_lost, outage; test_app_api"),
    46: Row(
        "HTML, cut JSON, wrong type", "POST: in doubt; GET: asked again", f"{SIM}: listing_fails; fuzzing"
    ),
    47: Row("wrong number of ids, repeated ids", "in doubt", f"{SIM}: wrong_ids; fuzzing"),
    48: Row("repeated JSON keys", "the document is refused", f"{SIM}: listing_fails; fuzzing"),
    49: Row("gigantic or compressed answer", "capped", "test_transport_answers; system: test_refusals"),
    50: Row("redirect", "refused", f"{SIM}: refused; test_transport; system"),
    51: Row(
        "Toloka commits after the quarantine",
        "paid for twice, at most a batch",
        "",
        "no client can tell: the promise rests on the quarantine; what is extra is counted as foreign",
    ),
    52: Row("ties of finished_at", "every result once", f"{SIM}: whole seconds; make chaos"),
    53: Row(
        "items visible late", "found by overlap or sweep", f"{SIM}: late_share; test_collecting; make chaos"
    ),
    54: Row(
        "status regression, NO_MONEY",
        "open until the end; an end after the end is published once",
        f"{SIM}: knobs; test_foreign",
    ),
    55: Row("after_id deleted, archived", "on by time", f"{SIM}: archive; test_app_results; make chaos"),
    56: Row("has_more with empty content", "backs off, on by time", f"{SIM}: pages_lead_nowhere"),
    57: Row("the same page for ever", "on by time", f"{SIM}: pages_lead_nowhere"),
    58: Row("foreign items", "counted, or published once", f"{SIM}: strangers"),
    59: Row("not JSON, wrong type, not UTF-8", "dead letter", f"{SIM}: bad records; test_content; fuzzing"),
    60: Row("lone surrogate, NaN, huge integer, depth bomb", "dead letter", "test_content; fuzzing"),
    61: Row("too large", "dead letter", "test_items; system: test_refusals"),
    62: Row("tombstone", "skipped, counted", f"{SIM}: null records; test_filling"),
    63: Row("repeated ids", "each is sent", f"{SIM}: records with an id of their own; test_items"),
    64: Row(
        "dead letters cannot be written",
        "the partition is held",
        "system: test_an_unwritable_dead_letter_holds",
    ),
    65: Row("Toloka slow, queues grow", "reading stops", "test_filling; make outage"),
    66: Row("mixed versions", "a newer record is refused", "test_codec, test_taking_over"),
}
