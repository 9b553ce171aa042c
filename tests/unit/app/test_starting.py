"""What a start refuses before it connects to anything."""

import pytest

from daemon.app.starting import insist_supported
from daemon.errors import ConfigurationError
from daemon.settings import load

USUAL = {
    "TOLOKAD_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9092",
    "TOLOKAD_TOLOKA__PROJECT_ID": "P",
    "TOLOKAD_TOLOKA__TOKEN": "y0_made-up",
}


def test_usual_settings_are_supported() -> None:
    """Nothing is refused that works."""
    insist_supported(load(USUAL))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TOLOKAD_BUDGET__ITEMS_PER_DAY", "10"),
        ("TOLOKAD_BUDGET__ITEMS_TOTAL", "10"),
        ("TOLOKAD_BUDGET__MONEY_PER_DAY", "1.5"),
        ("TOLOKAD_BUDGET__MONEY_TOTAL", "1.5"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(variable: str, value: str) -> None:
    """A spend guard that guards nothing would be worse than none."""
    with pytest.raises(ConfigurationError, match=variable):
        insist_supported(load({**USUAL, variable: value}))
