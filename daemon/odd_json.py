"""Pure: JSON that the decoder refuses and that comes all the same, for people write what they like.

Half of an emoji, cut off by a limit of letters, is a lone surrogate: JSON (RFC 8259, 8.2), and no Unicode.
Nor does JSON say how deep it may be nested, and every decoder has its limit.
"""

import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

# No item of ours is half as deep, and every decoder reads so much wherever it is called.
MAX_LEVELS = 250

# An escape: a pair of surrogates, one alone, or any other, so that none is taken for the end of another.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
# As long as what it replaces.
_REPLACEMENT = rb"\ufffd"
# A string as a whole, so that no bracket in one is taken for structure.
_STRUCTURE = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)

T = TypeVar("T")


def decoded(text: bytes, decode: Callable[[bytes], T]) -> tuple[bytes, T]:
    """What is decoded of JSON, and of what: of the text itself, if that can be, else of what is left of it.

    That is as long, and what it does not have replaced is where it was.

    Raises:
        msgspec.DecodeError: it is no JSON.
        RecursionError: the same, and it is nested too deep.
    """
    try:
        return text, decode(text)
    except RecursionError:
        text = mended(text)
    except msgspec.DecodeError:
        text = mended(text)
        try:
            return text, decode(text)
        except RecursionError:
            pass
    text = flattened(text)
    return text, decode(text)


def mended(text: bytes) -> bytes:
    """The JSON with each lone surrogate replaced (by U+FFFD), every other byte where it was."""
    return _ESCAPE.sub(lambda found: _REPLACEMENT if found[1] else found[0], text)


def flattened(text: bytes) -> bytes:
    """The JSON with all that is nested too deep replaced (by 0 and spaces), every other byte where it was."""
    parts, done, level, start = [], 0, 0, 0
    for found in _STRUCTURE.finditer(text):
        match found[0]:
            case b"[" | b"{":
                level += 1
                if level == MAX_LEVELS + 1:
                    start = found.start()
            case b"]" | b"}":
                level -= 1
                if level == MAX_LEVELS:
                    parts += [text[done:start], b"0".ljust(found.end() - start)]
                    done = found.end()
    return b"".join((*parts, text[done:]))


def repeats_a_member(text: bytes) -> bool:
    """Whether the outermost object has a key twice.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deep.
    """
    is_repeated = False

    def note(pairs: list[tuple[str, Any]]) -> None:
        # The outermost object comes last.
        nonlocal is_repeated
        is_repeated = len(dict(pairs)) != len(pairs)

    # Numbers are not looked at: one may be too large for any type.
    json.loads(text, object_pairs_hook=note, parse_int=str, parse_float=str)
    return is_repeated
