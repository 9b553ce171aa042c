"""What tolokad costs, beside references that promise nothing: `python -m tests.benchmarks`.

Every measurement runs tolokad and its references one after the other, round after round, so that whatever
else the machine does strikes all of them; what is told is ratios. Nothing here asserts a time.
"""
