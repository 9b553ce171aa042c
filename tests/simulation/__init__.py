"""tolokad in virtual time: several replicas, an in-memory Kafka, a simulated Toloka, and faults by seed.

A seed decides everything: the work, the faults, every delay, and whose turn it is. `python -m
tests.simulation --seed N --trace` replays one and shows what happened; `--seeds 0-499` runs many.
"""
