"""Pairs decided: those that are listed, and whole pieces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil
from typing import Any, NamedTuple

import numpy as np

from .. import reference
from .formats import ACROSS
from .resident import Block, DeviceRows, lines_of
from .team import Team
from .values import Cosines

_LANES = 8


def listed_cosines(team: Team, left: Any, i: Any, right: Any, j: Any) -> Any:
    """Return the deciding cosines of the pairs (row i[p] of left, row j[p] of right).

    A side is (block or matrix, exponents, squares).
    """
    module, arrays = team.here().module, team.arrays
    out = arrays.empty(len(i), np.float64)

    def lines(side: Any) -> Any:
        block, exponents, squares = side
        if isinstance(block, DeviceRows):
            return block.lines(module, 0, len(block))
        return lines_of(team, module, block, exponents, squares)

    module.launch(
        "cosines_listed", (min(ceil(len(i) / 32), 2048),), depth=left[0].shape[1],
        rows=arrays.asarray(i.astype(np.int32)), columns=arrays.asarray(j.astype(np.int32)),
        first_row=0, first_column=0, found=arrays.full(1, len(i), np.uint32), room=len(i), out=out,
        **lines(left).arguments("left"), **lines(right).arguments("right"),
    )  # fmt: skip
    return out.get()


class PieceSide(NamedTuple):
    """Rows that are decided in pieces: scaled, on the thread's device."""

    rows: Any
    squares: Any


def scaled(team: Team, block: Any, exponents: Any) -> Any:
    """Return scaled float64 rows on the thread's device, zeros up to whole lanes."""
    module, (rows, depth) = team.here().module, block.shape
    out = team.arrays.empty((rows, ceil(depth / _LANES) * _LANES), np.float64)
    lines = lines_of(team, module, block)._replace(exponents=team.arrays.asarray(exponents))
    arguments = lines.arguments()
    del arguments["squares"]
    module.launch(
        "scale", (ceil(rows / 32),), rows=rows, depth=depth, out=out, out_rows=rows,
        out_stride=out.shape[1], **arguments,
    )  # fmt: skip
    return out


def scale(team: Team, block: Any, exponents: Any) -> Any:
    """Return scaled float64 rows on the host, perhaps with zeros behind each."""
    if isinstance(block, Block):
        return scaled(team, block, exponents).get()
    return reference.scale(block, exponents)


def piece_side(team: Team, block: Any, exponents: Any, squares: Any) -> PieceSide:
    """Return rows ready to be decided in pieces."""
    return PieceSide(scaled(team, block, exponents), team.arrays.asarray(squares))


def decide_piece(
    team: Team, left: PieceSide, right: PieceSide, shift: int | None, aimed: Sequence[Any]
) -> Iterator[tuple[int, Any, Any, Any]]:
    """Fold the deciding cosines of all pairs of two sides into folds that are aimed at them.

    Yields the number of a fold, and rows, columns and cosines that it has listed.
    """
    module = team.here().module
    rows, columns = len(left.rows), len(right.rows)
    stride = ceil(columns / 2) * 2
    out = team.arrays.empty((rows, stride), np.float64)
    inside = ACROSS if shift is None else shift
    module.launch(
        "cosines_tile", (ceil(columns / 32), ceil(rows / 16)), left=left.rows, right=right.rows,
        rows=rows, columns=columns, depth=left.rows.shape[1], left_squares=left.squares,
        right_squares=right.squares, shift=inside, out=out, out_stride=stride,
    )  # fmt: skip
    cosines = Cosines(module, out, columns, inside)
    for number, fold in enumerate(aimed):
        for i, j, found in fold.sift(cosines):
            yield number, i, j, found
