"""One event a line, complete, in order, and without a secret, whatever is logged."""

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
import structlog

from daemon.logs import Logs, Secrets, configure
from daemon.logs.repetition import Repetitions
from daemon.logs.writing import LineHandler

CANARY = 'canary-9e1d/é"\\+'


class Captured(io.StringIO):
    """A stream that pretends to be a terminal, or not."""

    def __init__(self, *, terminal: bool = False) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        """What `auto` asks."""
        return self._terminal


@contextmanager
def ours_alone() -> Iterator[None]:
    """Without pytest's own handlers, which raise where a record cannot be formatted."""
    root = logging.getLogger()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(root, "handlers", [known for known in root.handlers if isinstance(known, LineHandler)])
        yield


@pytest.fixture
def stream() -> Captured:
    """Where the log goes."""
    return Captured()


@pytest.fixture
def logs(stream: Captured) -> Iterator[Logs]:
    """A log in JSON, from DEBUG up, that knows one secret."""
    with configure("DEBUG", "json", stream, [CANARY]) as configured:
        yield configured


@pytest.fixture
def lines(logs: Logs, stream: Captured) -> Callable[[], list[dict[str, Any]]]:
    """All lines so far, each parsed."""

    def parsed() -> list[dict[str, Any]]:
        logs.flush()
        return [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]

    return parsed


Lines = Callable[[], list[dict[str, Any]]]
log = structlog.get_logger("tests.logs")


def test_an_event_is_one_object_on_one_line(lines: Lines) -> None:
    """Time, level, logger and event come first."""
    log.info("batch_settled", items=3)
    (line,) = lines()
    assert list(line) == ["timestamp", "level", "logger", "event", "items"]
    assert line["timestamp"].endswith("Z")
    assert line | {"timestamp": ""} == {
        "timestamp": "",
        "level": "info",
        "logger": "tests.logs",
        "event": "batch_settled",
        "items": 3,
    }


def test_the_standard_library_goes_through_the_same_chain(lines: Lines) -> None:
    """Arguments are filled in, context and time are there."""
    with structlog.contextvars.bound_contextvars(partition=4):
        logging.getLogger("aiokafka.conn").warning("lost %s after %d s", "broker", 3)
    (line,) = lines()
    assert (line["event"], line["level"], line["logger"]) == (
        "lost broker after 3 s",
        "warning",
        "aiokafka.conn",
    )
    assert line["partition"] == 4
    assert line["timestamp"].endswith("Z")


async def test_context_belongs_to_the_task_that_bound_it(lines: Lines) -> None:
    """Two partitions that work at once do not mix."""

    async def work(partition: int) -> None:
        structlog.contextvars.bind_contextvars(partition=partition)
        await asyncio.sleep(0)
        log.info("worked", who=partition)

    await asyncio.gather(*(asyncio.create_task(work(partition)) for partition in range(3)))
    assert [line["partition"] for line in lines()] == [line["who"] for line in lines()] == [0, 1, 2]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a\r\nb\x1b[31m\0", "a\r\nb\x1b[31m\0"),
        ("\u2028\x85\x9b\u202e", "\\u2028\\u0085\\u009b\\u202e"),
        ("\ud800", "\\ud800"),
        (b"\xff\n", "\\xff\n"),
        ({1: {None: (1, 2)}}, {"1": {"None": [1, 2]}}),
        ({"b"}, ["b"]),
        (2**70, str(2**70)),
        (float("nan"), None),
        (Decimal("1.5"), "1.5"),
        (ValueError("text"), "text"),
        (True, True),
        (None, None),
    ],
)
def test_any_value_can_be_logged(lines: Lines, stream: Captured, value: object, shown: object) -> None:
    """Whatever JSON cannot say becomes text; nothing begins a new line."""
    log.info("seen", value=value)
    (line,) = lines()
    assert line["value"] == shown
    assert len(stream.getvalue().splitlines()) == 1


class Hostile:
    """An object whose own methods fail."""

    def __str__(self) -> str:
        raise RuntimeError(CANARY)

    __repr__ = __str__


def test_what_cannot_be_shown_is_named(lines: Lines) -> None:
    """An object's own failure does not become ours."""
    cyclic: dict[str, Any] = {}
    cyclic["self"] = cyclic
    with ours_alone():
        log.info("seen", value=Hostile(), key={Hostile(): 1}, cyclic=cyclic)
    (line,) = lines()
    assert line["value"] == "<Hostile>"
    assert line["key"] == {"<Hostile>": 1}


def test_a_long_text_is_cut(lines: Lines) -> None:
    """A whole response body does not belong in a log."""
    log.info("seen", value="x" * 100_000)
    (line,) = lines()
    assert len(line["value"]) < 17_000
    assert line["value"].endswith("(100000 characters)")


def test_a_broken_call_to_the_standard_library_is_a_line_too(lines: Lines) -> None:
    """Libraries make mistakes; they are named, not printed elsewhere, and break nothing."""
    with ours_alone():
        logging.getLogger("lib").warning("%d items", "many")
    log.info("next")
    first, second = lines()
    assert (first["event"], first["logger"], first["error"]) == ("log_event_lost", "lib", "TypeError")
    assert second["event"] == "next"


