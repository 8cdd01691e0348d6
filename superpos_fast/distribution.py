"""How the angles of all pairs are distributed: histogram, quantiles, mean."""

from __future__ import annotations

import math
from typing import Any, Literal, Unpack, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .angles import above, real_numbers
from .bins import Quantity, bin_counts, bin_edges, bin_thresholds, scale_of
from .checks import check_choice
from .division import divisible
from .execution import Execution
from .moments import mean_signed_cosine
from .problem import Problem, posed
from .reached import reaching
from .reductions import Counts, Total
from .run import reduce_pairs
from .vectors import Matrix, check_flag

# Thresholds of one pass of a quantile's bisection, shared by all quantiles.
_LEVELS = 4096
_BYTES_PER_CANDIDATE = 256
_GUESSES = 64


@divisible
def histogram(
    vectors: Matrix,
    other: Matrix | None = None,
    *,
    bins: int | ArrayLike = 180,
    range: tuple[float, float] | None = None,
    of: Quantity = "angle",
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return how the angles or cosines of all pairs of vectors are distributed.

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        One vector a row, as for `coherence`.
    other : array_like, shape (m, d), optional
        Pair every row of `vectors` with every row of `other` instead.
    bins : int or array_like
        How many bins of equal width, or their edges, ascending.
    range : (float, float), optional
        Of the first bin's beginning and the last bin's end; default all there can be.
    of : {"angle", "line_angle", "cosine", "abs_cosine"}
        The angle between vectors (0 to 180 degrees) or between their lines (0 to 90), the cosine
        (-1 to 1) or its magnitude (0 to 1).
    zero : {"raise", "skip"}
        Refuse rows of zeros, or leave them out.
    **execution
        How to compute, never what (see `Execution`); with ``checkpoint`` it can be stopped and goes
        on, with ``shard`` it is one share of the work, for `merge`.

    Returns
    -------
    counts : ndarray of int64, shape (bins,)
        As of `numpy.histogram`: a bin holds its lower edge, the last one its upper edge too.
    edges : ndarray of float64, shape (bins + 1,)
        In degrees, or cosines.

    Raises
    ------
    TypeError, ValueError
        As for `coherence`; and for bins, a range or a quantity that make no histogram.

    Notes
    -----
    Exact: equal, bin for bin, to the histogram of the float64 cosines.  An angle is compared with
    an edge by their cosines; edges at 0, 60, 90, 120 and 180 degrees have exact ones.  One pass,
    n (n - 1) d operations (with `other` 2 n m d); a pair closer to an edge than float32 can tell
    is decided in float64.

    Examples
    --------
    >>> import superpos_fast
    >>> counts, edges = superpos_fast.histogram([[1, 0], [0, 1], [1, 1]], bins=[0, 60, 120, 180])
    >>> counts.tolist()
    [2, 1, 0]
    """
    lowest, highest, magnitude, is_angle = scale_of(of)
    edges = bin_edges(bins, range, lowest, highest)
    with posed(vectors, other, zero, execution, lambda n, m: Counts.demand(edges.size)) as problem:
        reached = reaching(problem, bin_thresholds(edges, is_angle), magnitude)
        return problem.lay(bin_counts(reached, is_angle)), problem.lay(edges)


@overload
def quantile(
    vectors: Matrix,
    q: float,
    other: Matrix | None = None,
    *,
    of: Quantity = "angle",
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> float: ...


@overload
def quantile(
    vectors: Matrix,
    q: ArrayLike,
    other: Matrix | None = None,
    *,
    of: Quantity = "angle",
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> float | NDArray[np.float64]: ...


def quantile(
    vectors: Matrix,
    q: Any,
    other: Matrix | None = None,
    *,
    of: Quantity = "angle",
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> float | NDArray[np.float64]:
    """Return quantiles of the angles or cosines of all pairs of vectors: exact order statistics.

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        One vector a row, as for `coherence`.
    q : float or array_like
        Between 0 and 1.
    other : array_like, shape (m, d), optional
        Pair every row of `vectors` with every row of `other` instead.
    of : {"angle", "line_angle", "cosine", "abs_cosine"}
        As for `histogram`.
    zero : {"raise", "skip"}
        Refuse rows of zeros, or leave them out.
    **execution
        How to compute, never what (see `Execution`); with ``checkpoint`` it can be stopped and goes
        on.  There are no shares: each pass depends on what all pairs said in the last one.

    Returns
    -------
    float, or ndarray of float64 in the shape of q
        The smallest value that a share q of all pairs does not exceed, one of the values
        themselves, as ``numpy.quantile(..., method="inverted_cdf")``; angles in degrees, the arc
        cosine of the exact cosine.

    Raises
    ------
    TypeError, ValueError
        As for `histogram`; and for q outside 0 to 1.

    Notes
    -----
    Bisection on float64 values by exact counts, 4096 thresholds a pass, until the candidates fit
    the memory cap and are gathered: usually two passes of n (n - 1) d operations, all quantiles
    together; one or two more where one value is shared by a great many pairs.

    Examples
    --------
    >>> import superpos_fast
    >>> superpos_fast.quantile([[1, 0], [0, 1], [1, 1]], [0.5, 1.0]).round(9).tolist()
    [45.0, 90.0]
    """
    _, _, magnitude, is_angle = scale_of(of)
    shares = real_numbers(q, "q", 0.0, 1.0)
    with posed(vectors, other, zero, execution, lambda n, m: Counts.demand(_LEVELS)) as problem:
        total = problem.pairs
        order = np.maximum(np.ceil(total * np.ravel(shares) - 1.0), 0.0).astype(np.int64)
        order = np.minimum(order, total - 1)
        # The place of each among all values, from the largest: 1, 2, ...
        places = order + 1 if is_angle else total - order
        values = _Bisection(problem, magnitude).find(places)
        if is_angle:
            values = np.array([math.degrees(math.acos(value)) for value in values])
        found: NDArray[np.float64] = values.reshape(shares.shape)
        return problem.lay(found) if found.ndim else float(found)


class _Bisection:
    """Finds the s-th largest cosine (or magnitude) for several s at once.

    Each has a bracket of ordinals, integers in the order of the float64 numbers: at least s values
    reach its lower end and fewer than s its upper end.
    """

    def __init__(self, problem: Problem, magnitude: bool) -> None:
        self._problem, self._magnitude = problem, magnitude
        self._room = max(1000, problem.memory // _BYTES_PER_CANDIDATE)
        self._least = 0.0 if magnitude else -1.0
        # Ties gather where float64 is exact: these are asked at once.
        marks = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
        self._marks = np.concatenate([marks, above(marks)])

    def find(self, places: Any) -> Any:
        """Return the values."""
        places, back = np.unique(places, return_inverse=True)
        low = np.full(len(places), _ordinal(self._least))
        high = np.full(len(places), _ordinal(above(1.0)))
        at_low, at_high = np.full(len(places), self._problem.pairs), np.zeros_like(places)
        levels = np.linspace(self._least, 1.0, _LEVELS)
        while True:
            levels = np.unique(np.concatenate([levels, self._marks]))
            counts, ordinals = reaching(self._problem, levels, self._magnitude), _ordinal(levels)
            for n, place in enumerate(places):
                enough = (counts >= place) & (ordinals > low[n])
                if enough.any():
                    last = np.flatnonzero(enough)[-1]
                    low[n], at_low[n] = ordinals[last], counts[last]
                short = (counts < place) & (ordinals < high[n])
                if short.any():
                    first = np.flatnonzero(short)[0]
                    high[n], at_high[n] = ordinals[first], counts[first]
            # Two brackets are the same one or apart.
            _, each = np.unique(low, return_index=True)
            wide = each[(high - low)[each] > 1]
            if int((at_low - at_high)[wide].sum()) <= self._room:
                return self._settle(places, low, high, at_high)[back]
            brackets = low[wide], high[wide]
            levels = np.concatenate([self._between(*brackets), self._ties(*brackets)])

    def _between(self, low: Any, high: Any) -> Any:
        """Return values within the brackets, half of them evenly spaced, half as ordinals are."""
        share = _LEVELS // (2 * len(low)) + 2
        parts = []
        for one, two in zip(low.tolist(), high.tolist(), strict=True):
            steps = min(share, two - one)
            parts.append(
                _value(np.array([one + (two - one) * s // steps for s in range(1, steps)]))
            )
            parts.append(np.linspace(_value(np.int64(one)), _value(np.int64(two)), share)[1:-1])
        return np.concatenate(parts)

    def _ties(self, low: Any, high: Any) -> Any:
        """Return values that many pairs within the brackets share, and those next above.

        A guess, from the first such pairs that a walk meets: where most candidates are one value,
        it saves the passes that would close in on it.
        """
        reduction = self._within(low, high, limit=2**60, first_only=True)
        cosines = reduction.gathered()[2]
        values, counts = np.unique(
            np.abs(cosines) if self._magnitude else cosines, return_counts=True
        )
        common = values[np.argsort(-counts)[:_GUESSES]]
        return np.concatenate([common, above(common)])

    def _within(self, low: Any, high: Any, **options: Any) -> Counts:
        """Walk, and gather pairs within the brackets."""
        levels = np.unique(_value(np.concatenate([low, high])))
        ranks = np.unique(np.searchsorted(levels, _value(low), "right"))
        listed = tuple(int(rank) for rank in ranks)
        reduction = Counts(levels, magnitude=self._magnitude, listed=listed, **options)
        reduce_pairs(self._problem, reduction)
        return reduction

    def _settle(self, places: Any, low: Any, high: Any, at_high: Any) -> Any:
        """Return the values, given brackets whose candidates may be gathered."""
        values = _value(low)
        wide = high - low > 1
        if not wide.any():
            return values
        cosines = self._within(low[wide], high[wide], limit=self._room).gathered()[2]
        found = np.sort(np.abs(cosines) if self._magnitude else cosines)[::-1]
        for n in np.flatnonzero(wide):
            first = np.searchsorted(-found, -_value(high[n]), "right")
            values[n] = found[first + places[n] - at_high[n] - 1]
        return values


def _ordinal(values: Any) -> Any:
    """Return integers in the order of float64 numbers; neighbours differ by 1."""
    bits = (np.asarray(values, np.float64) + 0.0).view(np.int64)
    return np.where(bits < 0, np.int64(-(2**63)) - bits, bits)


def _value(ordinals: Any) -> Any:
    """Return the float64 numbers of ordinals."""
    ordinals = np.asarray(ordinals, np.int64)
    return np.where(ordinals < 0, np.int64(-(2**63)) - ordinals, ordinals).view(np.float64)


@divisible
def mean_cosine(
    vectors: Matrix,
    other: Matrix | None = None,
    *,
    signed: bool = False,
    precision: Literal["float32", "float64"] = "float32",
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> float:
    """Return the mean of |cos| over all pairs of vectors.

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        One vector a row, as for `coherence`.
    other : array_like, shape (m, d), optional
        Pair every row of `vectors` with every row of `other` instead.
    signed : bool
        The mean of the cosine itself, which needs no pair loop: O(n d).
    precision : {"float32", "float64"}
        What the cosines that are summed are computed in; sums are float64 in any case.
    zero : {"raise", "skip"}
        Refuse rows of zeros, or leave them out.
    **execution
        How to compute (see `Execution`); the last bits may depend on the plan that `memory` and
        `threads` lead to, and on the processors that have computed parts of it.  ``checkpoint`` and
        ``shard`` only where there is a pair loop.

    Returns
    -------
    float
        Within `superpos_fast.screening.product_bound` of the mean of the exact cosines, about
        (d + 7) 2^-24 up to d = 143 and (123 + d/96) 2^-24 beyond (on devices (d + 35) 2^-24); with
        "float64" within n^2 2^-53, in practice 1e-15.

    Raises
    ------
    TypeError, ValueError
        As for `coherence`; and for another precision.

    Notes
    -----
    n (n - 1) d operations (with `other` 2 n m d); "float64" takes six times as long.  Tiles are
    summed one by one and their sums added exactly: the same every time for the same plan.

    Examples
    --------
    >>> import superpos_fast
    >>> round(superpos_fast.mean_cosine([[1.0, 0.0], [0.0, 1.0], [3.0, 4.0]]), 6)
    0.466667
    """
    check_choice(precision, "precision", "float32", "float64")
    with_sign = check_flag(signed, "signed")
    with posed(vectors, other, zero, execution, lambda n, m: Total.demand()) as problem:
        if with_sign:
            return mean_signed_cosine(problem)
        total = Total()
        reduce_pairs(problem, total, precision=precision)
        return total.value / problem.pairs
