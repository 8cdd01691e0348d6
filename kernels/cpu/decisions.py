"""The float64 tile kernel: every pair of a small tile in the deciding arithmetic."""

from __future__ import annotations

import numpy as np
from numba import njit

from .compiling import compiled
from .micro_f64 import COLUMNS, LANES, ROWS, dot_block, sum_lanes
from .rows import cosine

# Depth chunk, columns that stay in L1 while the rows pass, and side of the cache block whose lane
# sums stay in L2.  Of chunks 128 to 512 and strips 6 to 48, 512 x 6 is best at d = 392 (31 GFLOP/s
# of a peak of 51) and within 5 % elsewhere; the limit is the loads, 10 for 12 products and 12 sums.
CHUNK = 512
STRIP = COLUMNS * max(1, 6 // COLUMNS)
CACHE_SIDE = 48
BLOCK_LANES = ROWS * COLUMNS * LANES
SCRATCH_SIZE = BLOCK_LANES * (1 + CACHE_SIDE // ROWS * (CACHE_SIDE // COLUMNS))


@njit(inline="always")
def write_cosines(products, square, other_squares, last):
    """Turn a row of dot products into cosines; NaN for the columns up to `last`, no pairs."""
    for j in range(products.size):
        products[j] = cosine(products[j], square, other_squares[j])
    for j in range(min(last + 1, products.size)):
        products[j] = np.nan


@njit(inline="always")
def dot_tile(left, right, row, row_end, column, column_end, scratch, out):
    """Write the dot products of one cache block, chunk by chunk of the depth."""
    depth = left.shape[1]
    scratch[:BLOCK_LANES] = 0.0
    for start in range(0, depth, CHUNK):
        length = min(CHUNK, depth - start)
        slot = 0
        for strip in range(column, column_end, STRIP):
            for r in range(row, row_end, ROWS):
                for c in range(strip, min(strip + STRIP, column_end), COLUMNS):
                    slot += BLOCK_LANES
                    x_at, y_at = r * depth + start, c * depth + start
                    begin = 0 if start == 0 else slot
                    if start + length < depth:
                        sum_lanes(left, x_at, right, y_at, depth, length, scratch, begin, slot)
                    else:
                        dot_block(
                            left, x_at, right, y_at, depth, length,
                            scratch, begin, out, r * out.shape[1] + c, out.shape[1],
                        )  # fmt: skip


@compiled
def decide_tile(left, right, left_squares, right_squares, shift, scratch, out):
    """Write the deciding cosines of all pairs of two sets of scaled rows.

    The rows are padded with zero rows to whole register blocks, their depth to a multiple of 8.
    NaN stands where there is no pair: at a row left out, and where column j is not beyond row i
    (column j is the same vector as row j + `shift`).
    """
    rows, columns = left.shape[0], right.shape[0]
    for row in range(0, rows, CACHE_SIDE):
        row_end = min(row + CACHE_SIDE, rows)
        for column in range(0, columns, CACHE_SIDE):
            column_end = min(column + CACHE_SIDE, columns)
            if column_end - 1 + shift > row:
                dot_tile(left, right, row, row_end, column, column_end, scratch, out)
        for i in range(row, row_end):
            write_cosines(out[i], left_squares[i], right_squares, i - shift)
