"""Random directions that are drawn where they are needed, any of them without those before it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..generated import drawn

# Drawn at a time.
BLOCK = 4096


def directions(d: int, seed: int, start: int, stop: int) -> NDArray[np.float32]:
    """Return directions start, ..., stop - 1 of `superpos_fast.random_rows`."""
    rows: NDArray[np.float32] = drawn(d, seed, start, stop)
    return rows


def trial_seed(seed: int, trial: int) -> int:
    """Return the seed of one of many trials."""
    return int(np.random.SeedSequence([seed, trial]).generate_state(1, np.uint64)[0])
