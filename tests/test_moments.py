"""Sums of squared cosines: against all pairs in float64, within the stated bound; exact frames."""

import dataclasses
import doctest
import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracles
from helpers import needs_compiled, output_of, whole_simplex
from strategies import FAMILIES, INTEGERS, tables, two_tables, without_zero_rows
from superpos_fast import moments
from superpos_fast.capacity import frames
from superpos_fast.moments import (
    dimensionality,
    frame_potential,
    interference,
    mean_signed_cosine,
    rms_cosine,
)
from superpos_fast.problem import posed
from superpos_fast.second_moment import moment_bound

PRECISIONS = ["float32", "float64"]
FUNCTIONS = [frame_potential, interference, dimensionality, rms_cosine]
TABLE = np.random.default_rng(0).standard_normal((700, 24))


# The oracle: every pair, in float64


def directions(vectors):
    rows = oracles.scaled(oracles.widened(vectors))
    return rows / np.sqrt((rows * rows).sum(axis=1, keepdims=True))


def squares(vectors, other=None):
    """Squared cosines of all ordered pairs, a row with itself exactly 1."""
    units = directions(vectors)
    if other is not None:
        return (units @ directions(other).T) ** 2
    found = (units @ units.T) ** 2
    np.fill_diagonal(found, 1.0)
    return found


def relative_lengths(vectors):
    rows = oracles.widened(vectors)
    largest = np.frexp(np.abs(rows).max(axis=1, keepdims=True))[1]
    rows = np.ldexp(rows, -largest)
    return np.ldexp(np.sqrt((rows * rows).sum(axis=1)), (largest - largest.max())[:, 0])


def check(vectors, other=None, precision="float32", **options):
    """Everything about a table, within the bound."""
    options["precision"] = precision
    found = squares(vectors, other)
    n, m = found.shape
    bound = moment_bound(m, np.shape(vectors)[1], precision)
    expected = found.sum(axis=1) - (other is None)
    measured = interference(vectors, other, **options)
    assert measured.dtype == np.float64
    assert measured.min() >= 0.0
    assert np.abs(measured - expected).max() <= m * bound
    mean = expected.sum() / (n * m if other is not None else n * (n - 1))
    assert abs(rms_cosine(vectors, other, **options) ** 2 - mean) <= 4 * bound
    if other is None:
        assert abs(frame_potential(vectors, **options) - found.sum()) <= 2 * n * n * bound
        weights = relative_lengths(vectors) ** 2
        others = found @ weights - weights
        held = weights > 1e-290
        shares = (weights / (weights + others))[held]
        gap = np.abs(dimensionality(vectors, **options)[held] - shares)
        assert (gap <= bound * weights.sum() / weights[held] + 1e-15).all()


@settings(max_examples=40)
@given(tables(), st.sampled_from(PRECISIONS), st.sampled_from([None, 1, 2]))
def test_any_table(table, precision, threads):
    check(table, precision=precision, threads=threads)


