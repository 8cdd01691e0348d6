"""`histogram`, `quantile`, `mean_cosine`, `describe` against the oracle and against NumPy."""

import dataclasses
import json
import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import family_oracles as naive
import frames
from strategies import executions, sparse, tables, ternary, two_tables
from superpos_fast import (
    AngleStatistics,
    coherence,
    describe,
    estimate,
    histogram,
    mean_cosine,
    nearest,
    quantile,
)

FEW = {"rows": st.integers(2, 90), "depth": st.integers(1, 70)}
TIES = {"families": [ternary, sparse]}
TABLE = np.random.default_rng(0).standard_normal((40, 6))
OF = list(naive.FULL_RANGE)
each_of = pytest.mark.parametrize("of", OF)
kinds = st.sampled_from(OF)
seeds = st.integers(0, 999)


def gaussian(rows, depth, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, depth), dtype=np.float32)


def few(two):
    return [table[:90] for table in two]


def agree(found, expected):
    counts, edges = found
    naive.same(counts, expected[0], np.int64)
    naive.same(edges, expected[1], np.float64)


def check_histogram(angles, *tables, execution=None, zero="raise", **question):
    ask = partial(histogram, *tables, zero=zero, **question)
    found = naive.answer(ask, execution or {})
    agree(found, naive.histogram(angles, **question))
    return found


def check_quantile(angles, q, *tables, execution=None, zero="raise", of="angle"):
    vectors, *other = tables
    ask = partial(quantile, vectors, q, *other, zero=zero, of=of)
    found = naive.answer(ask, execution or {})
    naive.same(found, naive.quantile(angles, q, of), np.float64)
    assert type(found) is (float if np.ndim(q) == 0 else np.ndarray)
    return found


def edges_in_data(angles, of, seed):
    """Edges that are angles or cosines of pairs, and their neighbours; uneven and ascending."""
    rng = np.random.default_rng(seed)
    values = angles.values(signed=of not in naive.OF_LINES)
    chosen = rng.choice(values, min(8, 1 + seed % 9))
    low, high = naive.FULL_RANGE[of]
    ends = [low, high] if seed % 2 else [low + (high - low) * rng.random(), high]
    if of in naive.OF_ANGLES:
        chosen = np.degrees(np.arccos(np.concatenate([chosen, [0.5, 0.0]])))
        chosen = np.append(chosen, [60, 90])
    around = [chosen, np.nextafter(chosen, low), np.nextafter(chosen, high), ends]
    edges = np.unique(np.clip(np.concatenate(around), low, high))
    if of in naive.OF_ANGLES:
        cosines = naive.threshold(angle=edges)
        lowest = np.minimum.accumulate(np.append(2.0, cosines))
        edges = edges[cosines < lowest[:-1]]
    return edges


