"""Arrays as compiled kernels want them."""

from __future__ import annotations

from typing import Any

import numpy as np


def aligned(count: int, dtype: Any) -> Any:
    """Return an uninitialised array that starts on a cache line."""
    size = np.dtype(dtype).itemsize
    raw = np.empty(count * size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + count * size].view(dtype)


def frozen(block: Any) -> Any:
    """Return a read-only view: input that cannot be written then needs no kernels of its own."""
    block = block.view()
    block.flags.writeable = False
    return block
