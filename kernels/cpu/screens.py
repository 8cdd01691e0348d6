"""The float32 screen: walk a tile of dot products in registers, and fold the blocks that matter."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.extending import overload

from .compiling import compiled, part
from .folds import fold_all
from .micro_amx import AHEAD as TILES_AHEAD
from .micro_amx import (
    ROW_BYTES,
    TILE,
    TILE_BYTES,
    begin_tiles,
    bound_codes,
    combine_digits,
    end_tiles,
    multiply_codes,
    multiply_digits,
)
from .micro_f32 import AHEAD, COLUMNS, LANES, ROWS, UNIT, multiply_block
from .micro_i8 import PRODUCT, bound_block

# A cache block of partial sums: 192 x 240 float32 = 180 KiB, which with its panels stays in a
# 512 KiB L2.  Eight other shapes from 48 x 240 to 192 x 240, with chunks of 192 to 384, were level
# within 3 % in alternating calls at d = 768 and 4096.
CACHE_ROWS = UNIT * max(1, 192 // UNIT)
CACHE_COLUMNS = UNIT * max(1, 240 // UNIT)
# Of a strip's blocks, some 30, so many are folded one by one.  Of 4, 12 and 64 (all), 12 was best
# at d = 64 in `bench.family`: by 5 % for the ten nearest; a histogram took a third more with 64.
FEW_BLOCKS = 12
# After a strip whose blocks all reach a gate so many are stored without a look at their gates: with
# 0 here a histogram or a count at d = 64 took some 3 % more in `bench.family`.
UNSEEN = 7
# Words of a cache block's rows up to which they stay in L2 while all columns go by: half of 2 MiB.
STAYING = 2**18
# The bits of TILE rows, of which each stands for ROWS.
BOTH = np.uint64((1 << max(1, TILE // ROWS)) - 1)
assert UNIT // ROWS * (CACHE_COLUMNS // COLUMNS) < 64, "a strip's blocks are counted in 64 bits"


class Side(NamedTuple):
    """The packed rows on one side of a tile."""

    panels: Any  # float32, see `panels`
    padded: int  # rows in the panels, padding included
    squares: Any  # float64 a row, 0 where the row is left out; its size is the number of rows
    gaps: bool  # whether a row is left out


class CodeSide(NamedTuple):
    """The codes of the rows on one side of a tile, and what bounds their cosines' distance."""

    panels: Any  # int32, four codes each
    padded: int
    squares: Any
    gaps: bool
    terms: Any  # float32, 3 x padded: scales, slacks, residual lengths
    starts: Any  # int32 a row: what its products with the other side's offset add up to


class DigitSide(NamedTuple):
    """The packed rows on one side of a tile, in digits, as rows and as columns."""

    rows: Any  # int8, see `digits`
    columns: Any
    scales: Any  # float32, padded
    padded: int
    squares: Any
    gaps: bool
    bytes: int = ROW_BYTES  # of a row, a step
    turns: int = UNIT // TILE  # multiplications that a strip takes, for TILE columns


class TileCodeSide(NamedTuple):
    """The codes of the rows on one side of a tile, as tile registers have them, and their terms."""

    codes: Any  # int8
    padded: int
    squares: Any
    gaps: bool
    terms: Any  # float32, 3 x padded, as in CodeSide
    bytes: int = TILE_BYTES
    turns: int = 1


class Tile(NamedTuple):
    """A rectangle of pairs, in rows of the two sides; the starts are multiples of the unit."""

    row: int
    row_end: int
    column: int
    column_end: int


class Gates(NamedTuple):
    """What values must reach to be folded, one of the two; from the tile's corner, padded."""

    rows: Any  # float32
    columns: Any  # float32
    mask: int  # int32, applied to a value's bits: 0x7FFFFFFF for magnitudes, else -1


@part
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


@part
def next_panels(left, right, tile, block, depth, chunk, words):
    """Return where the panels of the chunk after one of a cache block begin, on both sides.

    Between them is whether to ask for the rows', which may be in L2 already.  A row has so many
    `words` a depth, or a step; so much are places multiplied by.
    """
    row, row_end, column, start = block
    away = (row_end - row) * depth * words > STAYING
    start += min(chunk, depth - start)
    if start == depth:
        column, start = column + CACHE_COLUMNS, 0
        if column >= tile.column_end and row_end < tile.row_end:
            row, column, away = row_end, tile.column, True
    length = min(chunk, depth - start)
    return start * left.padded + row * length, away, start * right.padded + column * length


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
def whole(left, right, row, column, shift):
    """Return whether all entries of a register block are pairs."""
    inside = row + ROWS <= left.squares.size and column + COLUMNS <= right.squares.size
    return inside and row + ROWS <= column + shift and not (left.gaps or right.gaps)


