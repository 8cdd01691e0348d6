"""float64 numbers as float32 ones that are surely not above them."""

from __future__ import annotations

from typing import Any

import numpy as np


def float32_below(values: Any) -> Any:
    """Return the largest float32 not above each value."""
    nearest = np.asarray(values, np.float64).astype(np.float32)
    return np.where(nearest <= values, nearest, np.nextafter(nearest, np.float32(-np.inf)))
