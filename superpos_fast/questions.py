"""What may be asked of a sample of rows, and the intervals that answer it.

Counts and means are bounded by the total of the drawn rows.  The row maxima are kept one by one;
their order statistics bound the quantiles (`concentration.sure_rank`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from .angles import real_numbers, threshold_cosines
from .bins import bin_counts, bin_edges, bin_thresholds, scale_of
from .checks import check_choice
from .concentration import sure_rank
from .plan import Demand
from .ranking import Ranking
from .reductions import Counts, Total
from .results import Coherence
from .run import reduce_pairs
from .sampling import Sample
from .screening import product_bound
from .second_moment import moment_bound, squares_of

# Which keywords belong to which question.
_OPTIONS: dict[str, tuple[str, ...]] = {
    "mean_cosine": (),
    "count": ("cosine", "angle"),
    "histogram": ("bins", "range", "quantity"),
    "row_maximum": ("q",),
}
_USUAL_QUANTILES = (0.5, 0.9, 0.99)
# Of a row maximum: cosines and indices of the two best, and copies while they are sorted.
_BYTES_PER_MAXIMUM = 96
# Of a row of the population: its energy, its ceiling, and what they are computed from.
_BYTES_PER_CEILING = 40


class Question(Protocol):
    """What is asked of a sample."""

    @property
    def at(self) -> Any:
        """What the values belong to."""

    def demand(self, drawn: int, population: int) -> Demand:
        """Return what it needs of memory."""

    def answer(self, sample: Sample) -> tuple[Any, Any, Any, Coherence | None]:
        """Return the values, their lower and upper bounds, and the closest pair."""


def question_of(of: object, options: dict[str, Any]) -> Question:
    """Return the question of that name, with its own keywords; those of others must be None."""
    of = check_choice(of, "of", *_OPTIONS)
    for owner, names in _OPTIONS.items():
        for name in names:
            if owner != of and options[name] is not None:
                raise ValueError(f"{name}: must come with of={owner!r}, got of={of!r}")
    own = {name: options[name] for name in _OPTIONS[of]}
    if of == "count":
        return _Count(threshold_cosines(own["cosine"], own["angle"], signed=False))
    if of == "histogram":
        quantity = "angle" if own["quantity"] is None else own["quantity"]
        lowest, highest, magnitude, is_angle = scale_of(quantity, "quantity")
        bins = 180 if own["bins"] is None else own["bins"]
        return _Histogram(bin_edges(bins, own["range"], lowest, highest), magnitude, is_angle)
    if of == "row_maximum":
        q = _USUAL_QUANTILES if own["q"] is None else own["q"]
        return _RowMaximum(real_numbers(q, "q", 0.0, 1.0))
    return _Mean()


@dataclass(frozen=True)
class _Count:
    at: Any

    def demand(self, drawn: int, population: int) -> Demand:
        return Counts.demand(self.at.size)

    def answer(self, sample: Sample) -> tuple[Any, Any, Any, None]:
        return sample.of_all(sample.reached(self.at, magnitude=True))


@dataclass(frozen=True)
class _Histogram:
    at: Any
    magnitude: bool
    is_angle: bool

    def demand(self, drawn: int, population: int) -> Demand:
        return Counts.demand(self.at.size)

    def answer(self, sample: Sample) -> tuple[Any, Any, Any, None]:
        thresholds = bin_thresholds(self.at, self.is_angle)
        reached = sample.reached(thresholds, self.magnitude)
        return sample.of_all(bin_counts(reached, self.is_angle))


@dataclass(frozen=True)
class _Mean:
    """The mean of |cos|, as what it falls short of a ceiling that is known of every row.

    A row's mean is between the mean of its squared cosines, v, and sqrt(v) (Cauchy-Schwarz), and v
    of all rows takes no pair loop.  What is estimated is the mean shortfall, which is between 0 and
    the widest of these ranges, never more than 1/4 wide, and less where all v are small.
    """

    at = None

    def demand(self, drawn: int, population: int) -> Demand:
        return Total.demand() + Demand(state=_BYTES_PER_CEILING * population, line=0)

    def answer(self, sample: Sample) -> tuple[Any, Any, Any, None]:
        problem, total = sample.problem, Total()
        reduce_pairs(problem, total)
        mean = (total.value - sample.selves) / sample.seen
        screens = problem.kernels.screens
        chain = 0 if screens is None else screens.chain(problem.depth)
        # The pairs of rows with themselves are in the sum, and off by as much.
        slack = product_bound(problem.depth, chain) * problem.pairs / sample.seen
        if sample.chosen is None:
            values = np.clip([mean, mean - slack, mean + slack], 0.0, 1.0)
        else:
            ceilings, width = self._ceilings(sample)
            ceiling = ceilings[problem.columns.squares > 0.0].mean()
            shortfall = ceilings[sample.chosen].mean() - mean
            least, most = sample.bounds(shortfall / width, slack / width)
            shortfalls = np.array([shortfall, width * most, width * least])
            values = np.clip(ceiling - shortfalls, 0.0, 1.0)
        return *values, None

    def _ceilings(self, sample: Sample) -> tuple[Any, float]:
        """Return what the mean |cos| of each row cannot exceed, and how far below it can be."""
        rows, depth, plan = sample.population, sample.problem.depth, sample.problem.plan
        alone = replace(
            sample.problem,
            rows=sample.problem.columns,
            plan=replace(plan, rows=plan.columns, triangle=True),
        )
        squares = squares_of(alone).energies() / (rows - 1)
        slack = moment_bound(rows, depth) * rows / (rows - 1)
        ceilings = np.sqrt(squares + slack)
        return ceilings, float((ceilings - np.maximum(squares - slack, 0.0)).max())


@dataclass(frozen=True)
class _RowMaximum:
    at: Any

    def demand(self, drawn: int, population: int) -> Demand:
        return Ranking.demand(2, _BYTES_PER_MAXIMUM * drawn)

    def answer(self, sample: Sample) -> tuple[Any, Any, Any, Coherence]:
        i, j, maxima = self._maxima(sample)
        ordered = np.sort(maxima)
        value = ordered[_places(self.at, sample.drawn) - 1]
        strongest = maxima == ordered[-1]
        pairs = np.sort(np.stack([i[strongest], j[strongest]], axis=1), axis=1)
        first, second = min(pairs.tolist())
        largest = Coherence(float(ordered[-1]), first, second)
        if sample.chosen is None:
            return value, value, value, largest
        return value, *self._bounds(ordered, sample), largest

    def _maxima(self, sample: Sample) -> tuple[Any, Any, Any]:
        """Return the rows, the lowest of their closest others, and the magnitude of the cosine."""
        problem, whole = sample.problem, sample.chosen is None
        ranking = Ranking(
            problem.rows,
            problem.columns,
            whole,
            k=1 if whole else 2,
            per="both" if whole else "rows",
            magnitude=True,
        )
        reduce_pairs(problem, ranking)
        cosines, keys = ranking.ranked(problem.kernels)
        i = np.flatnonzero(problem.rows.squares) if whole else sample.chosen
        if whole:
            cosines, keys = cosines[i], keys[i]
        # Of the two best one may be the row itself; of equal ones it need not be the first.
        place = (keys[:, :1] == i[:, None]).astype(np.int64)
        cosines, keys = (np.take_along_axis(part, place, axis=1)[:, 0] for part in (cosines, keys))
        return i, keys, np.abs(cosines)

    def _bounds(self, ordered: Any, sample: Sample) -> tuple[Any, Any]:
        drawn, population = sample.drawn, sample.population
        padded = np.concatenate([[0.0], ordered, [1.0]])
        risk = sample.risk / (2 * self.at.size)
        places = _places(self.at, population)
        below = [sure_rank(int(k), drawn, population, risk) for k in places.flat]
        above = [sure_rank(population + 1 - int(k), drawn, population, risk) for k in places.flat]
        lower, upper = padded[below], padded[drawn + 1 - np.array(above, np.int64)]
        return lower.reshape(self.at.shape), upper.reshape(self.at.shape)


def _places(q: Any, count: int) -> Any:
    """Return the place, 1 to count, of each quantile's value among values in ascending order."""
    return np.clip(np.ceil(count * q), 1, count).astype(np.int64)