@settings(max_examples=40)
@given(two_tables(), st.sampled_from(PRECISIONS))
def test_any_two_tables(both, precision):
    check(*both, precision=precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shape", [(4500, 20), (150, 1100)], ids=str)
def test_large_tables(family, shape, precision):
    """Several blocks of rows, or of pairs."""
    rng = np.random.default_rng(1)
    table = without_zero_rows(family(rng, shape), rng)
    check(table, precision=precision)
    check(table[:100], table[100:], precision=precision)


def test_the_error_is_far_below_the_bound():
    """Random rows: sums of many roundings of both signs."""
    found = squares(TABLE).sum(axis=1) - 1
    assert np.abs(interference(TABLE) / found - 1).max() < 1e-5
    assert np.abs(interference(TABLE, precision="float64") / found - 1).max() < 1e-13
    assert moment_bound(10**6, 256) < 2e-4
    assert moment_bound(10**6, 256, "float64") < 8e-12


# Exact frames


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("frame", "rank"),
    [
        (lambda: frames.e8().array(), 8),
        (lambda: frames.lines28().array(), 7),
        (lambda: frames.basis(9).array(), 9),
        (lambda: whole_simplex(12), 11),
        (lambda: frames.kerdock(6).array(), 64),
        (lambda: frames.gold(5).array(), 32),
        (lambda: frames.mcfarland(3).array(), 28),
        (lambda: frames.paley(29).array(), 15),
        (lambda: frames.leech().array(), 24),
    ],
)
def test_tight_frames(frame, rank, precision):
    rows = frame()
    n = len(rows)
    close = {"rtol": 0, "atol": 1e-6 if precision == "float32" else 1e-13}
    options = {"precision": precision}
    np.testing.assert_allclose(frame_potential(rows, **options) / n**2, 1 / rank, **close)
    np.testing.assert_allclose(interference(rows, **options) / n, 1 / rank - 1 / n, **close)
    np.testing.assert_allclose(dimensionality(directions(rows), **options), rank / n, **close)
    mean = (n / rank - 1) / (n - 1)
    np.testing.assert_allclose(rms_cosine(rows, **options) ** 2, mean, **close)


def polygon(corners):
    angles = 2 * np.pi * np.arange(corners) / corners
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def antiprism():
    """Two squares, one turned by 45 degrees, at the height that makes the frame tight."""
    octagon = polygon(8)
    height = np.where(np.arange(8) % 2, 1, -1) / np.sqrt(2)
    return np.column_stack([octagon, height])


@pytest.mark.parametrize(
    ("features", "share"),
    [
        (np.array([[1, 0], [-1, 0]]), 1 / 2),
        (polygon(3), 2 / 3),
        (polygon(5), 2 / 5),
        (np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]), 3 / 4),
        (antiprism(), 3 / 8),
    ],
)
def test_landmarks_of_dimensionality(features, share):
    found = dimensionality(features, precision="float64")
    np.testing.assert_allclose(found, share, rtol=1e-14)


# Lengths


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("copies", [1, 50])
def test_lengths_may_differ_hugely(copies, precision):
    """Features perpendicular to all but their own copies, through pairs and through S."""
    lengths = np.array([1e300, 1e160, 1.0, 1e-30, 1e-120, 1e-300])
    rows = np.repeat(np.diag(lengths), copies, axis=0)
    found = dimensionality(rows, precision=precision)
    assert np.isfinite(found).all()
    held = np.repeat(lengths >= 1e160, copies)
    np.testing.assert_allclose(found[held], 1 / copies, rtol=1e-12)
    for scale in 1.0, 1e-200:
        near = np.repeat(np.diag([1.0, 1e-30, 1e-90]) * scale, copies, axis=0)
        np.testing.assert_allclose(dimensionality(near, precision=precision), 1 / copies)


def test_lengths_matter_to_dimensionality_only():
    scaled = TABLE * np.ldexp(1.0, np.arange(700) % 60)[:, None]
    for function in frame_potential, interference, rms_cosine:
        np.testing.assert_array_equal(function(scaled), function(TABLE))
    np.testing.assert_array_equal(dimensionality(TABLE * 2.0**900), dimensionality(TABLE))
    assert dimensionality(scaled)[0] < 1e-6 < dimensionality(TABLE)[0]


@settings(max_examples=40)
@given(tables())
def test_dimensions_are_at_most_the_rank(table):
    assert dimensionality(table, precision="float64").sum() <= min(table.shape) + 1e-9


# Rows of zeros, other tables, the mean


def with_zeros():
    rows = TABLE.copy()
    rows[[0, 5, 699]] = 0.0
    return rows, (rows != 0).any(axis=1)


