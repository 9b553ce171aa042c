"""The operator's commands on a real Kafka, on the broker that all tests share."""

from tests.kafka.fixtures import kafka
from tests.system.conftest import deploy

__all__ = ["deploy", "kafka"]
