"""Ledger values as they are kept in memory."""

from datetime import timedelta

import pytest

from daemon.flows.records import codec, ledger_records, short_forms
from daemon.flows.records.short_forms import ShortForms
from daemon.model import Headers, Item
from tests.doubles import START, FakeRecord, packed_items

TRACED: Headers = (("traceparent", b"0" * 55), ("source", None))


def value(
    topic: str = "t" * 30, headers: Headers = TRACED, wanted: int = 1, key: bytes | None = b"k"
) -> bytes:
    """A ledger value."""
    record = FakeRecord(7, b"", topic, key=key, headers=headers)
    (packed,) = packed_items([Item(record, b"", 1, wanted=wanted)], 9, START)
    return packed


@pytest.mark.parametrize(
    "packed",
    [
        value(),
        value(headers=()),
        value(key=None),
        value(key=b"k" * 300),
        value(headers=(("n" * 300, b"v" * 300), ("behind", b"it"))),
        value(headers=(("", None), ("", b""), ("e", b""))),
        value(wanted=3),
        value(headers=(), wanted=0),
    ],
)
def test_what_was_shortened_is_whole_again(packed: bytes) -> None:
    """Whatever the record was like; and its time is read as it is."""
    forms = ShortForms()
    short = forms.shortened(packed)
    assert forms.whole(short) == packed
    assert codec.from_micros(short_forms.submitted_micros(short)) == START


def test_shares_that_are_published_stay_with_their_item() -> None:
    """They stand behind the headers."""
    packed = value(wanted=3)
    packed = ledger_records.publishing(ledger_records.unpack(packed), packed, "one") or b""
    forms = ShortForms()
    assert forms.whole(forms.shortened(packed)) == packed


def test_what_many_have_in_common_is_kept_once() -> None:
    """Topic and names of headers are not in a short form."""
    long, short = value(), ShortForms().shortened(value())
    assert b"ttt" not in short
    assert b"traceparent" not in short
    assert len(short) <= len(long) - 30 - len("traceparent") - len("source")


@pytest.mark.parametrize("packed", [value(wanted=3), value(key=b"k" * 300), value(key=b"k" * 254)])
def test_what_is_each_ones_own_does_not_keep_the_rest_from_being_shared(packed: bytes) -> None:
    """A long key, and the results that are still awaited; nor is a part of either kept for ever."""
    forms = ShortForms()
    forms.shortened(value())
    short = forms.shortened(packed)
    assert short.startswith(forms.shortened(value())[:2])
    assert b"traceparent" not in short


def test_those_of_several_topics_are_told_apart() -> None:
    """Also where nothing else is different."""
    forms = ShortForms()
    values = [value("one"), value("two"), value("one", ()), value("one")]
    assert [forms.whole(short) for short in map(forms.shortened, values)] == values


def test_no_more_is_kept_than_many_have_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of headers may be as many as there are records: what is new then is kept with each."""
    monkeypatch.setattr(short_forms, "MANY_FORMS", 1)
    forms = ShortForms()
    forms.shortened(value("one"))
    other = forms.shortened(value("other"))
    assert b"other" in other
    assert forms.whole(other) == value("other")
    assert short_forms.submitted_micros(other) == codec.micros(START)
    assert b"one" not in forms.shortened(value("one"))


@pytest.mark.parametrize("cut", [1, 20, 50, len(value()) - ledger_records.HEAD.size - 1])
def test_what_is_damaged_is_whole_again(cut: int) -> None:
    """So that reading it says how."""
    packed = value()[:-cut]
    ledger_records.check(packed)
    forms = ShortForms()
    assert forms.whole(forms.shortened(packed)) == packed


def test_the_time_is_where_it_was() -> None:
    """Of a later one, too."""
    (packed,) = packed_items([Item(FakeRecord(7, b""), b"", 1)], 9, START + timedelta(seconds=5))
    assert short_forms.submitted_micros(ShortForms().shortened(packed)) == codec.micros(START) + 5_000_000
