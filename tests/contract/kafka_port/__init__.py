"""What the Kafka contract suite runs on: the in-memory cluster in virtual time, and a real broker."""
