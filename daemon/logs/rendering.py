"""The two forms of a line: JSON for machines, columns for people."""

from collections.abc import Callable
from typing import Final

import msgspec
import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor

from daemon.logs.redaction import CONSOLE_ESCAPES, ESCAPES, Redaction, Secrets

FIRST_KEYS: Final = ("timestamp", "level", "logger", "event")
BLOCKS: Final = ("exception", "stack")
# Deeper than any line of a log begins, so that the text of an exception cannot pass for one.
INDENT: Final = "\n    "


def json_lines(secrets: Secrets) -> tuple[Processor, ...]:
    """One JSON object on one line; exceptions as data, without local variables."""
    exceptions = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
    encoder = msgspec.json.Encoder(enc_hook=str)

    def render(_logger: object, _method: str, event: EventDict) -> str:
        first = {key: event[key] for key in FIRST_KEYS if key in event}
        return encoder.encode(first | dict(event)).decode()

    return exceptions, Redaction(secrets, ESCAPES), render


def console_lines(secrets: Secrets, *, colors: bool) -> tuple[Processor, ...]:
    """Columns, with tracebacks indented below the line they belong to."""
    renderer = structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback, sort_keys=False
    )
    redaction = Redaction(secrets, CONSOLE_ESCAPES)

    def redact(logger: object, method: str, event: EventDict) -> EventDict:
        blocks = {key: _indented(event.pop(key), redaction.text) for key in BLOCKS if key in event}
        return {**redaction(logger, method, event), **blocks}

    return structlog.processors.format_exc_info, redact, renderer


def _indented(block: str, clean: Callable[[str], str]) -> str:
    return "    " + INDENT.join(clean(line) for line in block.split("\n"))
