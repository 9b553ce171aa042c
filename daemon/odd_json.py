"""Pure: JSON that the decoder refuses and that comes all the same, for people write what they like.

Half of an emoji, cut off by a limit of letters, is a lone surrogate: JSON (RFC 8259, 8.2), and no Unicode.
"""

import json
import re
from typing import Any

# An escape: a pair of surrogates, one alone, or any other, so that none is taken for the end of another.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
# As long as what it replaces.
_REPLACEMENT = rb"\ufffd"


def mended(text: bytes) -> bytes:
    """The JSON with each lone surrogate replaced (by U+FFFD), every other byte where it was."""
    return _ESCAPE.sub(lambda found: _REPLACEMENT if found[1] else found[0], text)


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