@part
def blank(left, right, row, column, shift, stored, scratch, at):
    """Make NaN of what is no pair in a register block: padding, rows left out, and i >= j.

    And of all of a block that was not stored.
    """
    for r in range(ROWS):
        if not stored:
            line = scratch[at + r * CACHE_COLUMNS : at + r * CACHE_COLUMNS + COLUMNS]
            for c in range(COLUMNS):
                line[c] = np.nan
            continue
        i = row + r
        lacking = i >= left.squares.size or left.squares[i] == 0.0
        for c in range(COLUMNS):
            j = column + c
            if lacking or i >= j + shift or j >= right.squares.size or right.squares[j] == 0.0:
                scratch[at + r * CACHE_COLUMNS + c] = np.nan


class Place(NamedTuple):
    """Where a register block is."""

    row: int  # in its side
    column: int
    i: int  # in the tile
    j: int
    a_at: int  # in the panels
    b_at: int
    c_at: int  # in the scratch
    a_ahead: int  # what to ask for meanwhile, in the panels
    b_ahead: int


def multiply(left, right, at, start, length, last, unseen, gates, scratch):
    """Multiply a chunk of a register block by the sides' micro-kernel; return whether it is stored.

    After the `last` chunk only if it reaches a gate, or, `unseen`, in any case, which codes do not
    know: what they store without a look are sums, not bounds.
    """
    raise TypeError("multiply: must be called by compiled code, which chooses its body by type")


@overload(multiply, inline="always")
def _choose(left, right, at, start, length, last, unseen, gates, scratch):
    if left.instance_class is Side:
        return lambda left, right, at, start, length, last, unseen, gates, scratch: multiply_block(
            left.panels, at.a_at, right.panels, at.b_at, length,
            scratch, at.c_at, CACHE_COLUMNS, start, unseen or not last,
            gates.mask, gates.rows, at.i, gates.columns, at.j, at.a_ahead, at.b_ahead,
        )  # fmt: skip
    starting_rows = PRODUCT is not None and PRODUCT.unsigned == "columns"
    return lambda left, right, at, start, length, last, unseen, gates, scratch: bound_block(
        left.panels, at.a_at, right.panels, at.b_at, length,
        scratch, at.c_at, CACHE_COLUMNS, start, not last,
        gates.mask, gates.rows, at.i, gates.columns, at.j,
        left.terms, at.row, left.padded, right.terms, at.column, right.padded,
        left.starts if starting_rows else right.starts, at.row if starting_rows else at.column,
        at.a_ahead, at.b_ahead,
    )  # fmt: skip


@part
def fold_stored(
    left, right, row, row_end, column, column_end, shift, stored, folds, scratch, at, i, j
):  # fmt: skip
    """Fold a strip of which some register blocks were stored; return how many folds go on.

    A few blocks are folded one by one, more as a whole.
    """
    count, blocks = 0, stored
    while blocks:
        blocks &= blocks - np.uint64(1)
        count += 1
    few, going = count <= FEW_BLOCKS, 1
    for c in range(column, column_end, COLUMNS):
        for r in range(row, row_end, ROWS):
            here = stored & np.uint64(1) != 0
            stored >>= np.uint64(1)
            place = at + (r - row) * CACHE_COLUMNS + c - column
            if (here or not few) and not (here and whole(left, right, r, c, shift)):
                blank(left, right, r, c, shift, here, scratch, place)
            if few and here:
                going = fold_all(
                    folds, scratch, place, CACHE_COLUMNS,
                    min(ROWS, row_end - r), min(COLUMNS, column_end - c),
                    i + r - row, j + c - column,
                )  # fmt: skip
                if not going:
                    return 0
    if few:
        return going
    return fold_all(folds, scratch, at, CACHE_COLUMNS, row_end - row, column_end - column, i, j)


@compiled
def screen_tile(left, right, tile, depth, chunk, shift, gates, folds, scratch):
    """Fold the float32 dot products of a tile, where a register block reaches its gates.

    Gates may rise while tiles are walked.  A block below them never leaves the registers.  What
    does is folded a strip at a time, UNIT rows as wide as a cache block.
    """
    unseen = 0
    for row, row_end, column, start in cache_blocks(tile, depth, chunk):
        column_end = min(column + CACHE_COLUMNS, tile.column_end)
        length = min(chunk, depth - start)
        last = start + length == depth
        a_ahead, away, b_ahead = next_panels(
            left, right, tile, (row, row_end, column, start), depth, chunk, 1
        )
        step = AHEAD * length
        for strip in range(row, row_end, UNIT):
            strip_end = min(strip + UNIT, row_end)
            first = first_column(strip, column, shift)
            stored, block = np.uint64(0), np.uint64(1)
            for c in range(first, column_end, COLUMNS):
                b_at = start * right.padded + c * length
                for r in range(strip, strip_end, ROWS):
                    at = Place(
                        r, c, r - tile.row, c - tile.column,
                        start * left.padded + panel_place(r, length), b_at,
                        (r - row) * CACHE_COLUMNS + c - column, a_ahead, b_ahead,
                    )  # fmt: skip
                    if multiply(left, right, at, start, length, last, unseen > 0, gates, scratch):
                        stored |= block
                    block <<= np.uint64(1)
                    a_ahead, b_ahead = a_ahead + step * away, b_ahead + step
            if not last or not stored:
                continue
            if unseen:
                unseen -= 1
            elif stored == block - np.uint64(1):
                unseen = UNSEEN
            if not fold_stored(
                left, right, strip, strip_end, first, column_end, shift, stored, folds, scratch,
                (strip - row) * CACHE_COLUMNS + first - column,
                strip - tile.row, first - tile.column,
            ):  # fmt: skip
                return


