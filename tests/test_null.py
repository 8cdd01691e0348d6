"""The null model against tables, closed forms, SciPy and chance itself."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superpos_fast import null
from superpos_fast.bounds import welch_bound

# ln P(|cos| >= cos(angle)), computed with 80 digits
LOG_TAILS = {
    (100, 89): -0.147949161,
    (100, 88): -0.316101555,
    (100, 85): -0.951574829,
    (100, 80): -2.495553840,
    (768, 89): -0.463719678,
    (768, 88): -1.097250285,
    (768, 85): -4.158921329,
    (768, 80): -13.576675174,
    (100_000, 80): -1535.0997,
}

# d, n: mean and standard deviation of the coherence, median of a row's maximum
MAXIMA = {
    (100, 1000): (0.46175, 0.0207, 0.3320),
    (100, 10_000): (0.53043, 0.0167, 0.3853),
    (768, 50_000): (0.22230, 0.0069, 0.1560),
    (768, 1_000_000): (0.25271, 0.0060, 0.1778),
}

depths = st.one_of(st.integers(2, 200), st.integers(2, 200_000))
probabilities = st.floats(0.001, 0.999)


def directions(rng, shape):
    normal = rng.standard_normal(shape)
    return normal / np.linalg.norm(normal, axis=-1, keepdims=True)


@pytest.mark.parametrize(("d", "degrees"), LOG_TAILS)
def test_anchors_of_the_tail(d, degrees):
    found = null.log_tail(d, math.cos(math.radians(degrees)))
    digits = 4 if d == 100_000 else 9
    assert round(found, digits) == LOG_TAILS[d, degrees]


@pytest.mark.parametrize(("d", "n"), MAXIMA)
def test_table_of_maxima(d, n):
    mu = (np.arange(4000) + 0.5) / 4000
    pairs = n * (n - 1) // 2
    exceeded = -np.expm1([-pairs * null.tail(d, m) for m in mu])
    mean = exceeded.mean()
    deviation = math.sqrt(2 * (mu * exceeded).mean() - mean**2)
    row = null.row_maximum_quantile(n, d, 0.5)
    assert (round(mean, 5), round(deviation, 4), round(row, 4)) == MAXIMA[d, n]


@given(depths, st.floats(1e-9, 1.0))
def test_tail_is_the_incomplete_beta_function(d, mu):
    """Of mu^2, from which SciPy's is good to the last places until it underflows."""
    from scipy.special import betaincc

    assert null.tail(d, mu) == pytest.approx(betaincc(0.5, (d - 1) / 2, mu * mu), rel=2e-9, abs=0)


@given(st.floats(0.0, 1.0))
def test_tail_in_few_dimensions(mu):
    """An arc, a band of the sphere (Archimedes), and all or nothing."""
    assert null.tail(1, mu) == 1.0
    assert null.tail(2, mu) == pytest.approx(math.acos(mu) * 2 / math.pi, rel=1e-12)
    assert null.tail(3, mu) == pytest.approx(1.0 - mu, rel=1e-12)
    assert null.tail(5, mu) == pytest.approx((1 - mu) ** 2 * (2 + mu) / 2, rel=1e-12)


@pytest.mark.parametrize("d", [2, 3, 100, 768, 100_000, 10**7])
def test_tail_falls(d):
    """Across the change of continued fractions too, and from 1 to 0."""
    scale = 1 / math.sqrt(d)
    logs = [null.log_tail(d, mu) for mu in np.linspace(0, 1, 100)[1:-1]]
    near = [null.log_tail(d, mu * scale) for mu in np.linspace(0, 1.4, 300)]
    assert (np.diff(logs) < 0).all()
    assert (np.diff(near) < 0).all()
    assert null.log_tail(d, 0.0) == 0.0
    assert null.log_tail(d, 1.0) == -math.inf
    assert null.tail(d, 1.0) == 0.0


def test_mean_abs_cosine():
    """By r(1) = 1, r(2) = 2 / pi and r(d + 2) = r(d) d / (d + 1)."""
    means = {1: 1.0, 2: 2 / math.pi}
    for d in range(1, 3000):
        means[d + 2] = means[d] * d / (d + 1)
        assert null.mean_abs_cosine(d) == pytest.approx(means[d], rel=1e-12)
    assert null.mean_abs_cosine(10**9) * math.sqrt(10**9) == pytest.approx(
        math.sqrt(2 / math.pi), rel=1e-8
    )


