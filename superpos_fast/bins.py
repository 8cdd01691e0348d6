"""Bins of a histogram: what is measured, the edges, and the cosines that stand for them."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .angles import above, cosines_of, real_numbers
from .checks import check_choice, shown
from .vectors import check_count

Quantity = Literal["angle", "line_angle", "cosine", "abs_cosine"]


class Scale(NamedTuple):
    """The whole range of a quantity, whether magnitudes of cosines are meant, whether angles."""

    lowest: float
    highest: float
    magnitude: bool
    is_angle: bool


_SCALES: dict[str, Scale] = {
    "angle": Scale(0.0, 180.0, False, True),
    "line_angle": Scale(0.0, 90.0, True, True),
    "cosine": Scale(-1.0, 1.0, False, False),
    "abs_cosine": Scale(0.0, 1.0, True, False),
}
_MOST_BINS = 10**7


def scale_of(quantity: object, name: str = "of") -> Scale:
    """Return the scale of a quantity that the argument `name` gives."""
    return _SCALES[check_choice(quantity, name, *_SCALES)]


def bin_edges(
    bins: Any, limits: tuple[float, float] | None, lowest: float, highest: float
) -> NDArray[np.float64]:
    """Return ascending edges: those given, or of so many bins between limits, or of all."""
    if np.ndim(bins) == 0:
        count = check_count(bins, "bins", 1, _MOST_BINS)
        low, high = lowest, highest
        if limits is not None:
            ends = real_numbers(limits, "range", -np.inf, np.inf)
            if ends.shape != (2,) or not np.isfinite(ends).all() or ends[0] >= ends[1]:
                raise ValueError(
                    f"range: must be two finite numbers, ascending, got {shown(limits)}"
                )
            low, high = ends
        return np.linspace(low, high, count + 1)
    if limits is not None:
        raise ValueError("range: must come with a number of bins, got edges")
    edges: NDArray[np.float64] = real_numbers(bins, "bins", -np.inf, np.inf)
    if edges.ndim != 1 or len(edges) < 2:
        raise ValueError(f"bins: must be a number, or at least two edges, got shape {edges.shape}")
    if not np.isfinite(edges).all() or (np.diff(edges) < 0.0).any():
        raise ValueError("bins: edges must be finite and ascending, got others")
    return edges


def bin_thresholds(edges: Any, is_angle: bool) -> Any:
    """Return the cosine thresholds of a histogram, one an edge, in the edges' order.

    Cosines that reach an edge's threshold are in its bin or above; of angles, they are in a bin
    before its own.  The last bin holds its upper edge.
    """
    if not is_angle:
        return np.append(edges[:-1], above(edges[-1]))
    # Beyond 0 and 180 degrees, where cosines turn back, no pair and every pair reaches an edge.
    inside = cosines_of(np.clip(edges, 0.0, 180.0))
    cosines = np.where(edges < 0.0, 2.0, np.where(edges > 180.0, -2.0, inside))
    return np.append(above(cosines[:-1]), cosines[-1])


def bin_counts(reached: Any, is_angle: bool) -> NDArray[np.int64]:
    """Return the counts of bins from those of the thresholds between them."""
    differences: NDArray[np.int64] = np.diff(reached)
    return differences if is_angle else -differences
