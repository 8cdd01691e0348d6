"""What needs no pair loop: sums of squared cosines, from the second moment of the unit rows.

With S = sum_j w_j x_j x_j^T over unit rows x_j,

    sum_ij cos^2(i, j) = |S|_F^2          sum_j w_j cos^2(i, j) = x_i^T S x_i

at N d^2 operations instead of N^2 d.  Where that is the dearer side, N small against d, the pairs
are gone through in blocks instead.  BLAS multiplies; nothing here holds more than a block of rows
and as many columns of S as the memory cap has room for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import ceil, sqrt
from typing import Any, Literal, Unpack

import numpy as np

from .execution import Execution
from .plan import Demand
from .problem import Problem, posed
from .progress import reporting
from .screening import UNIT_ROUNDOFF_32, UNIT_ROUNDOFF_64, decision_bound
from .vectors import Matrix, Vectors

Precision = Literal["float32", "float64"]
_TYPES: dict[str, tuple[type[np.floating[Any]], float]] = {
    "float32": (np.float32, UNIT_ROUNDOFF_32),
    "float64": (np.float64, UNIT_ROUNDOFF_64),
}

# Rows summed in working precision before they are added up in float64.  At d = 256, 1024 took 11 %
# longer; 4096 took 43 % longer, and would double the error bound.
_BLOCK_ROWS = 2048
_FEWEST_ROWS = 16
# Columns of S multiplied at a time, down to the diagonal: at d = 256, 128 took 30 % longer and all
# at once (BLAS's syrk) 50 %.
_STRIP = 64
# Unit rows made at a time, still in the cache when they are multiplied.  At d = 256, making them
# took as long with 16 MiB, 1.4 times with 32 MiB, and 3 times, mostly Python, with 1 MiB.
_READ_BYTES = 2**23
_PAIR_ROWS = 1024
# Bytes a row: its length, the sums, and what becomes of them; the survey's besides.
_STATE_BYTES = 40
_SURVEY_BYTES = 16
# Powers of two that a row's exponent, and hence its factor, may be from 0 and stay within float32.
_PLAIN_EXPONENT = 60
# Likewise, where products of three rows' entries and sums over all rows must stay within float32.
_DIRECT_EXPONENT = 16
# Lengths down to this part of the longest: their squares are far from float32's underflow.
_FLOAT32_LENGTH = 2.0**-40


def moment_bound(rows: int, depth: int, precision: Precision = "float32") -> float:
    """Bound the error of a mean of squared cosines: of a sum over j, divided by the number of j.

    Parameters
    ----------
    rows : int
        Vectors summed over.
    depth : int
        Entries in a vector.
    precision : {"float32", "float64"}
        The precision of the products.

    Returns
    -------
    float
        gamma_m + (rows / 16 + 2 depth) 2^-53 + 4 `decision_bound` + depth 2^-100, where
        gamma_m = m u / (1 - m u), u = 2^-24 or 2^-53 and m = 2048 + 2 depth + 24.

    Notes
    -----
    x_i^T S x_i is a sum of terms w_j x_ik x_jk x_jl x_il.  Each passes through at most 2048
    roundings while S is summed over a block of rows, `depth` in S x_i, `depth` in the last dot
    product, 4 for each of the four entries, and 8 more; in whatever order BLAS adds, that is
    gamma_m of the sum of magnitudes (Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd
    ed., section 3.1), which is sum_j w_j (|x_i| . |x_j|)^2 <= sum_j w_j.  Then come the float64
    additions of blocks, squared lengths and what underflows.  Going through pairs takes fewer
    roundings, and |S|_F^2, of which each entry is used twice, twice the bound.
    """
    unit = _TYPES[precision][1]
    chain = _BLOCK_ROWS + 2 * depth + 24
    gamma = chain * unit / (1.0 - chain * unit)
    additions = (rows / _FEWEST_ROWS + 2 * depth) * UNIT_ROUNDOFF_64
    return gamma + additions + 4.0 * decision_bound(depth) + depth * 2.0**-100


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
        As for `coherence`.  ``threads`` governs the reading of rows; BLAS, which multiplies, has
        threads of its own (``OPENBLAS_NUM_THREADS``, or threadpoolctl).

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
    b = `superpos_fast.moment_bound(n, d, precision)`, 1.6e-4 for float32 and 7.4e-12 for
    float64 at n = 1,000,000, d = 256; what is measured is a thousandth of that.  Equal from call to
    call for the same plan (threads, memory) and BLAS.

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
    return _sums_of(problem, precision, lambda pairs: None).mean_square()


def mean_signed_cosine(problem: Problem) -> float:
    """Return the mean of cos(i, j) over all pairs, from the sum of the unit rows, in float64.

    |sum_i x_i|^2 is the sum over all ordered pairs, n of them a vector with itself.
    """
    total = _sum_of_units(problem, problem.rows)
    n, m = problem.rows.kept, problem.columns.kept
    if problem.columns is problem.rows:
        return float((total @ total - n) / (n * (n - 1)))
    return float(total @ _sum_of_units(problem, problem.columns) / n / m)


def _sum_of_units(problem: Problem, vectors: Vectors) -> Any:
    """Add the unit rows up, in float64 and in the order of blocks whichever thread is first."""
    total = np.zeros(problem.depth)
    step, count = problem.plan.read_rows, len(vectors.array)
    inverse = _inverse(vectors.squares)
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


def _inverse(squares: Any) -> Any:
    """Return 1 / sqrt of squared lengths, 0 for rows left out."""
    return np.divide(1.0, np.sqrt(squares), out=np.zeros(len(squares)), where=squares > 0.0)


def _lengths(vectors: Vectors) -> Any:
    """Return the rows' lengths as parts of the longest, or within a factor 4 of it."""
    kept = vectors.squares > 0.0
    highest = vectors.exponents[kept].max()
    return np.ldexp(np.sqrt(vectors.squares), vectors.exponents - highest)


