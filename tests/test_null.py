"""The null model against tables, closed forms, SciPy and chance itself."""

import itertools
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from superpos_fast import histogram
from superpos_fast.capacity import null, tails

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
    found = tails.log_tail(d, math.cos(math.radians(degrees)))
    digits = 4 if d == 100_000 else 9
    assert round(found, digits) == LOG_TAILS[d, degrees]


@pytest.mark.parametrize(
    ("d", "degrees"), [*LOG_TAILS, (100_000, 30), (2, 45), (3, 30), (12_288, 85)]
)
def test_tail_with_80_digits(d, degrees):
    """The integral of the density itself; near 90 degrees of what is not beyond."""
    with mpmath.workdps(80):
        mu = mpmath.mpf(math.cos(math.radians(degrees)))
        front = mpmath.gamma(mpmath.mpf(d) / 2) / mpmath.gamma(mpmath.mpf(d - 1) / 2)
        front *= 2 / mpmath.sqrt(mpmath.pi)
        width = 1 / mpmath.sqrt(d)

        def density(t):
            return (1 - t * t) ** (mpmath.mpf(d - 3) / 2)

        cuts = [0, *(k * width for k in range(1, 12) if k * width < mu), mu]
        exact = mpmath.log(1 - front * mpmath.quad(density, cuts))
        if d * mu * mu > 20:
            slope = mpmath.mpf(1) / (d * mu)
            cuts = [mu, *(mu + k * slope for k in range(1, 30, 3) if mu + k * slope < 1), 1]
            exact = mpmath.log(front * mpmath.quad(density, cuts))
        found = tails.log_tail(d, float(mu))
        assert abs(found - exact) <= 1e-10 * max(1, abs(exact))


@pytest.mark.parametrize(("d", "n"), MAXIMA)
def test_table_of_maxima(d, n):
    chance = null(n, d)
    row = chance.row_maximum.quantile(0.5)
    found = round(chance.coherence.mean, 5), round(chance.coherence.std, 4), round(row, 4)
    assert found == MAXIMA[d, n]


@pytest.mark.parametrize(("n", "d"), [(2, 2), (10, 3), (1000, 100), (10**6, 768), (50, 100_000)])
@pytest.mark.parametrize("which", ["coherence", "row_maximum"])
def test_moments_of_maxima(n, d, which):
    """By a fine sum over the law itself."""
    law = getattr(null(n, d), which)
    low, high = law.quantile(1e-14), law.quantile(1 - 1e-14)
    mu = np.linspace(low, high, 4001)
    exceeded = np.array([law.pvalue(value) for value in mu.tolist()])
    mean = low + np.trapezoid(exceeded, mu)
    square = low**2 + np.trapezoid(2 * mu * exceeded, mu)
    assert law.mean == pytest.approx(mean, rel=3e-6)
    assert law.std == pytest.approx(math.sqrt(square - mean**2), rel=2e-3)
    assert law.variance == law.std**2
    assert law.zscore(law.mean + 2 * law.std) == pytest.approx(2)


@given(depths, st.floats(1e-9, 1.0))
def test_tail_is_the_incomplete_beta_function(d, mu):
    """Of mu^2, from which SciPy's is good to the last places until it underflows."""
    from scipy.special import betaincc

    assert tails.tail(d, mu) == pytest.approx(betaincc(0.5, (d - 1) / 2, mu * mu), rel=2e-9, abs=0)


@given(st.floats(0.0, 1.0))
def test_tail_in_few_dimensions(mu):
    """An arc, a band of the sphere (Archimedes), and all or nothing."""
    assert tails.tail(1, mu) == 1.0
    assert tails.tail(2, mu) == pytest.approx(math.acos(mu) * 2 / math.pi, rel=1e-12)
    assert tails.tail(3, mu) == pytest.approx(1.0 - mu, rel=1e-12)
    assert tails.tail(5, mu) == pytest.approx((1 - mu) ** 2 * (2 + mu) / 2, rel=1e-12)


@pytest.mark.parametrize("d", [2, 3, 100, 768, 100_000, 10**7])
def test_tail_falls(d):
    """Across the change of continued fractions too, and from 1 to 0."""
    scale = 1 / math.sqrt(d)
    logs = [tails.log_tail(d, mu) for mu in np.linspace(0, 1, 100)[1:-1]]
    near = [tails.log_tail(d, mu * scale) for mu in np.linspace(0, 1.4, 300)]
    assert (np.diff(logs) < 0).all()
    assert (np.diff(near) < 0).all()
    assert tails.log_tail(d, 0.0) == 0.0
    assert tails.log_tail(d, 1.0) == -math.inf
    assert tails.tail(d, 1.0) == 0.0


