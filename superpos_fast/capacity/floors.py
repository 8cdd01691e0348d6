"""Floors: how small the coherence of n lines can be at the least."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import SupportsIndex

import numpy as np

from ..vectors import check_count, check_flag
from .upper import (
    LARGEST_COSINE,
    MOST_DIMENSIONS,
    best_few_more,
    few_more_floor,
    log_levenshtein,
    welch_sizes,
)
from .welch import welch_bound


@dataclass(frozen=True)
class CoherenceFloor:
    """The least coherence that any n lines in d dimensions must have.

    Attributes
    ----------
    cosine : float
        Rigorous.
    name : str
        The bound that gives it.
    floors : dict of float
        Every bound by name; 0 where it says nothing.
    """

    cosine: float
    name: str
    floors: dict[str, float]

    @property
    def angle(self) -> float:
        """The same as an angle in degrees: some two lines are no further apart."""
        return math.degrees(math.acos(self.cosine))

    def __str__(self) -> str:
        return f"some |cos| >= {self.cosine:.6f} ({self.angle:.2f} degrees), {self.name}"


def coherence_floor(
    n: SupportsIndex,
    d: SupportsIndex,
    *,
    complex: bool = False,  # noqa: A002 (the word)
) -> CoherenceFloor:
    """Return the least coherence that any n lines in d dimensions must have.

    Parameters
    ----------
    n : int
        Number of lines, at least 2, as large as you like.
    d : int
        Number of dimensions, 1 to 1,000,000.
    complex : bool
        Of lines in C^d.

    Returns
    -------
    CoherenceFloor
        The best of all bounds, inverted: ``cosine``, ``angle``, ``name``, and the others.

    Raises
    ------
    TypeError, ValueError
        For other numbers.

    Notes
    -----
    The formulas are those of `superpos_fast.capacity.upper`: Welch of all orders, orthoplex,
    Levenshtein of order 2 and of all orders (the mu at which his bound becomes n, by bisection up
    to cos(1 degree)), Bukh and Cox (of the n lines any d + k, at the k <= n - d that is best).
    Good to 1e-12.

    Examples
    --------
    >>> from superpos_fast.capacity import coherence_floor
    >>> print(coherence_floor(10_000, 100))
    some |cos| >= 0.140028 (81.95 degrees), levenshtein-2
    """
    field = check_flag(complex, "complex")
    count, depth = check_count(n, "n", 2), check_count(d, "d", 1, MOST_DIMENSIONS)
    if depth == 1:
        return CoherenceFloor(1.0, "one dimension", {"one dimension": 1.0})
    if count <= depth:
        return CoherenceFloor(0.0, "orthogonal", {"orthogonal": 0.0})
    floors = {name: floor(count, depth, field) for name, floor in FLOORS.items()}
    best = max(floors, key=lambda name: floors[name])
    return CoherenceFloor(floors[best], best, floors)


def _plane(n: int, d: int, complex_: bool) -> float:
    """cos(180 degrees / n)."""
    return math.cos(math.pi / n) if d == 2 and not complex_ else 0.0


def _welch(n: int, d: int, complex_: bool) -> float:
    """mu^2k >= (n / D_k - 1) / (n - 1), of the best order k with D_k < n."""
    orders, log_n = 64, math.log(n)
    while (sizes := welch_sizes(d, orders, complex_))[-1] < log_n and orders < 2**20:
        orders *= 4
    first = 0.0 if complex_ else welch_bound(n, d)
    sizes = sizes[sizes < log_n * (1.0 - 1e-14)]
    if not len(sizes):
        return first
    # ln((n / D_k - 1) / (n - 1))
    powers = np.log1p(-np.exp(sizes - log_n)) - sizes - math.log1p(-math.exp(-log_n))
    best = np.max(powers / (2.0 * np.arange(1, len(sizes) + 1)))
    return max(first, math.exp(float(best)))


def _orthoplex(n: int, d: int, complex_: bool) -> float:
    """1 / sqrt(d) of more than d (d + 1) / 2 lines, complex d^2."""
    return 1.0 / math.sqrt(d) if n > _absolute(d, complex_) else 0.0


def _second(n: int, d: int, complex_: bool) -> float:
    """s >= (3n - d^2 - 2d) / ((d+2)(n-d)), complex (2n - d^2 - d) / ((d+1)(n-d))."""
    if n <= _absolute(d, complex_):
        return 0.0
    if complex_:
        return math.sqrt((2 * n - d * d - d) / ((d + 1) * (n - d)))
    return math.sqrt((3 * n - d * d - 2 * d) / ((d + 2) * (n - d)))


def _absolute(d: int, complex_: bool) -> int:
    return d * d if complex_ else d * (d + 1) // 2


def _levenshtein(n: int, d: int, complex_: bool) -> float:
    if complex_:
        return 0.0
    log_n, low, high = math.log(n), 0.0, 1.0 / math.sqrt(d)
    # Upwards in steps, as the bound takes the longer the nearer mu is to 1.
    while log_levenshtein(d, high, False) < log_n:
        if high == LARGEST_COSINE:
            return high
        low, high = high, min(1.5 * high, (1.0 + high) / 2.0, LARGEST_COSINE)
    while low < (middle := (low + high) / 2.0) < high and high - low > 1e-16 * high:
        if log_levenshtein(d, middle, False) < log_n:
            low = middle
        else:
            high = middle
    return low


def _few_more(n: int, d: int, complex_: bool) -> float:
    return few_more_floor(d, min(n - d, best_few_more(d, complex_)), complex_)


FLOORS: dict[str, Callable[[int, int, bool], float]] = {
    "plane": _plane,
    "welch": _welch,
    "orthoplex": _orthoplex,
    "levenshtein-2": _second,
    "levenshtein": _levenshtein,
    "bukh-cox": _few_more,
}
