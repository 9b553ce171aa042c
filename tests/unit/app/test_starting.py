"""What a start refuses once Toloka has said what an item costs."""

import asyncio
from decimal import Decimal

import pytest

from daemon.app.starting import insist_on_a_price, patiently
from daemon.errors import ConfigurationError, UnavailableAtStart
from daemon.settings import load
from tests.doubles import in_virtual_time

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


@in_virtual_time
async def test_a_start_that_gets_no_answer_says_so() -> None:
    """With the way out; an error that has no words is no explanation."""

    async def silence() -> None:
        await asyncio.sleep(3600)

    with pytest.raises(UnavailableAtStart, match=r"^no answer in time\. Look at the broker$"):
        await patiently(silence, "Look at the broker")
