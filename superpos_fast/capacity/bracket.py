"""Rigorous bounds: how many directions fit at a tolerance, how nearly perpendicular many can be.

A direction is a line, a unit vector up to sign; a tolerance is the largest |cos| between two lines,
or the smallest angle.  Everything is computed in logarithms, so that d = 100,000 is no more than a
number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, SupportsFloat, SupportsIndex, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..angles import real_numbers, threshold_cosines
from ..results import ArrayRecord
from ..vectors import check_count, check_flag
from .families import ROUNDING, explicit
from .tails import log_tail, log_tail_complex
from .upper import LARGEST_COSINE, MOST_DIMENSIONS, UPPER_BOUNDS

_LN10 = math.log(10.0)
# Counts below this are given as integers, rounded outwards by this share of themselves.
_WHOLE, _SHARE = 2**53, 1e-11


@dataclass(frozen=True)
class Bounds:
    """How many lines fit into d dimensions at a tolerance: at least, and at most.

    Attributes
    ----------
    d : int
        Dimensions.
    cosine, angle : float
        The tolerance: no two lines have a larger |cos|, a smaller angle (in degrees).
    complex : bool
        Whether the lines are of C^d instead of R^d.
    log10_upper, log10_lower : float
        Both rigorous; logarithms of numbers of lines.
    upper, lower : int or None
        The same as whole numbers, where below 2^53.
    upper_name, lower_name : str
        The bound and the construction that give them.
    uppers : dict of float
        Every upper bound by name, as log10, infinite where it says nothing.
    lowers : dict of float
        Every lower bound by name, as log10: "greedy" (a saturated set has 1/p lines or more, with
        p the probability that two random lines are too close), "expurgated" (random lines but one
        of each close pair, 1/(2p)), "random set" (random lines of which none is expected to be
        too close, sqrt(2/p)), "johnson-lindenstrauss" (exp(d (mu^2/2 - mu^3/3) / 4)), each family
        of explicit sets, and "direct sum", the best of these in orthogonal subspaces.
    """

    d: int
    cosine: float
    angle: float
    complex: bool
    log10_upper: float
    log10_lower: float
    upper: int | None
    lower: int | None
    upper_name: str
    lower_name: str
    uppers: dict[str, float]
    lowers: dict[str, float]

    @property
    def exact(self) -> bool:
        """Whether both bounds are the same number."""
        return self.upper is not None and self.upper == self.lower

    def __str__(self) -> str:
        kind = "complex lines" if self.complex else "lines"
        where = f"In {self.d:,} dimensions, at {self.angle:.6g} degrees or more"
        if self.exact:
            return f"{where}, exactly {self.upper:,} {kind} fit."
        return (
            f"{where}, at least {_figure(self.lower, self.log10_lower)} and at most "
            f"{_figure(self.upper, self.log10_upper)} {kind} fit."
        )


def _figure(count: int | None, log10: float) -> str:
    return f"{count:,}" if count is not None and count < 10**9 else f"10^{log10:.3f}"


@dataclass(frozen=True, eq=False)
class BoundsTable(ArrayRecord):
    """Bounds of many dimensions and tolerances: arrays of the shape that these broadcast to.

    Attributes
    ----------
    d, cosine, angle, log10_upper, log10_lower : ndarray
        As of `Bounds`.
    upper_name, lower_name : ndarray of str
        As of `Bounds`.
    records : ndarray of Bounds
        All there is to each.
    """

    d: NDArray[np.int64]
    cosine: NDArray[np.float64]
    angle: NDArray[np.float64]
    log10_upper: NDArray[np.float64]
    log10_lower: NDArray[np.float64]
    upper_name: NDArray[np.str_]
    lower_name: NDArray[np.str_]
    records: NDArray[np.object_]

    def __repr__(self) -> str:
        return f"BoundsTable(shape={self.d.shape})"


@overload
def bounds(
    d: SupportsIndex,
    *,
    angle: SupportsFloat | None = None,
    cosine: SupportsFloat | None = None,
    complex: bool = False,
) -> Bounds: ...


@overload
def bounds(
    d: ArrayLike,
    *,
    angle: ArrayLike | None = None,
    cosine: ArrayLike | None = None,
    complex: bool = False,
) -> Bounds | BoundsTable: ...


def bounds(
    d: Any,
    *,
    angle: Any = None,
    cosine: Any = None,
    complex: bool = False,  # noqa: A002 (the word)
) -> Bounds | BoundsTable:
    """Return how many lines fit into d dimensions at a tolerance: rigorous bounds, and whose.

    Parameters
    ----------
    d : int or array_like of int
        Dimensions, 1 to 1,000,000.
    angle : float or array_like
        The smallest angle that is tolerated between two lines, 1 to 90 degrees.
    cosine : float or array_like
        Or: the largest |cos|, 0 to cos(1 degree).
    complex : bool
        Of lines in C^d; those bounds that have a complex form.

    Returns
    -------
    Bounds
        Of one number of dimensions and one tolerance.
    BoundsTable
        Of arrays, which are broadcast.

    Raises
    ------
    TypeError, ValueError
        For other numbers, or unless exactly one kind of tolerance is given.

    Notes
    -----
    Formulas and sources stand in `superpos_fast.capacity.upper` and `.families`.  A tolerance that
    misses a jump (a frame's coherence, say) by rounding, 2^-50 of itself, is taken to reach it.
    Logarithms are good to 1e-9 of themselves.  The asymptotic exponent of Kabatiansky & Levenshtein
    lies below bounds of finite dimensions, and is none.

    Takes microseconds to milliseconds for one, and 0.3 s at 30 degrees in 100,000 dimensions.

    Examples
    --------
    >>> from superpos_fast.capacity import bounds
    >>> print(bounds(100, angle=89))
    In 100 dimensions, at 89 degrees or more, exactly 102 lines fit.
    >>> found = bounds(12_288, angle=85)
    >>> round(found.log10_lower, 3), round(found.log10_upper, 3)
    (26.82, 88.965)
    >>> found.lower_name, found.upper_name
    ('Weil sums of degree 7 over F_6143 in R^12286 + 2 orthogonal to all', 'levenshtein')
    """
    field = check_flag(complex, "complex")
    cosines = threshold_cosines(cosine, angle, False)
    if (cosines > LARGEST_COSINE).any():
        name, limit = (
            ("angle", "at least 1") if cosine is None else ("cosine", "at most cos(1 deg)")
        )
        given = real_numbers(angle if cosine is None else cosine, name, 0.0, 90.0)
        raise ValueError(f"{name}: must be {limit}, got {given[cosines > LARGEST_COSINE][0]:g}")
    if np.ndim(d) == 0 and cosines.ndim == 0:
        return _bounds(check_count(d, "d", 1, MOST_DIMENSIONS), float(cosines), field)
    dims, tolerances = np.broadcast_arrays(np.asarray(d), cosines)
    records = np.empty(dims.shape, object)
    for place, depth in np.ndenumerate(dims):
        number = check_count(depth.item(), "d", 1, MOST_DIMENSIONS)
        records[place] = _bounds(number, float(tolerances[place]), field)
    columns: dict[str, Any] = {
        entry.name: np.array([getattr(one, entry.name) for one in records.flat]).reshape(dims.shape)
        for entry in fields(BoundsTable)
        if entry.name != "records"
    }
    return BoundsTable(**columns, records=records)


def _bounds(d: int, mu: float, complex_: bool) -> Bounds:
    angle = math.degrees(math.acos(mu))
    if d == 1 or mu == 0.0:
        sure = {"orthogonal": math.log10(d)}
        name = "an orthonormal basis"
        return Bounds(
            d, mu, angle, complex_, sure["orthogonal"], sure["orthogonal"], d, d,
            name, name, sure, dict(sure),
        )  # fmt: skip
    # At the tolerance that explicit sets are held to: what is just reached is then just allowed.
    reached = mu * (1.0 + ROUNDING)
    uppers = {bound.name: bound.log_count(d, reached, complex_) for bound in UPPER_BOUNDS}
    # Of bounds that are the same formula, the one with the shortest name comes first.
    least = min(uppers.values())
    upper_name = next(name for name, value in uppers.items() if value <= least + _SHARE)
    upper = _whole(least, up=True)
    log10_upper = least / _LN10
    if upper is not None:
        log10_upper = max(log10_upper, math.log10(upper))
    best, lowers = explicit(d, mu, complex_)
    log_p = log_tail_complex(d, mu) if complex_ else log_tail(d, mu)
    lowers |= _random(d, mu, log_p) | {"direct sum": best.log_count}
    if -log_p > best.log_count:
        lower_name, log_lower, lower = "greedy", -log_p, _whole(-log_p, up=False)
    else:
        lower_name, log_lower = best.label, best.log_count
        lower = best.count if best.count < _WHOLE else None
    return Bounds(
        d,
        mu,
        angle,
        complex_,
        log10_upper,
        log_lower / _LN10 if lower is None else math.log10(lower),
        upper,
        lower,
        upper_name,
        lower_name,
        {name: value / _LN10 for name, value in uppers.items()},
        {name: value / _LN10 for name, value in lowers.items()},
    )


def _random(d: int, mu: float, log_p: float) -> dict[str, float]:
    """Return what random lines promise, as logarithms."""
    # The largest N with N (N - 1) / 2 p <= 1: a whole number, unless too large to tell.
    together = (math.log(2.0) - log_p) / 2.0
    if together < math.log(_WHOLE):
        exact = (1.0 + math.sqrt(1.0 + 8.0 * math.exp(-log_p))) / 2.0
        together = math.log(math.floor(exact))
    return {
        "greedy": -log_p,
        "expurgated": max(0.0, -log_p - math.log(2.0)),
        "random set": together,
        "johnson-lindenstrauss": d * (mu * mu / 2.0 - mu**3 / 3.0) / 4.0,
    }


def _whole(log_count: float, up: bool) -> int | None:
    """Return a count as an integer, rounded so that a bound stays one; None if it is too large."""
    if log_count >= math.log(_WHOLE):
        return None
    count = math.exp(log_count)
    return math.floor(count * (1.0 + _SHARE)) if up else math.ceil(count * (1.0 - _SHARE))
