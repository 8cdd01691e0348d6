"""How experiments draw directions: so many at a time, in each trial from a seed of its own."""

from __future__ import annotations

import numpy as np

BLOCK = 4096


def trial_seed(seed: int, trial: int) -> int:
    """Return the seed of one of many trials."""
    return int(np.random.SeedSequence([seed, trial]).generate_state(1, np.uint64)[0])
