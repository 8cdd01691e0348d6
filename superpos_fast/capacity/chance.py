"""The null model: n independent uniform directions in R^d, and what chance alone would give.

Any two distinct pairs of directions are independent, even if they share one, so that means and
variances of sums over pairs are exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, SupportsFloat, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..angles import cosine_of, one_threshold
from ..bins import Quantity, bin_edges, scale_of
from ..vectors import check_count
from .tails import log_tail, mean_abs_cosine, reached_with, rms_cosine, tail

Statistic = Literal[
    "coherence",
    "row_maximum",
    "mean_abs_cosine",
    "mean_square_cosine",
    "interference",
    "frame_potential",
]
# A maximum is not below the one quantile, nor above the other, with a probability that float64
# does not see; in between 48 nodes of Gauss and Legendre give its mean and variance to 1e-10.
_SURELY, _NODES = 1e-17, 48


def _probability(q: float) -> float:
    if not 0.0 < q < 1.0:
        raise ValueError(f"q: must be between 0 and 1, both excluded, got {q!r}")
    return float(q)


@dataclass(frozen=True)
class Moments:
    """A sum over pairs of random directions: its exact mean and variance.

    Attributes
    ----------
    mean, variance : float
        Exact, up to rounding.
    """

    mean: float
    variance: float

    @property
    def std(self) -> float:
        """Root of the variance."""
        return math.sqrt(self.variance)

    def zscore(self, observed: float) -> float:
        """Return how many standard deviations above the mean a value lies."""
        return _zscore(observed, self.mean, self.std)

    def pvalue(self, observed: float) -> float:
        """Bound the probability of a value as far from the mean, on its side of it.

        1 / (1 + z^2), by Cantelli's inequality: it holds whatever the law.

        Examples
        --------
        >>> null(1000, 100).frame_potential.pvalue(11_500.0) < 0.01
        True
        """
        z = self.zscore(observed)
        return 1.0 / (1.0 + z * z)


def _zscore(observed: float, mean: float, std: float) -> float:
    difference = float(observed) - mean
    if std > 0.0:
        return difference / std
    return 0.0 if difference == 0.0 else math.copysign(math.inf, difference)


@dataclass(frozen=True)
class Maximum:
    """The largest of many |cos| between random directions: its law.

    Attributes
    ----------
    d : int
        Dimensions.
    draws : int
        Of how many cosines.
    independent : bool
        Whether these are independent, as those of one direction with the others are: then
        P(max <= mu) = (1 - p)^draws, exact, with p = P(|cos| >= mu).  If not, it is
        exp(-draws p), within `error`.
    linked : int
        Where they are dependent: b1 + b2 of the theorem that `error` cites, over draws p^2.
    """

    d: int
    draws: int
    independent: bool
    linked: int = 0

    def below(self, mu: float) -> float:
        """Return P(max <= mu)."""
        if mu >= 1.0:
            return 1.0
        if self.independent:
            p = tail(self.d, mu)
            return 0.0 if p == 1.0 else math.exp(self.draws * math.log1p(-p))
        return math.exp(-self._expected(mu))

    def pvalue(self, observed: float) -> float:
        """Return P(max > observed), exact in its leading digits however small.

        Examples
        --------
        >>> round(null(1000, 100).coherence.pvalue(0.55), 4)
        0.0013
        """
        mu = max(0.0, float(observed))
        if mu >= 1.0:
            return 0.0
        if self.independent:
            p = tail(self.d, mu)
            return 1.0 if p == 1.0 else -math.expm1(self.draws * math.log1p(-p))
        return -math.expm1(-self._expected(mu))

    def quantile(self, q: float) -> float:
        """Return the value that the maximum is below with probability `q`.

        Examples
        --------
        >>> round(null(50_000, 768).coherence.quantile(0.5), 5)
        0.22126
        >>> round(null(50_000, 768).row_maximum.quantile(0.5), 4)
        0.156
        """
        log_q = math.log(_probability(q))
        if self.d == 1:
            return 1.0
        if self.independent:
            return reached_with(self.d, math.log(-math.expm1(log_q / self.draws)))
        return reached_with(self.d, math.log(-log_q) - math.log(self.draws))

    def error(self, mu: float) -> float:
        """Bound the error of `below` and `pvalue` at a value: 0 where cosines are independent.

        (1 - exp(-lambda)) linked p with lambda = draws p (Arratia, Goldstein & Gordon 1989, "Two
        moments suffice for Poisson approximations", theorem 1).
        """
        if self.independent:
            return 0.0
        return -math.expm1(-self._expected(mu)) * self.linked * tail(self.d, mu)

    @cached_property
    def largest_error(self) -> float:
        """Bound the error of `below` and `pvalue` at every value.

        `error` falls with mu; below a quantile of share q neither law exceeds q by more than the
        error there.  So q plus that error is a bound for every q, and this the least of some.
        """
        if self.independent:
            return 0.0
        shares: list[float] = np.geomspace(1e-6, 0.2, 60).tolist()
        return min(1.0, *(q + self.error(self.quantile(q)) for q in shares))

    def zscore(self, observed: float) -> float:
        """Return how many standard deviations above the mean a value lies."""
        return _zscore(observed, self.mean, self.std)

    @property
    def mean(self) -> float:
        """E max, the integral of P(max > mu)."""
        return self._integrals[0]

    @property
    def std(self) -> float:
        """Standard deviation, of E max^2 = the integral of 2 mu P(max > mu)."""
        return self._integrals[1]

    @property
    def variance(self) -> float:
        """Square of `std`."""
        return self.std**2

    @cached_property
    def _integrals(self) -> tuple[float, float]:
        if self.d == 1:
            return 1.0, 0.0
        # In the angle, in which the law is smooth at both ends of its range.
        ends = [math.acos(self.quantile(q)) for q in (1.0 - 1e-15, _SURELY)]
        nodes, weights = np.polynomial.legendre.leggauss(_NODES)
        angles = ends[0] + (ends[1] - ends[0]) / 2.0 * (nodes + 1.0)
        low, mu = math.cos(ends[1]), np.cos(angles)
        exceeded = np.array([self.pvalue(value) for value in mu.tolist()])
        exceeded *= weights * np.sin(angles) * (ends[1] - ends[0]) / 2.0
        # Deviations from the lower end: the variance is then no difference of large numbers.
        mean, square = float(exceeded.sum()), float(exceeded @ (2.0 * (mu - low)))
        return low + mean, math.sqrt(max(0.0, square - mean * mean))

    def _expected(self, mu: float) -> float:
        """Return lambda, the expected number of pairs beyond mu."""
        return math.exp(min(700.0, math.log(self.draws) + log_tail(self.d, mu)))


@dataclass(frozen=True)
class Null:
    """What n independent uniform directions in R^d give, or n of them against m others.

    Attributes
    ----------
    n, d : int
        How many directions, in how many dimensions.
    m : int or None
        How many others each of the n is paired with; None for the pairs within the n.
    """

    n: int
    d: int
    m: int | None = None

    @property
    def pairs(self) -> int:
        """How many pairs there are."""
        return self.n * (self.n - 1) // 2 if self.m is None else self.n * self.m

    @property
    def partners(self) -> int:
        """How many others a direction is paired with."""
        return self.n - 1 if self.m is None else self.m

    @property
    def coherence(self) -> Maximum:
        """The largest |cos| of all pairs (Chen and Stein's Poisson approximation)."""
        if self.pairs == 1:
            return Maximum(self.d, 1, True)
        # A pair shares a direction with 2 (n - 2) others (or n + m - 2), and with itself: b1 counts
        # these all, b2 the others.
        others = 2 * (self.n - 2) if self.m is None else self.n + self.m - 2
        return Maximum(self.d, self.pairs, False, 2 * others + 1)

    @property
    def row_maximum(self) -> Maximum:
        """The largest |cos| of one direction with its partners, exact."""
        return Maximum(self.d, self.partners, True)

    @property
    def mean_abs_cosine(self) -> Moments:
        """The mean of |cos| over all pairs: E |t| = Gamma(d/2) / (sqrt(pi) Gamma((d+1)/2))."""
        mean = mean_abs_cosine(self.d)
        return Moments(mean, max(0.0, 1.0 / self.d - mean * mean) / self.pairs)

    @property
    def mean_square_cosine(self) -> Moments:
        """The mean of cos^2 over all pairs: E t^2 = 1/d, Var t^2 = 2 (d-1) / (d^2 (d+2))."""
        return Moments(1.0 / self.d, self._square_variance / self.pairs)

    @property
    def rms_cosine(self) -> float:
        """Root of the mean of cos^2, 1 / sqrt(d)."""
        return rms_cosine(self.d)

    @property
    def interference(self) -> Moments:
        """The sum of cos^2 of one direction with its partners: mean partners / d."""
        return Moments(self.partners / self.d, self._square_variance * self.partners)

    @property
    def frame_potential(self) -> Moments:
        """The sum of cos^2 over all ordered pairs, each direction with itself included.

        Mean n + n (n-1) / d, variance 4 n (n-1) (d-1) / (d^2 (d+2)).
        """
        if self.m is not None:
            raise ValueError(f"frame_potential: must be of one set of directions, got m={self.m}")
        return Moments(self.n + 2.0 * self.pairs / self.d, 4.0 * self.pairs * self._square_variance)

    @property
    def angle(self) -> Moments:
        """The angle between two of them, in degrees: mean 90, variance psi'(d/2) / 2 radians^2."""
        from scipy.special import polygamma

        return Moments(90.0, float(polygamma(1, self.d / 2)) / 2.0 * math.degrees(1.0) ** 2)

    @property
    def _square_variance(self) -> float:
        return 2.0 * (self.d - 1) / (self.d * self.d * (self.d + 2.0))

    def count(
        self, *, cosine: SupportsFloat | None = None, angle: SupportsFloat | None = None
    ) -> Moments:
        """Return the law of the number of pairs with |cos| >= a threshold: M p, M p (1 - p).

        Examples
        --------
        >>> round(null(1000, 100).count(angle=70).mean, 2)
        231.81
        """
        p = tail(self.d, one_threshold(cosine, angle, False))
        return Moments(self.pairs * p, self.pairs * p * (1.0 - p))

    def histogram(
        self,
        *,
        bins: int | ArrayLike = 180,
        range: tuple[float, float] | None = None,  # noqa: A002 (what `histogram` calls it)
        of: Quantity = "angle",
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the expected counts of `superpos_fast.histogram`, their covariance, the edges.

        Parameters
        ----------
        bins, range, of
            As of `superpos_fast.histogram`.

        Returns
        -------
        means : ndarray of float64, shape (bins,)
            M p_b.
        covariance : ndarray of float64, shape (bins, bins)
            M p_b (1 - p_b) on the diagonal, -M p_a p_b off it.
        edges : ndarray of float64, shape (bins + 1,)
            In degrees, or cosines.

        Examples
        --------
        >>> means, covariance, edges = null(100, 3).histogram(bins=4, of="abs_cosine")
        >>> means.round(6).tolist()
        [1237.5, 1237.5, 1237.5, 1237.5]
        """
        scale = scale_of(of)
        edges = bin_edges(bins, range, scale.lowest, scale.highest)
        inside = np.clip(edges, scale.lowest, scale.highest).tolist()
        values = [cosine_of(edge) for edge in inside] if scale.is_angle else inside
        reach = np.array([self._reaching(value, scale.magnitude) for value in values])
        shares = np.abs(np.diff(reach))
        covariance = self.pairs * (np.diag(shares) - np.outer(shares, shares))
        return self.pairs * shares, covariance, edges

    def _reaching(self, value: float, magnitude: bool) -> float:
        """Return P(|cos| >= value), or P(cos >= value)."""
        p = tail(self.d, abs(value))
        if magnitude:
            return p
        return p / 2.0 if value >= 0.0 else 1.0 - p / 2.0

    def zscore(self, observed: float, of: Statistic = "coherence") -> float:
        """Return how many standard deviations above the mean a statistic lies.

        Examples
        --------
        >>> round(null(1000, 100).zscore(0.53), 1)
        3.3
        """
        score: float = self._statistic(of).zscore(observed)
        return score

    def pvalue(self, observed: float, of: Statistic = "coherence") -> float:
        """Return how likely chance makes a statistic as extreme as observed.

        Parameters
        ----------
        observed : float
            Its value.
        of : {"coherence", "row_maximum", "mean_abs_cosine", "mean_square_cosine", "interference", \
"frame_potential"}
            Which one.

        Returns
        -------
        float
            Of a maximum the probability of a larger one (see `Maximum`); of the others a bound on
            the probability of so large a deviation on its side of the mean (see `Moments.pvalue`).

        Examples
        --------
        >>> null(4096, 384).pvalue(0.968293) < 1e-100
        True
        """
        chance: float = self._statistic(of).pvalue(observed)
        return chance

    def _statistic(self, name: str) -> Any:
        known = Statistic.__args__  # type: ignore[attr-defined]
        if name not in known:
            raise ValueError(f"of: must be one of {', '.join(map(repr, known))}, got {name!r}")
        return getattr(self, name)


def null(n: SupportsIndex, d: SupportsIndex, m: SupportsIndex | None = None) -> Null:
    """Return the null model: what independent uniform directions would give.

    Parameters
    ----------
    n : int
        How many directions, at least 2 (with `m`: 1).
    d : int
        Dimensions, at least 1.
    m : int, optional
        Pair each of the n with m other random directions instead.

    Returns
    -------
    Null
        ``coherence`` and ``row_maximum`` with mean, std, quantile and p-value; ``mean_abs_cosine``,
        ``mean_square_cosine``, ``interference`` and ``frame_potential`` with exact mean and
        variance; ``count`` and ``histogram``; ``zscore`` and ``pvalue`` of what was observed.

    Raises
    ------
    TypeError
        If a number is not a whole number.
    ValueError
        If it is too small.

    Notes
    -----
    The law of the coherence is P(max <= mu) = exp(-lambda), lambda = n (n-1) / 2 P(|cos| >= mu),
    with an error of at most (1 - exp(-lambda)) (4n - 7) P(|cos| >= mu) (Arratia, Goldstein & Gordon
    1989, Annals of Probability 17).  Not its Gumbel limit (Cai & Jiang 2012, J. Multivariate
    Analysis 107), which is off by 5 % at n = 1000, d = 100.

    Examples
    --------
    >>> chance = null(1000, 100)
    >>> round(chance.coherence.mean, 5), round(chance.coherence.std, 4)
    (0.46175, 0.0207)
    >>> round(chance.frame_potential.mean)
    10990
    """
    others = None if m is None else check_count(m, "m", 1)
    return Null(check_count(n, "n", 2 if m is None else 1), check_count(d, "d", 1), others)
