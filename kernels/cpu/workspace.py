"""One thread's buffers."""

from __future__ import annotations

import numpy as np

from . import decisions, screens
from .arrays import aligned


class Workspace:
    """Partial sums of a cache block of the screens, and of a decided one."""

    SIZES = screens.CACHE_ROWS * screens.CACHE_COLUMNS, decisions.SCRATCH_SIZE
    BYTES = 4 * SIZES[0] + 8 * SIZES[1]

    def __init__(self) -> None:
        self.partial_f32 = aligned(self.SIZES[0], np.float32)
        self.partial_f64 = aligned(self.SIZES[1], np.float64)