def test_rows_of_zeros_are_left_out():
    rows, kept = with_zeros()
    for vectors, left in (rows, kept), (rows[:30], kept[:30]):
        for function in interference, dimensionality:
            found = function(vectors, zero="skip")
            assert np.isnan(found[~left]).all()
            np.testing.assert_allclose(found[left], function(vectors[left]), rtol=1e-5)
        for function in frame_potential, rms_cosine:
            expected = function(vectors[left])
            assert function(vectors, zero="skip") == pytest.approx(expected, rel=1e-6)
    found = rms_cosine(rows, rows[:50], zero="skip")
    assert found == pytest.approx(rms_cosine(rows[kept], rows[:50][kept[:50]]), rel=1e-6)


def test_a_table_beside_itself():
    for table in TABLE, TABLE[:30]:
        both = interference(table, table, precision="float64")
        np.testing.assert_allclose(both, interference(table, precision="float64") + 1, rtol=1e-12)


@pytest.mark.parametrize("zero", ["raise", "skip"])
@pytest.mark.parametrize("other", [None, 1.0 + TABLE[:90]])
def test_mean_signed_cosine(zero, other):
    rows, kept = with_zeros() if zero == "skip" else (TABLE + 0.3, slice(None))
    units = directions(rows[kept])
    cosines = units @ (units if other is None else directions(other)).T
    pairs = cosines[np.triu_indices(len(units), 1)] if other is None else cosines
    with posed(rows, other, zero, {"threads": 2}) as problem:
        assert mean_signed_cosine(problem) == pytest.approx(pairs.mean(), abs=1e-14)


# Execution


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", [(700, 24), (300, 100), (30, 100)], ids=str)
def test_room_changes_rounding_only(shape, precision):
    """Columns of S and rows in the smallest pieces there are."""
    table = np.random.default_rng(2).standard_normal(shape)
    with moments._summed(table, None, "raise", precision, {}) as wide:
        narrow = dataclasses.replace(wide, room=1)
        bound = 2 * moment_bound(*shape, precision)
        lengths = np.linspace(0.5, 1.0, shape[0])
        assert abs(narrow.potential() - wide.potential()) <= 2 * bound * shape[0] ** 2
        for each in None, lengths:
            gap = np.abs(narrow.energies(each) - wide.energies(each)).max()
            assert gap <= bound * shape[0]


def least_memory(vectors):
    with pytest.raises(ValueError, match=r"^memory\b.*\bat least") as refusal:
        interference(vectors, memory=1)
    return int(re.search(r"at least (\d+) bytes", str(refusal.value))[1])


