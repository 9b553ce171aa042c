"""Pure: one record after the other goes in, a verdict comes out.

Only digests are kept of the input, so that a few hundred bytes stand for a record of any size.
"""

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.checker import facts
from tests.checker.content import digest, object_in
from tests.checker.facts import Asked, Creation, Place, Record, Rules
from tests.checker.shapes import Shown, shown_by
from tests.checker.verdict import KEPT_FINDINGS, KINDS, Finding, Kind, Progress, Verdict

# Dead letters of items that were created all the same.
CREATED_CODES = frozenset({b"ITEM_VANISHED", b"RESOLVED_BY_OPERATOR"})


@dataclass(slots=True)
class _Tally:
    counts: Counter[Kind] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def add(self, kind: Kind, place: object, detail: str | None = "", times: int = 1) -> None:
        """Note that something is wrong, unless `detail` is None: then nothing is."""
        if detail is None:
            return
        self.counts[kind] += times
        if sum(finding.kind == kind for finding in self.findings) < KEPT_FINDINGS:
            self.findings.append(Finding(kind, str(place), detail))


class Judge:
    """Takes the whole input first, then creations, then the rest in any order.

    Args:
        rules: what this deployment does on purpose.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._tally = _Tally()
        self._asked: dict[Place, Asked | None] = {}
        self._created: dict[str, Creation] = {}
        self._results: Counter[Place] = Counter()
        self._dead: defaultdict[Place, list[bytes | None]] = defaultdict(list)
        self._published: set[str] = set()
        self._open: dict[str, bool] = {}
        self._foreign = 0
        self._latencies = array("d")

    def asked(self, record: Record) -> None:
        """A record of the input topic."""
        tombstone = record.value is None
        place = (record.partition, record.offset)
        self._asked[place] = None if tombstone else facts.asked_by(record, self._rules)

    def created(self, entry: Mapping[str, Any]) -> None:
        """A line of the simulator's record; a later one of the same item brings its end."""
        self._created[entry["id"]] = facts.created_as(entry)

    def kept(self, record: Record) -> None:
        """A record of the ledger, in the order of its partition: an item is open, or closed again."""
        key = (record.key or b"").decode(errors="replace")
        if key in self._created:
            self._open[key] = record.value is not None

    def dead_letter(self, record: Record) -> None:
        """A record of the dead letter topic."""
        added = dict(record.headers)
        place = facts.origin_place(added)
        asked = self._asked.get(place) if place else None
        if place is None or asked is None or added.get("tolokad-origin-topic") != self._topic:
            self._tally.add("unknown_origin", place, "a dead letter")
            return
        self._dead[place].append(added.get("tolokad-error-code"))
        self._tally.add("wrong_dead_letter", place, facts.wrong_dead_letter(record, asked))

    def result(self, record: Record) -> None:
        """A record of the output topic."""
        value = object_in(record.value or b"")
        shown = None if value is None else shown_by(value, tasks=self._rules.tasks)
        if value is None or shown is None:
            self._tally.add("wrong_value", f"output {record.partition}-{record.offset}", "keys")
            return
        self._publication(shown, record)
        if value["origin"] is not None:
            self._own_result(record, value, shown)
            return
        self._foreign += 1
        if not self._rules.foreign:
            self._tally.add("unknown_origin", shown.id, "a result without origin")

    def verdict(self, progress: Iterable[Progress] = ()) -> Verdict:
        """The verdict on all that went in.

        Args:
            progress: how far each input partition is settled; without it, nothing counts as waiting.
        """
        parts = tuple(progress)
        opened, waiting = self._outcomes({part.partition: part.committed for part in parts})
        self._payments()
        return Verdict(
            inputs=len(self._asked),
            skipped=sum(asked is None for asked in self._asked.values()),
            results=self._results.total(),
            foreign=self._foreign,
            dead_letters=sum(map(len, self._dead.values())),
            open=opened,
            waiting=waiting,
            created=len(self._created),
            counts={kind: self._tally.counts[kind] for kind in KINDS},
            findings=tuple(self._tally.findings),
            latency_seconds=_percentiles(self._latencies),
            progress=parts,
        )

    @property
    def _topic(self) -> bytes:
        return self._rules.input_topic.encode()

    def _publication(self, shown: Shown, record: Record) -> None:
        if shown.name in self._published:
            self._tally.add("item_twice", shown.name)
        self._published.add(shown.name)
        if shown.finished_at:
            self._latencies.append(record.timestamp / 1000 - facts.seconds_of(shown.finished_at))

    def _own_result(self, record: Record, value: Mapping[str, Any], shown: Shown) -> None:
        origin = value["origin"]
        place = (origin.get("partition"), origin.get("offset"))
        asked = self._asked.get(place)
        if asked is None or origin.get("topic") != self._rules.input_topic:
            self._tally.add("unknown_origin", origin, "a result")
            return
        self._results[place] += 1
        tally = self._tally
        tally.add("wrong_value", place, facts.wrong_value(value))
        tally.add("wrong_headers", place, facts.wrong_headers(record.headers, asked, shown))
        tally.add("wrong_item", place, facts.wrong_item(shown, self._created.get(shown.id), asked))
        if origin.get("timestamp") != asked.timestamp:
            tally.add("wrong_origin", place, f"timestamp {origin.get('timestamp')}")
        if digest(record.key) != asked.key:
            tally.add("wrong_key", place, repr(record.key))

    def _outcomes(self, committed: Mapping[int, int]) -> tuple[int, int]:
        """Judge each input record by what is there for it; returns how many are open and waiting."""
        ours = Counter(self._created[item].content for item, is_open in self._open.items() if is_open)
        opened = waiting = 0
        for place, asked in self._asked.items():
            wanted = 1 if asked is None else asked.wanted
            if self._outcome(place, wanted) or asked is None:
                continue
            if committed and place[1] >= committed.get(place[0], 0):
                waiting += 1
            elif ours[asked.content] > 0:
                ours[asked.content] -= 1
                opened += 1
            else:
                self._tally.add("lost", place)
        return opened, waiting

    def _outcome(self, place: Place, wanted: int) -> bool:
        """Whether a record has come to its end: a dead letter, or its results; more of either is wrong."""
        results, dead = self._results[place], len(self._dead.get(place, ()))
        if results > wanted:
            self._tally.add("result_twice", place, f"{results} results")
        if dead > 1:
            self._tally.add("dead_letter_twice", place, f"{dead} dead letters")
        if results and dead:
            self._tally.add("both", place)
        return dead > 0 or results >= wanted

    def _payments(self) -> None:
        """Compare how often each content was created with how often it was asked for."""
        known = {asked.content for asked in self._asked.values() if asked is not None}
        due, paid = self._due(), defaultdict(list)
        for item_id, creation in self._created.items():
            paid[creation.content].append(item_id)
        for content, ids in paid.items():
            if content in known and len(ids) > due[content]:
                detail = f"created {len(ids)} times, asked for {due[content]} times"
                self._tally.add("submitted_twice", ", ".join(ids[:5]), detail, len(ids) - due[content])
            elif content not in known and not self._rules.foreign:
                self._tally.add("unasked", ", ".join(ids[:5]), times=len(ids))

    def _due(self) -> Counter[bytes | None]:
        """How often each content may be created: a plain dead letter must not be."""
        return Counter(
            asked.content
            for place, asked in self._asked.items()
            if asked is not None and CREATED_CODES.issuperset(self._dead.get(place, ()))
        )


def _percentiles(values: "array[float]") -> tuple[float, float, float] | None:
    """Median, 99th percentile and the largest."""
    if not values:
        return None
    ordered = sorted(values)
    last = len(ordered) - 1
    return ordered[last // 2], ordered[min(last, len(ordered) * 99 // 100)], ordered[last]
