"""Whole blocks of float32 dot products, for what is small enough to be kept."""

from __future__ import annotations

from .compiling import compiled
from .micro_f32 import COLUMNS, ROWS, multiply_block
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
                multiply_block(
                    left, a_at, right, start * columns + c * length, length,
                    out, r * columns + c, columns, start, True, -1, gates, 0, gates, 0,
                )  # fmt: skip
