"""What kernels and their caller agree on: numbers of types, cells of thresholds, peaks."""

from __future__ import annotations

from typing import Any

import numpy as np

# Numbers of element types, as `with_entries` in deciding.cuh counts them.
ELEMENT_TYPES = {
    name: number
    for number, name in enumerate(
        [
            "float16", "bfloat16", "float32", "float64",
            "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
        ]
    )
} | {"bool": 5}  # fmt: skip

# Column index shift that makes every pair a pair: the two sides are different sets.
ACROSS = 1 << 30

# Bytes of shared memory of the fused kernels: three stages of 64 bytes of 128 rows on two sides.
FUSED_SHARED = 3 * 2 * 128 * 64
# Rows and columns of a block of these.
FUSED_ROWS, FUSED_COLUMNS = 128, 4 * 128

# Cells to a threshold, so that a search is short, and at most.
_CELLS_EACH = 4
_MOST_CELLS = 1 << 16
# Copies of the counts of ranks, one for each lane, in so much shared memory: two blocks have room
# on every device.
_COPIES = 32
_SHARED_BYTES = 32 * 1024


def rank_copies(ranks: int) -> int:
    """Return how many copies of so many counts blocks have in shared memory, none if too many."""
    copies = _COPIES
    while copies and 4 * ranks * copies > _SHARED_BYTES:
        copies //= 2
    return copies


def rank_cells(thresholds: Any, listed: Any, dtype: Any) -> dict[str, Any]:
    """Return the arguments of `ranks_*` that follow from ascending thresholds, on the host.

    `listed` says which ranks are.  A float32 value reaches a float64 threshold if and only if it
    reaches the least float32 number that does.
    """
    exact = np.asarray(thresholds, np.float64)
    rounded = exact.astype(dtype)
    rounded = np.where(rounded < exact, np.nextafter(rounded, np.array(np.inf, dtype)), rounded)
    count = min(max(_CELLS_EACH * len(exact), 64), _MOST_CELLS)
    narrow = rounded.astype(np.float32)
    origin = narrow[0]
    width = max(float(narrow[-1]) - float(origin), 2.0**-40)
    in_1 = np.float32((count - 1) / width)
    # The same operations in the same order as `Ranks::cell` in folds.cuh.
    places = np.clip((narrow - origin) * in_1, 0, count - 1).astype(np.int64)
    before = np.concatenate([[0], np.bincount(places, minlength=count).cumsum()])
    cells = np.empty((count, 4), np.int32)
    cells[:, 0], cells[:, 1] = before[:-1], before[1:]
    beyond = np.concatenate([narrow, np.full(2, np.inf, np.float32)])
    limits = cells.view(np.float32)
    limits[:, 2], limits[:, 3] = beyond[before[:-1]], beyond[before[:-1] + 1]
    listed_before = np.concatenate([[0], np.cumsum(listed)])
    closer = (np.diff(before) > 1) | (listed_before[before[:-1]] < listed_before[before[1:] + 1])
    limits[closer, 2] = np.nan
    return {
        "thresholds": rounded,
        "ranks": len(exact) + 1,
        "cells": cells,
        "cell_count": count,
        "origin": float(origin),
        "cells_in_1": float(in_1),
    }


def peak_values(peaks: Any) -> Any:
    """Return the float32 values of peaks; -inf where there is none."""
    order = (np.asarray(peaks) >> np.uint64(32)).astype(np.uint32)
    top = np.uint32(1 << 31)
    values = np.where(order & top, order ^ top, ~order).view(np.float32)
    return np.where(order == 0, np.float32(-np.inf), values)


def peak_indices(peaks: Any) -> Any:
    """Return the indices of peaks; -1 where there is none."""
    peaks = np.asarray(peaks)
    indices = (~peaks & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return np.where(peaks == 0, -1, indices)
