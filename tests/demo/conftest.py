"""The broker for the demo's tests."""

from tests.kafka.fixtures import kafka

__all__ = ["kafka"]
