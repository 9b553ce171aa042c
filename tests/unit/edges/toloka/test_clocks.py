"""Clocks: what has passed, the machine's time, and Toloka's."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from daemon.edges.toloka.clocks import DateClock, SystemClock, parse_date
from tests.unit.edges.toloka.wire import FakeClock

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
NOON_TEXT = "Sun, 22 Nov 2026 12:00:00 GMT"


def after_noon(seconds: int) -> str:
    """A `Date` header of so many seconds past noon."""
    return (NOON + timedelta(seconds=seconds)).strftime("%a, %d %b %Y %H:%M:%S GMT")


def test_system_clock() -> None:
    """Elapsed time counts what the machine was suspended; wall time is the machine's."""
    clock = SystemClock()
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= clock.elapsed() <= time.clock_gettime(time.CLOCK_BOOTTIME)
    before = time.time()
    assert before <= clock.wall() <= time.time()


def test_the_machines_time_until_toloka_has_answered() -> None:
    """Before the first answer there is nothing better than the machine's own clock."""
    clock = FakeClock(wall_seconds=NOON.timestamp())
    assert DateClock(clock).now() == NOON


def test_the_first_answer_is_believed_whatever_the_machines_clock_shows() -> None:
    """That the two are near each other is no reason to hold to it when the next answer tells otherwise."""
    toloka = DateClock(FakeClock(wall_seconds=NOON.timestamp() + 0.5))
    toloka.hear(NOON_TEXT, 0.1)
    assert toloka.now() == NOON
    toloka.hear(after_noon(3600), 0.1)
    assert toloka.now() == NOON + timedelta(hours=1)


def test_tolokas_time_is_carried_on() -> None:
    """After an answer the time is Toloka's, whatever the machine's clock says or does."""
    clock = FakeClock(wall_seconds=0.0)
    toloka = DateClock(clock)
    toloka.hear(NOON_TEXT, 0.1)
    clock.elapsed_seconds += 7.25
    clock.wall_seconds -= 86_400
    assert toloka.now() == NOON + timedelta(seconds=7.25)


def test_a_date_that_says_nothing_new_moves_nothing() -> None:
    """A header leaves out fractions: the second that the clock shows anyway is no reason to go back."""
    clock = FakeClock()
    toloka = DateClock(clock)
    toloka.hear(NOON_TEXT, 0.1)
    clock.elapsed_seconds += 0.9
    toloka.hear(NOON_TEXT, 0.1)
    assert toloka.now() == NOON + timedelta(seconds=0.9)


def test_a_later_date_moves_the_clock_forward() -> None:
    """Toloka's clock is at least where its header says."""
    clock = FakeClock()
    toloka = DateClock(clock)
    toloka.hear(NOON_TEXT, 0.1)
    toloka.hear(after_noon(4), 0.1)
    assert toloka.now() == NOON + timedelta(seconds=4)


def test_a_clock_that_was_agreed_on_is_corrected_at_once() -> None:
    """By five seconds and no more, however long ago the last answer was."""
    clock = FakeClock()
    toloka = DateClock(clock)
    toloka.hear(NOON_TEXT, 0.1)
    toloka.hear(NOON_TEXT, 0.1)
    clock.elapsed_seconds += 20
    toloka.hear(after_noon(25), 0.1)
    assert toloka.now() == NOON + timedelta(seconds=25)
    clock.elapsed_seconds += 20
    toloka.hear(after_noon(51), 0.1)
    assert toloka.now() == NOON + timedelta(seconds=45)


@pytest.mark.parametrize("ahead", [300, -300])
def test_one_answer_does_not_make_the_clock_jump(ahead: int) -> None:
    """A proxy may have written it: a quarantine would be over at once, or for the next intent too soon."""
    clock = FakeClock()
    toloka = DateClock(clock)
    toloka.hear(NOON_TEXT, 0.1)
    toloka.hear(NOON_TEXT, 0.1)
    toloka.hear(after_noon(ahead), 0.1)
    assert toloka.now() == NOON
    clock.elapsed_seconds += 20
    toloka.hear(after_noon(20), 0.1)
    toloka.hear(after_noon(20 + ahead), 0.1)
    assert toloka.now() == NOON + timedelta(seconds=20)