def some_quantiles(number, seed):
    """Quantiles on a step of the distribution of `number` values, beside one, and the ends."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(1, number + 1, 4) / number
    return np.concatenate([steps, steps - 0.5 / number, rng.random(3), [0, 0.5, 1]])


# Histograms of any table


@given(tables(), kinds, st.sampled_from([1, 2, 7, 90, 180, 360]), executions())
def test_histograms_within_a_table(table, of, bins, execution):
    angles = naive.pair_cosines(table)
    found = check_histogram(angles, table, bins=bins, of=of, execution=execution)
    assert found[0].sum() == len(angles.values())


@given(two_tables(), kinds, st.sampled_from([1, 6, 10, 180]), executions())
def test_histograms_across_two_tables(two, of, bins, execution):
    two = few(two)
    found = check_histogram(naive.pair_cosines(*two), *two, bins=bins, of=of, execution=execution)
    assert found[0].sum() == len(two[0]) * len(two[1])


@each_of
@given(table=tables(**FEW), execution=executions(), seed=seeds)
def test_edges_in_the_data(of, table, execution, seed):
    angles = naive.pair_cosines(table)
    edges = edges_in_data(angles, of, seed)
    if len(edges) > 1:
        check_histogram(angles, table, bins=edges, of=of, execution=execution)


@given(tables(**FEW, **TIES), kinds, seeds, executions())
def test_edges_in_ties(table, of, seed, execution):
    angles = naive.pair_cosines(table)
    check_histogram(angles, table, of=of, execution=execution)
    bins = [2, 3, 4, 6, 8, 12][seed % 6]
    check_histogram(angles, table, of=of, bins=bins, execution=execution)
    edges = edges_in_data(angles, of, seed)
    if len(edges) > 1:
        check_histogram(angles, table, bins=edges, of=of)


@given(tables(**FEW), kinds, st.floats(0, 0.9), st.floats(0.05, 1), seeds, executions())
def test_ranges_that_cut_values_off(table, of, start, share, seed, execution):
    low, high = naive.FULL_RANGE[of]
    first = low + (high - low) * start
    ends = (first, first + (high - first) * share)
    bins = 1 + seed % 50
    check_histogram(
        naive.pair_cosines(table), table, of=of, bins=bins, range=ends, execution=execution
    )


@given(tables(rows=st.integers(2, 60), depth=st.integers(1, 70)), kinds, executions())
def test_very_many_bins(table, of, execution):
    check_histogram(naive.pair_cosines(table), table, of=of, bins=5000, execution=execution)


@each_of
def test_more_bins_than_a_byte_or_two_can_count(of):
    table = gaussian(300, 9)
    angles = naive.pair_cosines(table)
    for bins in (255, 256, 257, 65_537):
        check_histogram(angles, table, of=of, bins=bins)


@each_of
def test_every_cosine_is_an_edge(of):
    table = gaussian(50, 9)
    angles = naive.pair_cosines(table)
    values = np.unique(angles.values(signed=of not in naive.OF_LINES))
    if of in naive.OF_ANGLES:
        edges = np.unique([math.degrees(math.acos(value)) for value in values])
    else:
        edges = values
    counts, _ = check_histogram(angles, table, of=of, bins=edges)
    assert counts.sum() >= len(values) - 2


@pytest.mark.parametrize("of", ["cosine", "abs_cosine"])
def test_histograms_of_cosines_are_numpys(of):
    table = gaussian(100, 5)
    values = naive.pair_cosines(table).values(signed=of == "cosine")
    for bins in (1, 10, 180, np.linspace(-1, 1, 20), [0.1, 0.2, 0.9], [0, 0.5, 0.5, 1.0]):
        whole = naive.FULL_RANGE[of] if np.ndim(bins) == 0 else None
        agree(histogram(table, bins=bins, of=of), np.histogram(values, bins, whole))
    wide = [-3.0, -0.5, 0.25, 2.5]
    agree(histogram(table, bins=wide, of=of), np.histogram(values, wide))
    for ends in ((0, 0.5), (-0.3, 0.1), (0.25, 2), (-5, 5)):
        found = histogram(table, bins=12, range=ends, of=of)
        agree(found, np.histogram(values, 12, ends))


def test_edges_at_round_angles():
    """A pair at exactly 60, 90 or 120 degrees lies in the bin that starts there."""
    hexagon = frames.simplex(3).tolist()
    table = np.array([*hexagon, *(-np.array(hexagon)).tolist()])
    counts, edges = histogram(table)
    assert edges.tolist() == list(range(181))
    assert {int(at): int(counts[at]) for at in np.flatnonzero(counts)} == {60: 6, 120: 6, 179: 3}
    counts, _ = histogram(table, of="line_angle", bins=90)
    assert {int(at): int(counts[at]) for at in np.flatnonzero(counts)} == {0: 3, 60: 12}
    assert histogram(table, bins=[60, 120])[0].tolist() == [12]
    assert histogram(table, bins=[60, 120, 121])[0].tolist() == [6, 6]
    assert histogram(table, bins=[0, 60])[0].tolist() == [6]
    assert histogram(table, bins=[0, 59.999])[0].tolist() == [0]
    counts, _ = histogram(frames.basis(30))
    assert np.flatnonzero(counts).tolist() == [90]
    assert counts[90] == 435
    counts, _ = histogram(frames.basis(30), of="line_angle", bins=90)
    assert np.flatnonzero(counts).tolist() == [89]
    counts, _ = histogram(np.array([[1, 0], [-1, 0]]))
    assert np.flatnonzero(counts).tolist() == [179]
    counts, _ = histogram(np.ones((3, 2)), of="abs_cosine")
    assert np.flatnonzero(counts).tolist() == [179]


def test_edges_that_have_one_cosine():
    """Edges below 1e-8 degrees all have a cosine of 1; a pair there lies in the last such bin."""
    table = np.concatenate([np.ones((3, 4)), -np.ones((2, 4)), np.eye(4)])
    angles = naive.pair_cosines(table)
    edges = [0, 1e-9, 2e-9, 60, 90, 180 - 2e-9, 180 - 1e-9, 180]
    counts, _ = check_histogram(angles, table, bins=edges)
    assert counts.sum() == len(angles.values())
    counts, _ = check_histogram(angles, table, bins=edges[:5], of="line_angle")
    assert counts[:2].tolist() == [0, 0]
    assert counts[2] == 10


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


def check_mean(angles, *tables, signed=False, execution=None, zero="raise"):
    """Single cosines are known to about (depth / 4 + 12) 2^-53."""
    expected = naive.mean_cosine(angles, signed)
    depth = np.shape(tables[0])[1]
    for precision, bound in (("float32", 1e-6), ("float64", 1e-14 + (depth / 4 + 12) * 2**-53)):
        ask = partial(mean_cosine, *tables, signed=signed, zero=zero, precision=precision)
        found = naive.answer(ask, execution or {})
        assert type(found) is float
        assert abs(found - expected) <= bound
    return found


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


@pytest.mark.parametrize("depth", [64, 200, 768, 3000])
def test_means_of_equal_rows(depth):
    """All roundings may go one way, which is what the stated bound is for."""
    bound = (min(depth, 192) + depth / 192 + 3) * 2**-24
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


# All at once


def check_description(table, other=None, zero="raise", execution=None):
    tables = (table,) if other is None else (table, other)
    angles = naive.pair_cosines(*tables)
    found = naive.answer(partial(describe, *tables, zero=zero), execution or {})
    assert isinstance(found, AngleStatistics)
    best = naive.pairs(angles, top=1)
    assert (found.coherence, *found.pair) == (abs(best[2][0]), best[0][0], best[1][0])
    assert type(found.coherence) is float
    cosines, indices = naive.nearest(angles)
    naive.same(found.nearest_cosines, cosines[:, 0], np.float64)
    naive.same(found.nearest_indices, indices[:, 0], np.int64)
    agree((found.histogram, found.edges), naive.histogram(angles))
    assert abs(found.mean_abs_cosine - naive.mean_cosine(angles)) <= 1e-6
    return found


@given(tables(**FEW), executions())
def test_descriptions_within_a_table(table, execution):
    check_description(table, execution=execution)


@given(two_tables(), executions())
def test_descriptions_across_two_tables(two, execution):
    check_description(*few(two), execution=execution)


def test_a_description():
    found = describe(TABLE)
    text = str(found)
    assert f"{found.coherence:.6f}" in text
    assert all(len(line) <= 100 for line in text.splitlines())
    assert "\n" not in repr(found)
    facts = found.to_dict()
    assert facts["coherence"] == found.coherence
    assert np.array_equal(facts["histogram"], found.histogram)
    read = json.loads(found.to_json())
    assert read.keys() == facts.keys()
    assert read["coherence"] == found.coherence
    assert read["mean_abs_cosine"] == found.mean_abs_cosine
    assert read["pair"] == list(found.pair)
    with pytest.raises((AttributeError, dataclasses.FrozenInstanceError)):
        found.coherence = 0
    assert found.run.threads >= 1
    assert "run" not in [field.name for field in dataclasses.fields(found) if field.compare]


def test_a_description_with_rows_left_out_is_json():
    """JSON has no NaN."""

    def refuse(word):
        raise AssertionError(word)

    table = naive.with_zero_rows(TABLE, 3)
    json.loads(describe(table, zero="skip").to_json(), parse_constant=refuse)


def test_a_description_is_its_parts():
    table = gaussian(500, 20)
    for other in ((), (gaussian(300, 20, seed=1),)):
        found = describe(table, *other)
        assert found.coherence == coherence(table, *other)
        assert np.array_equal(found.nearest_cosines, nearest(table, *other).cosines[:, 0])
        agree((found.histogram, found.edges), histogram(table, *other))
        mean = mean_cosine(table, *other, precision="float64")
        assert abs(found.mean_abs_cosine - mean) <= 1e-6


# Zero rows, backends, plans


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
    table = gaussian(1200, 40)
    table[1100:1150] = table[100:150] * -2
    table[:64, :] = frames.basis(40).repeat(2, axis=0)[:64]
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


def test_plans_of_descriptions(large):
    table, _ = large
    expected = check_description(table)
    for found in naive.answers(partial(describe, table)):
        assert np.array_equal(found.nearest_cosines, expected.nearest_cosines)
        assert np.array_equal(found.nearest_indices, expected.nearest_indices)
        assert np.array_equal(found.histogram, expected.histogram)
        assert (found.coherence, *found.pair) == (expected.coherence, *expected.pair)


# Refusals


@pytest.mark.parametrize("bins", [0, -1, 1.5, "auto", None, True, [], float("nan")], ids=str)
def test_bad_bins(bins):
    naive.complaint("bins", histogram, TABLE, bins=bins)


@each_of
@pytest.mark.parametrize(
    "edges",
    [[0.9, 0.1], [0.1, 0.5, 0.4], [0.1, float("nan")], [0.1, float("inf")], [[0.1, 0.5]], ["a"]],
    ids=str,
)
def test_bad_edges(of, edges):
    naive.complaint("bins", histogram, TABLE, bins=edges, of=of)


@each_of
@pytest.mark.parametrize(
    "ends",
    [(0.9, 0.1), (0, float("nan")), (0, float("inf")), (0.1,), (0, 0.5, 1), 3, "01"],
    ids=str,
)
def test_bad_ranges(of, ends):
    naive.complaint("range", histogram, TABLE, range=ends, of=of)


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


@pytest.mark.parametrize(
    "bins",
    [[-30, 0, 90, 200], [0, 90, 200], [0, 90, 360], [10, 370], [-90, 90], [-30, -10], [190, 500]],
)
@pytest.mark.parametrize("of", ["angle", "line_angle"])
def test_angle_edges_beyond_what_angles_reach(bins, of):
    """Against NumPy's histogram of the angles themselves, not of edges' cosines."""
    vectors = np.random.default_rng(0).standard_normal((200, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = (vectors @ vectors.T)[np.triu_indices(200, 1)]
    angles = np.degrees(np.arccos(np.abs(cosines) if of == "line_angle" else cosines))
    counts, edges = histogram(vectors, bins=bins, of=of)
    np.testing.assert_array_equal(counts, np.histogram(angles, bins=bins)[0])
    np.testing.assert_array_equal(edges, bins)
    sampled = estimate(vectors, of="histogram", bins=bins, quantity=of, rows=100)
    assert (sampled.lower <= sampled.value).all()
    assert (sampled.value <= sampled.upper).all()
