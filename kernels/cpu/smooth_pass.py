"""The smooth maximum as the engine holds it: buffers for a set of vectors, filled and gone over.

`superpos_fast.kernels.reference` has the same classes in plain NumPy.
"""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from . import smooth_maximum
from .arrays import aligned
from .micro_f32 import LANES, ROWS, UNIT, UNROLL
from .micro_f64 import DOUBLE
from .panels import pack_units
from .screening import LONG_CHUNK, packed_depth
from .screens import CACHE_COLUMNS, CACHE_ROWS, Side, Tile
from .smooth_maximum import FEW, STRIPS, Rows, Scratch, Terms


def _whole(count: int, unit: int) -> int:
    return ceil(count / unit) * unit


class SmoothSets:
    """Sums over all pairs of each of several sets of `count` vectors, in float64, on one thread."""

    def __init__(self, count: int, depth: int) -> None:
        self._count = count
        lanes = DOUBLE.lanes
        rows, stride, width = _whole(count, ROWS), _whole(depth, lanes), _whole(count, lanes)
        shapes = (rows, stride), (_whole(depth, UNROLL), width), (rows, stride), (ROWS, width)
        self._buffers = [np.zeros(shape) for shape in shapes]
        self._lines = np.empty((2, lanes))
        self._zeros = count * (width - count + 1)

    def add(self, sets: Any, sharpness: Any, levels: Any) -> tuple[Any, Any, Any]:
        """Return sums of e over ordered pairs, largest c^2 - level, and gradients of a half."""
        totals, highest = np.empty((2, len(sets)))
        gradients = np.empty_like(sets)
        smooth_maximum.add_sets(
            sets, sharpness, levels, *self._buffers, *self._lines, totals, highest, gradients
        )
        # Padding and each vector with itself were zeros.
        totals -= self._zeros * np.exp(-sharpness * levels)
        return totals, highest, gradients


class SmoothPass:
    """Sums over all pairs of one set of `count` vectors, in float32, tile by tile.

    Tiles that share no rows may be added at once.

    Attributes
    ----------
    gradient : ndarray of float32, shape (count, depth)
        Sums of c e times the other vector.
    """

    UNIT = UNIT

    def __init__(self, count: int, depth: int) -> None:
        self._count, self._depth = count, depth
        padded = _whole(count, UNIT)
        self._deep, self._chunk = packed_depth(depth, LONG_CHUNK)
        # An odd stride in cache lines: rows a power of two apart share cache sets.
        self._stride = (ceil(depth / LANES) | 1) * LANES
        panels, self._units, self._slopes = (
            aligned(padded * entries, np.float32)
            for entries in (self._deep, self._stride, self._stride)
        )
        panels[:] = self._units[:] = 0.0
        self._side = Side(panels, padded, np.ones(count), False)
        self.gradient = self._rows(self._slopes)

    @staticmethod
    def bytes(count: int, depth: int) -> int:
        """Return the size of the buffers."""
        entries = packed_depth(depth)[0] + 2 * (ceil(depth / LANES) | 1) * LANES
        return 4 * _whole(count, UNIT) * entries

    def _rows(self, flat: Any) -> Any:
        return flat.reshape(-1, self._stride)[: self._count, : self._depth]

    def fill(self, points: Any, start: int) -> None:
        """Take unit vectors, from row `start` on, a multiple of `UNIT`; their gradient is 0."""
        stop = start + len(points)
        self._rows(self._units)[start:stop] = points
        self.gradient[start:stop] = 0.0
        pack_units(
            points,
            np.zeros(len(points), np.int32),
            self._side.squares[start:stop],
            self._side.panels,
            self._side.padded,
            start,
            self._deep,
            self._chunk,
            np.empty((LANES, self._chunk), np.float32),
        )

    def add(
        self,
        own: SmoothWorkspace,
        tile: tuple[int, int, int, int],
        terms: tuple[Any, Any],
        least: float,
    ) -> tuple[float, float]:
        """Return the sum of e over a tile's pairs i < j, and the largest c^2 - level.

        `tile` is (row, row end, column, column end) in multiples of `UNIT`; `terms` are (sharpness,
        level), float32.  Magnitudes below `least` may be left out.
        """
        row, row_end, column, column_end = tile
        sharpness, level = (float(term) for term in terms)
        light = least * np.exp(sharpness * (least * least - level))
        own.sums[:], own.tops[:], own.gates[:] = 0.0, -np.inf, least
        padded = self._side.padded
        zeros = smooth_maximum.add_tile(
            self._side,
            Tile(row, min(row_end, padded), column, min(column_end, padded)),
            self._deep,
            self._chunk,
            Rows(self._units, self._slopes, self._stride, self._depth),
            Terms(*terms, np.float32(light)),
            own.gates,
            Scratch(own.weights, own.sums, own.tops, own.ranges, own.few),
        )
        return own.sums.sum() - zeros * np.exp(-sharpness * level), float(own.tops.max())


class SmoothWorkspace:
    """One thread's buffers for `SmoothPass`."""

    BYTES = 4 * CACHE_ROWS * CACHE_COLUMNS + 16 * FEW

    def __init__(self) -> None:
        self.weights = aligned(CACHE_ROWS * CACHE_COLUMNS, np.float32)
        self.sums, self.tops = np.empty(LANES), np.empty(LANES, np.float32)
        self.ranges, self.few = np.empty((STRIPS, 2), np.int64), np.empty((FEW, 2), np.int64)
        self.gates = np.empty(UNIT, np.float32)
