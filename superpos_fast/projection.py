"""How rows are coded for the int8 screen, and whether it pays: chosen by a sample of the data.

Real dictionaries lie close to a few directions.  With Q of orthonormal rows and r_x the length of
what Q x leaves of a unit row x,

    |<x, y>| <= |<Q x, Q y>| + r_x r_y

so that a few products of codes rule most pairs out; for random directions it is all the entries, or
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any, cast

import numpy as np

from .backends import ScreeningKernels
from .problem import Problem
from .reductions import Reduction
from .screening import UNIT_ROUNDOFF_32, code_constant, hoeffding_deviations
from .vectors import Vectors

# The probability that a call's answer is wrong.
FAILURE = 1e-12

# A sample of rows against a sample of columns: at most, and at most one in so many of what there
# is, so that it costs a few percent of what it may save.
_SAMPLE_ROWS, _SAMPLE_COLUMNS, _SAMPLE_SHARE = 64, 2048, 8
# Columns of the sample that leading directions are taken from, and for how many of those.
_LEADING_ROWS, _MOST_DIRECTIONS = 256, 128
_DIRECTIONS = (16, 32, 48, 64, 96, 128)
# Directions are tried where the sample's mean square cosine is so many times that of random ones.
_CONCENTRATED = 4.0

# What things cost, in float32 multiply-adds: a pair of codes beside its entries; a listed pair,
# beside so many for each of its entries; an entry coded for one side.  Measured at d = 64 to 768,
# `bench/screens.py`.
_PAIR_COST, _LISTED_COST, _LISTED_ENTRY_COST, _CODING_COST = 8.0, 600.0, 10.0, 60.0
# Codes are taken where they promise to cost at most so much of what float32 does.
_WORTHWHILE = 0.9

# Of each side's draws (see the kernels' `pack_codes`), of 2^32 stretches: a stretch a row.
_SIDE = 2**31


@dataclass(frozen=True)
class Coding:
    """How rows are coded.

    Attributes
    ----------
    dimensions : int
        Entries that are coded: those of the vectors, or of their projections.
    deviations : float or None
        Steps of rounding that its projection on a fixed direction is off by at most, for all pairs
        at once but for the probability `failure`; None for rounding to nearest, where the lengths
        of errors bound it for certain.
    failure : float
        Bound on the probability that any pair's cosine exceeds its bound.
    constant : float
        What else a cosine may exceed its bound by.
    seed : int
        Of what rounding draws.
    directions : ndarray of float32, shape (dimensions, d), or None
        What rows are multiplied by first: of norm 1 at most.
    offness : float
        Bound on the error of such products' lengths.
    """

    dimensions: int
    deviations: float | None
    failure: float
    constant: float
    seed: int
    directions: Any = None
    offness: float = 0.0

    def stream(self, columns: bool) -> int | None:
        """Return the first stretch of draws of one side; None if nothing is drawn."""
        if self.deviations is None:
            return None
        return (self.seed * 0x9E3779B1 + columns * _SIDE) % 2**32

    def along(self, directions: Any) -> Coding:
        """Return the same coding of products with some orthonormal rows.

        These are divided so that their norm is at most 1 whatever they are off by.  Products are
        off by gamma_d |Q|_F at most, whatever the order of their sums.
        """
        wide = np.asarray(directions, np.float32).astype(np.float64)
        count, depth = wide.shape
        off = float(np.linalg.norm(wide @ wide.T - np.eye(count)))
        narrow = (wide / sqrt(1.0 + off) * (1.0 - 2.0**-22)).astype(np.float32)
        unit = (depth + 1) * UNIT_ROUNDOFF_32
        offness = unit / (1.0 - unit) * sqrt(count) * (1.0 + 2.0**-10)
        return replace(
            self,
            dimensions=count,
            constant=self.constant + 2.0 * offness + offness**2,
            directions=narrow,
            offness=offness,
        )

    def project(self, units: Any) -> tuple[Any, Any]:
        """Return unit rows' products with the directions, and the lengths of what these leave."""
        entries = units @ self.directions.T
        lengths = np.sqrt(np.einsum("ik,ik->i", entries, entries, dtype=np.float64))
        inside = np.maximum(lengths - self.offness, 0.0)
        return entries, np.sqrt(np.maximum(1.0 + 2.0**-20 - inside**2, 0.0))


