"""What a start refuses once Toloka has said what an item costs."""

from decimal import Decimal

import pytest

from daemon.app.starting import insist_on_a_price
from daemon.errors import ConfigurationError
from daemon.settings import load

USUAL = {
    "TOLOKAD_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:9092",
    "TOLOKAD_TOLOKA__PROJECT_ID": "P",
    "TOLOKAD_TOLOKA__TOKEN": "y0_made-up",
}


@pytest.mark.parametrize("variable", ["TOLOKAD_BUDGET__MONEY_PER_DAY", "TOLOKAD_BUDGET__MONEY_TOTAL"])
def test_a_limit_in_money_needs_a_price(variable: str) -> None:
    """A spend guard that guards nothing would be worse than none."""
    settings = load({**USUAL, variable: "1.5", "TOLOKAD_BUDGET__ITEMS_TOTAL": "10"})
    insist_on_a_price(settings, Decimal("0.05"))
    for price in (None, Decimal(0)):
        with pytest.raises(ConfigurationError, match=variable):
            insist_on_a_price(settings, price)
