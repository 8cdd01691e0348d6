"""Two sets of vectors matched one to one, as closely as can be, with a proof."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal, Unpack

import numpy as np

from .assignment import Assignment, Candidates
from .backends import choose_host_kernels
from .execution import Execution, check_keywords, resources
from .floating import ieee_mode
from .plan import Demand
from .problem import Problem, posed
from .protocols import HostKernels
from .ranking import Ranking
from .results import Certificate, Match
from .run import reduce_pairs
from .vectors import Matrix, as_source, check_count, check_flag, reordered
from .violations import Violations, ranked_pairs

_MOST_CANDIDATES = 1024
# Where more than one row in so many is left alone, candidates are crowded on a few columns.
_CROWDED = 8
# Duals, places and partners of a vector, and orders while they are found.
_LINE_BYTES = 120


def match(
    a: Matrix,
    b: Matrix,
    *,
    signed: bool = False,
    k: int = 16,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> Match:
    """Return the best one-to-one assignment between two sets of vectors, and a proof that it is.

    Which feature of one dictionary is which of another?  `mutual_nearest` leaves out whoever's
    nearest is taken; here min(n, m) pairs are made whose |cos| add up to the most.

    Parameters
    ----------
    a, b : array_like, shapes (n, d) and (m, d)
        One vector a row, as for `coherence`.
    signed : bool
        Add up cosines with their sign instead of their magnitudes.
    k : int
        Candidates that each vector begins with, 1 to 1024: its k nearest.  The value does not hang
        on it; of equally good assignments, another one may be found.
    zero : {"raise", "skip"}
        Refuse rows of zeros, or leave them out: they have no partner.
    **execution
        How to compute, never what (see `Execution`); `shard` and ``backend="cuda"`` are refused.
        `progress` is called in one pass over all pairs after another.

    Returns
    -------
    Match
        ``indices``, ``cosines``, ``value`` and a ``certificate``.

    Raises
    ------
    TypeError, ValueError
        As for `coherence`.

    Notes
    -----
    The value is exact in whole units of 2^-40: scores s_ij = round(2^40 |cos_ij|) of the float64
    cosines that `coherence` has, whose sum is the largest possible, to the unit.  (The sum of |cos|
    itself is then within min(n, m) 2^-40 of its largest.)  The proof is linear programming's: whole
    numbers u, v >= 0 with u_i + v_j >= s_ij for all pairs, whose sum is the assignment's, so that
    the gap is 0.

    The matrix of scores is never made.  Candidates are the k nearest of each vector, from one pass;
    among these the assignment is found by shortest augmenting paths, with duals (Jonker & Volgenant
    1987, "A shortest augmenting path algorithm for dense and sparse linear assignment problems",
    Computing 38: 325-340).  Then a screened pass over all pairs looks for any with
    s_ij > u_i + v_j.  These (if they are many, each row's k worst) become candidates too, and so
    on, until there is none.  With codes (see `coherence`) each pass errs with a probability below
    1e-12, and ``.run.failure`` has the sum.

    A pass takes 2 n m d operations.  The rest takes O(c log n) for each path from a row that is
    still alone, c the candidates along it: at worst all, so O(min(n, m) C log n) for C candidates,
    about k (n + m); most paths are short.  ``memory`` does not count candidates, some 80 bytes
    each, nor the result.

    Examples
    --------
    >>> import superpos_fast
    >>> found = superpos_fast.match([[1, 0], [3, 1], [0, 1]], [[1, 0], [-4, 1]])
    >>> found.indices.tolist(), round(found.value, 4), found.certificate.gap
    ([1, 0, -1], 1.9188, 0)
    """
    check_keywords(execution)
    magnitude = not check_flag(signed, "signed")
    check_count(k, "k", 1, _MOST_CANDIDATES)
    kernels = choose_host_kernels(resources(execution).backend)
    with ieee_mode():
        sides = [
            (as_source(data, name, execution.get("tensor")), name)
            for data, name in ((a, "a"), (b, "b"))
        ]
    # Gates of rows are high, and rule pairs out, on the side whose vectors all have a partner.
    turned = sides[0][0].shape[0] > sides[1][0].shape[0]
    (rows, row_name), (columns, column_name) = reversed(sides) if turned else sides

    def demand(n: int, m: int) -> Demand:
        return Ranking.demand(k, (16 * k + _LINE_BYTES) * (n + m))

    names = row_name, column_name
    with posed(rows, columns, zero, execution, demand, names) as problem:
        if problem.backend == "cuda":
            raise ValueError("a, b: must lie in the host's memory to be matched, got a device's")
        assignment, rounds, candidates = _solved(problem, kernels, k, magnitude)
        i, j = _completed(problem, assignment.partners)
        cosines = np.empty(len(i))
        for some, values in problem.listed_cosines(i, j):
            cosines[some] = values
        run = problem.facts()
    count, duals = len(problem.rows), (assignment.row_duals, assignment.column_duals)
    if turned:
        i, j, count, duals = j, i, len(problem.columns), duals[::-1]
    indices, found = np.full(count, -1), np.full(count, np.nan)
    indices[i], found[i] = j, cosines
    certificate = Certificate(*duals, assignment.value, rounds, candidates)
    value = math.fsum(np.abs(cosines) if magnitude else cosines)
    return Match(indices, found, value, certificate, run)


def _solved(
    problem: Problem, kernels: HostKernels, k: int, magnitude: bool
) -> tuple[Assignment, int, int]:
    """Return the assignment, how many rounds it took, and of how many candidates it is."""
    rows, columns = problem.rows, problem.columns
    k = min(k, rows.kept, columns.kept)
    ranking = Ranking(rows, columns, False, k=k, per="both", magnitude=magnitude)
    reduce_pairs(problem, ranking)
    candidates = Candidates(len(rows), len(columns))
    for side in range(2):
        candidates.add(*ranked_pairs(ranking, side))
    del ranking
    assignment = candidates.best(kernels)
    alone = rows.kept - np.count_nonzero(assignment.partners >= 0)
    if _CROWDED * alone > rows.kept:
        found = _violations(problem, candidates.levels(k), k, 0, magnitude)
        candidates.add(*found)
        assignment = candidates.best(kernels, assignment)
    rounds = 0
    while True:  # there are only so many pairs
        rounds += 1
        duals = assignment.row_duals, assignment.column_duals
        i, j, scores = _violations(problem, duals, k, k * (len(rows) + len(columns)), magnitude)
        if not len(i):
            return assignment, rounds, len(candidates)
        candidates.add(i, j, scores)
        assignment = candidates.best(kernels, assignment)


def _violations(
    problem: Problem, duals: tuple[Any, Any], k: int, room: int, magnitude: bool
) -> tuple[Any, Any, Any]:
    """Return pairs that duals do not cover, all or each row's k worst, and their scores.

    Columns of about the same dual lie together, if they can be had in any order.
    """
    row_duals, column_duals = duals
    order = np.arange(len(column_duals))
    if problem.columns.source.block == 0 and problem.cluster is None:
        order = np.argsort(column_duals, kind="stable")
        problem = replace(problem, columns=reordered(problem.columns, order))
    violations = Violations(
        problem.rows,
        problem.columns,
        k=k,
        room=room,
        magnitude=magnitude,
        row_duals=row_duals,
        column_duals=column_duals[order],
    )
    reduce_pairs(problem, violations)
    i, j, scores = violations.pairs()
    return i, order[j], scores


def _completed(problem: Problem, partners: Any) -> tuple[Any, Any]:
    """Return all pairs; rows and columns that are alone have scores of 0, and take each other."""
    matched = partners >= 0
    taken = np.zeros(len(problem.columns), bool)
    taken[partners[matched]] = True
    i = np.flatnonzero((problem.rows.squares > 0.0) & ~matched)
    j = np.flatnonzero((problem.columns.squares > 0.0) & ~taken)
    rest = min(len(i), len(j))
    i, j = np.append(np.flatnonzero(matched), i[:rest]), np.append(partners[matched], j[:rest])
    order = np.argsort(i)
    return i[order], j[order]
