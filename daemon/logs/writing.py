"""Lines are written by a thread of their own: a stuck or full standard output stops no work."""

import logging
import os
import select
import threading
import time
from collections import deque
from typing import Final, TextIO

import msgspec
import structlog

CAPACITY_CHARACTERS: Final = 8_000_000
EXIT_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 1.0
NEWLINE: Final = ord("\n")


class LineBuffer:
    """Lines between those who log and the one who writes; bounded, so what does not fit is counted."""

    def __init__(self, capacity_characters: int) -> None:
        self._capacity = capacity_characters
        self._lines: deque[str] = deque()
        self._characters = 0
        self._lost = 0
        self._writing = False
        self._closed = False
        self._changed = threading.Condition()

    def put(self, line: str) -> None:
        """Add a line, or count it as lost; never waits for the writer."""
        with self._changed:
            if self._closed or self._characters + len(line) > self._capacity:
                self._lost += 1
                return
            self._lines.append(line)
            self._characters += len(line)
            self._changed.notify_all()

    def take(self) -> tuple[str, ...] | None:
        """Wait for lines and take them all; None once it is closed and empty."""
        with self._changed:
            self._writing = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._lines or self._closed)
            lines = tuple(self._lines)
            self._lines.clear()
            self._characters = 0
            self._writing = bool(lines)
            return lines or None

    def lose(self, count: int) -> None:
        """Count lines that could not be written."""
        with self._changed:
            self._lost += count

    def take_lost(self) -> int:
        """How many were lost since this was asked last."""
        with self._changed:
            lost, self._lost = self._lost, 0
            return lost

    def wait_until_written(self, seconds: float) -> None:
        """Wait until everything so far is written, or the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: not self._lines and not self._writing, seconds)

    def close(self) -> None:
        """Take no more lines."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class LineWriter:
    """Writes lines to a stream, past its buffer where it has a descriptor.

    Python's own buffer has a lock; a thread that hangs in it would make the interpreter abort at exit.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._descriptor = _descriptor(stream)
        self._torn = False

    def write(self, text: str) -> int:
        """Write whole lines; how many of them were lost because the stream is full or gone."""
        if self._descriptor is None:
            return _to_stream(self._stream, text)
        if self._torn:
            # What a failure cut off stays a line of its own.
            text = "\n" + text
        data = memoryview(text.encode(errors="backslashreplace"))
        sent = 0
        try:
            while sent < len(data):
                sent += self._some(self._descriptor, data[sent:])
        except OSError:
            return bytes(data[sent:]).count(b"\n") - (self._torn and not sent)
        finally:
            self._torn = data[sent - 1] != NEWLINE if sent else self._torn
        return 0

    @staticmethod
    def _some(descriptor: int, data: memoryview) -> int:
        try:
            return os.write(descriptor, data)
        except BlockingIOError:
            # Whoever shares the descriptor may have made it non-blocking.
            select.select([], [descriptor], [], RETRY_SECONDS)
            return 0


class LineHandler(logging.Handler):
    """Makes a line of each record in the caller's thread and leaves the writing to another."""

    def __init__(self, stream: TextIO, capacity_characters: int = CAPACITY_CHARACTERS) -> None:
        super().__init__()
        self._buffer = LineBuffer(capacity_characters)
        self._writer = LineWriter(stream)
        self._thread = threading.Thread(target=self._write_all, name="log-writer", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand over a line; never raises, never waits."""
        try:
            self._buffer.put(self.format(record) + "\n")
        except structlog.DropEvent:
            return
        except Exception as error:  # noqa: BLE001 - logging must not break what it reports on
            self._buffer.put(_unformatted(record, error))

    def flush(self) -> None:
        """Wait a moment for what was logged to be written."""
        self._buffer.wait_until_written(EXIT_SECONDS)

    def close(self) -> None:
        """Write what is left, within a moment; the standard library does it at exit."""
        self._buffer.close()
        self._thread.join(EXIT_SECONDS)
        super().close()

    def _write_all(self) -> None:
        while (lines := self._buffer.take()) is not None:
            lost = self._buffer.take_lost()
            if lost and self._writer.write(_notice(lost)):
                self._buffer.lose(lost)
            self._buffer.lose(self._writer.write("".join(lines)))


def _to_stream(stream: TextIO, text: str) -> int:
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        return text.count("\n")
    return 0


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, AttributeError, ValueError):
        return None


def _notice(lost: int) -> str:
    return _bare(event="log_lines_lost", level="warning", logger=__name__, count=lost)


def _unformatted(record: logging.LogRecord, error: Exception) -> str:
    # The error's own text is left out: it may hold what could not be redacted.
    return _bare(
        event="log_event_lost",
        level="error",
        logger=record.name,
        error=type(error).__name__,
        line=record.lineno,
    )


def _bare(**fields: str | int) -> str:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return msgspec.json.encode({"timestamp": now, **fields}).decode() + "\n"
