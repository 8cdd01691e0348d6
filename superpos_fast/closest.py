"""The closest vectors: of all, of each, and what follows from them."""

from __future__ import annotations

import contextlib
import math
from typing import Any, Literal, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from .division import divisible
from .execution import Execution
from .problem import Problem, posed
from .ranking import Ranking, list_blocks
from .results import Coherence, Nearest, Overlap
from .run import reduce_pairs
from .vectors import Matrix, check_count, check_flag

_MOST_NEIGHBOURS = 1024


@overload
def coherence(
    vectors: Matrix,
    other: Matrix | None = None,
    *,
    signed: bool = False,
    return_pair: Literal[False] = False,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> float: ...


@overload
def coherence(
    vectors: Matrix,
    other: Matrix | None = None,
    *,
    signed: bool = False,
    return_pair: Literal[True],
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> Coherence: ...


@overload
def coherence(
    vectors: Matrix,
    other: Matrix | None = None,
    *,
    signed: bool = False,
    return_pair: bool,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> float | Coherence: ...


@divisible
def coherence(
    vectors: Matrix,
    other: Matrix | None = None,
    *,
    signed: bool = False,
    return_pair: bool = False,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> float | Coherence:
    """Return the largest |cosine| between any two vectors: the mutual coherence.

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        One vector a row: anything NumPy sees as a real matrix, or a tensor of torch or JAX on the
        host (DLPack) or on an NVIDIA device (DLPack, ``__cuda_array_interface__``).  float16,
        bfloat16, float32, float64 and integers up to 2^53 are read as they are, in any memory
        layout, without a copy of the whole.
    other : array_like, shape (m, d), optional
        Compare every row of `vectors` with every row of `other` instead.
    signed : bool
        Take the largest cosine instead of the largest magnitude.
    return_pair : bool
        Return a `Coherence` with the pair of rows instead of the bare number.
    zero : {"raise", "skip"}
        What to do with a row of zeros, which has no direction: refuse it, or leave it out (the
        other rows keep their indices).
    **execution
        How to compute, never what: none of these changes the answer (see `Execution`).
        ``threads``: how many, default what the process may use.  ``memory``: cap in bytes, or as
        "2GiB", on what is allocated beyond the input, default max(256 MiB, 64 bytes a row); one
        far below the input's size costs speed.  ``progress``: True for a bar, or a function of
        (pairs done, pairs in all).  ``backend``: "auto", "cpu", "cuda" or "reference";
        ``devices``: numbers of NVIDIA devices.
        ``screen``: "auto", "deterministic" or "off" (see Notes); ``screen_seed``: of its draws.
        ``checkpoint``: a file that a run goes on from; ``shard``: (k, K), one share of the pairs,
        for `merge`; ``tensor``: which one of a file that has several.

    Returns
    -------
    float or Coherence
        max over i < j (with `other`: all i, j) of |<x_i, x_j>| / (|x_i| |x_j|), between 0 and 1;
        with ``signed=True`` of the cosine itself, between -1 and 1.

    Raises
    ------
    TypeError
        For complex numbers, objects, long doubles, masked entries, or an unknown keyword.
    ValueError
        For a wrong shape, NaN or infinity, a zero row, integers beyond 2^53, or a memory cap too
        small to work in; the message names the argument, the requirement and what came.

    Notes
    -----
    The answer is exact in this sense: cosines are defined by float64 arithmetic in a fixed order
    (rows scaled by a power of two; products rounded and summed in eight lanes k mod 8, the lanes
    in a tree; dot / sqrt(q_i q_j), clipped to [-1, 1]), whose distance from the cosine of the
    given numbers is at most about (d/4 + 12) 2^-53.  Every pair is screened in float32 with a
    proven error bound, and the pairs too close to call are decided in that arithmetic.  The value
    is that of the true maximiser, of equal ones the lowest (i, j), and it does not depend on
    threads, memory, tiles or backend.  Equal rows give exactly 1.

    Before that, where a sample of the rows promises that it pays, pairs are ruled out by products
    of codes of 8 bits and fewer.  With ``screen="auto"`` rows are coded by stochastic rounding: a
    unit row x becomes a = x + e, e of mean 0 with independent entries in intervals of a step s, and
    <a, b> - <x, y> = <e, y> + <a, e'> exceeds f (s |y| + s' |a|) with a probability of at most
    4 exp(-2 f^2) (Hoeffding 1963); f is such that over all pairs these add up to 1e-12, which
    ``.run.failure`` reports.  That is over draws of the library's own (another ``screen_seed``
    makes others), whatever the data, if these were chosen without knowledge of the seed.
    ``screen="deterministic"`` rounds to nearest, and bounds the difference for certain by the
    lengths of e and e'; ``screen="off"`` takes no codes.

    On NVIDIA devices (``backend="cuda"``) pairs are ruled out by products of float16 on the tensor
    cores, with a bound from what rounding took from each row and from a model of how these cores
    add (`superpos_fast.screening.half_constant`): no probability, but no theorem either.
    ``screen="deterministic"`` and ``"off"`` take float32 products only, whose bound is a theorem.
    (With ``"auto"`` those of more than 512 entries are bounded as sums of parts, each added up by
    itself, which cuBLAS does not promise.)

    Takes n (n - 1) d floating-point operations (with `other` 2 n m d) at close to the processor's
    multiply-add peak, with codes at two to three times that, and at most ``memory`` bytes beside
    the input, whatever n.

    Examples
    --------
    >>> import superpos_fast
    >>> superpos_fast.coherence([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    0.7071067811865475
    >>> found = superpos_fast.coherence([[1, 0], [0, 2], [-3, 0]], return_pair=True)
    >>> found.value, found.i, found.j, found.angle
    (1.0, 0, 2, 0.0)
    """
    magnitude = not check_flag(signed, "signed")
    pair = check_flag(return_pair, "return_pair")
    with posed(vectors, other, zero, execution, lambda n, m: Ranking.demand(1)) as problem:
        ranking = _ranked(problem, 1, "all", magnitude)
        (i,), (j,), (cosine,) = ranking.pairs(problem.kernels)
        value = abs(cosine) if magnitude else cosine
        found = Coherence(float(value), int(i), int(j), problem.facts())
    return found if pair else found.value


def _ranked(
    problem: Problem, k: int, per: Literal["all", "rows", "both"], magnitude: bool
) -> Ranking:
    """Return the k best pairs of all, or of each vector."""
    ranking = Ranking(
        problem.rows, problem.columns, problem.plan.triangle, k=k, per=per, magnitude=magnitude
    )
    reduce_pairs(problem, ranking)
    return ranking


@overload
def nearest(
    vectors: Matrix,
    other: Matrix | None = None,
    *,
    k: int = 1,
    signed: bool = False,
    return_both: Literal[False] = False,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> Nearest: ...


@overload
def nearest(
    vectors: Matrix,
    other: Matrix,
    *,
    k: int = 1,
    signed: bool = False,
    return_both: Literal[True],
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> tuple[Nearest, Nearest]: ...


@divisible
def nearest(
    vectors: Matrix,
    other: Matrix | None = None,
    *,
    k: int = 1,
    signed: bool = False,
    return_both: bool = False,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> Nearest | tuple[Nearest, Nearest]:
    """Return the k vectors closest to each vector, by the magnitude of the cosine.

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        One vector a row, as for `coherence`.
    other : array_like, shape (m, d), optional
        Where to look for neighbours instead of among `vectors`.
    k : int
        How many, 1 to 1024, and no more than there are.
    signed : bool
        Rank by the cosine itself, not its magnitude.
    return_both : bool
        With `other`: return the neighbours of the rows of `other` among `vectors` too, from the
        same pass.
    zero : {"raise", "skip"}
        Refuse rows of zeros, or leave them out: their own results are NaN and -1.
    **execution
        How to compute, never what (see `Execution`); with ``checkpoint`` it can be stopped and goes
        on, with ``shard`` it is one share of the work, for `merge`.

    Returns
    -------
    Nearest, or two of them with ``return_both=True``
        ``cosines``, float64, and ``indices``, int64, of shape (n, k): best first, equal ones by
        the lowest index; cosines with their sign.  A vector is not its own neighbour; a duplicate
        of it is.

    Raises
    ------
    TypeError, ValueError
        As for `coherence`; and if k is beyond the number of possible neighbours.

    Notes
    -----
    Exact, as `coherence` is: values and indices are those of the float64 cosines, whatever the
    threads, memory and backend.  Takes n (n - 1) d operations (with `other` 2 n m d), plus about
    n k ln(n / k) cosines in float64; ``memory`` does not count the result itself.

    Examples
    --------
    >>> import superpos_fast
    >>> found = superpos_fast.nearest([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    >>> found.indices.ravel().tolist(), found.cosines.round(4).ravel().tolist()
    ([2, 2, 0], [-0.7071, -0.7071, -0.7071])
    """
    magnitude = not check_flag(signed, "signed")
    both = check_flag(return_both, "return_both")
    if both and other is None:
        raise ValueError("return_both: must come with other, got vectors alone")
    check_count(k, "k", 1, _MOST_NEIGHBOURS)
    with posed(vectors, other, zero, execution, lambda n, m: Ranking.demand(k)) as problem:
        _check_neighbours(problem, k, both)
        per: Literal["rows", "both"] = "both" if both or problem.plan.triangle else "rows"
        ranking = _ranked(problem, k, per, magnitude)
        run = problem.facts()
        found = []
        for side in range(2 if both else 1):
            cosines, indices = map(problem.lay, ranking.ranked(problem.kernels, side))
            found.append(Nearest(cosines, indices, run))
    return (found[0], found[1]) if both else found[0]


def _check_neighbours(problem: Problem, k: int, both: bool) -> None:
    there = problem.columns.kept - 1 if problem.plan.triangle else problem.columns.kept
    if both:
        there = min(there, problem.rows.kept)
    if k > there:
        raise ValueError(f"k: must be at most {there}, the number of possible neighbours, got {k}")


@divisible
def babel(
    vectors: Matrix,
    k: int,
    *,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> NDArray[np.float64]:
    """Return the Babel function mu_1(1), ..., mu_1(k) of a dictionary.

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        One vector (atom) a row, as for `coherence`.
    k : int
        How many values, 1 to 1024 and at most n - 1.
    zero : {"raise", "skip"}
        Refuse rows of zeros, or leave them out.
    **execution
        How to compute, never what (see `Execution`); with ``checkpoint`` it can be stopped and goes
        on, with ``shard`` it is one share of the work, for `merge`.

    Returns
    -------
    ndarray of float64, shape (k,)
        mu_1(m) = max over i of the largest sum of m of the |cos(x_i, x_j)|, j != i; mu_1(1) is the
        mutual coherence.

    Raises
    ------
    TypeError, ValueError
        As for `nearest`.

    Notes
    -----
    Tropp, "Greed is good: algorithmic results for sparse approximation", IEEE Trans. Inf. Theory
    50 (2004): recovery of every m-sparse combination is certain while mu_1(m - 1) + mu_1(m) < 1.
    The cosines are those of `nearest`, exact; each sum adds them in descending order.  Holds
    16 n k bytes.

    Examples
    --------
    >>> import superpos_fast
    >>> superpos_fast.babel([[1.0, 0.0], [0.0, 1.0], [3.0, 4.0]], 2).tolist()
    [0.8, 1.4]
    """
    check_count(k, "k", 1, _MOST_NEIGHBOURS)
    with posed(
        vectors, None, zero, execution, lambda n, m: Ranking.demand(k, 16 * n * k)
    ) as problem:
        _check_neighbours(problem, k, False)
        cosines, _ = _ranked(problem, k, "both", True).ranked(problem.kernels)
        largest = np.zeros(k)
        for some in list_blocks(cosines):
            kept = np.abs(cosines[some][problem.rows.squares[some] > 0.0])
            np.maximum(largest, np.cumsum(kept, axis=1).max(axis=0, initial=0.0), out=largest)
        found: NDArray[np.float64] = problem.lay(largest)
        return found


@divisible
def mmcs(
    a: Matrix,
    b: Matrix,
    *,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> Overlap:
    """Return the mean of each vector's largest |cos| with another set: how alike two sets are.

    Parameters
    ----------
    a, b : array_like, shapes (n, d) and (m, d)
        One vector a row, as for `coherence`.
    zero : {"raise", "skip"}
        Refuse rows of zeros, or leave them out.
    **execution
        How to compute, never what (see `Execution`); with ``checkpoint`` it can be stopped and goes
        on, with ``shard`` it is one share of the work, for `merge`.

    Returns
    -------
    Overlap
        ``a_to_b``, the mean over the rows of `a` of max_j |cos(a_i, b_j)|, and ``b_to_a``.

    Raises
    ------
    TypeError, ValueError
        As for `coherence`.

    Notes
    -----
    The mean max cosine similarity of Sharkey, Braun & Millidge, "Taking features out of
    superposition with sparse autoencoders" (2022), here of magnitudes and in both directions from
    one pass.  The maxima are exact; their mean is rounded once.

    Examples
    --------
    >>> import superpos_fast
    >>> superpos_fast.mmcs([[1.0, 0.0], [0.0, 1.0]], [[0.0, 2.0]])
    Overlap(a_to_b=0.5, b_to_a=1.0)
    """
    with _two_sets(a, b, zero, execution) as problem:
        ranking = _ranked(problem, 1, "both", True)
        there, back = (mean_of_best(ranking.ranked(problem.kernels, side)[0]) for side in range(2))
        return Overlap(there, back, problem.facts())


def mean_of_best(cosines: NDArray[np.float64]) -> float:
    """Return the mean of each row's first |cos|, rounded once, without rows that are left out."""
    best = np.abs(cosines[:, 0])
    best = best[~np.isnan(best)]
    return math.fsum(best) / len(best)


@divisible
def mutual_nearest(
    a: Matrix,
    b: Matrix,
    *,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> NDArray[np.int64]:
    """Return the pairs of vectors of two sets that are each other's nearest, by |cos|.

    Parameters
    ----------
    a, b : array_like, shapes (n, d) and (m, d)
        One vector a row, as for `coherence`.
    zero : {"raise", "skip"}
        Refuse rows of zeros, or leave them out.
    **execution
        How to compute, never what (see `Execution`); with ``checkpoint`` it can be stopped and goes
        on, with ``shard`` it is one share of the work, for `merge`.

    Returns
    -------
    ndarray of int64, shape (pairs, 2)
        Rows (i, j), i ascending: b_j is nearest to a_i (the lowest of equals), and a_i to b_j.

    Raises
    ------
    TypeError, ValueError
        As for `coherence`.

    Examples
    --------
    >>> import superpos_fast
    >>> superpos_fast.mutual_nearest([[1, 0], [1, 1]], [[0, 1], [1, 2]]).tolist()
    [[1, 1]]
    """
    with _two_sets(a, b, zero, execution) as problem:
        ranking = _ranked(problem, 1, "both", True)
        pairs = mutual_of(*(ranking.ranked(problem.kernels, side)[1] for side in range(2)))
        found: NDArray[np.int64] = problem.lay(pairs)
        return found


def mutual_of(there: NDArray[np.int64], back: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the pairs of rows that are each other's first, given the neighbours of both sets."""
    first = there[:, 0]
    i = np.flatnonzero(first >= 0)
    i = i[back[first[i], 0] == i]
    return np.stack([i, first[i]], axis=1)


def _two_sets(
    a: Any, b: Any, zero: str, execution: Execution
) -> contextlib.AbstractContextManager[Problem]:
    if b is None:
        raise TypeError("b: must be a matrix, got None")
    return posed(a, b, zero, execution, lambda n, m: Ranking.demand(1, 16 * (n + m)), ("a", "b"))
