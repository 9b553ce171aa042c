"""Who sits at a terminal is asked before something is decided that costs money."""

import io

import pytest

from daemon.cli import mending


class Terminal(io.StringIO):
    """Text that somebody types, or reads."""

    def isatty(self) -> bool:
        """It is one."""
        return True


@pytest.mark.parametrize(
    ("typed", "agreed"), [("y\n", True), ("Yes\n", True), ("n\n", False), ("\n", False), ("", False)]
)
def test_a_terminal_is_asked(typed: str, agreed: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001 - what is expected
    """Only a clear yes goes on; the end of what is typed is none."""
    shown = Terminal()
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    monkeypatch.setattr("sys.stderr", shown)
    assert mending._agreed() is agreed
    assert shown.getvalue() == "Go on? [y/N] "


def test_a_script_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no terminal reads has decided already."""
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert mending._agreed()
