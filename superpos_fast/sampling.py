"""When all pairs are too dear: some rows against all, with intervals that are proven.

The rows are drawn without replacement and each is held against all others.  A row's *degree* is the
share of its pairs that a count counts (of a mean: its mean |cos|), a number between 0 and 1, and
the mean degree of all rows is the share of all pairs.  Bounds of that mean (`mean_bounds`) need
only the drawn rows' total, which is what the engine's reductions keep.  The row maxima are kept one
by one; their order statistics bound the quantiles (`sure_rank`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Protocol, Unpack, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .angles import real_numbers, threshold_cosines
from .backends import ScreeningKernels
from .bins import Quantity, bin_counts, bin_edges, bin_thresholds, scale_of
from .execution import Execution, check_keywords
from .floating import ieee_mode
from .plan import Demand, make_plan
from .problem import Problem, posed
from .reductions import Counts, Ranking, Total
from .results import Coherence, Run
from .run import reduce_pairs
from .screening import float32_bound
from .second_moment import moment_bound, squares_of
from .selection import reaching
from .vectors import Matrix, as_matrix, check_count, check_zero

Statistic = Literal["mean_cosine", "count", "histogram", "row_maximum"]
Numbers = float | NDArray[np.float64]

# Which keywords belong to which question.
_OPTIONS: dict[str, tuple[str, ...]] = {
    "mean_cosine": (),
    "count": ("cosine", "angle"),
    "histogram": ("bins", "range", "quantity"),
    "row_maximum": ("q",),
}
_USUAL_QUANTILES = (0.5, 0.9, 0.99)
_MOST_ROWS = 2**62
_BISECTIONS = 60
_MARGIN = 2.0**-40  # for the rounding of a bound, which even for 10^6 rows is less
_READ_ENTRIES = 2**20
# Of a row maximum: cosines and indices of the two best, and copies while they are sorted.
_BYTES_PER_MAXIMUM = 96
# Of a row of the population: its energy, its ceiling, and what they are computed from.
_BYTES_PER_CEILING = 40


@dataclass(frozen=True, eq=False)
class Estimate:
    """What a sample of rows tells of all pairs.

    Attributes
    ----------
    of : str
        What was asked for.
    value : float, or ndarray of float64
        The best guess: unbiased for counts and the mean (within float32's bound); of quantiles
        those of the sample.
    lower, upper : float, or ndarray of float64
        All true values lie between them, *together*, with a probability of at least `confidence`.
    confidence : float
        As asked for.
    rows, population : int
        Rows drawn, and rows there are (without those left out).  If they are the same, all is
        exact: no interval, but for what float32 leaves open in a mean.
    at : float, ndarray of float64, or None
        What the values belong to: thresholds as cosines, bin edges (one more than values), or q.
    largest : Coherence or None
        Of "row_maximum": the closest pair with a drawn row, a witness that the coherence is at
        least so large.  Certain, whatever the confidence.
    run : Run
        Facts about the run, left out of comparisons.
    """

    of: str
    value: Numbers
    lower: Numbers
    upper: Numbers
    confidence: float
    rows: int
    population: int
    at: Numbers | None = None
    largest: Coherence | None = None
    run: Run = field(default=Run(), compare=False, repr=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Estimate):
            return NotImplemented
        names = [entry.name for entry in fields(self) if entry.compare]
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in names)

    __hash__ = None  # type: ignore[assignment]


def estimate(
    vectors: Matrix,
    *,
    of: Statistic = "mean_cosine",
    rows: int = 1000,
    confidence: float = 0.99,
    seed: int = 0,
    cosine: ArrayLike | None = None,
    angle: ArrayLike | None = None,
    bins: int | ArrayLike | None = None,
    range: tuple[float, float] | None = None,  # noqa: A002
    quantity: Quantity | None = None,
    q: ArrayLike | None = None,
    zero: Literal["raise", "skip"] = "raise",
    **execution: Unpack[Execution],
) -> Estimate:
    """Estimate a statistic of all pairs from some rows against all, with a proven interval.

    Parameters
    ----------
    vectors : array_like, shape (n, d)
        One vector a row, as for `coherence`.
    of : {"mean_cosine", "count", "histogram", "row_maximum"}
        The mean of |cos| over all pairs; how many pairs have |cos| at least `cosine`, or lines at
        most `angle` apart (one or many, as for `count`); the histogram of a `quantity` ("angle",
        "line_angle", "cosine" or "abs_cosine") in `bins` over a `range`, as for `histogram`;
        quantiles `q` (default 0.5, 0.9, 0.99) over the vectors of the largest |cos| that each has
        with another.
    rows : int
        How many to draw, without replacement; all of them, and the answer is exact.
    confidence : float
        Between 0 and 1: the least probability, over the draw, that no interval is wrong.
    seed : int
        Of the draw.
    cosine, angle, bins, range, quantity, q
        What is asked for, see `of`; each comes with its own question only.
    zero : {"raise", "skip"}
        Refuse rows of zeros, or leave them out: they are drawn by nobody and count for nothing.
    **execution
        How to compute (see `Execution`).

    Returns
    -------
    Estimate
        ``value``, ``lower``, ``upper``, and ``largest``, a certified lower bound of the coherence
        (no sample gives an upper one).  The same for the same seed, whatever the threads, memory
        and backend; the mean within float32's bound, which its interval includes.

    Raises
    ------
    TypeError, ValueError
        As for `coherence`, `count` and `histogram`; and for a keyword of another question.

    Notes
    -----
    2 rows n d operations instead of n (n - 1) d.  The drawn rows are copied, within ``memory``.

    Counts and histogram: a row's share of its n - 1 pairs is between 0 and 1, and the mean share of
    the m drawn rows is off as `superpos_fast.mean_bounds` says, by Hoeffding's (1963) and
    Serfling's (1974) inequalities, each of b numbers at its b-th part of the risk (union bound):
    about sqrt(2 s L / m) for a share s of all pairs, with L = ln(2 b / (1 - confidence)), and no
    less than L / m above.  Nothing is assumed of the vectors, so rare pairs need many rows: there
    might be a cluster that no row was drawn from.

    Mean: the same, for what each row's mean falls short of the root of its mean squared cosine.
    That is known of all rows for some 2 n d^2 operations more (see `interference`), and narrows the
    interval for random directions 5 times (n = 3000, d = 16) to 9 times (20000 x 256).

    Quantiles: how many of the drawn rows are among the k lowest of all is hypergeometric, so that
    order statistics of the sample bound those of all rows; the union bound again.

    Examples
    --------
    >>> import numpy as np
    >>> import superpos_fast
    >>> x = np.random.default_rng(0).standard_normal((3000, 16))
    >>> found = superpos_fast.estimate(x, of="count", angle=60, rows=500)
    >>> int(found.lower), int(found.value), int(found.upper)
    (81814, 183441, 342780)
    >>> superpos_fast.count(x, angle=60)
    184046
    """
    options = dict(cosine=cosine, angle=angle, bins=bins, range=range, quantity=quantity, q=q)
    question = _question(of, options)
    check_keywords(execution)
    check_count(rows, "rows", 1, _MOST_ROWS)
    check_count(seed, "seed", 0, 2**64 - 1)
    risk = _risk(confidence)
    with _drawn(vectors, rows, seed, zero, risk, question, execution) as sample:
        value, lower, upper, largest = question.answer(sample)
        return Estimate(
            of=of,
            value=_number(value),
            lower=_number(lower),
            upper=_number(upper),
            confidence=float(confidence),
            rows=sample.drawn,
            population=sample.population,
            at=None if question.at is None else _number(question.at),
            largest=largest,
            run=sample.problem.facts(),
        )


def _risk(confidence: Any) -> float:
    numbers = real_numbers(confidence, "confidence", 0.0, 1.0)
    if numbers.ndim or not 0.0 < numbers < 1.0:
        raise ValueError(
            f"confidence: must be one number between 0 and 1, both excluded, got {confidence!r}"
        )
    return 1.0 - float(numbers)


def _number(values: Any) -> Numbers:
    return values if np.ndim(values) else float(values)


# The sample


@dataclass(frozen=True)
class _Sample:
    """Drawn rows against all rows, or all pairs once (`chosen` is None)."""

    problem: Problem
    chosen: Any
    risk: float

    @property
    def drawn(self) -> int:
        return self.problem.rows.kept

    @property
    def population(self) -> int:
        return self.problem.columns.kept

    @property
    def selves(self) -> int:
        """Rows that meet themselves, with a cosine of exactly 1."""
        return 0 if self.chosen is None else self.drawn

    @property
    def seen(self) -> int:
        """Pairs of different rows, those of two drawn rows twice."""
        return self.problem.pairs - self.selves

    def bounds(self, shares: Any, slack: float = 0.0) -> tuple[Any, Any]:
        """Bound the shares of all pairs by those of the pairs seen, known within `slack`."""
        least, most = np.maximum(shares - slack, 0.0), np.minimum(shares + slack, 1.0)
        if self.chosen is None:
            return least, most
        risk = self.risk / (2 * np.size(shares))
        lower, _ = mean_bounds(least, self.drawn, self.population, risk)
        _, upper = mean_bounds(most, self.drawn, self.population, risk)
        return lower, upper

    def reached(self, thresholds: Any, magnitude: bool) -> Any:
        """Count the pairs of different rows that reach each cosine."""
        return reaching(self.problem, thresholds, magnitude) - self.selves * (thresholds <= 1.0)

    def of_all(self, counts: Any) -> tuple[Any, Any, Any, None]:
        """Return the counts among all pairs: the best guess and its bounds."""
        pairs = self.population * (self.population - 1) // 2
        value = counts * (pairs / self.seen)
        if self.chosen is None:
            return value, value, value, None
        lower, upper = self.bounds(counts / self.seen)
        return value, lower * pairs, upper * pairs, None


@contextmanager
def _drawn(
    vectors: Any,
    rows: int,
    seed: int,
    zero: str,
    risk: float,
    question: _Question,
    execution: Execution,
) -> Iterator[_Sample]:
    """Draw rows and pose their pairs with all rows."""
    check_zero(zero)
    array = as_matrix(vectors, "vectors")
    kept = _kept(array) if zero == "skip" else len(array)
    population = kept if isinstance(kept, int) else len(kept)
    if rows >= population:
        demand = question.demand(len(array), len(array))
        with posed(array, None, zero, execution, lambda n, m: demand) as problem:
            yield _Sample(problem, None, risk)
        return
    chosen = np.sort(np.random.default_rng(seed).choice(kept, rows, replace=False))
    sample = array[chosen]
    demand = question.demand(rows, len(array)) + Demand(state=sample.nbytes, line=0)
    # All rows stand first, so that one that is refused is named by its own number.
    names = ("vectors", "vectors")
    with posed(array, sample, zero, execution, lambda n, m: demand, names) as problem:
        yield _Sample(_turned(problem, demand), chosen, risk)


def _kept(array: Any) -> Any:
    """Return the rows that are not zero."""
    step = max(1, _READ_ENTRIES // array.shape[1])
    with ieee_mode():
        blocks = [
            (array[start : start + step] != 0).any(axis=1)
            for start in np.arange(0, len(array), step)
        ]
    return np.flatnonzero(np.concatenate([np.zeros(0, bool), *blocks]))


def _turned(problem: Problem, demand: Demand) -> Problem:
    """Return the same problem from the other side."""
    plan = make_plan(
        problem.plan.columns,
        problem.plan.rows,
        problem.depth,
        problem.plan.threads,
        problem.memory,
        problem.kernels,
        demand,
    )
    return replace(problem, rows=problem.columns, columns=problem.rows, plan=plan)


# The questions


class _Question(Protocol):
    """What is asked of a sample."""

    @property
    def at(self) -> Any:
        """What the values belong to."""

    def demand(self, drawn: int, population: int) -> Demand:
        """Return what it needs of memory."""

    def answer(self, sample: _Sample) -> tuple[Any, Any, Any, Coherence | None]:
        """Return the values, their lower and upper bounds, and the closest pair."""


def _question(of: object, options: dict[str, Any]) -> _Question:
    if not isinstance(of, str) or of not in _OPTIONS:
        raise ValueError(f"of: must be one of {', '.join(map(repr, _OPTIONS))}, got {of!r}")
    for owner, names in _OPTIONS.items():
        for name in names:
            if owner != of and options[name] is not None:
                raise ValueError(f"{name}: must come with of={owner!r}, got of={of!r}")
    own = {name: options[name] for name in _OPTIONS[of]}
    if of == "count":
        return _Count(threshold_cosines(own["cosine"], own["angle"], signed=False))
    if of == "histogram":
        quantity = "angle" if own["quantity"] is None else own["quantity"]
        lowest, highest, magnitude, is_angle = scale_of(quantity)
        bins = 180 if own["bins"] is None else own["bins"]
        return _Histogram(bin_edges(bins, own["range"], lowest, highest), magnitude, is_angle)
    if of == "row_maximum":
        q = _USUAL_QUANTILES if own["q"] is None else own["q"]
        return _RowMaximum(real_numbers(q, "q", 0.0, 1.0))
    return _Mean()


@dataclass(frozen=True)
class _Count:
    thresholds: Any

    @property
    def at(self) -> Any:
        return self.thresholds

    def demand(self, drawn: int, population: int) -> Demand:
        return Counts.demand(self.thresholds.size)

    def answer(self, sample: _Sample) -> tuple[Any, Any, Any, None]:
        return sample.of_all(sample.reached(self.thresholds, magnitude=True))


@dataclass(frozen=True)
class _Histogram:
    edges: Any
    magnitude: bool
    is_angle: bool

    @property
    def at(self) -> Any:
        return self.edges

    def demand(self, drawn: int, population: int) -> Demand:
        return Counts.demand(self.edges.size)

    def answer(self, sample: _Sample) -> tuple[Any, Any, Any, None]:
        thresholds = bin_thresholds(self.edges, self.is_angle)
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

    def answer(self, sample: _Sample) -> tuple[Any, Any, Any, None]:
        problem, total = sample.problem, Total()
        reduce_pairs(problem, total)
        mean = (total.value - sample.selves) / sample.seen
        chain = 0
        if problem.kernels.SCREENS:
            chain = cast("ScreeningKernels", problem.kernels).chain(problem.depth)
        # The pairs of rows with themselves are in the sum, and off by as much.
        slack = float32_bound(problem.depth, chain) * problem.pairs / sample.seen
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

    def _ceilings(self, sample: _Sample) -> tuple[Any, float]:
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
    q: Any

    @property
    def at(self) -> Any:
        return self.q

    def demand(self, drawn: int, population: int) -> Demand:
        return Ranking.demand(2, _BYTES_PER_MAXIMUM * drawn)

    def answer(self, sample: _Sample) -> tuple[Any, Any, Any, Coherence]:
        i, j, maxima = self._maxima(sample)
        ordered = np.sort(maxima)
        value = ordered[_places(self.q, sample.drawn) - 1]
        strongest = maxima == ordered[-1]
        pairs = np.sort(np.stack([i[strongest], j[strongest]], axis=1), axis=1)
        first, second = min(pairs.tolist())
        largest = Coherence(float(ordered[-1]), first, second)
        if sample.chosen is None:
            return value, value, value, largest
        return value, *self._bounds(ordered, sample), largest

    def _maxima(self, sample: _Sample) -> tuple[Any, Any, Any]:
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
        cosines, keys = ranking.ranked()
        i = np.flatnonzero(problem.rows.squares) if whole else sample.chosen
        if whole:
            cosines, keys = cosines[i], keys[i]
        # Of the two best one may be the row itself; of equal ones it need not be the first.
        place = (keys[:, :1] == i[:, None]).astype(np.int64)
        cosines, keys = (np.take_along_axis(part, place, axis=1)[:, 0] for part in (cosines, keys))
        return i, keys, np.abs(cosines)

    def _bounds(self, ordered: Any, sample: _Sample) -> tuple[Any, Any]:
        drawn, population = sample.drawn, sample.population
        padded = np.concatenate([[0.0], ordered, [1.0]])
        risk = sample.risk / (2 * self.q.size)
        places = _places(self.q, population)
        below = [sure_rank(int(k), drawn, population, risk) for k in places.flat]
        above = [sure_rank(population + 1 - int(k), drawn, population, risk) for k in places.flat]
        lower, upper = padded[below], padded[drawn + 1 - np.array(above, np.int64)]
        return lower.reshape(self.q.shape), upper.reshape(self.q.shape)


def _places(q: Any, count: int) -> Any:
    """Return the place, 1 to count, of each quantile's value among values in ascending order."""
    return np.clip(np.ceil(count * q), 1, count).astype(np.int64)


# The theorems


def mean_bounds(means: Any, drawn: int, population: int, risk: float) -> tuple[Any, Any]:
    """Bound a population's mean by that of some of its numbers, drawn without replacement.

    Parameters
    ----------
    means : ndarray of float64
        Means of the numbers drawn, which are all between 0 and 1.
    drawn, population : int
        How many were drawn, m, and how many there are, n > m.
    risk : float
        Each bound is wrong with at most this probability.

    Returns
    -------
    lower, upper : ndarray of float64

    Notes
    -----
    A mean mu is beyond the bound if the probability of a mean of x >= mu is proven to be at most
    `risk`.  Three proofs give -ln P(mean of the drawn >= x) at least

    - m kl(x, mu), kl(p, q) = p ln(p/q) + (1-p) ln((1-p)/(1-q)): Hoeffding, *Probability
      inequalities for sums of bounded random variables* (1963), theorems 1 and 4;
    - (n - m) kl(y, mu), the same for the numbers not drawn, whose mean is
      y = mu - (x - mu) m / (n - m);
    - 2 m (x - mu)^2 / (1 - (m-1)/n), or for m > n/2 over (1 - m/n)(1 + 1/m): Serfling (1974), and
      Bardenet & Maillard, *Concentration inequalities for sampling without replacement* (2015),
      corollary 2.5.

    All three bound one probability, and for a given mu each grows with x: the set of means x at
    which mu is refused is the largest of three nested ones, so that the best of the three costs no
    share of the risk.  Each is convex in mu with its zero at x, hence bisection.  As
    sigma^2 <= mu (1 - mu), kl is never worse than Bernstein's inequality with that variance.  The
    empirical Bernstein bound (Bardenet & Maillard, theorem 4.3) would need every row's own number.
    As it is at least 4.4 ln(5 / risk) / m, it could be narrower only where numbers that average mu
    hardly differ, and only from m = 10 ln(5 / risk) / mu on.
    """
    lower = _lower_bound(means, drawn, population, risk)
    upper = 1.0 - _lower_bound(1.0 - means, drawn, population, risk)
    return np.maximum(lower - _MARGIN, 0.0), np.minimum(upper + _MARGIN, 1.0)


def _lower_bound(means: Any, drawn: int, population: int, risk: float) -> Any:
    enough = -math.log(risk)
    low, high = means * (drawn / population), means
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        refused = _evidence(middle, means, drawn, population) >= enough
        low, high = np.where(refused, middle, low), np.where(refused, high, middle)
    return low


def _evidence(mu: Any, x: Any, drawn: int, population: int) -> Any:
    """Return what -ln P(mean of the drawn >= x) is at least, for mu <= x the mean of all."""
    from scipy.special import rel_entr

    def divergence(p: Any) -> Any:
        return rel_entr(p, mu) + rel_entr(1.0 - p, 1.0 - mu)

    rest = population - drawn
    if 2 * drawn <= population:
        factor = 1.0 - (drawn - 1) / population
    else:
        factor = rest / population * (1.0 + 1.0 / drawn)
    return np.maximum.reduce(
        [
            drawn * divergence(x),
            rest * divergence(mu - (x - mu) * (drawn / rest)),
            2.0 * drawn * (x - mu) ** 2 / factor,
        ]
    )


def sure_rank(k: int, drawn: int, population: int, risk: float) -> int:
    """Return the largest r for which the r-th smallest drawn is surely not above the k-th of all.

    If it is above, fewer than r of the k smallest of all were drawn; their number is
    hypergeometric, and r is the largest for which that has a probability of at most `risk`.  0 if
    there is none.
    """
    least, most = max(0, drawn - (population - k)), min(k, drawn)
    h = np.arange(least, most, dtype=np.float64)
    logs = np.log((k - h) / (h + 1.0) * (drawn - h) / (population - k - drawn + h + 1.0))
    logs = np.concatenate([[0.0], np.cumsum(logs)])
    weights = np.exp(logs - logs.max())
    below = np.cumsum(weights) / weights.sum()
    return least + int(np.searchsorted(below, risk, "right"))