@needs_compiled
@pytest.mark.parametrize("shape", [(1300, 600), (500, 600), (9000, 4)], ids=str)
def test_memory_is_a_cap(shape):
    """S and what is added to it would be 4.3 MB in all."""
    table = np.random.default_rng(3).standard_normal(shape, dtype=np.float32)
    dimensionality(table[: len(table) // 2])  # imports and compiles
    dimensionality(table)
    for cap in least_memory(table), 2**22, 2**25:
        for function in interference, dimensionality:
            tracemalloc.start()
            function(table, memory=cap, threads=2)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak <= cap


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("shape", [(5000, 40), (50, 100)], ids=str)
def test_threads_do_not_matter(function, shape):
    table = np.random.default_rng(4).standard_normal(shape, dtype=np.float32)
    expected = function(table, threads=1)
    for threads in 2, 2, 3:
        np.testing.assert_array_equal(function(table, threads=threads), expected)


@settings(max_examples=20)
@given(tables(element_types=INTEGERS))
def test_backends_agree(table):
    found = interference(table, backend="reference")
    np.testing.assert_allclose(interference(table), found, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("shape", [(5000, 40), (50, 100), (1200, 700)], ids=str)
def test_progress(function, shape):
    seen = []
    table = np.random.default_rng(5).standard_normal(shape, dtype=np.float32)
    function(table, progress=lambda *done: seen.append(done))
    pairs = shape[0] * (shape[0] - 1) // 2
    assert seen[-1] == (pairs, pairs)
    assert seen == sorted(seen)


# The kernels

KERNELS = """
import sys
import numpy as np
from dataclasses import replace
from superpos_fast.kernels import reference
from superpos_fast.kernels.cpu import simd
chosen = [entry for entry in simd.INSTRUCTION_SETS if entry.name == sys.argv[1]]
simd.INSTRUCTION_SETS = tuple(replace(entry, requires=frozenset()) for entry in chosen)
from superpos_fast.kernels.cpu import entry

rng = np.random.default_rng(6)
for depth, wanted in (1, None), (7, None), (200, None), (200, (1, 3)):
    table = rng.standard_normal((90, depth)) + 0.2
    for read in np.float32, np.float64:
        block = table.astype(read)
        for dtype in np.float32, np.float64:
            unit = entry.SecondMoment.shape(dtype)[0]
            strips = wanted or (0, -(-depth // unit))
            moment = entry.SecondMoment(depth, *strips, 32, dtype)
            inverse = 1.0 / np.linalg.norm(block.astype(float), axis=1)
            factors = inverse.astype(np.result_type(read, dtype))
            sums = np.zeros(moment.size, dtype)
            for _ in range(2):
                moment.add(block[:50], factors[:50], sums, True)
            moment.add(block[50:], factors[50:], sums, False)
            # Zeros in front make the columns whole strips.
            units = np.zeros((90, -depth % unit + depth))
            units[:, -depth:] = block * inverse[:, None]
            plain = reference.SecondMoment(units.shape[1], *(unit * s for s in strips), 90, float)
            whole = np.zeros(plain.size)
            plain.add(units, np.ones(90), whole, True)
            square = units.T @ units
            for strip, (above, corner) in zip(range(*strips), moment.strips(sums)):
                columns = slice(strip * unit, (strip + 1) * unit)
                found = np.concatenate([above, corner], axis=1).transpose(1, 0, 2)
                gap = found.reshape(-1, unit) - square[: columns.stop, columns]
                assert abs(gap).max() < (1e-13 if dtype == np.float64 else 1e-5)
                corner *= 0.5
            for column, (above, corner) in enumerate(plain.strips(whole), unit * strips[0]):
                np.testing.assert_allclose(above[0, :, 0], square[:column, column], atol=1e-12)
                corner *= 0.5
            ours, theirs = np.zeros((2, 90))
            moment.add_energies(block, factors, sums, ours)
            plain.add_energies(units, np.ones(90), whole, theirs)
            assert abs(ours - theirs).max() < (1e-12 if dtype == np.float64 else 1e-4)
print("good")
"""


@needs_compiled
@pytest.mark.parametrize("name", ["avx512", "avx2", "neon", "portable"])
def test_every_register_block(name, tmp_path):
    """Against plain NumPy and the reference: padded depths, some strips only, every type."""
    place = {"NUMBA_CACHE_DIR": str(tmp_path)}
    assert output_of(KERNELS, name, environment=place, timeout=400) == ["good"]


# Refusals and examples


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("precision", {"precision": "float16"}, ValueError),
        ("precision", {"precision": ["float32"]}, ValueError),
        ("zero", {"zero": "drop"}, ValueError),
        ("thread", {"thread": 1}, TypeError),
        ("memory", {"memory": 100}, ValueError),
    ],
)
def test_refusals(function, name, options, kind):
    with pytest.raises(kind, match=rf"^{name}: must be .*, got ") as refusal:
        function(TABLE, **options)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_bad_vectors(function):
    for bad in TABLE[:1], TABLE[0], TABLE * np.append(np.nan, np.ones(23)), 0 * TABLE:
        with pytest.raises(ValueError, match=r"^vectors: .* must .*got|^vectors: must .*got"):
            function(bad)


def test_examples():
    found = doctest.testmod(moments)
    assert found.attempted >= 8
    assert not found.failed