def fail(error: BaseException) -> None:
    """Raise it here."""
    raise error


def fail_twice(local: str) -> None:
    """Raise with a secret in the message, in a local variable, and in the chain."""
    try:
        fail(KeyError(local))
    except KeyError as error:
        raise ValueError(f"denied for {local}\nINFO forged") from error


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("foreign", [True, False])
def test_an_exception_keeps_its_story_and_no_secret(form: str, stream: Captured, foreign: bool) -> None:  # noqa: FBT001 - a parameter of the table
    """Where it was raised and what caused it, without local variables."""
    with configure("INFO", form, stream, [CANARY]):
        other_local = "a-local-value"
        try:
            fail_twice(CANARY)
        except ValueError:
            logger = logging.getLogger("lib") if foreign else log
            logger.exception("failed")
        del other_local
    text = stream.getvalue()
    assert "ValueError" in text
    assert "KeyError" in text
    assert "test_logs.py" in text
    assert "denied for ********" in text
    assert "canary" not in text
    assert "a-local-value" not in text


def test_exceptions_in_groups_are_complete(lines: Lines) -> None:
    """Task groups wrap what went wrong, sometimes twice."""
    inner = ExceptionGroup("inner", [ValueError("deep")])
    try:
        fail(ExceptionGroup("outer", [inner]))
    except ExceptionGroup:
        log.exception("failed")
    assert "deep" in json.dumps(lines())


