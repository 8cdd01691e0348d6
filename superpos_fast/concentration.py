"""What numbers drawn without replacement prove of all: bounds of a mean, and of ranks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

_BISECTIONS = 60
_MARGIN = 2.0**-40  # for the rounding of a bound, which even for 10^6 rows is less


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
