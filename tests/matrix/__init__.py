"""The fault matrix: which rows fired in the last run, how often, and what came of it.

Whoever fires faults writes how often into a file of its own under `.cache/faults`: every group of tests (by
the marker `fault`), the simulation, the runs on real processes.
"""