@contextlib.contextmanager
def _summed(
    vectors: Any, other: Any, zero: str, precision: str, execution: Execution
) -> Iterator[_Sums]:
    """Pose the problem, and yield what sums squared cosines over its pairs."""
    if not isinstance(precision, str) or precision not in _TYPES:
        raise ValueError(f"precision: must be 'float32' or 'float64', got {precision!r}")
    with (
        posed(vectors, other, zero, execution, _demand) as problem,
        reporting(problem.progress, problem.plan.pairs) as report,
    ):
        yield _sums_of(problem, precision, report)


def _demand(rows: int, columns: int) -> Demand:
    return Demand(state=_STATE_BYTES * max(rows, columns))


def _sums_of(problem: Problem, precision: str, report: Callable[[int], object]) -> _Sums:
    alone = problem.columns is problem.rows
    count = problem.plan.rows + (0 if alone else problem.plan.columns)
    room = max(problem.memory - (_STATE_BYTES + _SURVEY_BYTES) * count, problem.memory // 8)
    return _Sums(problem, alone, room, _TYPES[precision][0], report)


def _copy(source: Any, target: Any, some: slice) -> None:
    target[some] = source[some]


def _add_dots(left: Any, right: Any, twice: Any, some: slice) -> None:
    twice[some] += 2.0 * np.einsum("il,il->i", left[some], right[some])


@dataclass(frozen=True)
class _Sums:
    """Sums of squared cosines of a problem's pairs.

    Attributes
    ----------
    problem : Problem
        What was posed.
    alone : bool
        Whether rows are compared with each other.
    room : int
        Bytes to work in, beside what is kept of each row.
    dtype : type
        What products are computed in.
    report : callable
        Takes numbers of pairs done, all of which are the plan's pairs.
    """

    problem: Problem
    alone: bool
    room: int
    dtype: type[np.floating[Any]]
    report: Callable[[int], object]

    def in_type(self, dtype: type[np.floating[Any]]) -> _Sums:
        """Return the same in another precision."""
        return _Sums(self.problem, self.alone, self.room, dtype, self.report)

    def shown(self, values: Any) -> Any:
        """Return values a row, NaN where it is left out."""
        values[self.problem.rows.squares == 0.0] = np.nan
        return values

    def potential(self) -> float:
        """Sum cos^2 over all ordered pairs of rows, each with itself included."""
        rows = self.problem.rows
        if len(rows.array) < self.problem.depth:
            return float(rows.kept + self._through_pairs(np.ones(len(rows.array))).sum())
        panels = self._panels()
        advance = self._advance(len(panels) * len(rows.array))
        total = 0.0
        for low, high in panels:
            moment = self._moment(rows, None, low, high, advance)
            for start, stop in self._strips(low, high):
                strip = moment[:, start - low : stop - low]
                squares = np.einsum("kl,kl->k", strip, strip)
                total += float(2.0 * squares[:start].sum() + squares[start:].sum())
        return total

    def mean_square(self) -> float:
        """Average cos^2 over all pairs."""
        n, m = self.problem.rows.kept, self.problem.columns.kept
        if self.alone:
            return max(0.0, self.potential() - n) / (n * (n - 1))
        return float(self.energies().sum()) / (n * m)

    def energies(self, lengths: Any = None) -> Any:
        """Sum lengths_j^2 cos^2(i, j) over j for every row i, without i itself if alone."""
        n, m = self.problem.plan.rows, self.problem.plan.columns
        pairs = n * m * (1 if self.alone else 2)
        if pairs < (n + m) * self.problem.depth:
            weights = np.ones(m) if lengths is None else lengths**2
            return self._through_pairs(weights)
        sums = self._through_moment(lengths)
        if self.alone:
            sums -= 1.0 if lengths is None else lengths**2
        return np.maximum(sums, 0.0, out=sums)

    def _through_pairs(self, weights: Any) -> Any:
        """Sum weights_j cos^2(i, j) over j, without i itself if alone, block by block of pairs."""
        rows, columns = self.problem.rows, self.problem.columns
        n, m, depth = len(rows.array), len(columns.array), self.problem.depth
        size = np.dtype(self.dtype).itemsize
        side = min(_PAIR_ROWS, max(16, self.room // (2 * (2 * depth * size + 24 * _PAIR_ROWS))))
        left, right = np.empty((2, min(side, max(n, m)), depth), self.dtype)
        sums = np.zeros(n)
        for i in range(0, n, side):
            some = slice(i, min(i + side, n))
            units = self._units(rows, some, left)
            for j in range(i if self.alone else 0, m, side):
                others = slice(j, min(j + side, m))
                same = self.alone and i == j
                across = units if same else self._units(columns, others, right)
                squares = np.square(units @ across.T, dtype=np.float64)
                if same:
                    np.fill_diagonal(squares, 0.0)
                sums[some] += squares @ weights[others]
                if self.alone and not same:
                    sums[others] += weights[some] @ squares
                self.report(len(units) * (len(units) - 1) // 2 if same else squares.size)
        return sums

    def _through_moment(self, lengths: Any) -> Any:
        """Sum lengths_j^2 cos^2(i, j) over all j as x_i^T S x_i.

        S is symmetric: twice its upper triangle with half the diagonal, which is half the
        multiplications (0.38 s for 1,000,000 x 256, where the whole product took 0.69 s).
        """
        from scipy.linalg import get_blas_funcs

        rows, columns = self.problem.rows, self.problem.columns
        multiply = get_blas_funcs("trmm", dtype=self.dtype)
        panels = self._panels()
        advance = self._advance(len(panels) * (len(rows.array) + len(columns.array)))
        sums, scales = np.zeros((2, len(rows.array)))
        for low, high in panels:
            moment = self._moment(columns, lengths, low, high, advance).astype(self.dtype)
            triangle = moment[low:]
            np.einsum("kk->k", triangle)[:] *= 0.5
            for start, units, scale in self._lines(rows, high):
                own = units[:, low:]
                product = np.empty(own.shape, self.dtype)
                self._each(slice(0, len(own)), partial(_copy, own, product))
                # In place, and transposed: BLAS's columns are our rows.
                product = multiply(1.0, triangle.T, product.T, lower=1, overwrite_b=1).T
                if low:
                    product += units[:, :low] @ moment[:low]
                found = sums[start : start + len(own)]
                self._each(slice(0, len(own)), partial(_add_dots, own, product, found))
                scales[start : start + len(own)] = scale
                advance(len(units))
        sums *= scales
        return sums

    def _panels(self) -> list[tuple[int, int]]:
        """Cut S into panels of columns that, with a block's share, fit into a third of the room."""
        depth = self.problem.depth
        most = max(8, self.room // (3 * depth * (8 + np.dtype(self.dtype).itemsize)))
        width = ceil(depth / ceil(depth / most))
        return [(low, min(low + width, depth)) for low in range(0, depth, width)]

    def _strips(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Cut a panel into strips, which together are little more than its part of the triangle."""
        width = max(_STRIP, ceil(self.problem.depth / 8))
        for start in range(low, high, width):
            yield start, min(start + width, high)

    def _moment(
        self, vectors: Vectors, lengths: Any, low: int, high: int, advance: Callable[[int], None]
    ) -> Any:
        """Return S[:high, low:high] in float64, each strip down to its end and zeros below.

        Blocks are added up in their order.
        """
        total = np.zeros((high, high - low))
        part = np.zeros(total.shape, self.dtype)
        for _, units in self._blocks(vectors, lengths, high):
            for first in range(0, len(units), _BLOCK_ROWS):
                block = units[first : first + _BLOCK_ROWS]
                for start, stop in self._strips(low, high):
                    strip = part[:stop, start - low : stop - low]
                    np.matmul(block[:, :stop].T, block[:, start:stop], out=strip)
                total += part
            advance(len(units))
        return total

    def _blocks(self, vectors: Vectors, lengths: Any, width: int) -> Iterator[tuple[int, Any]]:
        """Yield the first `width` entries of all unit rows times lengths, a block at a time."""
        line = self.problem.depth * np.dtype(self.dtype).itemsize
        blocks = max(1, _READ_BYTES // (_BLOCK_ROWS * line))
        rows = min(blocks * _BLOCK_ROWS, max(_FEWEST_ROWS, self.room // (12 * line)))
        count = len(vectors.array)
        buffer = np.empty((min(rows, count), width), self.dtype)
        for start in range(0, count, rows):
            some = slice(start, min(start + rows, count))
            yield start, self._units(vectors, some, buffer, lengths)

    def _lines(self, vectors: Vectors, width: int) -> Iterator[tuple[int, Any, Any]]:
        """Yield like `_blocks`, and what the squares of the rows' products are to be multiplied by.

        Rows that are of the type already, and of ordinary size, need not be made unit rows first.
        """
        direct = vectors.is_native and vectors.array.dtype == self.dtype
        if not direct or np.abs(vectors.exponents).max() > _DIRECT_EXPONENT:
            yield from ((start, units, 1.0) for start, units in self._blocks(vectors, None, width))
            return
        step = max(1, _READ_BYTES // (self.problem.depth * vectors.array.itemsize))
        factors = np.ldexp(_inverse(vectors.squares) ** 2, -2 * vectors.exponents)
        for start in range(0, len(vectors.array), step):
            some = slice(start, start + step)
            yield start, vectors.array[some, :width], factors[some]

    def _units(self, vectors: Vectors, some: slice, buffer: Any, lengths: Any = None) -> Any:
        """Fill the buffer with unit rows, times lengths if there are any, on all threads."""

        def fill(part: slice) -> None:
            block = vectors.read(part.start, part.stop)
            exponents = vectors.exponents[part]
            if np.abs(exponents).max() > _PLAIN_EXPONENT:
                block = self.problem.kernels.scale(block, exponents)
                exponents = 0
            factors = np.ldexp(_inverse(vectors.squares[part]), -exponents)
            if lengths is not None:
                factors *= lengths[part]
            factors = factors.astype(np.result_type(block, self.dtype))[:, None]
            out = buffer[part.start - some.start : part.stop - some.start]
            np.multiply(block[:, : buffer.shape[1]], factors, out=out, casting="same_kind")

        self._each(some, fill)
        return buffer[: some.stop - some.start]

    def _each(self, some: slice, work: Callable[[slice], None]) -> None:
        """Do work on slices of rows, on all threads."""
        step = self.problem.plan.read_rows
        starts = range(some.start, some.stop, step)
        self.problem.crew.each(lambda at: work(slice(at, min(at + step, some.stop))), starts)

    def _advance(self, total: int) -> Callable[[int], None]:
        """Return a function of steps done of a total, that reports the pairs they stand for."""
        pairs, done = self.problem.plan.pairs, 0

        def advance(steps: int) -> None:
            nonlocal done
            before, done = done, min(done + steps, total)
            self.report(pairs * done // total - pairs * before // total)

        return advance
