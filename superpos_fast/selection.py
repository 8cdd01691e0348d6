"""Pairs chosen by a threshold or by rank: listed, counted, or ruled out."""

from __future__ import annotations

from typing import Any, Literal, SupportsFloat, Unpack, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .angles import above, one_threshold, threshold_cosines
from .division import divisible
from .execution import Execution, check_keywords
from .plan import Demand
from .problem import Problem, posed
from .ranking import Ranking
from .reached import reaching
from .reductions import Counts
from .results import Pairs, Tolerance
from .run import reduce_pairs
from .vectors import Matrix, check_count, check_flag

_MOST_PAIRS = 2**40
# Of the memory cap, for each pair of a result without a limit of its own: what the pair holds while
# it is gathered and sorted.
_BYTES_PER_PAIR = 64


@overload
def count(
    vectors: Matrix,
    other: Matrix | None = None,
    *,
    cosine: SupportsFloat | None = None,
    angle: SupportsFloat | None = None,
    signed: bool = False,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> int: ...


@overload
def count(
    vectors: Matrix,
    other: Matrix | None = None,
    *,
    cosine: ArrayLike | None = None,
    angle: ArrayLike | None = None,
    signed: bool = False,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> int | NDArray[np.int64]: ...


@divisible
def count(
    vectors: Matrix,
    other: Matrix | None = None,
    *,
    cosine: Any = None,
    angle: Any = None,
    signed: bool = False,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> int | NDArray[np.int64]:
    """Return how many pairs of vectors are at least so close, for one threshold or many.

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        One vector a row, as for `coherence`.
    other : array_like, shape (m, d), optional
        Pair every row of `vectors` with every row of `other` instead.
    cosine : float or array_like
        Count pairs with |cos| >= this, 0 to 1 (`signed`: cos >= this, -1 to 1).
    angle : float or array_like
        Or: count pairs whose lines meet at so many degrees or fewer, 0 to 90 (`signed`: vectors
        that are no further apart, 0 to 180).  Exact at 0, 60, 90, 120 and 180 degrees.
    signed : bool
        Compare cosines with their sign.
    zero : {"raise", "skip"}
        Refuse rows of zeros, or leave them out.
    **execution
        How to compute, never what (see `Execution`); with ``checkpoint`` it can be stopped and goes
        on, with ``shard`` it is one share of the work, for `merge`.

    Returns
    -------
    int, or ndarray of int64 in the shape of an array of thresholds
        Exact: the number of float64 cosines that reach the threshold.

    Raises
    ------
    TypeError, ValueError
        As for `coherence`; and unless exactly one kind of threshold is given, within its limits.

    Notes
    -----
    One pass for all thresholds, n (n - 1) d operations (with `other` 2 n m d).  A pair closer to a
    threshold than float32 can tell is decided in float64.

    Examples
    --------
    >>> import superpos_fast
    >>> superpos_fast.count([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], angle=60)
    2
    >>> superpos_fast.count([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], cosine=[0.0, 0.9]).tolist()
    [3, 0]
    """
    check_keywords(execution)
    magnitude = not check_flag(signed, "signed")
    thresholds = threshold_cosines(cosine, angle, signed)
    demand = Counts.demand(thresholds.size, selective=True)
    with posed(vectors, other, zero, execution, lambda n, m: demand) as problem:
        counts: NDArray[np.int64] = reaching(problem, thresholds, magnitude)
        return problem.lay(counts) if counts.ndim else int(counts)


@divisible
def pairs(
    vectors: Matrix,
    other: Matrix | None = None,
    *,
    cosine: SupportsFloat | None = None,
    angle: SupportsFloat | None = None,
    top: int | None = None,
    signed: bool = False,
    limit: int | None = None,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> Pairs:
    """Return the pairs of vectors that are at least so close, or the closest ones.

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        One vector a row, as for `coherence`.
    other : array_like, shape (m, d), optional
        Pair every row of `vectors` with every row of `other` instead.
    cosine : float
        All pairs with |cos| >= this, 0 to 1 (`signed`: cos >= this, -1 to 1).
    angle : float
        Or: all pairs whose lines meet at so many degrees or fewer, 0 to 90 (`signed`: vectors that
        are no further apart, 0 to 180).
    top : int
        Or: so many best pairs of all, exactly.
    signed : bool
        Compare cosines with their sign.
    limit : int, optional
        The most pairs to return; default the memory cap over 64 bytes.
    zero : {"raise", "skip"}
        Refuse rows of zeros, or leave them out.
    **execution
        How to compute, never what (see `Execution`); with ``checkpoint`` it can be stopped and goes
        on, with ``shard`` it is one share of the work, for `merge`.

    Returns
    -------
    Pairs
        ``i``, ``j`` (int64; i < j without `other`) and ``cosine`` (float64, with its sign), sorted
        by |cos| (`signed`: cos) descending, then (i, j).

    Raises
    ------
    TypeError, ValueError
        As for `count`; and if more pairs than `limit` qualify: the message tells how many.

    Notes
    -----
    Exact, whatever the threads, memory and backend.  Takes n (n - 1) d operations (with `other`
    2 n m d), plus one cosine in float64 for each pair.

    Examples
    --------
    >>> import superpos_fast
    >>> found = superpos_fast.pairs([[1.0, 0.0], [0.0, 1.0], [-3.0, -4.0]], angle=60)
    >>> found.i.tolist(), found.j.tolist(), found.cosine.tolist()
    ([1, 0], [2, 2], [-0.8, -0.6])
    """
    magnitude = not check_flag(signed, "signed")
    if limit is not None:
        check_count(limit, "limit", 0, _MOST_PAIRS)
    if top is None:
        threshold = one_threshold(cosine, angle, signed)
        with posed(vectors, other, zero, execution, lambda n, m: Counts.demand(1, True)) as problem:
            found = _above(problem, threshold, magnitude, _limit(problem, limit))
            return _sorted_pairs(problem, found, magnitude)
    if cosine is not None or angle is not None:
        raise ValueError("top: must come without cosine and angle, got both")
    check_count(top, "top", 1, _MOST_PAIRS)

    def demand(rows: int, columns: int) -> Demand:
        return Ranking.demand_of_all(min(top, rows * columns))

    with posed(vectors, other, zero, execution, demand) as problem:
        found = _best(problem, top, magnitude, _limit(problem, limit))
        return _sorted_pairs(problem, found, magnitude)


def _sorted_pairs(problem: Problem, found: Any, magnitude: bool) -> Pairs:
    i, j, cosines = found
    order = np.lexsort((j, i, -(np.abs(cosines) if magnitude else cosines)))
    i, j, cosines = (problem.lay(part[order]) for part in found)
    return Pairs(i, j, cosines, problem.facts())


def _limit(problem: Problem, limit: int | None) -> int:
    return problem.memory // _BYTES_PER_PAIR if limit is None else limit


def _check_limit(there: int, limit: int) -> None:
    if there > limit:
        raise ValueError(f"limit: must be at least {there}, the number of pairs, got {limit}")


def _above(problem: Problem, threshold: float, magnitude: bool, limit: int) -> Any:
    # What every pair reaches is no question for a screen.
    threshold = threshold if threshold > (0.0 if magnitude else -1.0) else -2.0
    reduction = Counts(np.array([threshold]), magnitude=magnitude, listed=(1,), limit=limit)
    if threshold < -1.0:
        _check_limit(problem.pairs, limit)
    reduce_pairs(problem, reduction)
    _check_limit(int(reduction.reaching()[0]), limit)
    return reduction.gathered()


def _best(problem: Problem, top: int, magnitude: bool, limit: int) -> Any:
    if top > problem.pairs:
        raise ValueError(f"top: must be at most {problem.pairs}, the number of pairs, got {top}")
    _check_limit(top, limit)
    ranking = Ranking(
        problem.rows, problem.columns, problem.plan.triangle, k=top, per="all", magnitude=magnitude
    )
    reduce_pairs(problem, ranking)
    return ranking.pairs(problem.kernels)


@divisible
def within_tolerance(
    vectors: Matrix,
    other: Matrix | None = None,
    *,
    cosine: SupportsFloat | None = None,
    angle: SupportsFloat | None = None,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> Tolerance:
    """Return whether all vectors are nearly perpendicular: no two lines closer than a tolerance.

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        One vector a row, as for `coherence`.
    other : array_like, shape (m, d), optional
        Hold every row of `vectors` against every row of `other` instead.
    cosine : float
        The largest |cos| that is tolerated, 0 to 1.
    angle : float
        Or: the smallest angle between lines that is tolerated, 0 to 90 degrees.
    zero : {"raise", "skip"}
        Refuse rows of zeros, or leave them out.
    **execution
        How to compute, never what (see `Execution`); with ``checkpoint`` it can be stopped and goes
        on, with ``shard`` it is one share of the work, for `merge`.

    Returns
    -------
    Tolerance
        True in an ``if`` when every |cos| <= the tolerance's cosine.  If not, ``i``, ``j`` and
        ``cosine`` are a pair that breaks it: the first that was found, unspecified which.

    Raises
    ------
    TypeError, ValueError
        As for `coherence`; and unless exactly one tolerance is given, within its limits.

    Notes
    -----
    At most n (n - 1) d operations (with `other` 2 n m d); stops at the first witness.

    Examples
    --------
    >>> import superpos_fast
    >>> bool(superpos_fast.within_tolerance([[1.0, 0.0], [0.05, 1.0]], angle=85))
    True
    >>> superpos_fast.within_tolerance([[1.0, 0.0], [-0.6, 0.8]], cosine=0.5)
    Tolerance(holds=False, i=0, j=1, cosine=-0.6)
    """
    check_keywords(execution)
    tolerated = one_threshold(cosine, angle, False)
    with posed(vectors, other, zero, execution, lambda n, m: Counts.demand(1, True)) as problem:
        if tolerated >= 1.0:
            return Tolerance(True, run=problem.facts())
        reduction = Counts(
            np.array([above(tolerated)]),
            magnitude=True,
            listed=(1,),
            limit=_MOST_PAIRS,
            first_only=True,
        )
        reduce_pairs(problem, reduction)
        i, j, cosines = reduction.gathered()
        if not len(i):
            return Tolerance(True, run=problem.facts())
        return Tolerance(False, int(i[0]), int(j[0]), float(cosines[0]), problem.facts())
