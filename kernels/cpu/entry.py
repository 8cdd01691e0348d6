"""The CPU's entry of the kernel table: NumPy arrays in, NumPy arrays out.

`superpos_fast.kernels.reference` offers the same functions in plain NumPy; the table that chooses
is `superpos_fast.backends`.
"""

from __future__ import annotations

from functools import cache
from math import ceil, lcm
from typing import Any

import numpy as np

from . import decisions, micro_f32, micro_f64, panels, rows, screens

SCREENS = True
UNIT = micro_f32.UNIT
PANEL = micro_f32.LANES
DECIDE_UNIT = lcm(micro_f64.ROWS, micro_f64.COLUMNS)
TILE_ROWS, TILE_COLUMNS = screens.CACHE_ROWS, screens.CACHE_COLUMNS
PAIR_BYTES = 3 * 8  # the cosine, its magnitude, and a mask
SCRATCH_BYTES = 4 * TILE_ROWS * TILE_COLUMNS + 8 * decisions.SCRATCH_SIZE

# Longest depth chunk.  384 was level within 2 % in alternating calls at d = 768 and 4096, and would
# double the error bound of the screen.
CHUNK = 192

# Column index shift that makes every pair a pair: the two sides are different sets.
ACROSS = 1 << 40


def aligned(count: int, dtype: Any) -> Any:
    """Return an uninitialised array that starts on a cache line."""
    size = np.dtype(dtype).itemsize
    raw = np.empty(count * size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + count * size].view(dtype)


def _frozen(block: Any) -> Any:
    """Return a read-only view: input that cannot be written then needs no kernels of its own."""
    block = block.view()
    block.flags.writeable = False
    return block


def packed_depth(depth: int) -> tuple[int, int]:
    """Return the depth that panels are padded to, and the length of a chunk of it."""
    turn = micro_f32.UNROLL
    padded = ceil(depth / turn) * turn
    return padded, ceil(padded / ceil(padded / CHUNK) / turn) * turn


@cache
def prepare(dtype: Any) -> None:
    """Compile the kernels, or load them from the cache, that every call on `dtype` needs."""
    block = np.ones((2, 1), dtype)
    exponents, squares, _ = survey(block)
    scaled = scale(block, exponents)
    listed_cosines(scaled, scaled, squares, squares)
    packed = Packed(aligned(UNIT * packed_depth(1)[0], np.float32), squares, 0, 1)
    packed.fill(block, exponents, 0)
    screen(Workspace(1), packed, packed, (0, 2, 0, 2), 0, False, 0.0, 0.0)


def survey(block: Any) -> tuple[Any, Any, int]:
    """Return exponents and squares of a block's rows and its first row that is not finite, or -1.

    A block is C-contiguous float32 or float64; a row of zeros has square 0.
    """
    exponents = np.zeros(len(block), np.int32)
    squares = np.zeros(len(block), np.float64)
    integer = np.int32 if block.dtype == np.float32 else np.int64
    infinity = int(np.array(np.inf, block.dtype).view(integer))
    block = _frozen(block)
    bad = rows.survey(block, block.view(integer), infinity, exponents, squares)
    return exponents, squares, bad


def scale(block: Any, exponents: Any, unit: int = 1) -> Any:
    """Return scaled float64 rows, zeros up to a whole number of lanes and of `unit` rows."""
    count, depth = block.shape
    lines = ceil(depth / 8)
    if lines * 8 > decisions.CHUNK:
        lines |= 1  # an odd stride in cache lines: rows a power of two apart share cache sets
    shape = ceil(count / unit) * unit, lines * 8
    out = aligned(shape[0] * shape[1], np.float64).reshape(shape)
    out[count:] = 0.0
    out[:, depth:] = 0.0
    rows.scale(_frozen(block), exponents, out)
    return out


def listed_cosines(left: Any, right: Any, left_squares: Any, right_squares: Any) -> Any:
    """Return the deciding cosines of the pairs (left[p], right[p]) of scaled rows."""
    out = np.empty(len(left), np.float64)
    rows.listed(left, right, left_squares, right_squares, out)
    return out


