"""`quantile` and `mean_cosine`, and what they share with `histogram`, against the oracle."""

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import family_oracles as naive
from distribution_checks import (
    OF,
    agree,
    check_description,
    check_histogram,
    check_mean,
    check_quantile,
    edges_in_data,
    kinds,
    large_table,
    some_quantiles,
)
from helpers import few, gaussian
from strategies import FEW, TABLE, TIES, executions, seeds, tables, two_tables
from superpos_fast import coherence, describe, histogram, mean_cosine, quantile

each_of = pytest.mark.parametrize("of", OF)


# Quantiles of any table


@given(tables(**FEW), kinds, seeds, executions())
def test_quantiles_within_a_table(table, of, seed, execution):
    angles = naive.pair_cosines(table)
    q = some_quantiles(len(angles.values()), seed)
    check_quantile(angles, q, table, of=of, execution=execution)
    check_quantile(angles, float(q[0]), table, of=of)


@given(two_tables(), kinds, seeds, executions())
def test_quantiles_across_two_tables(two, of, seed, execution):
    two = few(two)
    angles = naive.pair_cosines(*two)
    q = some_quantiles(len(angles.values()), seed)
    check_quantile(angles, q, *two, of=of, execution=execution)


@given(tables(**FEW, **TIES), kinds, seeds, executions())
def test_quantiles_of_ties(table, of, seed, execution):
    angles = naive.pair_cosines(table)
    values = angles.values(signed=of not in naive.OF_LINES)
    _, numbers = np.unique(values, return_counts=True)
    below = np.cumsum(numbers)[:20]
    q = np.clip(np.concatenate([below - 0.5, below, below + 0.5]) / len(values), 0, 1)
    q = np.random.default_rng(seed).permutation(q)
    check_quantile(angles, q, table, of=of, execution=execution)


@each_of
def test_every_order_statistic(of):
    table = np.concatenate([gaussian(20, 5), np.eye(5), np.ones((2, 5))])
    angles = naive.pair_cosines(table)
    number = len(angles.values())
    steps = np.arange(1, number + 1)
    for q in (steps / number, (steps - 0.5) / number):
        check_quantile(angles, q, table, of=of)


def test_the_shape_of_quantiles():
    angles = naive.pair_cosines(TABLE)
    for q in ([0.25], [[0.1, 0.2], [0.9, 0.1]], [0, 1], 1, 0, np.float64(0.3), np.float32(0.1)):
        check_quantile(angles, q, TABLE)
        check_quantile(angles, q, TABLE, of="abs_cosine")


def test_ends_of_the_distribution():
    best = coherence(TABLE)
    assert quantile(TABLE, 1, of="abs_cosine") == best
    assert quantile(TABLE, 0, of="line_angle") == math.degrees(math.acos(best))
    assert quantile(TABLE, 1.0, of="cosine") == coherence(TABLE, signed=True)
    assert quantile(np.eye(4), 0.5) == 90
    assert quantile(np.ones((4, 4)), 0.5) == 0
    assert quantile(np.array([[1, 0], [-1, 0]]), 0.5) == 180


@pytest.mark.parametrize("of", ["cosine", "angle"])
def test_quantiles_that_differ_below_float32(of):
    rng = np.random.default_rng(6)
    table = rng.standard_normal(40) * (1 + 1e-9 * rng.standard_normal((400, 40)))
    angles = naive.pair_cosines(table)
    check_quantile(angles, np.linspace(0, 1, 11), table, of=of)


# Means


@given(tables(**FEW), st.booleans(), executions())
def test_means_within_a_table(table, signed, execution):
    check_mean(naive.pair_cosines(table), table, signed=signed, execution=execution)


@given(two_tables(), st.booleans(), executions())
def test_means_across_two_tables(two, signed, execution):
    two = few(two)
    check_mean(naive.pair_cosines(*two), *two, signed=signed, execution=execution)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("shape", [(2, 1), (3, 500), (1000, 30), (250, 800)])
def test_means(shape, signed):
    table = gaussian(*shape)
    check_mean(naive.pair_cosines(table), table, signed=signed)
    shifted = table + 1
    check_mean(naive.pair_cosines(shifted), shifted, signed=signed)


