"""The deciding arithmetic as plain NumPy: the entry of the kernel table that needs no compiler.

Naive on purpose and never optimised: it is what the other entries are held against.  It has no
screen, so that every tile is decided whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np

SCREENS = False
UNIT = PANEL = DECIDE_UNIT = 1
TILE_ROWS = TILE_COLUMNS = 64
SCRATCH_BYTES = 0
PAIR_BYTES = 16 * 8  # eight lanes, half of them again, a product, and what becomes of the sum
LANES = 8


class Workspace:
    """One thread's buffers: none."""

    def __init__(self, survivors: int) -> None:
        del survivors


def packed_depth(depth: int) -> tuple[int, int]:
    """Return the depth of packed rows, of which there are none."""
    del depth
    return 0, 0


def prepare(dtype: Any) -> None:
    """Do nothing: there is nothing to compile."""
    del dtype


def survey(block: Any) -> tuple[Any, Any, int]:
    """Return exponents and squares of a block's rows, and its first row not finite, or -1."""
    finite = np.isfinite(block).all(axis=1)
    exponents = np.zeros(len(block), np.int32)
    if not finite.all():
        return exponents, np.zeros(len(block)), int(np.argmin(finite))
    largest = np.abs(block.astype(np.float64)).max(axis=1)
    exponents[:] = np.where(largest > 0.0, np.frexp(largest)[1] - 1, 0)
    rows = scale(block, exponents)
    return exponents, lane_dots(rows, rows), -1


def scale(block: Any, exponents: Any, unit: int = 1) -> Any:
    """Return float64 rows times 2**-exponent; what would fall below 2**-1022 becomes zero."""
    del unit
    rows = block.astype(np.float64)
    rows[np.abs(rows) < np.ldexp(1.0, exponents[:, None] - 1022)] = 0.0
    return np.ldexp(rows, -exponents[:, None])


def lane_dots(left: Any, right: Any) -> Any:
    """Return sum_k left[..., k] right[..., k]: product k goes to lane k mod 8, then a tree."""
    shape = np.broadcast_shapes(left.shape[:-1], right.shape[:-1])
    lanes = np.zeros((LANES, *shape))
    for k in range(left.shape[-1]):
        lanes[k % LANES] += left[..., k] * right[..., k]
    while len(lanes) > 1:
        lanes = lanes[0::2] + lanes[1::2]
    return lanes[0]


def cosines(dots: Any, squares: Any, other_squares: Any) -> Any:
    """Return the deciding cosines, zero as +0; NaN where a row has no direction (square 0)."""
    return np.minimum(1.0, np.maximum(-1.0, dots / np.sqrt(squares * other_squares))) + 0.0


def listed_cosines(left: Any, right: Any, left_squares: Any, right_squares: Any) -> Any:
    """Return the deciding cosines of the pairs (left[p], right[p]) of scaled rows."""
    return cosines(lane_dots(left, right), left_squares, right_squares)


def tile_cosines(
    workspace: Workspace,
    left: Any,
    right: Any,
    left_squares: Any,
    right_squares: Any,
    shift: int | None,
) -> Any:
    """Return the deciding cosines of all pairs of two blocks of scaled rows.

    NaN where there is no pair: a row left out, and with a `shift` (column j is the same vector as
    row j + shift) the columns that are not beyond their row.
    """
    del workspace
    dots = lane_dots(left[:, None, :], right[None, :, :])
    out = cosines(dots, left_squares[:, None], right_squares[None, :])
    if shift is not None:
        rows, columns = np.arange(len(left))[:, None], np.arange(len(right))[None, :]
        out[columns + shift <= rows] = np.nan
    return out
