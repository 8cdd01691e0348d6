"""What needs no pair loop: sums of squared cosines, and of cosines, from sums over single rows."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from math import sqrt
from typing import Any, Literal, Unpack

import numpy as np

from .checks import check_choice
from .execution import Execution
from .parts import Interrupted
from .problem import Problem, posed
from .progress import reporting
from .second_moment import TYPES, Precision, Squares, demand, inverse_lengths, squares_of
from .vectors import Matrix, Vectors

# Lengths down to this part of the longest: their squares are far from float32's underflow.
_FLOAT32_LENGTH = 2.0**-40


def frame_potential(
    vectors: Matrix,
    *,
    zero: Literal["raise", "skip"] = "raise",
    precision: Precision = "float32",
    **execution: Unpack[Execution],
) -> float:
    """Return the sum of squared cosines over all ordered pairs, each vector with itself included.

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        One vector a row, in any type that `coherence` takes.
    zero : {"raise", "skip"}
        What to do with a row of zeros, which has no direction: refuse it, or leave it out.
    precision : {"float32", "float64"}
        What products are computed in; blocks of them are added in float64 either way.
    **execution
        As for `coherence`.  Fewer vectors than entries are multiplied by BLAS, which has threads
        of its own (``OPENBLAS_NUM_THREADS``, or threadpoolctl).

    Returns
    -------
    float
        sum_ij cos^2(i, j), a pure number: at least max(n, n^2 / d), the latter for tight frames
        only, and at most n^2.

    Raises
    ------
    TypeError, ValueError
        As `coherence` does, and for another `precision`.

    Notes
    -----
    Computed as |S|_F^2 with S = X^T X, X the unit rows (Benedetto & Fickus 2003, *Finite normalized
    tight frames*): n d^2 operations, or n^2 d where n < d.  Off by at most 2 n^2 b with
    b = `superpos_fast.second_moment.moment_bound(n, d, precision)`, 3.5e-5 for float32 and 7.2e-12
    for float64 at n = 1,000,000, d = 256.  Equal from call to call for the same threads and
    memory, and where n < d for the same BLAS.

    Examples
    --------
    >>> import superpos_fast
    >>> superpos_fast.frame_potential([[1, 0], [0, 2], [0, -3]])
    5.0
    """
    with _summed(vectors, None, zero, precision, execution) as sums:
        return sums.potential()


def interference(
    vectors: Matrix,
    other: Matrix | None = None,
    *,
    zero: Literal["raise", "skip"] = "raise",
    precision: Precision = "float32",
    **execution: Unpack[Execution],
) -> Any:
    """Return for each vector the sum of its squared cosines with all other vectors.

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        One vector a row, in any type that `coherence` takes.
    other : array_like, shape (m, d), optional
        Sum over all rows of `other` instead.
    zero, precision, **execution
        As for `frame_potential`.

    Returns
    -------
    ndarray of float64, shape (n,)
        sum_{j != i} cos^2(i, j) (with `other`: over all its rows j), a pure number; NaN for a row
        that is left out.

    Raises
    ------
    TypeError, ValueError
        As `coherence` does, and for another `precision`.

    Notes
    -----
    Computed as x_i^T S x_i - 1 with S = X^T X, X the unit rows: 2 n d^2 operations (with `other`
    (n + m) d^2), or n^2 d (2 n m d) where that is less.  The mean over i is at least (n - d) / d
    (Welch 1974) and (n - 1) / d for random directions.  Each sum is off by at most its number of
    terms times `moment_bound` (see `frame_potential`), and is never below 0.

    Examples
    --------
    >>> import superpos_fast
    >>> superpos_fast.interference([[1, 0], [0, 2], [0, -3]])
    array([0., 1., 1.])
    """
    with _summed(vectors, other, zero, precision, execution) as sums:
        return sums.shown(sums.energies())


def dimensionality(
    vectors: Matrix,
    *,
    zero: Literal["raise", "skip"] = "raise",
    precision: Precision = "float32",
    **execution: Unpack[Execution],
) -> Any:
    """Return for each feature the share of a dimension that it has to itself.

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        One feature W_i a row, in any type that `coherence` takes; unlike elsewhere lengths matter.
    zero, precision, **execution
        As for `frame_potential`; where lengths differ by more than 2^40, float64 it is.

    Returns
    -------
    ndarray of float64, shape (n,)
        D_i = |W_i|^2 / sum_j (<W_i, W_j> / |W_i|)^2, a pure number from 0 to 1; NaN for a row that
        is left out.

    Raises
    ------
    TypeError, ValueError
        As `coherence` does, and for another `precision`.

    Notes
    -----
    Elhage et al. 2022, *Toy models of superposition*: 1 for a feature perpendicular to all others,
    1/2 in an antipodal pair, d / n in a tight frame; all together at most the rank.  Computed as
    w_i / (w_i + x_i^T S x_i - w_i) with w_i = |W_i|^2 and S = W^T W, at the cost of `interference`.
    Off by at most `moment_bound` times sum_j |W_j|^2 / |W_i|^2: for a feature much shorter than
    others that it is not perpendicular to D_i is next to 0, and what float64 cannot hold beside the
    longest, squares below 2^-1022 of its square, counts as nothing.

    Examples
    --------
    >>> import superpos_fast
    >>> superpos_fast.dimensionality([[2, 0], [0, 1], [0, -1]])
    array([1. , 0.5, 0.5])
    """
    with _summed(vectors, None, zero, precision, execution) as sums:
        lengths = _lengths(sums.problem.rows)
        if lengths[lengths > 0.0].min() < _FLOAT32_LENGTH:
            sums = sums.in_type(np.float64)
        beside = sums.energies(lengths)
        own = lengths**2
        return sums.shown(np.where(beside == 0.0, 1.0, own / (own + beside)))


def rms_cosine(
    vectors: Matrix,
    other: Matrix | None = None,
    *,
    zero: Literal["raise", "skip"] = "raise",
    precision: Precision = "float32",
    **execution: Unpack[Execution],
) -> float:
    """Return the root of the mean squared cosine over all pairs.

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        One vector a row, in any type that `coherence` takes.
    other : array_like, shape (m, d), optional
        Compare every row of `vectors` with every row of `other` instead.
    zero, precision, **execution
        As for `frame_potential`.

    Returns
    -------
    float
        sqrt(mean of cos^2(i, j)) over i < j (with `other`: all i, j), a pure number from 0 to 1.

    Raises
    ------
    TypeError, ValueError
        As `coherence` does, and for another `precision`.

    Notes
    -----
    From `frame_potential` (with `other` from `interference`), at its cost.  The mean of squares is
    off by at most 4 times `moment_bound`, its root r by that over r.  Random directions have
    1 / sqrt(d); no n vectors have less than sqrt((n - d) / (d (n - 1))) (Welch 1974).

    Examples
    --------
    >>> import superpos_fast
    >>> superpos_fast.rms_cosine([[1, 0], [0, 2]], [[3, 0], [-1, 0], [0, 1], [0, 1]])
    0.7071067811865476
    """
    with _summed(vectors, other, zero, precision, execution) as sums:
        return sqrt(sums.mean_square())


def mean_square_cosine(problem: Problem, precision: Precision = "float32") -> float:
    """Return the mean of cos^2 over all pairs of a posed problem."""
    return squares_of(problem, precision).mean_square()


def mean_signed_cosine(problem: Problem) -> float:
    """Return the mean of cos(i, j) over all pairs, from the sum of the unit rows, in float64.

    |sum_i x_i|^2 is the sum over all ordered pairs, n of them a vector with itself.
    """
    problem.book.unused()
    total = _sum_of_units(problem, problem.rows)
    n, m = problem.rows.kept, problem.columns.kept
    if problem.columns is problem.rows:
        return float((total @ total - n) / (n * (n - 1)))
    return float(total @ _sum_of_units(problem, problem.columns) / n / m)


def _sum_of_units(problem: Problem, vectors: Vectors) -> Any:
    """Add the unit rows up, in float64 and in the order of blocks whichever thread is first."""
    total = np.zeros(problem.depth)
    step, count = problem.plan.read_rows, len(vectors)
    inverse = inverse_lengths(vectors.squares)
    for low in range(0, count, step * problem.plan.threads):
        starts = range(low, min(low + step * problem.plan.threads, count), step)
        sums: dict[int, Any] = {}

        def add(start: int, sums: dict[int, Any] = sums) -> None:
            stop = min(start + step, count)
            rows = problem.kernels.scale(vectors.read(start, stop), vectors.exponents[start:stop])
            sums[start] = (inverse[start:stop] @ rows)[: problem.depth]

        problem.crew.each(add, starts)
        for start in starts:
            total += sums[start]
    return total


def _lengths(vectors: Vectors) -> Any:
    """Return the rows' lengths as parts of the longest, or within a factor 4 of it."""
    kept = vectors.squares > 0.0
    highest = vectors.exponents[kept].max()
    return np.ldexp(np.sqrt(vectors.squares), vectors.exponents - highest)


@contextlib.contextmanager
def _summed(
    vectors: Any, other: Any, zero: str, precision: str, execution: Execution
) -> Iterator[Squares]:
    """Pose the problem, and yield what sums squared cosines over its pairs."""
    check_choice(precision, "precision", *TYPES)
    with (
        posed(vectors, other, zero, execution, demand) as problem,
        reporting(problem.progress, problem.plan.pairs) as advance,
    ):
        problem.book.unused()

        def report(pairs: int) -> None:
            if not advance(pairs):
                raise Interrupted(problem.book.part)

        yield squares_of(problem, precision, report)