def test_mean_abs_cosine():
    """By r(1) = 1, r(2) = 2 / pi and r(d + 2) = r(d) d / (d + 1)."""
    means = {1: 1.0, 2: 2 / math.pi}
    for d in range(1, 3000):
        means[d + 2] = means[d] * d / (d + 1)
        assert tails.mean_abs_cosine(d) == pytest.approx(means[d], rel=1e-12)
    assert tails.mean_abs_cosine(10**9) * math.sqrt(10**9) == pytest.approx(
        math.sqrt(2 / math.pi), rel=1e-8
    )


def test_mean_largest_entry_in_few_dimensions():
    """A point, an arc, and the light that falls through a face of the cube (Lambert)."""
    expected = [1.0, math.sqrt(8) / math.pi, 3 * math.acos(1 / 3) / (math.sqrt(2) * math.pi)]
    found = [tails.mean_largest_entry(d) for d in (1, 2, 3)]
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("d", [2, 5, 50])
def test_one_pair_by_chance(d):
    """Means over 200,000 pairs, within five standard errors."""
    cosines = np.abs(directions(np.random.default_rng(d), (200_000, d))[:, 0])
    largest = np.abs(directions(np.random.default_rng(d + 1), (100_000, d))).max(axis=1)
    mu = tails.rms_cosine(d)
    for sample, expected in (
        (cosines, tails.mean_abs_cosine(d)),
        (cosines**2, mu**2),
        (cosines >= mu, tails.tail(d, mu)),
        (largest, tails.mean_largest_entry(d)),
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
    chance = null(n, d)
    for q in (0.1, 0.5, 0.9):
        five = 5 * math.sqrt(q * (1 - q) / draws)
        row = (cosines[:, 0].max(axis=1) <= chance.row_maximum.quantile(q)).mean()
        all_pairs = (cosines.max(axis=(1, 2)) <= chance.coherence.quantile(q)).mean()
        assert abs(row - q) < five
        assert abs(all_pairs - q) < five + 0.02


def check_moments(sample, moments):
    """Mean and variance of a sample, within five standard errors."""
    draws = len(sample)
    assert abs(sample.mean() - moments.mean) < 5 * sample.std() / math.sqrt(draws)
    squares = (sample - sample.mean()) ** 2
    assert abs(squares.mean() - moments.variance) < 5 * squares.std() / math.sqrt(draws)
    assert moments.std == math.sqrt(moments.variance)


@pytest.mark.parametrize("m", [None, 17])
def test_sums_by_chance(m):
    """Means and variances over 4000 tables, within one and across two."""
    n, d, draws = 20, 6, 4000
    rng = np.random.default_rng(4)
    left = directions(rng, (draws, n, d))
    right = left if m is None else directions(rng, (draws, m, d))
    cosines = left @ right.swapaxes(1, 2)
    chance = null(n, d, m)
    if m is None:
        i, j = np.triu_indices(n, 1)
        pairs, row = cosines[:, i, j], cosines[:, 0, 1:]
        check_moments((cosines**2).sum(axis=(1, 2)), chance.frame_potential)
    else:
        pairs, row = cosines.reshape(draws, -1), cosines[:, 0]
        with pytest.raises(ValueError, match="one set"):
            _ = chance.frame_potential
    assert pairs.shape[1] == chance.pairs
    check_moments(np.abs(pairs).mean(axis=1), chance.mean_abs_cosine)
    check_moments((pairs**2).mean(axis=1), chance.mean_square_cosine)
    check_moments((row**2).sum(axis=1), chance.interference)
    check_moments(np.degrees(np.arccos(cosines[:, 0, -1])), chance.angle)
    check_moments((np.abs(pairs) >= 0.5).sum(axis=1), chance.count(angle=60))
    edges = [30, 60, 90, 100]
    means, covariance, _ = chance.histogram(bins=edges)
    angles = np.degrees(np.arccos(pairs))
    counts = np.stack(
        [((a <= angles) & (angles < b)).sum(axis=1) for a, b in itertools.pairwise(edges)]
    )
    error = counts.std(axis=1) / math.sqrt(draws)
    assert (np.abs(counts.mean(axis=1) - means) < 5 * error).all()
    spread = np.sqrt(np.outer(*2 * [np.diagonal(covariance)]) / draws)
    assert (np.abs(np.cov(counts) - covariance) < 7 * spread).all()


@pytest.mark.parametrize("of", ["angle", "line_angle", "cosine", "abs_cosine"])
def test_expected_histograms(of):
    """Of all pairs, beside what 3000 random directions have."""
    table = np.random.default_rng(0).standard_normal((3000, 9))
    counts, edges = histogram(table, bins=12, of=of)
    means, covariance, same = null(3000, 9).histogram(bins=12, of=of)
    assert np.array_equal(edges, same)
    assert means.sum() == pytest.approx(counts.sum())
    assert (np.abs(counts - means) <= 5 * np.sqrt(np.diagonal(covariance)) + 1).all()


def ks_distance(sample, law):
    values = np.sort(sample)
    shares = np.array([law.below(value) for value in values.tolist()])
    steps = np.arange(len(values) + 1) / len(values)
    return max((steps[1:] - shares).max(), (shares - steps[:-1]).max())


@pytest.mark.parametrize(("n", "d"), [(300, 10), (300, 100)])
def test_laws_of_maxima(n, d):
    """Kolmogorov and Smirnov at 1 %, the Poisson approximation's error added where there is one.

    Of a row's maximum one for each independent sample.
    """
    draws = 400
    rng = np.random.default_rng(n + d)
    rows, everything = np.empty(draws), np.empty(draws)
    for draw in range(draws):
        table = directions(rng, (n, d))
        cosines = np.abs(table @ table.T)
        np.fill_diagonal(cosines, 0.0)
        rows[draw], everything[draw] = cosines[0].max(), cosines.max()
    critical = 1.628 / math.sqrt(draws)
    chance = null(n, d)
    assert chance.row_maximum.largest_error == 0.0
    assert chance.coherence.largest_error < 0.2
    assert ks_distance(rows, chance.row_maximum) < critical
    assert ks_distance(everything, chance.coherence) < critical + chance.coherence.largest_error


def test_the_error_of_the_poisson_law():
    n, d = 60, 8
    law = null(n, d).coherence
    mu = law.quantile(0.5)
    p = tails.tail(d, mu)
    assert law.error(mu) == pytest.approx(0.5 * (4 * n - 7) * p)
    assert law.largest_error >= law.error(law.quantile(0.5))
    across = null(n, d, 3).coherence
    mu = across.quantile(0.5)
    assert across.error(mu) == pytest.approx(0.5 * (2 * n + 2 * 3 - 3) * tails.tail(d, mu))


def test_pvalues():
    chance = null(1000, 100)
    assert chance.pvalue(chance.coherence.quantile(0.99)) == pytest.approx(0.01)
    assert chance.pvalue(chance.row_maximum.quantile(0.3), "row_maximum") == pytest.approx(0.7)
    assert 0.0 < chance.pvalue(0.9) < 1e-30
    assert (chance.pvalue(0.0), chance.pvalue(1.0)) == (1.0, 0.0)
    potential = chance.frame_potential
    far = potential.mean - 3 * potential.std
    assert chance.zscore(far, "frame_potential") == pytest.approx(-3)
    assert chance.pvalue(far, "frame_potential") == pytest.approx(0.1)


def test_one_dimension():
    """Where every |cos| is 1."""
    chance = null(5, 1)
    for law in (chance.coherence, chance.row_maximum):
        assert (law.mean, law.std, law.quantile(0.5)) == (1.0, 0.0, 1.0)
        assert (law.below(1.0), law.pvalue(1.0), law.zscore(1.0)) == (1.0, 0.0, 0.0)
    assert chance.mean_abs_cosine == chance.mean_square_cosine
    assert chance.zscore(1.0, "mean_abs_cosine") == 0.0


@given(st.integers(3, 10**9), depths, probabilities)
def test_quantiles_solve_their_equations(n, d, q):
    """As far as the spacing of floats and the tail's 1e-12 let them."""
    pairs = n * (n - 1) // 2
    for mu, log_probability in (
        (null(n, d).coherence.quantile(q), math.log(-math.log(q) / pairs)),
        (null(n, d).row_maximum.quantile(q), math.log(-math.expm1(math.log(q) / (n - 1)))),
    ):
        assert 0.0 <= mu <= 1.0
        close = 1e-12 * max(1.0, -log_probability)
        assert tails.log_tail(d, mu) >= log_probability - close or mu == 0.0
        assert tails.log_tail(d, min(1.0, math.nextafter(mu, 2.0))) <= log_probability + close


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: null(1, 3), ValueError, "n: must be at least 2, got 1"),
        (lambda: null(3, 0), ValueError, "d: must be at least 1, got 0"),
        (lambda: null(3.0, 2), TypeError, "n: must be a whole number, got 3.0"),
        (lambda: null(3, 3, 0), ValueError, "m: must be at least 1, got 0"),
        (
            lambda: null(3, 3).pvalue(0.1, "babel"),
            ValueError,
            "of: must be one of 'coherence', 'row_maximum', 'mean_abs_cosine', "
            "'mean_square_cosine', 'interference', 'frame_potential', got 'babel'",
        ),
        (lambda: tails.rms_cosine(0), ValueError, "d: must be at least 1, got 0"),
        (lambda: tails.tail(3, 1.5), ValueError, "mu: must be between 0 and 1, got 1.5"),
        (lambda: tails.tail(3, math.nan), ValueError, "mu: must be between 0 and 1, got nan"),
        (
            lambda: null(9, 3).coherence.quantile(1.0),
            ValueError,
            "q: must be between 0 and 1, both excluded, got 1.0",
        ),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error) as refusal:
        call()
    assert str(refusal.value) == message
