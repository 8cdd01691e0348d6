"""`histogram`: bins, edges and ranges, against the oracle and against NumPy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import family_oracles as naive
from distribution_checks import OF, agree, check_histogram, edges_in_data, kinds
from helpers import few, gaussian, whole_simplex
from strategies import FEW, TABLE, TIES, executions, seeds, tables, two_tables
from superpos_fast import estimate, histogram
from superpos_fast.capacity import frames

each_of = pytest.mark.parametrize("of", OF)


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


# Edges and ranges


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


@given(tables(**FEW), kinds, st.floats(-2, 0.9), st.floats(0.05, 2), seeds, executions())
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
    hexagon = whole_simplex(3).tolist()
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
    counts, _ = histogram(frames.basis(30).array())
    assert np.flatnonzero(counts).tolist() == [90]
    assert counts[90] == 435
    counts, _ = histogram(frames.basis(30).array(), of="line_angle", bins=90)
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
