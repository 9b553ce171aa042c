"""Faults planted on purpose: each must be found by the simulation, or the simulation proves nothing.

`python -m tests.mutants` plants each in turn and prints how many seeds it took to be found.
"""
