"""Whole blocks of float32 dot products, for what is small enough to be kept."""

from __future__ import annotations

import numpy as np

from .compiling import compiled
from .micro_f32 import COLUMNS, ROWS, UNIT, multiply_block
from .panels import pack_units
from .screens import panel_place


@compiled
def multiply(left, right, rows, columns, depth, chunk, gates, out):
    """Write the dot products of `rows` x `columns` packed rows, whole units, to a flat `out`.

    `gates` is an array for the micro-kernel's sake, which looks at none.
    """
    for start in range(0, depth, chunk):
        length = min(chunk, depth - start)
        for r in range(0, rows, ROWS):
            a_at = start * rows + panel_place(r, length)
            for c in range(0, columns, COLUMNS):
                b_at = start * columns + c * length
                multiply_block(
                    left, a_at, right, b_at, length,
                    out, r * columns + c, columns, start, True, -1, gates, 0, gates, 0, a_at, b_at,
                )  # fmt: skip


@compiled
def project(
    block, exponents, squares, directions, count, depth, chunk, panels, units, gates, out, lengths
):  # fmt: skip
    """Write unit rows' products with `count` packed rows to a flat `out`, and their squared sums.

    UNIT rows at a time are packed into `panels`, which stays in L2, and multiplied there.  `units`
    is scratch, as for `pack_units`; `out` has room for whole units.
    """
    rows = exponents.size
    for low in range(0, rows, UNIT):
        some = slice(low, min(low + UNIT, rows))
        if rows < low + UNIT:
            panels[:] = 0.0
        pack_units(
            block[some], exponents[some], squares[some], panels, UNIT, 0, depth, chunk, units
        )
        found = out[low * count : (low + UNIT) * count]
        multiply(panels, directions, UNIT, count, depth, chunk, gates, found)
        for i in range(low, min(low + UNIT, rows)):
            line = out[i * count : (i + 1) * count]
            even = odd = 0.0
            for k in range(line.size // 2):
                even += np.float64(line[2 * k]) ** 2
                odd += np.float64(line[2 * k + 1]) ** 2
            lengths[i] = even + odd