@pytest.mark.parametrize("ahead", [3600, -3600])
def test_a_first_answer_alone_is_not_believed_for_long(ahead: int) -> None:
    """Until two agree the later one counts: the first may be somebody else's, who stands before Toloka."""
    clock = FakeClock()
    toloka = DateClock(clock)
    toloka.hear(after_noon(ahead), 0.1)
    toloka.hear(NOON_TEXT, 0.1)
    assert abs(toloka.now() - NOON) <= timedelta(seconds=2)


@pytest.mark.parametrize("ahead", [300, -300])
def test_a_clock_that_was_set_is_believed_once_all_answers_say_so(ahead: int) -> None:
    """For ten seconds."""
    clock = FakeClock()
    toloka = DateClock(clock)
    toloka.hear(NOON_TEXT, 0.1)
    toloka.hear(NOON_TEXT, 0.1)
    for second in range(11):
        toloka.hear(after_noon(ahead + second), 0.1)
        assert (toloka.now() == NOON + timedelta(seconds=second)) == (second < 10)
        clock.elapsed_seconds += 1
    assert abs(toloka.now() - NOON - timedelta(seconds=ahead + 11)) <= timedelta(seconds=2)
    believed = toloka.now()
    toloka.hear(after_noon(ahead + 900), 0.1)
    assert toloka.now() == believed


def test_answers_that_contradict_each_other_do_not_move_the_clock() -> None:
    """However long they do: who stands before Toloka may have several times."""
    clock = FakeClock()
    toloka = DateClock(clock)
    toloka.hear(NOON_TEXT, 0.1)
    toloka.hear(NOON_TEXT, 0.1)
    for second in range(30):
        toloka.hear(after_noon(second + (300, 600)[second % 2]), 0.1)
        clock.elapsed_seconds += 1
    assert toloka.now() == NOON + timedelta(seconds=30)


def test_an_earlier_date_moves_the_clock_back_no_further_than_it_proves() -> None:
    """The header was written within the request's time, and stands for its whole second."""
    clock = FakeClock()
    toloka = DateClock(clock)
    toloka.hear(after_noon(4), 0.1)
    toloka.hear(NOON_TEXT, 2.0)
    assert toloka.now() == NOON + timedelta(seconds=3)


@pytest.mark.parametrize("every_seconds", [1, 4, 30])
def test_a_date_that_stands_still_does_not_stop_the_clock(every_seconds: int) -> None:
    """Answers out of a cache repeat their header for ever, and a quarantine has to end all the same."""
    clock = FakeClock()
    toloka = DateClock(clock)
    for _ in range(600 // every_seconds):
        toloka.hear(NOON_TEXT, 0.1)
        clock.elapsed_seconds += every_seconds
    assert toloka.now() > NOON + timedelta(seconds=560)
    toloka.hear(after_noon(600), 0.1)
    assert abs(toloka.now() - NOON - timedelta(seconds=600)) < timedelta(seconds=30)


def test_an_answer_that_took_long_does_not_set_the_clock_back() -> None:
    """A server that stamps its answer when the request begins is not behind."""
    clock = FakeClock()
    toloka = DateClock(clock)
    toloka.hear(NOON_TEXT, 0.1)
    clock.elapsed_seconds += 20
    toloka.hear(NOON_TEXT, 20.0)
    assert toloka.now() == NOON + timedelta(seconds=20)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "now",
        "Sunday, 22-Nov-26 12:00:00 GMT",
        "Sun Nov 22 12:00:00 2026",
        "Sun, 22 Nov 2026 12:00:00 +0000",
        "Sun, 22 Nov 2026 12:00:00",
        "Sun, 32 Nov 2026 12:00:00 GMT",
        "Sun, 22 Nov 2026 25:00:00 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Sun, 22 Nov 2026 12:00:00 GMT\x00",
        "Sun, 1 Nov 2026 12:00:00 GMT",
        "sun, 22 nov 2026 12:00:00 gmt",
    ],
)
def test_implausible_dates_teach_nothing(text: str | None) -> None:
    """A header that is missing, malformed or absurd leaves the clock alone."""
    clock = FakeClock()
    toloka = DateClock(clock)
    toloka.hear(NOON_TEXT, 0.1)
    toloka.hear(text, 0.1)
    assert parse_date(text) is None
    assert toloka.now() == NOON
