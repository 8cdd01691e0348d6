"""Upper bounds: no more than so many lines of R^d (or C^d) have all |cos| <= mu.

Each function returns the natural logarithm of its bound, infinite where it gives none, for a
tolerance 0 < mu < 1 and d >= 2; s is mu^2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Beyond these Levenshtein's bound of all orders takes minutes.
MOST_DIMENSIONS = 10**6
LARGEST_COSINE = math.cos(math.radians(1.0))
# Where a bound jumps, a tolerance that misses the jump by rounding is taken to reach it.
_ROUNDING = 1e-12
# Up to here binomials are products; beyond, their logarithm is so large that lgamma's rounding does
# not matter.
_FEW_FACTORS = 64
# The best order of Welch's bound is among so many, from the first that says anything on.
_ORDERS = 256


@dataclass(frozen=True)
class UpperBound:
    """A bound on the number of lines.

    Attributes
    ----------
    name, source : str
        What it is called, and where it comes from.
    log_count : callable
        Of (d, mu, complex), the logarithm of the bound.
    """

    name: str
    source: str
    log_count: Callable[[int, float, bool], float]


def _log_linear(d: int, mu: float, complex_: bool) -> float:
    """d (1 - s) / (1 - d s), where d s < 1."""
    del complex_
    excess = 1.0 - d * mu * mu
    if excess <= 0.0:
        return math.inf
    return math.log(d) + math.log1p(-mu * mu) - math.log(excess)


def welch_sizes(d: int, orders: int, complex_: bool) -> np.ndarray:
    """Return ln D_k for k = 1, ..., orders."""
    i = np.arange(orders, dtype=np.float64)
    ratios = (d + i) / (1.0 + i) if complex_ else (d + 2.0 * i) / (1.0 + 2.0 * i)
    sizes: np.ndarray = np.cumsum(np.log(ratios))
    return sizes


def _log_welch(d: int, mu: float, complex_: bool) -> float:
    """(1 - mu^2k) / (1/D_k - mu^2k) of the best order k, where D_k mu^2k < 1."""
    first = _first_order(d, mu, complex_)
    k = np.arange(max(1, first - 1), first + _ORDERS)
    sizes = welch_sizes(d, int(k[-1]), complex_)[k[0] - 1 :]
    powers = 2.0 * math.log(mu) * k
    valid = sizes + powers < 0.0
    sizes, powers = sizes[valid], powers[valid]
    bounds = sizes + np.log1p(-np.exp(powers)) - np.log1p(-np.exp(sizes + powers))
    return float(bounds.min(initial=math.inf))


def _first_order(d: int, mu: float, complex_: bool) -> int:
    """Return the least k from which on D_k mu^2k < 1, give or take one for rounding.

    Its logarithm is concave in k and begins at 0.
    """
    rise, step = (float(d), 1.0) if complex_ else (d / 2.0, 0.5)
    start = math.lgamma(rise) - math.lgamma(step)

    def allowed(k: int) -> bool:
        size = math.lgamma(rise + k) - math.lgamma(step + k) - start
        return size + 2.0 * k * math.log(mu) < 0.0

    low, high = 0, 1
    while not allowed(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if allowed(middle) else (middle, high)
    return high


def _log_orthoplex(d: int, mu: float, complex_: bool) -> float:
    """d (d + 1) / 2 (complex d^2), where mu < 1 / sqrt(d)."""
    if d * mu * mu >= 1.0 - _ROUNDING:
        return math.inf
    return 2.0 * math.log(d) if complex_ else math.log(d) + math.log((d + 1) / 2)


def _log_second(d: int, mu: float, complex_: bool) -> float:
    """d (d + 2) (1 - s) / (3 - (d + 2) s), complex d (d + 1) (1 - s) / (2 - (d + 1) s).

    Where the denominator is positive, and no less than d (d + 1) / 2, complex d^2.
    """
    s, add = mu * mu, 1 if complex_ else 2
    rest = 1.0 + add - (d + add) * s
    if rest <= 0.0:
        return math.inf
    bound = math.log(d) + math.log(d + add) + math.log1p(-s) - math.log(rest)
    least = 2.0 * math.log(d) if complex_ else math.log(d) + math.log((d + 1) / 2)
    return max(bound, least)


def log_levenshtein(d: int, mu: float, complex_: bool) -> float:
    """Levenshtein's bound of the order that belongs to mu.

    With the Gegenbauer polynomials G_n = C_n^(d/2), G_n(1) = binom(n + d - 1, n), and z_n the
    largest zero of G_n: for z_{n-1} < mu <= z_n

        [G_n(1) G_{n-2}(mu) - G_{n-2}(1) G_n(mu)] / [G_{n-2}(mu) - G_n(mu)],

    from ratios rho_n = G_n(mu) / G_{n-1}(mu), which stay positive as long as mu > z_n.
    """
    if complex_:
        return math.inf
    n, before, ratio = 1, 1.0, d * mu
    while ratio > 0.0:
        n += 1
        before, ratio = ratio, (2.0 * (n + d / 2 - 1.0) * mu - (n + d - 2.0) / ratio) / n
    product = ratio * before
    share = n * (n - 1.0) / ((n + d - 1.0) * (n + d - 2.0))
    return log_binomial(n + d - 1, n) + math.log1p(-share * product) - math.log1p(-product)


def log_binomial(n: int, k: int) -> float:
    """Return ln binom(n, k)."""
    k = min(k, n - k)
    if k <= _FEW_FACTORS:
        return math.log(math.comb(n, k))
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def few_more_floor(d: int, k: int, complex_: bool) -> float:
    """Return the least coherence of d + k lines by Bukh and Cox, 1 / ((d + k) M - 1)."""
    if complex_:
        spread = (1.0 + (k - 1.0) * math.sqrt(k + 1.0)) / (k * float(k))
    else:
        spread = (2.0 + (k - 1.0) * math.sqrt(k + 2.0)) / (k * (k + 1.0))
    return 1.0 / ((d + k) * spread - 1.0)


def _log_few_more(d: int, mu: float, complex_: bool) -> float:
    """d + k - 1 for the least k of which d + k lines have a coherence above mu."""
    limit = mu * (1.0 + _ROUNDING)
    low, high = 0, best_few_more(d, complex_)
    if few_more_floor(d, high, complex_) <= limit:
        return math.inf
    while high - low > 1:
        middle = (low + high) // 2
        if few_more_floor(d, middle, complex_) > limit:
            high = middle
        else:
            low = middle
    return math.log(d + high - 1)


def best_few_more(d: int, complex_: bool) -> int:
    """Return the k for which `few_more_floor` is largest: it rises until there, then falls."""
    low, high = 1, 4 * d + 4
    while high - low > 2:
        third = (high - low) // 3
        left, right = low + third, high - third
        if few_more_floor(d, left, complex_) < few_more_floor(d, right, complex_):
            low = left
        else:
            high = right
    return max(range(low, high + 1), key=lambda k: few_more_floor(d, k, complex_))


def _log_plane(d: int, mu: float, complex_: bool) -> float:
    """Of a plane: as many as the angle goes into 180 degrees."""
    if d != 2 or complex_:
        return math.inf
    return math.log(math.floor(math.pi / math.acos(mu) * (1.0 + _ROUNDING)))


UPPER_BOUNDS = (
    UpperBound("plane", "an angle goes so often into 180 degrees", _log_plane),
    UpperBound(
        "relative",
        "Rankin 1955; Lemmens & Seidel 1973; Welch 1974, order 1",
        _log_linear,
    ),
    UpperBound("welch", "Welch 1974, the best order", _log_welch),
    UpperBound("orthoplex", "Rankin 1955; Conway, Hardin & Sloane 1996", _log_orthoplex),
    UpperBound("levenshtein-2", "Levenshtein 1982, order 2", _log_second),
    UpperBound(
        "levenshtein",
        "Levenshtein 1982, 1992, 1998 (Universal bounds), all orders",
        log_levenshtein,
    ),
    UpperBound(
        "bukh-cox",
        "Bukh & Cox 2020, Nearly orthogonal vectors and small antipodal spherical codes",
        _log_few_more,
    ),
)
