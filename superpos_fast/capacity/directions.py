"""Random directions that are drawn where they are needed, any block without those before it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..generated import random_rows

BLOCK = 4096


def direction_block(d: int, seed: int, block: int) -> NDArray[np.float32]:
    """Return `BLOCK` directions of `superpos_fast.random_rows`, numbers block * BLOCK and on."""
    start, stop = block * BLOCK, (block + 1) * BLOCK
    rows: NDArray[np.float32] = random_rows(stop, d, seed=seed, block=BLOCK).read(start, stop)
    return rows


def directions(d: int, seed: int, start: int, stop: int) -> NDArray[np.float32]:
    """Return directions start, ..., stop - 1 of the sequence."""
    rows = np.empty((stop - start, d), np.float32)
    for block in range(start // BLOCK, -(-stop // BLOCK)):
        low, high = max(start, block * BLOCK), min(stop, (block + 1) * BLOCK)
        drawn = direction_block(d, seed, block)
        rows[low - start : high - start] = drawn[low - block * BLOCK : high - block * BLOCK]
    return rows


def trial_seed(seed: int, trial: int) -> int:
    """Return the seed of one of many trials."""
    return int(np.random.SeedSequence([seed, trial]).generate_state(1, np.uint64)[0])
