"""A real Kafka broker without Docker, for tests, the demo and benchmarks.

`with EmbeddedKafka() as kafka: … kafka.bootstrap_servers`; `python -m tests.kafka` for one by hand.
"""

from tests.kafka.acls import Acl
from tests.kafka.broker import EmbeddedKafka
from tests.kafka.errors import KafkaUnavailableError
from tests.kafka.jars import DEFAULT_VERSION, VERSIONS
from tests.kafka.ports import free_port
from tests.kafka.security import Security, pem_keystore

__all__ = [
    "DEFAULT_VERSION",
    "VERSIONS",
    "Acl",
    "EmbeddedKafka",
    "KafkaUnavailableError",
    "Security",
    "free_port",
    "pem_keystore",
]
