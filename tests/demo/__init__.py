"""`make demo`: real text through two replicas, a real Kafka and a simulated Toloka, then a verdict."""
