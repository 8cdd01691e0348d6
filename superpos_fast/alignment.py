"""Directions against the coordinate axes: which neurons make a feature, and which share one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, SupportsIndex, Unpack

import numpy as np
from numpy.typing import NDArray

from .execution import Execution
from .problem import Problem, posed
from .results import Run
from .vectors import Matrix, check_count

# Sums over rows are formed a group at a time, and those of a slab of groups before they are added
# up: an order that is the same whatever is read at a time and by whom.
_GROUP = 16
_SLABS = 16
_SMALLEST_SLAB = 1024
# Of what may be read at a time: there are up to four float64 arrays of that shape besides.
_READ_SHARE = 4
_NEGLIGIBLE = 2.0**-255  # whose fourth power is the least that float64 holds in full


@dataclass(frozen=True, eq=False)
class BasisAlignment:
    """How each direction lies to the coordinate axes.

    Attributes
    ----------
    cosines : ndarray of float64, shape (n,)
        Cosine with the nearest axis, with its sign; NaN where a row of zeros is left out.
    axes : ndarray of int64, shape (n,)
        That axis, of equally near ones the lowest; -1 where a row is left out.
    participation : ndarray of float64, shape (n,)
        1 / sum_k u_k^4, between 1 (one axis) and d (all alike); NaN where a row is left out.
    dimensions : int
        d.
    run : Run
        Facts about the run.
    """

    cosines: NDArray[np.float64]
    axes: NDArray[np.int64]
    participation: NDArray[np.float64]
    dimensions: int
    run: Run = field(default=Run(), repr=False)

    @property
    def expected_cosine(self) -> float:
        """The mean of |cos| with the nearest axis over uniformly random directions, exact.

        E max_k |g_k| / E |g| of a standard normal vector g, evaluated by quadrature to 1e-12; see
        `superpos_fast.capacity.tails.mean_largest_entry`.
        """
        from .capacity.tails import mean_largest_entry

        return mean_largest_entry(self.dimensions)

    @property
    def expected_participation(self) -> float:
        """The harmonic mean of `participation` over uniformly random directions, exact.

        It is 1 / E sum_k u_k^4 = (d + 2) / 3, as E u_k^4 = 3 / (d (d + 2)).  The arithmetic mean
        lies above it, by a share that tends to 8 / (3 d) as d grows.
        """
        return (self.dimensions + 2) / 3

    def __str__(self) -> str:
        cosine = np.nanmedian(np.abs(self.cosines))
        spread = np.nanmedian(self.participation)
        return (
            f"{len(self.axes)} directions in {self.dimensions} dimensions, half of them over "
            f"{spread:.4g} axes or more (random {self.expected_participation:.4g}), |cos| with the "
            f"nearest {cosine:.4g} (random {self.expected_cosine:.4g})"
        )


@dataclass(frozen=True, eq=False)
class Neurons:
    """Which features each coordinate takes part in.

    Attributes
    ----------
    participation : ndarray of float64, shape (d,)
        (sum_i u_ik^2)^2 / sum_i u_ik^4, between 1 (one feature) and n (all alike); NaN where the
        coordinate is 0 in all of them.
    features : ndarray of int64, shape (d, top)
        The features with the largest |u_ik|, in falling order, of equal ones the lowest first; -1
        where fewer than `top` are not 0.
    weights : ndarray of float64, shape (d, top)
        Their u_ik, with sign; 0 beside a -1.
    count : int
        Features that are not left out.
    run : Run
        Facts about the run.
    """

    participation: NDArray[np.float64]
    features: NDArray[np.int64]
    weights: NDArray[np.float64]
    count: int
    run: Run = field(default=Run(), repr=False)

    @property
    def expected_participation(self) -> float:
        """The mean of `participation` over n independent uniformly random directions, for large n.

        n m1^2 / m2 + 1 - 2 m1 m3 / m2^2 + m1^2 m4 / m2^3 with the exact moments m_j = E u^(2j)
        (m1 = 1 / d, m2 = 3 / (d (d + 2)), ...): n (d + 2) / (3 d) and the next term, at most 14/9,
        of the mean's expansion in 1 / n.  What is left out falls as 1 / n.
        """
        d = len(self.participation)
        next_term = 1 - 10 / 3 * (d + 2) / (d + 4) + 35 / 9 * (d + 2) ** 2 / ((d + 4) * (d + 6))
        return self.count * (d + 2) / (3 * d) + next_term

    def __str__(self) -> str:
        return (
            f"{len(self.participation)} neurons, half of them shared by "
            f"{np.nanmedian(self.participation):.4g} of {self.count} features or more "
            f"(random {self.expected_participation:.4g})"
        )


def basis_alignment(
    vectors: Matrix, *, zero: Literal["raise", "skip"] = "raise", **execution: Unpack[Execution]
) -> BasisAlignment:
    """Return how near each vector is to a coordinate axis, and over how many it is spread.

    Is a feature nearly dedicated to one neuron, or made of many?

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        One vector a row, at least two; what `coherence` takes.
    zero : {"raise", "skip"}
        What to do with a row of zeros: refuse it, or leave it out (NaN and -1 in its place).
    **execution
        How to compute, never what (see `Execution`).  There are no pairs: `progress` is not called.

    Returns
    -------
    BasisAlignment
        With u = x / |x|, for each row the u_k of largest magnitude, its k, and 1 / sum_k u_k^4;
        and what random directions would have.

    Raises
    ------
    TypeError, ValueError
        As `coherence` does.

    Notes
    -----
    Float64 arithmetic on rows scaled by a power of two, row by row: the same answer to the bit for
    all threads, memory caps and backends, its relative error at most about (d/4 + 48) 2^-53.  A row
    along an axis has exactly 1 and 1.  Takes O(n d) operations, each row read twice.

    References
    ----------
    The participation ratio of a direction: R. J. Bell & P. Dean, "Atomic vibrations in vitreous
    silica", Discussions of the Faraday Society 50 (1970) 55-61.

    Examples
    --------
    >>> from superpos_fast.alignment import basis_alignment
    >>> found = basis_alignment([[0, 0, -2], [1, 1, 1]])
    >>> found.axes
    array([2, 0])
    >>> found.cosines.round(3)
    array([-1.   ,  0.577])
    >>> found.participation
    array([1., 3.])
    """
    with posed(vectors, None, zero, execution) as problem:
        problem.book.unused()
        count = problem.plan.rows
        cosines, participation = np.empty((2, count))
        axes = np.empty(count, np.int64)

        def look(rows: range) -> None:
            place = slice(rows.start, rows.stop)
            scaled, squares = _scaled(problem, rows)
            squares[squares == 0.0] = np.nan
            axes[place] = np.abs(scaled).argmax(axis=1)
            nearest = scaled[np.arange(len(rows)), axes[place]]
            cosines[place] = nearest / np.sqrt(squares)
            scaled *= scaled
            scaled *= scaled
            participation[place] = squares * squares / scaled.sum(axis=1)

        problem.crew.each(look, _blocks(range(count), max(1, _read_rows(problem))))
        axes[np.isnan(cosines)] = -1
        np.clip(participation, 1.0, problem.depth, out=participation)
        return BasisAlignment(cosines, axes, participation, problem.depth, _facts(problem))


def neurons(
    vectors: Matrix,
    *,
    top: SupportsIndex = 5,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> Neurons:
    """Return how many features share each coordinate, and its strongest ones.

    Is a neuron clean, or polysemantic?

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        One feature a row, one neuron a column, at least two rows; what `coherence` takes.
    top : int
        How many features to name for each neuron, from 1 to n.
    zero : {"raise", "skip"}
        What to do with a row of zeros: refuse it, or leave it out.
    **execution
        How to compute, never what (see `Execution`).  There are no pairs: `progress` is not called.

    Returns
    -------
    Neurons
        With unit rows u_i, for each column k the ratio (sum_i u_ik^2)^2 / sum_i u_ik^4, and its
        `top` entries of largest magnitude; and what random directions would have.

    Raises
    ------
    TypeError, ValueError
        As `coherence` does, and for a `top` that is not a whole number from 1 to n.

    Notes
    -----
    Float64 arithmetic on rows scaled by a power of two and divided by their length; sums over rows
    in groups of 16, these in up to 16 slabs, one after the other: the same answer to the bit for
    all threads, memory caps and backends, the sums' relative error at most about
    (n/256 + d/4 + 128) 2^-53.  Entries below 2^-255 of their row's length count as 0.  Takes
    O(n d) operations, each row read twice, and room for up to 16 times the answer, whatever n.

    Examples
    --------
    >>> from superpos_fast.alignment import neurons
    >>> found = neurons([[1, 0, 0], [1, 0, 0], [-3, 4, 0]], top=2)
    >>> found.participation.round(2)
    array([2.62, 1.  ,  nan])
    >>> found.features
    array([[ 0,  1],
           [ 2, -1],
           [-1, -1]])
    >>> found.weights[1]
    array([0.8, 0. ])
    """
    most = check_count(top, "top", 1)
    with posed(vectors, None, zero, execution) as problem:
        problem.book.unused()
        count = problem.plan.rows
        if most > count:
            raise ValueError(f"top: must be at most {count}, the number of rows, got {most}")
        slabs = _blocks(range(count), max(_SMALLEST_SLAB, -(-count // _SLABS)))
        step = max(1, _read_rows(problem) // _GROUP) * _GROUP
        tallies: dict[int, _Tally] = {}

        def look(slab: range) -> None:
            tally = tallies[slab.start] = _Tally(problem.depth, most)
            for rows in _blocks(slab, step):
                tally.add(_unit_rows(problem, rows), rows.start)

        problem.crew.each(look, slabs)
        whole = _Tally(problem.depth, most)
        for start in sorted(tallies):
            whole.merge(tallies.pop(start))
        kept = problem.rows.kept
        return Neurons(
            whole.participation(kept), whole.features, whole.weights, kept, _facts(problem)
        )


class _Tally:
    """What some of the rows, added in rising order, say of every column."""

    def __init__(self, depth: int, top: int) -> None:
        self._second, self._fourth = np.zeros((2, depth))
        self.features = np.full((depth, top), -1, np.int64)
        self.weights = np.zeros((depth, top))

    def add(self, units: Any, first: int) -> None:
        """Add unit rows from the `first` on: whole groups, filled up with zeros."""
        self._rank(units, first)
        for total in (self._second, self._fourth):
            units *= units
            for group in units.reshape(-1, _GROUP, len(total)).sum(axis=1):
                total += group

    def merge(self, later: _Tally) -> None:
        """Add what rows further down say."""
        self._second += later._second
        self._fourth += later._fourth
        weights = np.concatenate([self.weights, later.weights], axis=1)
        features = np.concatenate([self.features, later.features], axis=1)
        best = np.argsort(-np.abs(weights), axis=1, kind="stable")[:, : self.weights.shape[1]]
        self.weights = np.take_along_axis(weights, best, axis=1)
        self.features = np.take_along_axis(features, best, axis=1)

    def participation(self, count: int) -> Any:
        """Return the participation ratio of every column over `count` rows."""
        fourth = np.where(self._fourth > 0.0, self._fourth, np.nan)
        return np.clip(self._second * self._second / fourth, 1.0, count)

    def _rank(self, units: Any, first: int) -> None:
        """Let entries stronger than a column's weakest into its list."""
        top = self.weights.shape[1]
        stronger = np.abs(units) > np.abs(self.weights[:, -1])
        columns = np.flatnonzero(stronger.any(axis=0))
        if not len(columns):
            return
        rows, places = np.nonzero(stronger[:, columns])
        weights = np.concatenate([self.weights[columns].ravel(), units[rows, columns[places]]])
        features = np.concatenate([self.features[columns].ravel(), first + rows])
        places = np.concatenate([np.repeat(np.arange(len(columns)), top), places])
        # A stable sort: of equal weights those that came earlier, which have the lower rows.
        order = np.lexsort((-np.abs(weights), places))
        starts = np.searchsorted(places[order], np.arange(len(columns)))
        best = order[starts[:, None] + np.arange(top)]
        self.weights[columns], self.features[columns] = weights[best], features[best]


