"""Deployments as in the system tests, and a browser to look at them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.driver import Browser, browser, missing
from tests.kafka.fixtures import kafka
from tests.system.conftest import deploy, deploy_on, searched_kafka

__all__ = ["deploy", "deploy_on", "kafka", "searched_kafka"]


@pytest.fixture
def window(tmp_path: Path) -> Iterator[Browser]:
    """A browser's window; skipped, with the reason, where there is no browser."""
    if (why := missing()) is not None:
        pytest.skip(why)
    with browser(tmp_path / "chromedriver.txt") as opened:
        yield opened
