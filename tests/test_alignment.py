"""Alignment with the axes and the columns' view of it, against naive loops and chance."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oracles
from strategies import LAYOUTS, tables
from superpos_fast.alignment import Neurons, basis_alignment, neurons

NEGLIGIBLE = 2.0**-255


def unit_rows(vectors):
    """Rows by the definition; zeros stay zeros."""
    rows = oracles.widened(vectors)
    units = np.zeros(rows.shape)
    kept = rows.any(axis=1)
    scaled = oracles.scaled(rows[kept])
    lengths = np.sqrt(oracles.dots(scaled, scaled))
    units[kept] = (scaled / lengths[:, None])[:, : rows.shape[1]]
    return units


def naive_alignment(u):
    """Cosine, axis and participation of one unit row."""
    if not any(u):
        return math.nan, -1, math.nan
    axis = max(range(len(u)), key=lambda k: (abs(u[k]), -k))
    return u[axis], axis, 1 / math.fsum(x**4 for x in u)


def naive_neuron(column, top):
    """Participation, features and weights of one column of unit rows."""
    entries = [(i, x) for i, x in enumerate(column) if abs(x) >= NEGLIGIBLE]
    listed = sorted(entries, key=lambda entry: (-abs(entry[1]), entry[0]))[:top]
    listed += [(-1, 0.0)] * (top - len(listed))
    fourth = math.fsum(x**4 for _, x in entries)
    second = math.fsum(x**2 for _, x in entries)
    return second**2 / fourth if entries else math.nan, *zip(*listed, strict=True)


def check_alignment(vectors, **options):
    found = basis_alignment(vectors, **options)
    cosines, axes, participation = zip(*map(naive_alignment, unit_rows(vectors)), strict=True)
    assert found.axes.dtype == np.int64
    np.testing.assert_array_equal(found.cosines, cosines)
    np.testing.assert_array_equal(found.axes, axes)
    np.testing.assert_allclose(found.participation, participation, rtol=1e-12)
    return found


def check_neurons(vectors, top, **options):
    found = neurons(vectors, top=top, **options)
    columns = unit_rows(vectors).T.tolist()
    participation, features, weights = zip(
        *(naive_neuron(column, top) for column in columns), strict=True
    )
    assert found.features.dtype == np.int64
    np.testing.assert_allclose(found.participation, participation, rtol=1e-12)
    np.testing.assert_array_equal(found.features, features)
    np.testing.assert_array_equal(found.weights, weights)
    return found


def same(found, other):
    return all(
        value.tobytes() == vars(other)[name].tobytes()
        for name, value in vars(found).items()
        if isinstance(value, np.ndarray)
    )


def smallest_memory(function, vectors):
    with pytest.raises(ValueError, match="memory: must be at least") as refusal:
        function(vectors, memory=1)
    return int(re.search(r"at least (\d+) bytes", str(refusal.value))[1])


# Against the loops


@given(tables(rows=st.integers(2, 60), depth=st.integers(1, 40)), st.integers(0), st.integers(1, 9))
def test_against_naive_loops(table, seed, top):
    """Every type, layout and degeneracy; some rows of zeros among them."""
    table = np.array(table)
    table[2:][np.random.default_rng(seed).random(len(table) - 2) < 0.1] = 0
    check_alignment(table, zero="skip")
    check_neurons(table, min(top, len(table)), zero="skip")


@pytest.mark.parametrize("family", [np.random.Generator.standard_normal, "ties", "rising"])
def test_many_rows(family):
    """Over several slabs, and columns whose lists change in every block."""
    rng = np.random.default_rng(5)
    if family == "ties":
        table = rng.integers(-1, 2, (5000, 7))
        table[:, 6] = 1
    elif family == "rising":
        table = np.linspace(0, 1, 5000)[:, None] * rng.choice([-1, 1], 6)
        table = np.concatenate([table, np.ones((5000, 1))], axis=1)
    else:
        table = family(rng, (5000, 7))
    check_alignment(table)
    check_neurons(table, 9)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout):
    table = np.random.default_rng(6).standard_normal((100, 33)).astype(np.float32)
    assert same(basis_alignment(layout(table)), basis_alignment(table))
    assert same(neurons(layout(table)), neurons(table))


@pytest.mark.parametrize("function", [basis_alignment, neurons])
def test_the_answer_hangs_on_nothing_else(function):
    """Threads, memory, backend: the same bits."""
    table = np.random.default_rng(7).standard_normal((9001, 21), dtype=np.float32)
    expected = function(table, threads=1)
    least = smallest_memory(function, table)
    for options in (
        {"threads": 2},
        {"threads": 7, "memory": "64MiB"},
        {"threads": 3, "memory": least},
        {"memory": 2 * least},
        {"backend": "reference"},
        {"backend": "reference", "threads": 3},
    ):
        assert same(function(table, **options), expected)


# What is known


def test_axes_and_even_rows():
    found = basis_alignment(np.concatenate([-3 * np.eye(5), np.full((1, 5), 7.0)]))
    assert found.cosines[:5].tolist() == [-1.0] * 5
    assert found.axes.tolist() == [0, 1, 2, 3, 4, 0]
    assert found.participation.tolist() == [1.0] * 5 + [5.0]
    assert "6 directions in 5 dimensions" in str(found)


def test_neurons_of_a_basis():
    """One feature a neuron; a second, empty, neuron."""
    found = neurons(np.repeat([[2, 0], [0, 0], [-2, 0]], 3, axis=0), top=7, zero="skip")
    assert found.participation[0] == found.count == 6
    assert math.isnan(found.participation[1])
    assert found.features.tolist() == [[0, 1, 2, 6, 7, 8, -1], [-1] * 7]
    assert found.weights.tolist() == [[1, 1, 1, -1, -1, -1, 0], [0] * 7]
    assert "2 neurons" in str(found)


def test_negligible_entries():
    """Whose fourth powers float64 cannot hold."""
    found = neurons([[1.0, 2.0**-255, 2.0**-256], [1.0, 0.0, 0.0]], top=1)
    assert found.participation[:2].tolist() == [2.0, 1.0]
    assert found.features.tolist() == [[0], [0], [-1]]


def test_records_hold_the_run():
    table = np.eye(4)
    for found in (basis_alignment(table, threads=1), neurons(table, top=1, threads=1)):
        assert found.run.threads == 1
        assert found.run.seconds > 0


# Chance


def directions(rng, shape):
    normal = rng.standard_normal(shape)
    return normal / np.linalg.norm(normal, axis=-1, keepdims=True)


def near(sample, expected):
    """The sample's mean lies within five standard errors of what is expected."""
    return abs(sample.mean() - expected) < 5 * sample.std() / math.sqrt(sample.size)