def _blocks(rows: range, step: int) -> Iterator[range]:
    """Yield the rows a `step` at a time."""
    return (rows[start : start + step] for start in range(0, len(rows), step))


def _read_rows(problem: Problem) -> int:
    return problem.plan.read_rows // _READ_SHARE


def _scaled(problem: Problem, rows: range) -> tuple[Any, Any]:
    """Return rows times their powers of two, and their squared lengths, which are copies."""
    vectors, place = problem.rows, slice(rows.start, rows.stop)
    block = vectors.read(rows.start, rows.stop)
    scaled = problem.kernels.scale(block, vectors.exponents[place])
    return scaled[:, : problem.depth], vectors.squares[place].copy()


def _unit_rows(problem: Problem, rows: range) -> Any:
    """Return whole groups of unit rows: zeros at the end, and where a row is left out."""
    scaled, squares = _scaled(problem, rows)
    squares[squares == 0.0] = np.inf
    units = np.zeros((-(-len(rows) // _GROUP) * _GROUP, problem.depth))
    np.divide(scaled, np.sqrt(squares)[:, None], out=units[: len(rows)])
    units *= np.abs(units) >= _NEGLIGIBLE
    return units


def _facts(problem: Problem) -> Run:
    """Return facts about a run that is about vectors, not about pairs."""
    return replace(problem.facts(), pairs=0)
