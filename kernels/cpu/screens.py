"""The float32 screens: walk a tile of dot products in registers, list the pairs left undecided."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from .compiling import compiled
from .micro_f32 import COLUMNS, LANES, ROWS, UNIT, multiply_block

# A cache block of partial sums: 192 x 240 float32 = 180 KiB, which with its panels stays in a
# 512 KiB L2.  Eight other shapes from 48 x 240 to 192 x 240, with chunks of 192 to 384, were level
# within 3 % in alternating calls at d = 768 and 4096.
CACHE_ROWS = UNIT * max(1, 192 // UNIT)
CACHE_COLUMNS = UNIT * max(1, 240 // UNIT)


class Side(NamedTuple):
    """The packed rows on one side of a tile."""

    panels: Any  # float32, see `panels`
    padded: int  # rows in the panels, padding included
    squares: Any  # float64 a row, 0 where the row is left out; its size is the number of rows


class Tile(NamedTuple):
    """A rectangle of pairs, in rows of the two sides; the starts are multiples of the unit."""

    row: int
    row_end: int
    column: int
    column_end: int


class Survivors(NamedTuple):
    """Room for the pairs that a screen leaves undecided."""

    rows: Any  # int32
    columns: Any  # int32
    dots: Any  # float32


@njit
def cache_blocks(tile, depth, chunk):
    """Yield (row, row end, column, depth) of each chunk of each cache block of a tile.

    The first band of blocks is a probe of UNIT rows: where nearly all pairs are undecided the tile
    is given up after it, at an eighth of a cache block's cost or less.
    """
    row, height = tile.row, UNIT
    while row < tile.row_end:
        row_end = min(row + height, tile.row_end)
        for column in range(tile.column, tile.column_end, CACHE_COLUMNS):
            for start in range(0, depth, chunk):
                yield row, row_end, column, start
        row, height = row_end, CACHE_ROWS


@njit(inline="always")
def first_column(row, column, shift):
    """Return the first of the column groups column, column + COLUMNS, ... with a pair i < j.

    Column c is the same vector as row c + shift.
    """
    wanted = row + 1 - shift
    return column if wanted <= column else column + (wanted - column) // COLUMNS * COLUMNS


@njit(inline="always")
def panel_place(row, length):
    """Return where `row` begins in a chunk of panels."""
    return row // LANES * LANES * length + row % LANES


@njit(inline="always")
def drop(survivors, found, gate):
    """Drop the survivors below the gate; return how many stay, in their order."""
    kept = 0
    for s in range(found):
        if survivors.dots[s] >= gate:
            survivors.rows[kept] = survivors.rows[s]
            survivors.columns[kept] = survivors.columns[s]
            survivors.dots[kept] = survivors.dots[s]
            kept += 1
    return kept


@njit(inline="always")
def list_block(left, right, row, column, at, shift, signed, gate, slack, scratch, survivors, found):
    """List the pairs of one stored register block that reach the gate; return (found, gate).

    `found` is -1 where too many pairs stay undecided for the room.
    """
    room = survivors.dots.size
    for i in range(row, min(row + ROWS, left.squares.size)):
        if left.squares[i] == 0.0:
            continue
        end = min(column + COLUMNS, right.squares.size)
        for j in range(max(column, i + 1 - shift), end):
            value = scratch[at + (i - row) * CACHE_COLUMNS + j - column]
            if not signed:
                value = abs(value)
            if value < gate or right.squares[j] == 0.0:
                continue
            gate = max(gate, np.float32(value - slack))
            if found == room:
                found = drop(survivors, found, gate)
                if found > room // 2:
                    return -1, gate
            survivors.rows[found] = i
            survivors.columns[found] = j
            survivors.dots[found] = value
            found += 1
    return found, gate


@compiled
def screen_extremum(
    left, right, tile, depth, chunk, shift, signed, gate, slack, scratch, survivors
):
    """List the pairs of a tile that may hold its largest |cos| (`signed`: its largest cos).

    A pair stays when its float32 dot product reaches `gate`.  With every pair seen the gate rises
    to that pair's value less `slack`, twice the screen's error bound: whatever the tile's largest
    cosine is, it is no smaller than a seen value less one bound.  A register block that stays below
    the gate is never stored; another is computed again and stored.

    Returns the number of survivors listed, or -1 where they do not fit: then the tile is open and
    must be decided whole.
    """
    found = 0
    mask = np.int32(-1) if signed else np.int32(0x7FFFFFFF)
    for row, row_end, column, start in cache_blocks(tile, depth, chunk):
        column_end = min(column + CACHE_COLUMNS, tile.column_end)
        length = min(chunk, depth - start)
        last = start + length == depth
        for strip in range(row, row_end, UNIT):
            strip_end = min(strip + UNIT, row_end)
            for c in range(first_column(strip, column, shift), column_end, COLUMNS):
                b_at = start * right.padded + c * length
                for r in range(strip, strip_end, ROWS):
                    a_at = start * left.padded + panel_place(r, length)
                    at = (r - row) * CACHE_COLUMNS + c - column
                    keep = not last
                    while True:
                        reaches = multiply_block(
                            left.panels, a_at, right.panels, b_at, length,
                            scratch, at, CACHE_COLUMNS, start, keep, mask, gate,
                        )  # fmt: skip
                        if keep or not reaches:
                            break
                        keep = True
                    if last and keep:
                        found, gate = list_block(
                            left, right, r, c, at, shift, signed, gate, slack,
                            scratch, survivors, found,
                        )  # fmt: skip
                        if found < 0:
                            return -1
    return drop(survivors, found, gate)