@pytest.mark.parametrize("depth", [64, 140, 200, 240, 768, 3000])
def test_means_of_equal_rows(depth):
    """All roundings may go one way, which is what the stated bound is for."""
    stated = depth + 7 if depth < 144 else 123 + depth / 96
    bound = min(stated, min(depth, 192) + depth / 192 + 3) * 2**-24
    for row in (np.ones(depth), np.abs(gaussian(1, depth)[0]), np.arange(1.0, depth + 1)):
        table = np.tile(row, (60, 1))
        assert abs(mean_cosine(table) - 1) <= bound
        assert abs(mean_cosine(table, precision="float64") - 1) <= 1e-14


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_mean_does_not_depend_on_the_rest(precision):
    """The same plan gives the same bits; any plan is within the bound."""
    table = gaussian(900, 40)
    expected = naive.mean_cosine(naive.pair_cosines(table))
    bound = 1e-6 if precision == "float32" else 1e-14
    for found in naive.answers(partial(mean_cosine, table, precision=precision)):
        assert abs(found - expected) <= bound
    again = {mean_cosine(table, threads=2, precision=precision) for _ in range(5)}
    assert len(again) == 1


# All together: zero rows, backends, plans


@given(tables(**FEW), kinds, st.booleans(), executions(), seeds)
def test_zero_rows_are_left_out(table, of, signed, execution, seed):
    table = naive.with_zero_rows(table, seed)
    angles = naive.pair_cosines(table)
    options = {"zero": "skip", "execution": execution}
    check_histogram(angles, table, of=of, **options)
    check_quantile(angles, some_quantiles(len(angles.values()), seed), table, of=of, **options)
    check_mean(angles, table, signed=signed, **options)
    check_description(table, **options)


@given(two_tables(), kinds, st.booleans(), seeds)
def test_zero_rows_are_left_out_across(two, of, signed, seed):
    two = [naive.with_zero_rows(table[:50], seed, least=1) for table in two]
    angles = naive.pair_cosines(*two)
    check_histogram(angles, *two, of=of, zero="skip")
    check_quantile(angles, some_quantiles(len(angles.values()), seed), *two, of=of, zero="skip")
    check_mean(angles, *two, signed=signed, zero="skip")
    check_description(*two, zero="skip")


@given(tables(rows=st.integers(2, 24), depth=st.integers(1, 20)), kinds, seeds)
def test_backends_agree(table, of, seed):
    for other in (), (table[:5],):
        angles = naive.pair_cosines(table, *other)
        q = some_quantiles(len(angles.values()), seed)
        for backend in ("cpu", "reference"):
            options = {"execution": {"backend": backend}}
            check_histogram(angles, table, *other, of=of, bins=1 + seed, **options)
            check_quantile(angles, q, table, *other, of=of, **options)
            check_mean(angles, table, *other, **options)
            assert check_description(table, *other, **options).run.backend == backend


@pytest.fixture(scope="module")
def large():
    table = large_table()
    return table, naive.pair_cosines(table)


@each_of
def test_plans(large, of):
    table, angles = large
    edges = edges_in_data(angles, of, 5)
    for bins in (5000, edges):
        expected = naive.histogram(angles, bins=bins, of=of)
        for found in naive.answers(partial(histogram, table, bins=bins, of=of), threads=(3,)):
            agree(found, expected)
    q = some_quantiles(len(angles.values()), 5)
    expected = naive.quantile(angles, q, of)
    for found in naive.answers(partial(quantile, table, q, of=of), threads=(2,)):
        naive.same(found, expected, np.float64)


# Refusals


@pytest.mark.parametrize("of", ["angles", "", None, 1, ["angle"], "Cosine"])
def test_bad_of(of):
    naive.complaint("of", histogram, TABLE, of=of)
    naive.complaint("of", quantile, TABLE, 0.5, of=of)


@pytest.mark.parametrize("q", [-0.1, 1.1, float("nan"), "0.5", None, [0.5, 2], [[float("nan")]]])
def test_bad_q(q):
    naive.complaint("q", quantile, TABLE, q)


@pytest.mark.parametrize("precision", ["half", "", None, 64, np.float32])
def test_bad_precision(precision):
    naive.complaint("precision", mean_cosine, TABLE, precision=precision)


def test_bad_flags():
    naive.complaint("signed", mean_cosine, TABLE, signed="no")
    for ask in (histogram, partial(quantile, q=0.5), describe):
        with pytest.raises(TypeError):
            ask(TABLE, signed=True)


@pytest.mark.parametrize("ask", [histogram, mean_cosine, describe])
def test_what_all_refuse(ask):
    naive.refuses_what_all_refuse(ask)


def test_what_all_refuse_with_q():
    def ask(vectors, other=None, **options):
        return quantile(vectors, 0.5, other, **options)

    naive.refuses_what_all_refuse(ask)
