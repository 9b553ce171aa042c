"""Kafka in memory: the server's side of logs, transactions and groups, and a client that fits the ports.

It is held to the same contract suite as the real adapters in front of a real broker
(`tests/contract/test_kafka_port.py`).
"""

from tests.simulation.broker.client import SimKafka
from tests.simulation.broker.cluster import Cluster, Pace

__all__ = ["Cluster", "Pace", "SimKafka"]
