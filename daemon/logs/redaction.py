"""What may leave in a log line: no secret, nothing that breaks the line, nothing that cannot be encoded."""

import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final
from urllib.parse import quote

import msgspec

MASK: Final = "********"
SENSITIVE_KEY: Final = re.compile(r"passw|secret|token|authoriz|api.?key|credential|cookie", re.IGNORECASE)
# Replacing one or two letters everywhere would make a log unreadable: short secrets only as words.
SHORTEST_ANYWHERE: Final = 4
LONGEST_TEXT: Final = 16_384
# An exception's frames in a group in a group lie this deep.
DEEPEST: Final = 16
MOST_ENTRIES: Final = 1000

# C1 controls, line and paragraph separators, and marks that reorder text can rewrite what a terminal
# shows, though JSON lets them pass.
_UNRULY: Final = (*range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
ESCAPES: Final = {code: f"\\u{code:04x}" for code in _UNRULY}
CONSOLE_ESCAPES: Final = ESCAPES | {code: f"\\x{code:02x}" for code in range(0x20)}


class Secrets:
    """Values that must not appear anywhere; a rotated credential is added when it is first read."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: frozenset[str] = frozenset()
        self._pattern: re.Pattern[str] | None = None
        self.add(*values)

    def add(self, *values: str) -> None:
        """Leave these out, too, from now on."""
        new = {value for value in values if value} - self._values
        if new:
            self._values |= new
            forms = {form for value in self._values for form in _forms(value)}
            self._pattern = re.compile("|".join(_alternatives(forms)))

    def redact(self, text: str) -> str:
        """The text with every secret masked, also where it is quoted or escaped."""
        return self._pattern.sub(MASK, text) if self._pattern else text


class Redaction:
    """The last step before a line is made: plain values only, secrets masked, controls visible.

    Args:
        secrets: what to leave out wherever it stands.
        escapes: characters to show as escapes, by code point.
    """

    def __init__(self, secrets: Secrets, escapes: Mapping[int, str]) -> None:
        self._secrets = secrets
        self._escapes = escapes

    def __call__(self, _logger: object, _method: str, event: Mapping[str, Any]) -> dict[str, Any]:
        """A processor for structlog."""
        return self._mapping(event, DEEPEST)

    def text(self, value: str) -> str:
        """One string as it may leave."""
        redacted = self._secrets.redact(value)
        if len(redacted) > LONGEST_TEXT:
            redacted = f"{redacted[:LONGEST_TEXT]}… ({len(redacted)} characters)"
        return redacted.encode(errors="backslashreplace").decode().translate(self._escapes)

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        entries = list(value.items())[:MOST_ENTRIES]
        return {
            self.text(_text_of(key)): MASK
            if content is not None and SENSITIVE_KEY.search(_text_of(key))
            else self._plain(content, depth - 1)
            for key, content in entries
        }

    def _plain(self, value: object, depth: int) -> Any:
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int):
            # JSON readers take a larger number for a double.
            return value if abs(value) < 2**53 else str(value)
        if depth <= 0:
            return "…"
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        if isinstance(value, list | tuple | AbstractSet):
            return [self._plain(part, depth - 1) for part in list(value)[:MOST_ENTRIES]]
        return self.text(_text_of(value))


def _text_of(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode(errors="backslashreplace")
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - whatever an object's own method raises, the event goes on
        return f"<{type(value).__name__}>"


def _forms(secret: str) -> Iterator[str]:
    """As it is, in a URL, in JSON, and in Python's own notation."""
    yield secret
    text = secret.encode(errors="replace").decode()
    yield quote(text, safe="")
    yield msgspec.json.encode(text).decode()[1:-1]
    yield repr(secret)[1:-1]
    yield repr(secret.encode(errors="replace"))[2:-1]


def _alternatives(forms: Iterable[str]) -> Iterator[str]:
    # Longest first: of a secret that begins with another one nothing must be left over.
    for form in sorted(forms, key=len, reverse=True):
        word = re.escape(form)
        yield word if len(form) >= SHORTEST_ANYWHERE else rf"(?<!\w){word}(?!\w)"
