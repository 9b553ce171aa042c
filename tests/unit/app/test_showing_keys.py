"""Which open items are meant by what a command line says."""

from datetime import UTC, datetime

from daemon.app.kit.showing import OpenItem, Wanted
from daemon.flows.records.ledger_records import Origin

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def test_a_key_that_is_no_text() -> None:
    """A command line's bytes that are no UTF-8 arrive as lone surrogates, and mean these bytes."""
    item = OpenItem("i", Origin("in", 0, 1, 2), NOW, 3.0, b"k\xff")
    assert item in Wanted(key="k\udcff")
    assert item not in Wanted(key="k\udcfe")
