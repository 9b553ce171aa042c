"""Dead letters: what they say, which are meant, and which were sent back."""

from datetime import UTC, datetime, timedelta

import pytest

from daemon.flows.kit.letters import CHUNK, CLOCKS_APART_MS, Replayed, Wanted, letter_of
from daemon.flows.records.codec import UnreadableError
from daemon.flows.records.outputs import dead_letter_append
from daemon.model import DeadLetter, Flaw, Headers
from tests.doubles import START_MS, FakeRecord

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def dead(source: FakeRecord, offset: int = 0) -> FakeRecord:
    """The dead letter of a record, as it stands in its topic."""
    append = dead_letter_append("dead", 4, DeadLetter(source, Flaw("ODD", "why\n")), NOW)
    return FakeRecord(offset, append.value, "dead", 2, key=append.key, headers=append.headers)


def test_it_goes_back_as_it_came_and_counts() -> None:
    """Our headers are gone but the count, which goes on through its next dead letter."""
    source = FakeRecord(7, b"{", "in", 3, key=b"k", headers=(("trace", b"t"), ("trace", None)))
    again = letter_of(dead(source)).replayed("in")
    assert (again.partition, again.key, again.value) == (3, b"k", b"{")
    assert again.headers == (("trace", b"t"), ("trace", None), ("tolokad-attempts", b"1"))
    back = FakeRecord(9, again.value, "in", 3, key=again.key, headers=again.headers)
    third = letter_of(dead(back))
    assert third.attempts == 1
    assert third.replayed("in").headers[-1] == ("tolokad-attempts", b"2")


def test_a_records_own_headers_go_back_whatever_they_are_called() -> None:
    """Ours come behind them; how often it was sent back is said once."""
    headers = (("tolokad-mine", b"1"), ("tolokad-error-code", b"2"), ("tolokad-attempts", b"3"))
    again = letter_of(dead(FakeRecord(7, b"{", "in", headers=headers))).replayed("in")
    assert again.headers == (*headers[:2], ("tolokad-attempts", b"4"))


@pytest.mark.parametrize("headers", [(), (("toloka-item-id", b"of another"),)])
def test_the_items_id_does_not_go_back(headers: Headers) -> None:
    """It is ours as well, but for one that the record has come with."""
    source = FakeRecord(7, b"{", "in", headers=headers)
    append = dead_letter_append("dead", 4, DeadLetter(source, Flaw("NO_RESULT", "why"), "i-1"), NOW)
    for added in (append.headers, append.headers[:-1]):
        letter = letter_of(FakeRecord(0, append.value, "dead", headers=added))
        assert letter.replayed("in").headers == (*headers, ("tolokad-attempts", b"1"))


def test_what_somebody_else_wrote_is_shown_as_far_as_it_goes() -> None:
    """A record without our headers is no reason to stop."""
    letter = letter_of(FakeRecord(1, b"x", "dead", headers=(("tolokad-attempts", b"-1"),)))
    assert (letter.origin, letter.code, letter.failed_at, letter.attempts) == (None, "", None, 0)


@pytest.mark.parametrize("count", [b"9" * 5000, b"9" * 4300, b"+1", b"1_0", "\u0661".encode(), b""])
def test_a_count_that_is_none_begins_anew(count: bytes) -> None:
    """Whoever writes the input writes that header too: no letter may keep others from being listed."""
    letter = letter_of(dead(FakeRecord(7, b"{", "in", headers=(("tolokad-attempts", count),))))
    assert letter.as_json()["attempts"] == 0
    assert letter.replayed("in").headers == (("tolokad-attempts", b"1"),)


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00", "soon"])
def test_a_time_that_is_none_in_utc_is_left_out(when: str) -> None:
    """Somebody else's letter is listed without it."""
    letter = letter_of(FakeRecord(1, b"x", "dead", headers=(("tolokad-failed-at", when.encode()),)))
    assert letter.as_json()["failed_at"] is None


def test_choosing() -> None:
    """By code, by time and by key; what is not asked does not matter."""
    letter = letter_of(dead(FakeRecord(0, b"{", "in", key=b"k")))
    assert letter in Wanted()
    assert letter in Wanted("ODD", NOW, "k")
    assert letter not in Wanted("EVEN")
    assert letter not in Wanted(since=NOW + timedelta(seconds=1))
    assert letter not in Wanted(key="other")


def test_choosing_by_a_key_that_is_no_text() -> None:
    """A command line's bytes that are no UTF-8 arrive as lone surrogates, and mean these bytes."""
    letter = letter_of(dead(FakeRecord(0, b"{", "in", key=b"k\xff")))
    assert letter in Wanted(key="k\udcff")
    assert letter not in Wanted(key="k\udcfe")


def test_what_was_sent_back_is_remembered() -> None:
    """Through its records, and across the border of two of them."""
    done, read = Replayed(), Replayed()
    letters = [FakeRecord(offset, b"", "dead", 2) for offset in (0, CHUNK - 1, CHUNK)]
    for letter in letters[::2]:
        done.add(letter)
    for partition, chunk, value in done.changes():
        read.read(partition, chunk, value, START_MS)
    assert [letter in read for letter in letters] == [True, False, True]
    assert not list(done.changes())
    with pytest.raises(UnreadableError):
        read.read(2, 0, b"\x09damaged", START_MS)


def test_letters_of_a_topic_that_was_made_anew_were_not_sent_back() -> None:
    """Its offsets begin anew; what was sent back of the other is forgotten with the first that shows it."""
    done = Replayed()
    bitmaps = Replayed()
    for offset in (0, 1, 5, CHUNK):
        bitmaps.add(FakeRecord(offset, b"old", "dead", 2))
    for partition, chunk, value in bitmaps.changes():
        done.read(partition, chunk, value, START_MS)
        done.read(partition + 1, chunk, value, START_MS)
    apart = START_MS + CLOCKS_APART_MS
    assert FakeRecord(0, b"old", "dead", 2, apart) in done
    assert FakeRecord(1, b"new", "dead", 2, apart + 1) not in done
    done.add(FakeRecord(1, b"new", "dead", 2, apart + 1))
    later = Replayed()
    for partition, chunk, value in done.changes():
        later.read(partition, chunk, value, apart + 2)
    seen = [offset for offset in range(10) if FakeRecord(offset, b"new", "dead", 2, apart + 1) in later]
    assert seen == [1]
    assert FakeRecord(CHUNK, b"", "dead", 2) not in done
    assert FakeRecord(CHUNK, b"", "dead", 3) in done
