"""The status page: what `/status.json` says, for people; without a script, as plain tables."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Final

import msgspec

# Page, style and script are files of their own; the page is sent as one document that loads nothing.
PAGE: Final = files(__name__).joinpath("page.html").read_text("utf-8")
STYLE: Final = files(__name__).joinpath("page.css").read_text("utf-8")
SCRIPT: Final = files(__name__).joinpath("page.js").read_text("utf-8")


def _hash(content: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() + "'"


# Exactly this style and this script, questions to this replica, and nothing else.
POLICY: Final = (
    f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; connect-src 'self';"
    " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def status_page(*, live: bool, ready: bool, status: Mapping[str, object]) -> str:
    """One HTML page, everything from outside escaped; it asks for `status.json` again by itself.

    Without a script, the mappings and sequences of `status` become tables.
    """
    parts = {
        "style": STYLE,
        "script": SCRIPT,
        "live": _flag("live", yes=live),
        "ready": _flag("ready", yes=ready),
        "status": _embedded(status),
        "fallback": _shown(status),
    }
    first, *pieces = PAGE.split("{{")
    filled = (parts[name] + rest for name, _, rest in (piece.partition("}}") for piece in pieces))
    return first + "".join(filled)


def _flag(word: str, *, yes: bool) -> str:
    return word if yes else f"not {word}"


def _embedded(status: Mapping[str, object]) -> str:
    """JSON that cannot end the element that it stands in."""
    plain = msgspec.to_builtins(dict(status), str_keys=True, enc_hook=str)
    return msgspec.json.encode(plain).decode().replace("<", "\\u003c").replace("&", "\\u0026")


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        rows = "".join(
            f"<tr><th>{_text(key)}</th><td>{_shown(part)}</td></tr>" for key, part in value.items()
        )
        return f"<table>{rows}</table>"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return "".join(f"<div>{_shown(part)}</div>" for part in value) or "none"
    return _text(value)


def _text(value: object) -> str:
    return "" if value is None else escape(str(value))
