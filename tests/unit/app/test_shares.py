"""Which part of the limits is a replica's."""

from types import SimpleNamespace
from typing import cast

import pytest

from daemon.app.assembling import World, _OurShare
from daemon.metrics import Metrics
from daemon.settings import load
from tests.unit.app.test_status import ENVIRON

PARTITIONS = 4


class Shares:
    """A replica's share, and what it has told of it last: of requests, and of items."""

    def __init__(self, **environ: str) -> None:
        settings = load({**ENVIRON, **environ})
        service = SimpleNamespace(share=self.tell)
        partitions = {settings.kafka.input_topic: PARTITIONS}
        world = SimpleNamespace(partitions=partitions, metrics=Metrics(), service=service)
        self.ours = _OurShare(settings, cast("World", world))
        self.told = (-1.0, -1.0)

    def tell(self, of_requests: float, of_items: float) -> None:
        """As `daemon.app.service.Service.share`."""
        self.told = of_requests, of_items


def test_a_share_goes_by_the_partitions_and_the_collector_counts_as_one() -> None:
    """What a replica does not submit for, it sends no items for."""
    shares = Shares()
    shares.ours.submitting(frozenset({0, 2}))
    assert shares.told == (2 / 5, 2 / 4)
    shares.ours.collecting(frozenset({0}))
    assert shares.told == (3 / 5, 2 / 4)
    shares.ours.submitting(frozenset())
    assert shares.told == (1 / 5, 0)


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_partitions_that_are_added_make_no_share_larger_than_the_whole(enabled: str) -> None:
    """A replica that is given twice as many partitions as there were at its start keeps to the limits."""
    shares = Shares(TOLOKAD_COLLECT__ENABLED=enabled)
    shares.ours.collecting(frozenset({0} if enabled == "true" else ()))
    shares.ours.submitting(frozenset(range(2 * PARTITIONS)))
    assert shares.told == (1, 1)
    shares.ours.submitting(frozenset(range(PARTITIONS)))
    assert shares.told[1] == 1 / 2
