"""Tests run on the loop that tolokad runs on, and count the rows of the fault matrix: the marker `fault`."""

from collections import Counter
from collections.abc import Mapping

import pytest
from pytest_asyncio.plugin import LoopFactory

from daemon.edges.event_loop import Loop
from tests.matrix import counts

FIRED = pytest.StashKey[Counter[int]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare whose counts these are."""
    parser.addoption("--faults-as", default="tests", help="the counts' file under .cache/faults")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", "fault(*rows): the rows of the fault matrix that a test fires")
    config.stash[FIRED] = Counter()


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories() -> Mapping[str, LoopFactory]:
    """The loop of `tolokad run`."""
    return {"uvloop": Loop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse rows that the matrix does not have."""
    for item in items:
        if unknown := _rows(item) - set(counts.ROWS):
            raise pytest.UsageError(f"{item.nodeid}: the matrix has no such rows: {sorted(unknown)}")


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Count the rows of a test that has passed."""
    if call.when == "call" and call.excinfo is None:
        item.config.stash[FIRED].update(_rows(item))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the counts, where anything was fired."""
    if fired := session.config.stash[FIRED]:
        counts.write(session.config.getoption("faults_as"), fired)


def _rows(item: pytest.Item) -> set[int]:
    return {row for mark in item.iter_markers("fault") for row in mark.args}
