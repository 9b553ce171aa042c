"""The simulated broker's client does as the real adapters do where the coordinator does not say."""

from random import Random

from daemon.model import Committed, OffsetCommit
from tests.simulation.broker import Cluster, SimKafka
from tests.simulation.loop import VirtualLoop


def test_a_coordinator_that_loads_is_asked_again() -> None:
    """Its answer of nothing, without an error, is not taken for a group that has committed nothing."""
    loop = VirtualLoop(Random(0))
    cluster = Cluster(loop, Random(0), lambda: 0)
    cluster.add_topic("input", 1)
    cluster.groups.settle(OffsetCommit("group", "input", 0, 5, ""))
    cluster.load(3.0)
    found = loop.run_until_complete(SimKafka(cluster).committed("group", "input", [0]))
    loop.close()
    assert found == {0: Committed(5, "")}