def choose_coding(problem: Problem, reductions: Sequence[Reduction]) -> Coding | None:
    """Return how to code the rows for what is asked; None if that does not pay."""
    if not problem.plan.codes or len(reductions) > 1 or not reductions[0].selective:
        return None
    kernels = cast("ScreeningKernels", problem.kernels)
    certain = problem.screen == "deterministic"
    coding = Coding(
        dimensions=problem.depth,
        deviations=None if certain else hoeffding_deviations(problem.plan.pairs, FAILURE),
        failure=0.0 if certain else FAILURE,
        constant=code_constant(problem.depth, problem.depth),
        seed=problem.seed,
    )
    sample = _Sample(problem, kernels, reductions[0])
    cost, best = _WORTHWHILE * problem.depth, None
    for candidate in sample.candidates(coding):
        promised = sample.cost(candidate)
        if promised < cost:
            cost, best = promised, candidate
    if best is not None:
        problem.coded(best.dimensions, best.failure)
    return best


class _Sample:
    """Unit rows of both sides, and what is asked about them."""

    def __init__(self, problem: Problem, kernels: ScreeningKernels, reduction: Reduction) -> None:
        self._kernels, self._depth = kernels, problem.depth
        self._random = np.random.default_rng(problem.seed)
        # As read and as a unit row, before anything is packed, with its cosines a few times.
        self._room = problem.memory // (4 * (16 * problem.depth + 16 * _SAMPLE_ROWS))
        self._magnitude = reduction.magnitude
        rows, self._rows = self._units(problem.rows, _SAMPLE_ROWS)
        columns, self._columns = self._units(problem.columns, _SAMPLE_COLUMNS)
        cosines = self._rows @ self._columns.T
        if problem.plan.triangle:
            cosines[rows[:, None] == columns] = -np.inf if not self._magnitude else 0.0
        self._cosines = cosines
        self._gates = reduction.likely_gates(self._strength(cosines))[:, None]
        # Lines to be packed and coded, for each pair.
        self._lines = (problem.plan.rows + problem.plan.columns) / problem.plan.pairs

    def _units(self, vectors: Vectors, most: int) -> tuple[Any, Any]:
        kept = np.flatnonzero(vectors.squares)
        count = max(1, min(most, len(kept) // _SAMPLE_SHARE, self._room))
        some = kept[np.unique(self._random.integers(0, len(kept), count))]
        (block, exponents, squares), places = vectors.lines(some)
        if len(block) != len(some):
            block, exponents, squares = block[places], exponents[places], squares[places]
        return some, self._kernels.units(block, exponents, squares)

    def _strength(self, cosines: Any) -> Any:
        return np.abs(cosines) if self._magnitude else cosines

    def candidates(self, coding: Coding) -> Iterator[Coding]:
        """Yield codings worth a thought: of all entries, and along leading directions."""
        yield coding
        mean_square = float(np.square(self._cosines).mean(where=np.isfinite(self._cosines)))
        leading = self._columns[:: max(1, len(self._columns) // _LEADING_ROWS)]
        if mean_square * self._depth < _CONCENTRATED or len(leading) < 2 * _DIRECTIONS[0]:
            return
        _, vectors = np.linalg.eigh(leading @ leading.T)
        for count in _DIRECTIONS:
            if 2 * count > min(self._depth, len(leading)):
                return
            span, _ = np.linalg.qr(leading.T @ vectors[:, -count:])
            # Turned at random, so that no direction has longer entries than others.
            turn, _ = np.linalg.qr(self._random.standard_normal((count, count)))
            yield coding.along(turn @ span.T)

    def cost(self, coding: Coding) -> float:
        """Return what a pair costs, in float32 multiply-adds."""
        count = coding.dimensions
        codes = _PAIR_COST + self._kernels.CODE_COST * count + _CODING_COST * count * self._lines
        if coding.directions is not None:
            codes += self._depth * count * self._lines
        return codes + self._share(coding) * (_LISTED_COST + _LISTED_ENTRY_COST * self._depth)

    def _share(self, coding: Coding) -> float:
        """Return the share of pairs that the codes would leave open."""
        values, beyond = self._cosines, 0.0
        rows, columns = self._rows, self._columns
        if coding.directions is not None:
            rows, left = coding.project(rows)
            columns, right = coding.project(columns)
            values = np.where(np.isfinite(values), rows @ columns.T, values)
            beyond = np.multiply.outer(left, right)
        of_row, of_column = (
            np.abs(side).max(axis=1) / level * self._deviations(coding)
            for side, level in zip((rows, columns), self._kernels.CODE_LEVELS, strict=True)
        )
        bounds = self._strength(values) + of_row[:, None] + of_column + coding.constant + beyond
        # A pair matters to its row or to its column.
        return min(1.0, 2.0 * float((bounds >= self._gates).mean()))

    def _deviations(self, coding: Coding) -> float:
        if coding.deviations is not None:
            return coding.deviations
        return sqrt(coding.dimensions / 12.0)
