"""Rows as kernels read them: float32 or float64, row after row."""

from __future__ import annotations

from typing import Any

import numpy as np

from .blocks import Source, row_bytes
from .maps import ArrayRows

_COLUMNS_AT_ONCE = 16
_COPIED_BYTES = 2**22  # at a time: a mapped file is let go of by and by


def working_type(dtype: np.dtype[Any]) -> type[np.floating[Any]]:
    """Return the narrower of float32 and float64 that holds every number of a type (to 2^53)."""
    narrow = dtype.itemsize <= (2 if dtype.kind in "biu" else 4)
    return np.float32 if narrow else np.float64


def native(block: Any) -> Any:
    """Return rows as C-contiguous float32 or float64, the same where they are that already."""
    if not isinstance(block, np.ndarray):
        return block
    dtype = working_type(block.dtype)
    if block.flags.c_contiguous or abs(block.strides[0]) >= abs(block.strides[1]):
        return np.require(block, dtype, ["C_CONTIGUOUS", "ALIGNED"])
    # Columns lie together.  Copied 16 at a time they stay in L1 while rows are put together: six
    # times as fast where columns are a power of two apart, level elsewhere.
    rows = np.empty(block.shape, dtype)
    for column in range(0, block.shape[1], _COLUMNS_AT_ONCE):
        part = slice(column, column + _COLUMNS_AT_ONCE)
        rows[:, part] = block[:, part]
    return rows


def native_bytes(side: Source) -> int:
    """Return the size of rows as kernels read them."""
    return side.shape[0] * side.shape[1] * np.dtype(working_type(side.dtype)).itemsize


def native_rows(side: Source) -> Source:
    """Return rows as kernels read them: copies, if they are an array's that does not hold them so.

    Not of 64-bit integers, which are checked when they are surveyed.
    """
    is_checked = side.dtype.kind in "iu" and side.dtype.itemsize == 8
    if not isinstance(side, ArrayRows) or side.is_native or is_checked:
        return side
    copies = np.empty(side.shape, working_type(side.dtype))
    step = max(1, _COPIED_BYTES // row_bytes(side))
    for start in range(0, len(copies), step):
        copies[start : start + step] = native(side.rows(start, min(start + step, len(copies))))
    side.expect((), ())
    return ArrayRows(copies)