@pytest.mark.parametrize("d", [1, 2, 12, 100])
def test_random_directions(d):
    """Harmonic mean of the participation ratio, mean of the largest entry."""
    found = basis_alignment(np.random.default_rng(d).standard_normal((30_000, d)))
    if d == 1:
        assert found.expected_cosine == pytest.approx(1.0)
        assert found.expected_participation == 1.0
    else:
        assert near(np.abs(found.cosines), found.expected_cosine)
        assert near(1 / found.participation, 1 / found.expected_participation)


@pytest.mark.parametrize("d", [2, 6, 40])
def test_random_neurons(d):
    """The mean over 4000 tables of 200 rows; at d = 40 the expansion's first term alone is off."""
    count = 200
    squares = directions(np.random.default_rng(d), (4000, count, d))[:, :, 0] ** 2
    sample = squares.sum(axis=1) ** 2 / (squares**2).sum(axis=1)
    record = Neurons(np.zeros(d), np.zeros((d, 1)), np.zeros((d, 1)), count)
    assert near(sample, record.expected_participation)
    if d == 40:
        assert not near(sample, count * (d + 2) / (3 * d))


def test_neurons_of_a_random_table():
    """50 columns, hardly dependent: their mean within 5 %."""
    found = neurons(np.random.default_rng(1).standard_normal((3000, 50)))
    assert found.participation.mean() == pytest.approx(found.expected_participation, rel=0.05)


# Refusals


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"top": 0}, ValueError, "top: must be at least 1, got 0"),
        ({"top": 4}, ValueError, "top: must be at most 3, the number of rows, got 4"),
        ({"top": 2.0}, TypeError, "top: must be a whole number, got 2.0"),
        ({"zero": "keep"}, ValueError, "zero: must be 'raise' or 'skip', got 'keep'"),
        ({"tpo": 1}, TypeError, "tpo: must be a keyword in the function's signature or one of"),
    ],
)
def test_refusals_of_neurons(options, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}"):
        neurons(np.eye(3), **options)


@pytest.mark.parametrize("function", [basis_alignment, neurons])
def test_refusals_of_vectors(function):
    with pytest.raises(ValueError, match="rows must not be zero .* row 1"):
        function([[1, 0], [0, 0], [0, 1]])
    with pytest.raises(ValueError, match="entries must be finite, got nan in row 0"):
        function([[math.nan, 0], [0, 1]])
