"""What looks at Kafka beside the flows, for the metrics alone, and changes nothing."""

from daemon.app.assembling import Flows, World
from daemon.flows.delaying import Delays
from daemon.flows.lagging import Lag
from daemon.settings import KafkaSettings


def watches(kafka: KafkaSettings, world: World, flows: Flows) -> tuple[Lag, Delays]:
    """How far behind the owned partitions are, and which open transactions keep readers waiting."""
    lag = Lag(
        world.kafka,
        kafka.group_id,
        kafka.input_topic,
        world.input_retention_seconds,
        flows.ours,
        world.clock,
        world.toloka_clock,
        world.metrics,
    )
    topics = {"input": kafka.input_topic, "ledger": kafka.ledger_topic, "output": kafka.output_topic}
    return lag, Delays(world.kafka, topics, world.metrics)
