"""Standard output may be stuck, full or gone: work goes on, and the log says what it lost."""

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from daemon.logs import configure
from daemon.logs.writing import LineHandler, LineWriter

log = structlog.get_logger("tests.logs")


@pytest.fixture
def pipe() -> Iterator[tuple[int, io.TextIOWrapper]]:
    """The reading end's descriptor and the writing end as a text stream."""
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w")
    yield reading, stream
    with contextlib.suppress(OSError):
        os.close(reading)
    with contextlib.suppress(OSError):
        stream.close()


def read_lines(descriptor: int, count: int) -> list[str]:
    """Read until so many lines have come."""
    data = b""
    while data.count(b"\n") < count:
        data += os.read(descriptor, 65_536)
    return data.decode().splitlines()


def read_to_end(descriptor: int) -> list[str]:
    """Read until the other end is closed."""
    with os.fdopen(os.dup(descriptor)) as stream:
        return stream.read().splitlines()


def handler_on(stream: io.TextIOBase, capacity: int) -> LineHandler:
    """A handler that writes bare messages."""
    handler = LineHandler(stream, capacity)  # type: ignore[arg-type]  # a text stream in all but name
    handler.setFormatter(logging.Formatter("%(message)s"))
    return handler


def emit(handler: LineHandler, text: str) -> None:
    """Log one message."""
    handler.handle(logging.LogRecord("some", logging.INFO, __file__, 1, text, None, None))


def test_a_reader_who_does_not_read_stops_nobody(pipe: tuple[int, io.TextIOWrapper]) -> None:
    """What does not fit is counted, and told once there is room again."""
    reading, stream = pipe
    handler = handler_on(stream, capacity=100_000)
    for number in range(5000):
        emit(handler, f"{number:0100}")
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.extend(read_to_end(reading)))
    reader.start()
    handler.flush()
    emit(handler, "after")
    handler.close()
    stream.close()
    reader.join()
    numbers = [int(line) for line in got if line.isdigit()]
    lost = [json.loads(line)["count"] for line in got if "log_lines_lost" in line]
    assert lost
    assert len(numbers) + sum(lost) == 5000
    assert numbers == sorted(numbers)
    assert got[-1] == "after"


class Recovering(io.StringIO):
    """A stream that fails a few times."""

    failures = 3

    def write(self, text: str) -> int:
        """Fail, or write."""
        if self.failures:
            self.failures -= 1
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_lines_that_could_not_be_written_are_counted() -> None:
    """The count comes before the first line that can."""
    stream = Recovering()
    handler = handler_on(stream, capacity=1000)
    for number in range(3):
        emit(handler, f"line {number}")
        handler.flush()
    text = stream.getvalue().splitlines()
    handler.close()
    # The first line failed, then the notice and the second line; the third time both were written.
    assert [json.loads(text[0])["count"], text[1:]] == [2, ["line 2"]]


def test_a_reader_who_is_gone_stops_nobody(pipe: tuple[int, io.TextIOWrapper]) -> None:
    """A broken pipe is not the daemon's end."""
    reading, stream = pipe
    os.close(reading)
    with configure("INFO", "json", stream):
        log.info("into the void")
    log.info("after closing")


def test_a_full_disk_stops_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    """Every write fails; nothing is raised, nothing is printed elsewhere."""
    with Path("/dev/full").open("w", encoding="utf-8") as stream:  # noqa: SIM117 - the order of closing matters
        with configure("INFO", "json", stream):
            log.info("no room")
            log.error("no room")
    assert capfd.readouterr() == ("", "")


def test_a_closed_stream_stops_nobody() -> None:
    """Neither one with a descriptor nor one without."""
    stream = io.StringIO()
    with configure("INFO", "json", stream):
        stream.close()
        log.info("nowhere")


def test_lines_after_a_failure_are_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A line that was cut off stays alone on its line; the loss is counted to the line."""
    path = tmp_path / "log"
    real_write, room = os.write, [25]

    def full_disk(descriptor: int, data: memoryview) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        written = real_write(descriptor, data[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr(os, "write", full_disk)
    with path.open("w", encoding="utf-8") as stream:
        writer = LineWriter(stream)
        lost = [writer.write("first line\nsecond line\nthird line\nfourth line\n"), writer.write("fifth\n")]
        room[0] = 1000
        lost.append(writer.write("sixth line\n"))
    assert lost == [2, 1, 0]
    assert path.read_text().splitlines() == ["first line", "second line", "th", "sixth line"]


def test_a_non_blocking_stream_is_waited_for(pipe: tuple[int, io.TextIOWrapper]) -> None:
    """Whoever shares the terminal may have made it so."""
    reading, stream = pipe
    os.set_blocking(stream.fileno(), False)
    text = "".join(f"{number:0100}\n" for number in range(5000))
    lost: list[int] = []
    thread = threading.Thread(target=lambda: lost.append(LineWriter(stream).write(text)))
    thread.start()
    assert len(read_lines(reading, 5000)) == 5000
    thread.join()
    assert lost == [0]


def test_closing_writes_what_is_left(pipe: tuple[int, io.TextIOWrapper]) -> None:
    """In order, from every thread."""
    reading, stream = pipe
    with configure("INFO", "json", stream):
        for number in range(100):
            log.info("counted", number=number)
    assert [json.loads(line)["number"] for line in read_lines(reading, 100)] == list(range(100))


SCRIPT = """
import sys, structlog
from daemon.logs import configure
configure("INFO", "json", sys.stdout)
log = structlog.get_logger()
for number in range({count}):
    log.info("counted", number=number, padding="x" * 100)
sys.exit(3)
"""


def test_the_last_lines_are_written_at_exit() -> None:
    """Also when nobody closes the log."""
    run = subprocess.run([sys.executable, "-c", SCRIPT.format(count=1000)], capture_output=True, check=False)
    assert run.returncode == 3
    assert [json.loads(line)["number"] for line in run.stdout.splitlines()] == list(range(1000))
    assert run.stderr == b""


def test_a_stuck_reader_does_not_change_the_exit_code() -> None:
    """The interpreter ends although the writer hangs."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(count=5000)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.wait(timeout=30) == 3
        assert run.stderr is not None
        assert run.stderr.read() == b""
