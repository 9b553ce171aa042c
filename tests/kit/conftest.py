"""The operator's commands on a real Kafka, on the broker that all tests share."""

from tests.kafka.fixtures import kafka
from tests.system.conftest import deploy, deploy_on, searched_kafka

__all__ = ["deploy", "deploy_on", "kafka", "searched_kafka"]
