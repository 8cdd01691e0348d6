"""How many pairs reach some cosines, as counts and distributions ask."""

from __future__ import annotations

from typing import Any

import numpy as np

from .problem import Problem
from .reductions import Counts
from .run import reduce_pairs


class Reached:
    """How many pairs reach each of some cosines, in any order and shape.

    Attributes
    ----------
    reduction : Counts or None
        What the pairs are to be shown to; None where the number of pairs says all.
    """

    def __init__(self, thresholds: Any, magnitude: bool) -> None:
        self._flat, self._shape = np.ravel(thresholds), np.shape(thresholds)
        self._least = 0.0 if magnitude else -1.0
        self._inside = (self._flat > self._least) & (self._flat <= 1.0)
        self.levels, self._places = np.unique(self._flat[self._inside], return_inverse=True)
        self.reduction: Counts | None = None
        if self._inside.any():
            self.reduction = Counts(self.levels, magnitude=magnitude)

    def counts(self, pairs: int) -> Any:
        """Return the numbers, of so many pairs in all."""
        counts = np.where(self._flat <= self._least, pairs, 0)
        if self.reduction is not None:
            counts[self._inside] = self.reduction.reaching()[self._places]
        return counts.reshape(self._shape)


def reaching(problem: Problem, thresholds: Any, magnitude: bool) -> Any:
    """Return how many pairs reach each of some cosines, in any order and shape, in one pass."""
    reached = Reached(thresholds, magnitude)
    if reached.reduction is not None:
        reduce_pairs(problem, reached.reduction)
    return reached.counts(problem.pairs)
