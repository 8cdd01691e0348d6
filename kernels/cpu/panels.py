"""Packing: rows of data into panels, the order in which the micro-kernels read them.

A panel interleaves ``lanes`` rows, and the depth is cut into chunks; storage of a packed matrix:

    for each chunk of the depth          (offset: first depth of the chunk x padded rows)
        for each panel of `lanes` rows   (size: chunk length x lanes)
            panel[k, lane]

Padding rows and depths are zero: they add +0 to a sum, which changes none.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .compiling import compiled
from .micro_f32 import LANES, REGISTERS
from .rows import scaled, scaling

# Of a product itself, apart from those of sums.
_OWN_ROUNDINGS = 0 if REGISTERS.fused else 1


@njit(inline="always")
def unit_entries(entries, factors, inverse, out):
    """Write entries of a row divided by its length.

    On slices that begin at 0, because an index that might be negative keeps a loop from being
    vectorised.
    """
    one, two, least = factors
    for k in range(entries.size):
        out[k] = np.float32(scaled(entries[k], one, two, least) * inverse)


@compiled
def pack_units(block, exponents, squares, panels, padded, first, depth, chunk, units):
    """Pack rows as float32 unit vectors, as rows first, first + 1, ... of `padded` rows.

    `first` and the block's length are whole panels, unless the block is the last.  `units` is
    scratch, LANES x chunk float32.  Rows are turned
    into unit vectors one by one, where they lie together, and interleaved after: written straight
    to their lanes they took twice as long.
    """
    rows, width = block.shape
    for low in range(0, rows, LANES):
        for start in range(0, depth, chunk):
            length = min(chunk, depth - start)
            units[:] = 0.0
            for i in range(low, min(rows, low + LANES)):
                if squares[i] != 0.0:
                    inverse = 1.0 / np.sqrt(squares[i])
                    part = block[i, start : min(start + length, width)]
                    unit_entries(part, scaling(np.int64(exponents[i])), inverse, units[i - low])
            at = start * padded + (first + low) * length
            panel = panels[at : at + length * LANES].reshape(length, LANES)
            for k in range(length):
                for lane in range(LANES):
                    panel[k, lane] = units[lane, k]


@compiled
def count_roundings(panels, padded, first, rows, depth, chunk, sums, out):
    """Write the mean number of roundings that a row's products go through, weighted by its squares.

    sum_k r_k u_k^2: the product of entries k of two rows is added in its chunk, as are those after
    it, and this chunk's sum to those before it, as are the later chunks'.  `sums` are LANES float32
    zeros.  Itself off by less than a part in 2^12: a chunk has some thousand entries at most.
    """
    chunks = -(-depth // chunk)
    for low in range(first, first + rows, LANES):
        out[low : low + LANES] = 0.0
        for start in range(0, depth, chunk):
            length = min(chunk, depth - start)
            panel = panels[start * padded + low * length :]
            later = chunks - max(start // chunk, 1) + _OWN_ROUNDINGS
            for k in range(length):
                count = np.float32(length - k + later)
                for lane in range(LANES):
                    entry = panel[k * LANES + lane]
                    sums[lane] += count * (entry * entry)
            for lane in range(LANES):
                out[low + lane] += np.float64(sums[lane])
                sums[lane] = np.float32(0.0)
