"""One thread's buffers."""

from __future__ import annotations

import numpy as np

from . import decisions, micro_amx, screens
from .arrays import aligned


class Workspace:
    """Partial sums of a cache block of the screens, of a decided one, and of tile registers."""

    SIZES = screens.CACHE_ROWS * screens.CACHE_COLUMNS, decisions.SCRATCH_SIZE, micro_amx.SUMS
    BYTES = 4 * SIZES[0] + 8 * SIZES[1] + 4 * SIZES[2]

    def __init__(self) -> None:
        self.partial_f32 = aligned(self.SIZES[0], np.float32)
        self.partial_f64 = aligned(self.SIZES[1], np.float64)
        self.sums = aligned(self.SIZES[2], np.int32)