def settle(
    left, right, strip, strip_end, column, start, length, gates, i, j, scratch, at, sums, ahead
):
    """Write the values of a strip's rows and TILE columns to the scratch, by tile registers.

    Returns a bit for each ROWS of them: whether one may reach its gate.  `i` and `j` are the tile's
    row and column, and `ahead` is what to ask for meanwhile.
    """
    raise TypeError("settle: must be called by compiled code, which chooses its body by type")


def _settle_digits(
    left, right, strip, strip_end, column, start, length, gates, i, j, scratch, at, sums, ahead
):  # fmt: skip
    b_at = (start * right.padded + column * length) * ROW_BYTES
    a_ahead, b_ahead, step = ahead
    reached = np.uint64(0)
    for r in range(strip, strip_end, TILE):
        a_at, down = (start * left.padded + r * length) * ROW_BYTES, r - strip
        multiply_digits(
            left.rows, a_at, right.columns, b_at, length, sums,
            a_ahead + down // TILE * step, b_ahead + down // TILE * step,
        )  # fmt: skip
        if combine_digits(
            sums, left.scales, r, right.scales, column, start,
            scratch, at + down * CACHE_COLUMNS, CACHE_COLUMNS,
            gates.mask, gates.rows, i + down, gates.columns, j,
        ):  # fmt: skip
            reached |= BOTH << np.uint64(down // ROWS)
    return reached


def _settle_codes(
    left, right, strip, strip_end, column, start, length, gates, i, j, scratch, at, sums, ahead
):  # fmt: skip
    reached = np.uint64(0)
    multiply_codes(
        left.codes, strip * length * TILE_BYTES,
        right.codes, column * length * TILE_BYTES, length, sums, ahead[0], ahead[1],
    )  # fmt: skip
    for down in range(0, strip_end - strip, TILE):
        if bound_codes(
            sums, down * TILE, left.terms, strip + down, left.padded,
            right.terms, column, right.padded,
            scratch, at + down * CACHE_COLUMNS, CACHE_COLUMNS,
            gates.mask, gates.rows, i + down, gates.columns, j,
        ):  # fmt: skip
            reached |= BOTH << np.uint64(down // ROWS)
    return reached


@overload(settle, inline="always")
def _choose_settle(
    left, right, strip, strip_end, column, start, length, gates, i, j, scratch, at, sums, ahead
):  # fmt: skip
    return _settle_digits if left.instance_class is DigitSide else _settle_codes


@compiled
def screen_tiles(left, right, tile, depth, chunk, shift, gates, folds, scratch, sums):
    """Do as `screen_tile` does, by tile registers; `depth` and `chunk` are in steps.

    All values leave the registers, and strips that may matter are folded.
    """
    for row, row_end, column, start in cache_blocks(tile, depth, chunk):
        column_end = min(column + CACHE_COLUMNS, tile.column_end)
        length = min(chunk, depth - start)
        a_ahead, away, b_ahead = next_panels(
            left, right, tile, (row, row_end, column, start), depth, chunk, left.bytes // 4
        )
        a_ahead, b_ahead = a_ahead * left.bytes, b_ahead * left.bytes
        step = TILES_AHEAD * length
        for strip in range(row, row_end, UNIT):
            strip_end = min(strip + UNIT, row_end)
            first, lines = first_column(strip, column, shift), -((strip - strip_end) // ROWS)
            stored, place = np.uint64(0), np.uint64(0)
            at = (strip - row) * CACHE_COLUMNS - column
            begin_tiles()
            for c in range(first, column_end, COLUMNS):
                reached = np.uint64(0)
                for beside in range(c, min(c + COLUMNS, column_end), TILE):
                    reached |= settle(
                        left, right, strip, strip_end, beside, start, length,
                        gates, strip - tile.row, beside - tile.column,
                        scratch, at + beside, sums, (a_ahead, b_ahead, step),
                    )  # fmt: skip
                    a_ahead += left.turns * step * away
                    b_ahead += left.turns * step
                reached &= (np.uint64(1) << np.uint64(lines)) - np.uint64(1)
                stored |= reached << place
                place += np.uint64(lines)
            end_tiles()
            if start + length < depth or not stored:
                continue
            if not fold_stored(
                left, right, strip, strip_end, first, column_end, shift, stored, folds, scratch,
                at + first, strip - tile.row, first - tile.column,
            ):  # fmt: skip
                return
