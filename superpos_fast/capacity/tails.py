"""One pair of random directions in R^d: the law of the cosine t between them.

Uniform and independent directions have t^2 ~ Beta(1/2, (d - 1)/2).  All functions take a whole
number `d` >= 1, return floats, and refuse other arguments with a TypeError or ValueError.  They are
accurate for every d: `tail` to 1e-12 of its logarithm, or of itself if that is larger; the means to
1e-12.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import SupportsIndex

from ..vectors import check_count

_SERIES_FROM = 20.0
_TERMS = 10_000  # some 10 sqrt(d) are needed
_ENOUGH = 3e-16
_SMALLEST = 1e-300


def mean_abs_cosine(d: SupportsIndex) -> float:
    """Return E |cos| = Gamma(d/2) / (sqrt(pi) Gamma((d + 1)/2)) of a pair.

    Examples
    --------
    >>> round(mean_abs_cosine(768), 6)
    0.028801
    """
    step = _log_gamma_step(check_count(d, "d", 1) / 2)
    return min(1.0, math.exp(-step) / math.sqrt(math.pi))


def rms_cosine(d: SupportsIndex) -> float:
    """Return sqrt(E cos^2) = 1 / sqrt(d) of a pair.

    Examples
    --------
    >>> rms_cosine(4)
    0.5
    """
    return 1.0 / math.sqrt(check_count(d, "d", 1))


def mean_largest_entry(d: SupportsIndex) -> float:
    """Return E max_k |u_k| of one direction u: how near to an axis chance brings it.

    The length of a standard normal vector g is independent of its direction, so this is exactly
    E max_k |g_k| / E |g|, in which E max_k |g_k| is the integral of 1 - erf(t / sqrt(2))^d over
    t > 0, by adaptive quadrature to 1e-12.

    Examples
    --------
    >>> round(mean_largest_entry(768), 6)
    0.121383
    """
    from scipy.integrate import quad

    depth = check_count(d, "d", 1)

    def exceeded(t: float) -> float:
        beyond = math.erfc(t / math.sqrt(2))
        return 1.0 if beyond == 1.0 else -math.expm1(depth * math.log1p(-beyond))

    likely = math.sqrt(2 * math.log(2 * depth))
    below, above = (
        quad(exceeded, *ends, epsabs=0.0, epsrel=1e-12)[0]
        for ends in ((0.0, likely), (likely, likely + 9.0))
    )
    return float(below + above) * math.sqrt(math.pi / 2) * mean_abs_cosine(depth)


def tail(d: SupportsIndex, mu: float) -> float:
    """Return P(|cos| >= mu) of a pair, I_{1 - mu^2}((d - 1)/2, 1/2); 0 where float64 underflows.

    Examples
    --------
    >>> round(tail(3, 0.25), 12)
    0.75
    """
    return math.exp(log_tail(d, mu))


def log_tail(d: SupportsIndex, mu: float) -> float:
    """Return ln P(|cos| >= mu) of a pair, which does not underflow; -inf where P is 0.

    The continued fraction of the incomplete beta function (DLMF 8.17.22), of P or of 1 - P,
    whichever converges fast.

    Examples
    --------
    >>> round(log_tail(100_000, 0.17364817766693033), 4)
    -1535.0997
    """
    depth = check_count(d, "d", 1)
    if not 0.0 <= mu <= 1.0:
        raise ValueError(f"mu: must be between 0 and 1, got {mu!r}")
    if mu == 0.0 or depth == 1:
        return 0.0
    if mu == 1.0:
        return -math.inf
    a, b = (depth - 1) / 2, 0.5
    # Each form is good to the last place where it is used.
    log_sine = math.log1p(-mu * mu) if mu < 0.5 else math.log((1 - mu) * (1 + mu))
    log_front = a * log_sine + math.log(mu) + _log_gamma_step(a) - math.log(math.pi) / 2
    if mu * mu > (b + 1) / (a + b + 2):
        return log_front - math.log(a) + math.log(_beta_fraction(a, b, (1 - mu) * (1 + mu)))
    return math.log1p(-math.exp(log_front) / b * _beta_fraction(b, a, mu * mu))


def log_tail_complex(d: SupportsIndex, mu: float) -> float:
    """Return ln P(|<x, y>| >= mu) of two random lines of C^d, (d - 1) ln(1 - mu^2).

    Examples
    --------
    >>> log_tail_complex(3, 0.6) == 2 * math.log(0.64)
    True
    """
    depth = check_count(d, "d", 1)
    if not 0.0 <= mu <= 1.0:
        raise ValueError(f"mu: must be between 0 and 1, got {mu!r}")
    if depth == 1:
        return 0.0
    return (depth - 1) * math.log1p(-mu * mu) if mu < 1.0 else -math.inf


def reached_with(d: SupportsIndex, log_probability: float) -> float:
    """Return the largest mu with log_tail(d, mu) >= `log_probability`, by bisection; 0 if none has.

    Examples
    --------
    >>> round(reached_with(3, math.log(0.75)), 12)
    0.25
    """
    below, above = 0.0, 1.0
    while below < (middle := (below + above) / 2) < above:
        if log_tail(d, middle) >= log_probability:
            below = middle
        else:
            above = middle
    return below


def _log_gamma_step(a: float) -> float:
    """Return ln(Gamma(a + 1/2) / Gamma(a)), without the cancellation of two lgamma."""
    if a < _SERIES_FROM:
        return math.log(math.gamma(a + 0.5) / math.gamma(a))
    # Stirling's series at both ends (DLMF 5.11.8); the next term is below 1e-16.
    square = 1 / (a * a)
    terms = (-1 / 8, 1 / 192, -1 / 640, 17 / 14336, -31 / 18432)
    return math.log(a) / 2 + sum(term * square**k for k, term in enumerate(terms)) / a


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Return I_x(a, b) a B(a, b) / (x^a (1 - x)^b): the continued fraction, by Lentz's method."""
    value = c = 1.0
    inverse = 0.0
    for numerator in _beta_numerators(a, b, x):
        inverse = 1 / _nonzero(1 + numerator * inverse)
        c = _nonzero(1 + numerator / c)
        value *= c * inverse
        if abs(c * inverse - 1) < _ENOUGH:
            break
    return 1 / value


def _beta_numerators(a: float, b: float, x: float) -> Iterator[float]:
    for m in range(_TERMS):
        yield -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        yield (m + 1) * (b - m - 1) * x / ((a + 2 * m + 1) * (a + 2 * m + 2))


def _nonzero(value: float) -> float:
    return value if abs(value) > _SMALLEST else _SMALLEST
