"""Brokers for the integration tests."""

from tests.kafka.fixtures import kafka, private_kafka, topics

__all__ = ["kafka", "private_kafka", "topics"]
