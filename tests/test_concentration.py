"""Bounds from numbers drawn without replacement: as rarely wrong, and as narrow, as proven."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from superpos_fast.concentration import mean_bounds, sure_rank

POPULATIONS = [
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1],
    [0, 0.01, 0.02, 0.03, 0.1, 0.1, 0.2, 0.2, 0.9, 0.95, 1, 1],
    np.geomspace(1e-6, 1, 12),
    np.full(12, 0.3),
]


@pytest.mark.parametrize("values", POPULATIONS, ids=range(len(POPULATIONS)))
@pytest.mark.parametrize("risk", [0.3, 0.1, 0.01])
def test_bounds_of_a_mean_over_every_possible_draw(values, risk):
    values = np.asarray(values, dtype=float)
    for drawn in range(1, len(values)):
        some = np.array(list(itertools.combinations(values, drawn)))
        lower, upper = mean_bounds(some.mean(axis=1), drawn, len(values), risk)
        assert (lower > values.mean()).mean() <= risk
        assert (upper < values.mean()).mean() <= risk
        assert np.all((lower <= some.mean(axis=1)) & (some.mean(axis=1) <= upper + 1e-15))
        assert np.all((lower >= 0) & (upper <= 1))


def test_bounds_of_a_mean_are_as_narrow_as_the_theorems():
    mean, many = np.array([0.0, 0.001, 0.5]), 10**9
    lower, upper = mean_bounds(mean, 1000, many, 0.005)
    log = math.log(1 / 0.005)
    assert lower[0] == 0
    assert upper[0] == pytest.approx(-math.expm1(-log / 1000), rel=1e-6)
    assert upper[2] - 0.5 <= math.sqrt(log / 2000)
    assert upper[1] - 0.001 <= math.sqrt(2 * 0.001 * log / 1000) + 2 * log / 1000
    for drawn in (1000, 1900, 1999):
        lower, upper = mean_bounds(mean, drawn, 2000, 0.005)
        serfling = math.sqrt((1 - (drawn - 1) / 2000) * log / (2 * drawn))
        assert np.all(upper - mean <= serfling + 1e-9)
        assert np.all(mean - lower <= serfling + 1e-9)


@given(st.integers(2, 400), st.data(), st.floats(1e-6, 0.5))
@settings(max_examples=100)
def test_ranks_are_hypergeometric(population, data, risk):
    drawn = data.draw(st.integers(1, population))
    k = data.draw(st.integers(1, population))
    below = stats.hypergeom(population, k, drawn).cdf(np.arange(-1, drawn + 1))
    sharp = np.abs(below - risk) <= 1e-9 * risk
    rank = sure_rank(k, drawn, population, risk)
    expected = np.searchsorted(below[1:], risk, "right")
    assert rank == expected or sharp.any()


def test_ranks_of_large_populations_keep_their_digits():
    for population, drawn, k in ((10**9, 10**4, 10**7), (10**7, 10**5, 5 * 10**6)):
        rank = sure_rank(k, drawn, population, 0.005)
        below = stats.hypergeom(population, k, drawn).cdf([rank - 1, rank])
        assert below[0] <= 0.005 < below[1]
