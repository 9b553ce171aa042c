"""The status page: what `/status.json` says, for people, without a script."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#222}
table{border-collapse:collapse}
th,td{text-align:left;vertical-align:top;padding:.2rem 1rem .2rem 0;border-top:1px solid #ddd}
th{font-weight:600;white-space:nowrap}.no{color:#b00020}.yes{color:#176b2c}
"""
REFRESH_SECONDS: Final = 5


def status_page(*, live: bool, ready: bool, status: Mapping[str, object]) -> str:
    """One HTML page, everything from outside escaped.

    Args:
        live: what `/livez` says.
        ready: what `/readyz` says.
        status: what `/status.json` says; mappings and sequences become tables.
    """
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>tolokad</title>'
        f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}"><style>{STYLE}</style></head>'
        f"<body><h1>tolokad</h1><p>{_flag('live', yes=live)} · {_flag('ready', yes=ready)} · "
        f'<a href="metrics">metrics</a> · <a href="status.json">status.json</a></p>'
        f"{_shown(status)}</body></html>\n"
    )


def _flag(word: str, *, yes: bool) -> str:
    return f'<span class="{"yes" if yes else "no"}">{"" if yes else "not "}{word}</span>'


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