def test_mean_largest_entry_in_few_dimensions():
    """A point, an arc, and the light that falls through a face of the cube (Lambert)."""
    expected = [1.0, math.sqrt(8) / math.pi, 3 * math.acos(1 / 3) / (math.sqrt(2) * math.pi)]
    found = [null.mean_largest_entry(d) for d in (1, 2, 3)]
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("d", [2, 5, 50])
def test_one_pair_by_chance(d):
    """Means over 200,000 pairs, within five standard errors."""
    cosines = np.abs(directions(np.random.default_rng(d), (200_000, d))[:, 0])
    largest = np.abs(directions(np.random.default_rng(d + 1), (100_000, d))).max(axis=1)
    mu = null.rms_cosine(d)
    for sample, expected in (
        (cosines, null.mean_abs_cosine(d)),
        (cosines**2, mu**2),
        (cosines >= mu, null.tail(d, mu)),
        (largest, null.mean_largest_entry(d)),
    ):
        assert abs(sample.mean() - expected) < 5 * sample.std() / math.sqrt(len(sample))


def test_maxima_by_chance():
    """Over 2000 tables of 60 x 8: shares below the quantile, within five standard errors.

    The coherence's quantile is an approximation, here within 0.02 of its share.
    """
    n, d, draws = 60, 8, 2000
    tables = directions(np.random.default_rng(3), (draws, n, d))
    cosines = np.abs(tables @ tables.swapaxes(1, 2))
    cosines[:, np.arange(n), np.arange(n)] = 0.0
    interference = (cosines**2).sum(axis=2)[:, 0]
    error = interference.std() / math.sqrt(draws)
    assert abs(interference.mean() - null.interference_mean(n, d)) < 5 * error
    for q in (0.1, 0.5, 0.9):
        five = 5 * math.sqrt(q * (1 - q) / draws)
        row = (cosines[:, 0].max(axis=1) <= null.row_maximum_quantile(n, d, q)).mean()
        all_pairs = (cosines.max(axis=(1, 2)) <= null.coherence_quantile(n, d, q)).mean()
        assert abs(row - q) < five
        assert abs(all_pairs - q) < five + 0.02


@given(st.integers(2, 10**9), depths, probabilities)
def test_quantiles_solve_their_equations(n, d, q):
    """As far as the spacing of floats and the tail's 1e-12 let them."""
    pairs = n * (n - 1) // 2
    for mu, log_probability in (
        (null.coherence_quantile(n, d, q), math.log(-math.log(q) / pairs)),
        (null.row_maximum_quantile(n, d, q), math.log(-math.expm1(math.log(q) / (n - 1)))),
    ):
        assert 0.0 <= mu <= 1.0
        close = 1e-12 * max(1.0, -log_probability)
        assert null.log_tail(d, mu) >= log_probability - close or mu == 0.0
        assert null.log_tail(d, min(1.0, math.nextafter(mu, 2.0))) <= log_probability + close


@given(st.integers(2, 10**6), st.integers(1, 10**4))
def test_welch_bound(n, d):
    """The excess of the squared cosines' sum over its least, n^2 / d, is 0 at the bound."""
    bound = welch_bound(n, d)
    if n <= d:
        assert bound == 0.0
    else:
        assert n + n * (n - 1) * bound**2 == pytest.approx(n * n / d, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: welch_bound(1, 3), ValueError, "n: must be at least 2, got 1"),
        (lambda: welch_bound(3, 0), ValueError, "d: must be at least 1, got 0"),
        (lambda: welch_bound(3.0, 2), TypeError, "n: must be a whole number, got 3.0"),
        (lambda: welch_bound(3, True), TypeError, "d: must be a whole number, got True"),
        (lambda: null.rms_cosine(0), ValueError, "d: must be at least 1, got 0"),
        (lambda: null.tail(3, 1.5), ValueError, "mu: must be between 0 and 1, got 1.5"),
        (lambda: null.tail(3, math.nan), ValueError, "mu: must be between 0 and 1, got nan"),
        (
            lambda: null.coherence_quantile(9, 3, 1.0),
            ValueError,
            "q: must be between 0 and 1, both excluded, got 1.0",
        ),
        (lambda: null.interference_mean(1, 3), ValueError, "n: must be at least 2, got 1"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error) as refusal:
        call()
    assert str(refusal.value) == message
