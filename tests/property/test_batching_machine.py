"""Whatever is put into a filling comes out once, in order, and within the limits."""

from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from daemon.flows.batches.batching import ENVELOPE_BYTES, Allowance, BatchLimits, Filling
from daemon.flows.records.items import ItemReader, ReadAll
from daemon.flows.records.spec import InputSpec
from daemon.flows.records.windows import Found
from daemon.model import BareRecord, Batch, Flaw, Item
from tests.doubles import INPUT, FakeRecord

LIMITS = BatchLimits(max_items=6, max_bytes=ENVELOPE_BYTES + 120)
FLAW = Flaw("NOT_JSON", "not JSON")


def read(records: Sequence[BareRecord], _: str) -> list[Found]:
    """Read records as items, or as a flaw where one begins with an exclamation mark."""
    return [_read(record) for record in records]


def _read(record: BareRecord) -> Found:
    if (value := record.value) is None:
        return None
    return FLAW if value.startswith(b"!") else Item(record, value, 0)


class Batching(RuleBasedStateMachine):
    """Records go in as a reader brings them; batches are taken, accepted and refused."""

    frame = b"%b"

    def __init__(self) -> None:
        super().__init__()
        self.allowance = Allowance(LIMITS)
        self.filling = Filling(INPUT, 0, 0, self.allowance, self.reading())
        self.put: list[FakeRecord] = []
        self.taken: list[Batch] = []
        self.next_offset = 0

    def reading(self) -> ReadAll:
        """How records become items."""
        return read

    @rule(
        values=st.lists(
            st.one_of(
                st.none(),
                st.integers(0, 200).map(lambda size: b"x" * size),
                st.integers(1, 60).map(lambda size: b"!" * size),
            ),
            max_size=9,
        ),
        gap=st.integers(0, 3),
    )
    def add(self, values: list[bytes | None], gap: int) -> None:
        """A read brings some records, behind others that are not for readers."""
        self.next_offset += gap
        framed = [value and (value if value.startswith(b"!") else self.frame % value) for value in values]
        records = [FakeRecord(self.next_offset + index, value) for index, value in enumerate(framed)]
        self.next_offset += len(records)
        self.put += records
        self.filling.add(records)

    @precondition(lambda self: not self.filling.empty)
    @rule()
    def take(self) -> None:
        """The next batch is asked for."""
        batch = self.filling.take()
        self.taken.append(batch)
        assert len(batch.items) + len(batch.dead_letters) + batch.skipped >= 1

    @precondition(lambda self: self.taken and self.taken[-1].items)
    @rule(accepted=st.booleans())
    def answer(self, *, accepted: bool) -> None:
        """Toloka takes the last batch, or calls it too large."""
        (self.allowance.accepted if accepted else self.allowance.refused)(self.taken[-1])

    @invariant()
    def the_allowance_stays_within_its_limits(self) -> None:
        """One item can always be tried, and never more than the settings say."""
        assert 1 <= self.allowance.max_items <= LIMITS.max_items
        assert ENVELOPE_BYTES <= self.allowance.max_bytes <= LIMITS.max_bytes

    @invariant()
    def batches_stay_within_the_limits(self) -> None:
        """In records, and in bytes unless one item alone is larger."""
        for batch in self.taken:
            assert len(batch.items) + len(batch.dead_letters) + batch.skipped <= LIMITS.max_items
            body = ENVELOPE_BYTES + sum(len(item.body) + 1 for item in batch.items)
            assert body <= LIMITS.max_bytes or len(batch.items) == 1

    @invariant()
    def room_is_never_more_than_a_batch(self) -> None:
        """What waits is bounded by one read."""
        assert 0 <= self.filling.room <= LIMITS.max_items

    def teardown(self) -> None:
        """Everything comes out: once, in order, in ranges that meet."""
        while not self.filling.empty:
            self.taken.append(self.filling.take())
        end = 0
        for batch in self.taken:
            assert batch.first == end
            assert batch.end > batch.first
            end = batch.end
        offsets = [
            offset
            for batch in self.taken
            for offset in sorted(
                [item.record.offset for item in batch.items]
                + [letter.record.offset for letter in batch.dead_letters]
            )
        ]
        assert offsets == [record.offset for record in self.put if record.value is not None]
        assert sum(batch.skipped for batch in self.taken) == sum(r.value is None for r in self.put)
        for batch in self.taken:
            inside = [r for r in self.put if batch.first <= r.offset < batch.end]
            assert len(inside) == len(batch.items) + len(batch.dead_letters) + batch.skipped


class BatchingInColumns(Batching):
    """What is read has columns, where all are items."""

    frame = b'{"a":"%b"}'

    def reading(self) -> ReadAll:
        """See `Batching.reading`."""
        return ItemReader(InputSpec({"a": {"type": "string"}}), None, 1000).read_all


TestBatching = Batching.TestCase
TestBatchingInColumns = BatchingInColumns.TestCase
TestBatchingInColumns.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestBatching.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
