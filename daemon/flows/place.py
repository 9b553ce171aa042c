"""Where one partition's way stands in Kafka, and as whom it writes."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where one partition's way writes.

    All of a batch's ledger records go to one ledger partition, so that a transaction touches one.
    """

    group: str
    topic: str
    partition: int
    ledger_topic: str
    ledger_partitions: int
    dead_letter_topic: str
    dead_letter_partitions: int

    @property
    def ledger_partition(self) -> int:
        """The partition of the ledger that this way writes to."""
        return self.partition % self.ledger_partitions

    @property
    def budget_key(self) -> bytes:
        """The partition's key in the budget topic."""
        return f"{self.topic}/{self.partition}".encode()

    @property
    def written(self) -> Sequence[tuple[str, int]]:
        """The partitions that this way writes to and others wait for."""
        return [
            (self.ledger_topic, self.ledger_partition),
            (self.dead_letter_topic, self.partition % self.dead_letter_partitions),
        ]

    @property
    def transactional_id(self) -> str:
        """What keeps two owners of the partition apart."""
        return f"{self.group}.submit.{self.topic}.{self.partition}"
