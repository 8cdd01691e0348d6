"""A smooth stand-in for the largest squared cosine of a set of vectors, with its gradient.

    F = log(sum_{i<j} exp(b c_ij^2)) / b        max c^2 <= F <= max c^2 + log(N (N - 1) / 2) / b

b is the *sharpness*.  dF/dx_i = (2 / S) sum_j c_ij e_ij x_j, with e_ij = exp(b (c_ij^2 - level))
and S = sum_{i<j} e_ij, for any level; near max c^2 nothing overflows, so the level follows it.

The exponential of c^2 was chosen over the p-frame potential sum |c|^p: it is as smooth at c = 0,
one exponential gives value and slope, and p would have to be a power of two to be cheaper.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import log
from typing import Any

import numpy as np

from ..crew import Crew
from ..protocols import HostKernels
from .lbfgs import Each, one_by_one, tangent

# How far b max c^2 may be from b level: above it float32 would overflow, below it pairs that count
# would be left out with those that do not.
_ABOVE, _BELOW = 60.0, 8.0
# Pairs whose e is less than e^-10 of the largest, divided by the number of pairs, are left out.
_NEGLIGIBLE = 10.0
# Vectors in a block: a pair of blocks is milliseconds of a core at d = 128.
_BLOCK = 1248
_FEWEST_BLOCKS, _MOST_BLOCKS = 4, 64


class SmoothMaximum:
    """F of several sets of unit vectors, each with a sharpness of its own.

    Attributes
    ----------
    sharpness : ndarray, shape (sets,)
        b of each set.
    noise : float
        Relative error of a value, about.
    each : callable
        How work on parts of the vectors is shared among threads.
    """

    noise = 2.0**-48
    each: Each = staticmethod(one_by_one)

    def __init__(self, sets: int, count: int, depth: int, kernels: HostKernels) -> None:
        self.sharpness = np.ones(sets)
        self._levels = np.full(sets, 1.0 / depth)
        self._sums = kernels.SmoothSets(count, depth)

    def __call__(self, points: Any, which: Any) -> tuple[Any, Any, Any]:
        """Return values, gradients in the tangent spaces, and largest |cos| of the listed sets."""
        sharpness, levels = self.sharpness[which], self._levels[which]
        totals, highest, gradients = self._add(points, sharpness, levels)
        apart = sharpness * highest
        again = (apart > _ABOVE) | (apart < -_BELOW)
        tops = levels + highest
        if again.any():
            levels = np.where(again, tops, levels)
            totals[again], _, gradients[again] = self._add(
                points[again], sharpness[again], levels[again]
            )
        self._levels[which] = tops
        values = levels + np.log(totals) / sharpness
        gradients *= (2.0 / totals)[:, None, None]
        return values, tangent(points, gradients), np.sqrt(np.maximum(tops, 0.0))

    def _add(self, points: Any, sharpness: Any, levels: Any) -> tuple[Any, Any, Any]:
        totals, highest, gradients = self._sums.add(points, sharpness, levels)
        return totals / 2.0, highest, gradients


class LargeSmoothMaximum(SmoothMaximum):
    """F of one set of many vectors, by passes over blocks of pairs in float32.

    Blocks meet as players do in a round-robin tournament: no two pairs of a round share a block, so
    a gradient is added up by one thread at a time, without locks or copies, and in one order
    whatever the number of threads.
    """

    noise = 2.0**-26

    def __init__(self, count: int, depth: int, kernels: HostKernels, crew: Crew | None) -> None:
        super().__init__(1, 1, depth, kernels)
        self._pass = kernels.SmoothPass(count, depth)
        self._workspace = kernels.SmoothWorkspace
        self._crew = Crew(1) if crew is None else crew
        self._edges = [0, count] if crew is None else _edges(count, self._pass.UNIT)
        if crew is not None:
            self.each = crew.each
        self._least = log(count * (count - 1) / 2) + _NEGLIGIBLE

    def _add(self, points: Any, sharpness: Any, levels: Any) -> tuple[Any, Any, Any]:
        terms = np.float32(sharpness[0]), np.float32(levels[0])
        least = np.sqrt(max(0.0, levels[0] - self._least / sharpness[0]))
        edges = list(pairwise(self._edges))
        found: dict[tuple[int, int], tuple[float, float]] = {}

        def fill(block: tuple[int, int]) -> None:
            self._pass.fill(points[0, slice(*block)], block[0])

        def add(own: Any, pair: tuple[int, int]) -> None:
            tile = (*edges[pair[0]], *edges[pair[1]])
            found[pair] = self._pass.add(own, tile, terms, least)

        self._crew.each(fill, edges)
        for pairs in rounds(len(edges)):
            self._crew.each_with(self._workspace, add, pairs)
        sums, highest = np.array([found[pair] for pair in sorted(found)]).T
        # The level as the kernels took it, in float32.
        highest += float(terms[1]) - levels[0]
        total = sums.sum() * np.exp(sharpness * (float(terms[1]) - levels))
        return total, highest.max(keepdims=True), self._pass.gradient[None].astype(np.float64)


def _edges(count: int, unit: int) -> list[int]:
    """Cut vectors into blocks of whole units, nearly equal."""
    blocks = min(_MOST_BLOCKS, max(_FEWEST_BLOCKS, 2 * round(count / (2 * _BLOCK))))
    step = -(-count // (blocks * unit)) * unit
    return [*range(0, count, step), count]


def rounds(blocks: int) -> Iterator[list[tuple[int, int]]]:
    """Yield all pairs of blocks in rounds in which each block has one pair.

    First each with itself; then by the circle method: one stays, the others move on.
    """
    yield [(block, block) for block in range(blocks)]
    even = blocks + blocks % 2
    ring = list(range(1, even))
    for _ in range(even - 1):
        seats = [0, *ring]
        pairs = [(seats[k], seats[-1 - k]) for k in range(even // 2)]
        yield [(min(pair), max(pair)) for pair in pairs if max(pair) < blocks]
        ring = [ring[-1], *ring[:-1]]