class Workspace:
    """One thread's buffers."""

    def __init__(self, survivors: int) -> None:
        self.partial_f32 = aligned(TILE_ROWS * TILE_COLUMNS, np.float32)
        self.partial_f64 = aligned(decisions.SCRATCH_SIZE, np.float64)
        self.survivors = screens.Survivors(
            np.empty(survivors, np.int32),
            np.empty(survivors, np.int32),
            np.empty(survivors, np.float32),
        )


def tile_cosines(
    workspace: Workspace,
    left: Any,
    right: Any,
    left_squares: Any,
    right_squares: Any,
    shift: int | None,
) -> Any:
    """Return the deciding cosines of all pairs of two blocks of scaled, padded rows.

    NaN where there is no pair: a row left out, padding, and with a `shift` (column j is the same
    vector as row j + shift) the columns that are not beyond their row.
    """

    def padded(squares: Any, count: int) -> Any:
        return np.concatenate([squares, np.zeros(count - len(squares))])

    out = np.empty((len(left), len(right)), np.float64)
    decisions.decide_tile(
        left,
        right,
        padded(left_squares, len(left)),
        padded(right_squares, len(right)),
        ACROSS if shift is None else shift,
        workspace.partial_f64,
        out,
    )
    return out[: len(left_squares), : len(right_squares)]


class Packed:
    """Consecutive rows of the data as float32 unit vectors in panels, in a buffer that is reused.

    `panels` has room for the rows, padded to `UNIT`, of the depth padded by `packed_depth`.
    """

    def __init__(self, panels: Any, squares: Any, first: int, depth: int) -> None:
        self.depth, self.chunk = packed_depth(depth)
        self.first, self.padded = first, ceil(len(squares) / UNIT) * UNIT
        self.side = screens.Side(panels[: self.padded * self.depth], self.padded, squares)
        whole = len(squares) // micro_f32.LANES * micro_f32.LANES
        for start in range(0, self.depth, self.chunk):
            length = min(self.chunk, self.depth - start)
            base = start * self.padded
            self.side.panels[base + whole * length : base + self.padded * length] = 0.0

    def fill(self, block: Any, exponents: Any, start: int) -> None:
        """Pack a block whose first row is row `start`, a multiple of `PANEL`, of these rows."""
        squares = self.side.squares[start : start + len(block)]
        panels.pack_units(
            _frozen(block),
            exponents,
            squares,
            self.side.panels,
            self.padded,
            start,
            self.depth,
            self.chunk,
        )


def chain(depth: int) -> int:
    """Return the longest chain of roundings behind a float32 dot product of packed rows."""
    padded, chunk = packed_depth(depth)
    return chunk + ceil(padded / chunk) + 1


def screen(
    workspace: Workspace,
    left: Packed,
    right: Packed,
    tile: tuple[int, int, int, int],
    shift: int | None,
    signed: bool,
    gate: float,
    slack: float,
) -> tuple[Any, Any] | None:
    """List the pairs of a tile whose |cosine| (`signed`: cosine) may be the largest.

    `tile` is (row, row end, column, column end) within the two sides, starting at multiples of
    `UNIT`; `gate` is a float32 dot product below which no pair matters, `slack` twice the error
    bound of one.  None where more pairs are undecided than the workspace has room for.
    """
    row, row_end, column, column_end = tile
    found = screens.screen_extremum(
        left.side,
        right.side,
        screens.Tile(row, min(row_end, left.padded), column, min(column_end, right.padded)),
        left.depth,
        left.chunk,
        ACROSS if shift is None else shift,
        signed,
        _float32_below(gate),
        slack,
        workspace.partial_f32,
        workspace.survivors,
    )
    if found < 0:
        return None
    survivors = workspace.survivors
    return survivors.rows[:found].astype(np.int64), survivors.columns[:found].astype(np.int64)


def _float32_below(value: float) -> Any:
    """Return the largest float32 that is not above `value`."""
    nearest = np.float32(value)
    return nearest if nearest <= value else np.nextafter(nearest, np.float32(-np.inf))
