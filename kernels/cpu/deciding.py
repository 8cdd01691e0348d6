"""Rows surveyed and scaled, and pairs decided, listed or a piece at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, lcm
from typing import Any, NamedTuple

import numpy as np

from . import decisions, folds, micro_f64, rows
from .arrays import aligned, frozen
from .workspace import Workspace

UNIT = lcm(micro_f64.ROWS, micro_f64.COLUMNS)
PAIR_BYTES = 3 * 8  # the cosine, its magnitude, and a mask

# Column index shift that makes every pair a pair: the two sides are different sets.
ACROSS = 1 << 40


def survey(block: Any) -> tuple[Any, Any, int]:
    """Return exponents and squares of a block's rows and its first row that is not finite, or -1.

    A block is C-contiguous float32 or float64; a row of zeros has square 0.
    """
    exponents = np.zeros(len(block), np.int32)
    squares = np.zeros(len(block), np.float64)
    integer = np.int32 if block.dtype == np.float32 else np.int64
    infinity = int(np.array(np.inf, block.dtype).view(integer))
    block = frozen(block)
    cell = np.empty(1, integer)
    bad = rows.survey(
        block,
        block.view(integer),
        infinity,
        exponents,
        squares,
        np.zeros(ceil(block.shape[1] / 8) * 8),
        np.zeros(8),
        cell,
        cell.view(block.dtype),
    )
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
    rows.scale(frozen(block), exponents, out)
    return out


def listed_cosines(left: Any, i: Any, right: Any, j: Any) -> Any:
    """Return the deciding cosines of the pairs (row i[p] of left, row j[p] of right).

    A side is (block, exponents, squares), the block as `survey` takes it.
    """
    out = np.empty(len(i), np.float64)
    depth = left[0].shape[1]
    if left[0].dtype == right[0].dtype == np.float32 and depth >= 8:
        left, right = ((frozen(side[0]).reshape(-1), *side[1:]) for side in (left, right))
        rows.decide_narrow(left, i, right, j, depth, *np.zeros((2, 8 * micro_f64.TOGETHER)), out)
    else:
        left, right = ((frozen(side[0]), *side[1:]) for side in (left, right))
        x, y = np.zeros((2, ceil(depth / 8) * 8))
        rows.decide_listed(left, i, right, j, x, y, np.zeros(8), out)
    return out


class PieceSide(NamedTuple):
    """Rows that are decided in pieces: scaled, with zero rows up to whole register blocks."""

    rows: Any
    squares: Any  # a row, 0 where there is none
    kept: int


def piece_side(block: Any, exponents: Any, squares: Any) -> PieceSide:
    """Return rows ready to be decided in pieces."""
    rows = scale(block, exponents, UNIT)
    padded = np.zeros(len(rows))
    padded[: len(squares)] = squares
    return PieceSide(rows, padded, len(squares))


def piece_cosines(
    workspace: Workspace, left: PieceSide, right: PieceSide, shift: int | None
) -> Any:
    """Return the deciding cosines of all pairs of two sides.

    NaN where there is no pair: a row left out, and with a `shift` (column j is the same vector as
    row j + shift) the columns that are not beyond their row.
    """
    out = np.empty((len(left.rows), len(right.rows)), np.float64)
    decisions.decide_tile(
        left.rows,
        right.rows,
        left.squares,
        right.squares,
        ACROSS if shift is None else shift,
        workspace.partial_f64,
        out,
    )
    return out[: left.kept, : right.kept]


def sift(cosines: Any, fold: Any) -> Iterator[tuple[Any, Any]]:
    """Fold decided cosines; yield the rows and columns of those that the fold lists."""
    # Only pieces at the edge are parts of a larger array.
    whole = np.ascontiguousarray(cosines)
    listing = fold.listing
    found, room = np.zeros(1, np.int64), 0
    if listing.rows.size:
        found, room = listing.found, listing.rows.size - cosines.shape[1]
    row = 0
    while row < len(cosines):
        row = int(folds.sift(whole, row, fold.record, found, room))
        yield fold.take()[:2]


def decide_piece(
    workspace: Workspace, left: PieceSide, right: PieceSide, shift: int | None, aimed: Sequence[Any]
) -> Iterator[tuple[int, Any, Any, Any]]:
    """Fold the deciding cosines of all pairs of two sides into folds that are aimed at them.

    Yields the number of a fold, and rows, columns and cosines that it has listed, until that is
    all.
    """
    cosines = piece_cosines(workspace, left, right, shift)
    for number, fold in enumerate(aimed):
        for i, j in sift(cosines, fold):
            yield number, i, j, cosines[i, j]