FORMS = {
    "as it is": CANARY,
    "inside": f"Authorization: OAuth {CANARY}; more",
    "twice": CANARY * 2,
    "in a URL": "https://host/?key=canary-9e1d%2F%C3%A9%22%5C%2B",
    "in JSON": json.dumps({"key": CANARY}, ensure_ascii=False),
    "in Python's notation": repr([CANARY]),
    "in bytes": CANARY.encode(),
    "in the notation of bytes": repr(CANARY.encode()),
    "in an error": ValueError(CANARY),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("nest", [lambda v: v, lambda v: {"deep": [v]}, lambda v: {str(v): 1}, lambda v: {v}])
def test_a_secret_is_masked_wherever_it_stands(
    form: str, nest: Callable[[object], object], logs: Logs, stream: Captured
) -> None:
    """As a value, inside one, or as a key."""
    log.info("seen", field=nest(FORMS[form]))
    logging.getLogger("lib").info("seen %s", FORMS[form])
    logs.flush()
    assert "canary" not in stream.getvalue()
    assert stream.getvalue().count("********") >= 2


@pytest.mark.parametrize(
    "key", ["token", "TOLOKA_TOKEN", "password", "sasl_plain_password", "Authorization", "api_key", "ApiKey"]
)
def test_a_value_is_masked_by_its_name(lines: Lines, key: str) -> None:
    """Also one that nobody told us of."""
    log.info("seen", **{key: "unheard-of"}, inner={key: ["unheard-of"]})
    (line,) = lines()
    assert line[key] == line["inner"][key] == "********"


def test_a_rotated_secret_is_masked_from_then_on(logs: Logs, lines: Lines) -> None:
    """The old one, too, for it may still be valid."""
    logs.secrets.add("rotated-credential")
    log.info("seen", value=f"rotated-credential {CANARY}")
    assert lines()[0]["value"] == "******** ********"


def test_a_short_secret_does_not_eat_the_log() -> None:
    """It is masked as a word; a secret within a longer one leaves nothing over."""
    secrets = Secrets(["pw", "", "pass", "passphrase"])
    assert secrets.redact("pw, pwd: passphrase") == "********, pwd: ********"


@pytest.mark.parametrize(
    ("form", "terminal", "is_json"),
    [
        ("auto", True, False),
        ("auto", False, True),
        ("json", True, True),
        ("console", False, False),
    ],
)
def test_people_get_columns_on_a_terminal(form: str, terminal: bool, is_json: bool) -> None:  # noqa: FBT001 - as above
    """Colours only where they can be seen."""
    stream = Captured(terminal=terminal)
    with configure("INFO", form, stream):
        log.info("started", port=1)
    text = stream.getvalue()
    assert text.startswith("{") == is_json
    assert ("\x1b[" in text) == (terminal and not is_json)
    assert "started" in text


def test_nothing_logged_can_pass_for_another_line_on_a_console(stream: Captured) -> None:
    """Controls are shown as escapes, and tracebacks are indented."""
    forged = "x\r\n2026-01-01T00:00:00Z [info     ] forged\x1b[2J\x9b\u2028"
    with configure("INFO", "console", stream):
        log.info("seen", value=forged, **{"k\ney": 1})
        log.info(forged)
        logging.getLogger("lib").info("seen %s", forged)
        try:
            fail(ValueError(forged))
        except ValueError:
            log.exception("failed")
    text = stream.getvalue()
    unindented = [line for line in text.split("\n") if line and not line.startswith("    ")]
    assert len(unindented) == 4
    assert not set(text) & {"\r", "\x1b", "\x9b", "\u2028"}


@pytest.mark.parametrize(
    ("level", "name", "lowest"),
    [
        ("DEBUG", "aiokafka.producer", logging.WARNING),
        ("DEBUG", "httpx", logging.WARNING),
        ("DEBUG", "httpcore.connection", logging.WARNING),
        ("ERROR", "aiokafka", logging.ERROR),
        ("DEBUG", "daemon.flows", logging.DEBUG),
        ("WARNING", "daemon.flows", logging.WARNING),
    ],
)
def test_the_clients_never_say_too_much(level: str, name: str, lowest: int, stream: Captured) -> None:
    """They would print passwords at DEBUG and URLs at INFO."""
    with configure(level, "json", stream):
        assert logging.getLogger(name).getEffectiveLevel() == lowest


def test_less_severe_events_are_left_out(stream: Captured) -> None:
    """Ours and others'."""
    with configure("WARNING", "json", stream):
        log.info("quiet")
        logging.getLogger("lib").info("quiet")
        log.warning("loud")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["loud"]


def test_configuring_again_takes_the_place_of_the_first() -> None:
    """No line is written twice."""
    first, second = Captured(), Captured()
    configure("INFO", "json", first)
    with configure("INFO", "json", second):
        log.info("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1


class TestRepetitions:
    """An outage in a log: a few lines a minute, and how many there were."""

    def passed(
        self, repetitions: Repetitions, count: int = 1, method: str = "error", **event: Any
    ) -> list[int]:
        """How many were suppressed before each event that passes, of `count` of the same."""
        result = []
        for _ in range(count):
            try:
                out = repetitions(logging.getLogger("some"), method, {"event": "down", **event})
            except structlog.DropEvent:
                continue
            result.append(out.get("suppressed", 0))
        return result

    def test_the_first_few_pass_and_the_rest_is_counted(self) -> None:
        """The count comes with the first one of the next window."""
        now = [0.0]
        repetitions = Repetitions(burst=5, window_seconds=60, clock=lambda: now[0])
        assert self.passed(repetitions, 100) == [0] * 5
        now[0] = 59.9
        assert self.passed(repetitions, 3) == []
        now[0] = 60
        assert self.passed(repetitions, 7) == [98, 0, 0, 0, 0]
        now[0] = 600
        assert self.passed(repetitions) == [2]
        now[0] = 6000
        assert self.passed(repetitions) == [0]

    def test_only_warnings_and_errors_are_limited(self) -> None:
        """Information is not a flood but the log's purpose."""
        repetitions = Repetitions(burst=1)
        assert len(self.passed(repetitions, 9, "info")) == 9
        assert len(self.passed(repetitions, 9, "warning")) == 1

    def test_what_differs_in_kind_is_no_repetition(self) -> None:
        """Each partition's hold is seen, each message of one outage is not."""
        repetitions = Repetitions(burst=1)
        assert len([p for n in range(9) for p in self.passed(repetitions, partition=n)]) == 9
        assert len([p for n in range(9) for p in self.passed(repetitions, reason=str(n))]) == 9
        assert len([p for n in range(9) for p in self.passed(repetitions, detail=str(n))]) == 1

    def test_memory_is_bounded(self) -> None:
        """A library that invents a message each time costs no memory."""
        repetitions = Repetitions(capacity=10)
        for number in range(1000):
            self.passed(repetitions, event=f"unheard of {number}")
        assert len(repetitions._seen) == 10

    def test_through_the_whole_chain(self, lines: Lines) -> None:
        """Libraries' messages are compared before their arguments are filled in."""
        for number in range(20):
            log.error("down", detail=number)
            logging.getLogger("aiokafka").error("cannot reach %s", number)
        assert [line["logger"] for line in lines()] == ["tests.logs", "aiokafka"] * 5


def test_the_last_warnings_and_errors_are_remembered(logs: Logs) -> None:
    """Latest first, a few of them, short, and without a secret; what is merely told is not kept."""
    log.info("told", detail="x")
    log.warning("held", flow="submit", partition=3, detail=f"refused {CANARY}", other="left out")
    for number in range(30):
        logging.getLogger(f"library-{number}").error("it broke: %s", CANARY)
    logs.flush()
    last = logs.recent.last()
    assert len(last) == 20
    assert CANARY not in json.dumps(last, ensure_ascii=False)
    assert {line["event"] for line in last} == {"it broke: ********"}
    assert list(last[0]) == ["at", "level", "event", "detail"]


def test_what_is_remembered_says_where(logs: Logs) -> None:
    """Flow and partition, and the field that says best what happened."""
    log.warning("held", flow="submit", partition=3, reason="unauthorized", detail="Toloka said no", other=1)
    logs.flush()
    (line,) = logs.recent.last()
    assert line["at"].endswith("Z")
    assert {name: line[name] for name in line if name != "at"} == {
        "level": "warning",
        "event": "held",
        "flow": "submit",
        "partition": 3,
        "detail": "Toloka said no",
    }
