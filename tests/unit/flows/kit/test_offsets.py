"""A set of offsets, compared with Python's own."""

import random

from daemon.flows.kit.offsets import Offsets


def test_like_a_set() -> None:
    """Putting in, taking out and looking do what a set does, whatever the base."""
    dice = random.Random(1)
    for base in (0, 1_000_000_007):
        ours, model = Offsets(base), set[int]()
        for _ in range(3000):
            offset = base + dice.randrange(600)
            if dice.random() < 0.6:
                assert ours.add(offset) == (offset not in model)
                model.add(offset)
            else:
                assert ours.discard(offset) == (offset in model)
                model.discard(offset)
        assert list(ours) == sorted(model)
        assert (base - 1 in ours, base + 601 in ours) == (False, False)
