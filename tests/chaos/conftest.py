"""Short variants of the long runs, on the broker that the system tests share."""

from tests.kafka.fixtures import kafka, private_kafka
from tests.system.conftest import deploy, deploy_on, searched_kafka, unmeasured

__all__ = ["deploy", "deploy_on", "kafka", "private_kafka", "searched_kafka", "unmeasured"]
