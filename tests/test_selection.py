"""`count` and `within_tolerance`, and what they share with `pairs`, against the oracle."""

import dataclasses
import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import family_oracles as naive
from helpers import few, gaussian, whole_simplex
from selection_checks import (
    CHOICES,
    EVERY,
    LINE_ANGLES,
    agree,
    check_count,
    check_pairs,
    check_tolerance,
)
from strategies import FEW, TABLE, TIES, executions, seeds, tables, two_tables
from superpos_fast import count, pairs, within_tolerance
from superpos_fast.capacity import frames

ASKED = [pairs, count, within_tolerance]


# Counts


@given(tables(), st.booleans(), executions(), seeds)
def test_counts_within_a_table(table, signed, execution, seed):
    angles = naive.pair_cosines(table)
    thresholds = naive.sharp_thresholds(angles.values(signed), seed)
    check_count(angles, table, cosine=thresholds, signed=signed, execution=execution)
    check_count(angles, table, cosine=float(thresholds[0]), signed=signed, execution=execution)


@given(two_tables(), st.booleans(), executions(), seeds)
def test_counts_across_two_tables(two, signed, execution, seed):
    two = few(two)
    angles = naive.pair_cosines(*two)
    thresholds = naive.sharp_thresholds(angles.values(signed), seed)
    check_count(angles, *two, cosine=thresholds, signed=signed, execution=execution)
    check_count(angles, *two, cosine=float(thresholds[0]), signed=signed)


@given(tables(**FEW, **TIES), st.booleans(), executions(), seeds)
def test_counts_of_ties(table, signed, execution, seed):
    angles = naive.pair_cosines(table)
    thresholds = naive.with_neighbours(np.unique(angles.values(signed))[:40])
    thresholds = thresholds if signed else np.abs(thresholds)
    check_count(angles, table, cosine=thresholds, signed=signed, execution=execution)
    degrees = LINE_ANGLES + ([90.5, 120, 120.0, 150, 180] if signed else [])
    check_count(angles, table, angle=degrees, signed=signed, execution=execution)
    for angle in (60, 90):
        check_count(angles, table, angle=angle, signed=signed)
    degrees = np.degrees(np.arccos(np.abs(angles.values()[:9])))
    check_count(angles, table, angle=degrees, signed=signed)


def test_the_shape_of_thresholds():
    thresholds = [[0.1, 0.9, 0.1], [0.0, 1.0, 0.5]]
    angles = naive.pair_cosines(TABLE)
    check_count(angles, TABLE, cosine=thresholds)
    check_count(angles, TABLE, cosine=np.array(thresholds, dtype=np.float32))
    check_count(angles, TABLE, cosine=np.float64(0.5))
    check_count(angles, TABLE, cosine=[0.5])
    check_count(angles, TABLE, cosine=np.linspace(0, 1, 1000))
    check_count(angles, TABLE, angle=np.linspace(0, 90, 91))
    check_count(angles, TABLE, angle=np.arange(181), signed=True)
    check_count(angles, TABLE, cosine=1)
    check_count(angles, TABLE, cosine=-0.0)


def test_few_counts():
    assert count(np.eye(7), angle=90) == 21
    assert count(np.eye(7), cosine=0.0) == 21
    assert count(np.eye(7), cosine=5e-324) == 0
    assert count(np.ones((9, 4)), cosine=1) == 36
    assert count([[1, 0], [-2, 0], [3, 0]], angle=0, signed=True) == 1
    assert count([[1, 0], [-2, 0], [3, 0]], angle=180, signed=True) == 3
    assert count(whole_simplex(3), angle=120, signed=True) == 3
    assert count(whole_simplex(3), cosine=np.nextafter(-0.5, 0), signed=True) == 0
    assert count(np.eye(3), np.eye(3)[:2], cosine=0.5) == 2


# Tolerances


@given(tables(**FEW), executions(), seeds)
def test_tolerances_within_a_table(table, execution, seed):
    angles = naive.pair_cosines(table)
    best = float(angles.values(signed=False).max())
    assert check_tolerance(angles, table, cosine=best, execution=execution)
    if best > 0:
        below = float(np.nextafter(best, 0))
        assert not check_tolerance(angles, table, cosine=below, execution=execution)
    some = float(naive.sharp_thresholds(angles.values(signed=False), seed)[0])
    check_tolerance(angles, table, cosine=some, execution=execution)


@given(two_tables(), executions(), seeds)
def test_tolerances_across_two_tables(two, execution, seed):
    two = few(two)
    angles = naive.pair_cosines(*two)
    best = float(angles.values(signed=False).max())
    assert check_tolerance(angles, *two, cosine=best, execution=execution)
    some = float(naive.sharp_thresholds(angles.values(signed=False), seed)[0])
    check_tolerance(angles, *two, cosine=some, execution=execution)


@given(tables(**FEW, **TIES), st.sampled_from(LINE_ANGLES), executions())
def test_tolerances_by_angle(table, angle, execution):
    check_tolerance(naive.pair_cosines(table), table, angle=angle, execution=execution)


def test_few_tolerances():
    assert within_tolerance(np.eye(9), angle=90)
    assert within_tolerance(np.eye(9), cosine=0)
    assert within_tolerance(frames.e8().array(), angle=60)
    assert not within_tolerance(frames.e8().array(), angle=60.000001)
    assert within_tolerance(np.ones((5, 2)), angle=0)
    assert not within_tolerance(np.ones((5, 2)), angle=0.001)
    assert not within_tolerance([[1, 0], [-1, 0]], angle=45)


@pytest.mark.parametrize("place", [(0, 1), (0, 2999), (2998, 2999), (1234, 2345)])
def test_the_one_witness_is_found(place):
    table = np.eye(3000, dtype=np.float32)
    table[place[1], place[0]] = 1e-3
    found = within_tolerance(table, angle=89.99)
    assert (found.i, found.j) == place
    assert math.isclose(found.cosine, 1e-3, rel_tol=1e-5)
    assert within_tolerance(table, angle=89.9)


def test_the_record_of_a_tolerance():
    for found in (within_tolerance(TABLE, angle=1), within_tolerance(TABLE, angle=89)):
        assert "\n" not in repr(found)
        assert found.run.threads >= 1
        for name in ("i", "j", "cosine", "run"):
            with pytest.raises((AttributeError, dataclasses.FrozenInstanceError)):
                setattr(found, name, 0)
    assert within_tolerance(TABLE, cosine=1) == within_tolerance(TABLE, cosine=1, threads=1)


# Zero rows and backends


@given(tables(**FEW), st.booleans(), executions(), seeds)
def test_zero_rows_are_left_out(table, signed, execution, seed):
    table = naive.with_zero_rows(table, seed)
    angles = naive.pair_cosines(table)
    thresholds = naive.sharp_thresholds(angles.values(signed), seed)
    options = {"execution": execution, "zero": "skip"}
    check_count(angles, table, cosine=thresholds, signed=signed, **options)
    check_pairs(angles, table, cosine=float(thresholds[0]), signed=signed, **options)
    top = 1 + seed % len(angles.values())
    check_pairs(angles, table, top=top, signed=signed, **options)
    check_tolerance(angles, table, cosine=abs(float(thresholds[0])), **options)


@given(two_tables(), st.booleans(), seeds)
def test_zero_rows_are_left_out_across(two, signed, seed):
    two = [naive.with_zero_rows(table[:50], seed, least=1) for table in two]
    angles = naive.pair_cosines(*two)
    thresholds = naive.sharp_thresholds(angles.values(signed), seed)
    check_count(angles, *two, cosine=thresholds, signed=signed, zero="skip")
    check_pairs(angles, *two, cosine=float(thresholds[0]), signed=signed, zero="skip")
    check_pairs(angles, *two, top=len(angles.values()), signed=signed, zero="skip")
    check_tolerance(angles, *two, cosine=abs(float(thresholds[0])), zero="skip")


@given(tables(rows=st.integers(2, 24), depth=st.integers(1, 20)), st.booleans(), seeds)
def test_backends_agree(table, signed, seed):
    for other in (), (table[:5],):
        angles = naive.pair_cosines(table, *other)
        thresholds = naive.sharp_thresholds(angles.values(signed), seed)
        for backend in ("cpu", "reference"):
            options = {"execution": {"backend": backend}}
            check_count(angles, table, *other, cosine=thresholds, signed=signed, **options)
            least = float(thresholds[0])
            found = check_pairs(angles, table, *other, cosine=least, signed=signed, **options)
            assert found.run.backend == backend
            top = 1 + seed % len(angles.values())
            check_pairs(angles, table, *other, top=top, signed=signed, **options)
            check_tolerance(angles, table, *other, cosine=abs(least), **options)


# Too close for float32


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("cosine", [0.0, 1e-6, 0.5, 0.999])
def test_cosines_that_differ_below_float32(cosine, signed):
    """Row 0 meets the others at cosines 1e-13 apart, each of them a threshold."""
    rows = 200
    steps = np.random.default_rng(7).permutation(rows)
    near = cosine + 1e-13 * steps
    table = np.zeros((rows + 1, rows + 1))
    table[0, 0] = 1
    table[1:, 0] = near
    table[1:, 1:] = np.diag(np.sqrt(1 - near**2))
    angles = naive.pair_cosines(table)
    values = np.unique(angles.matrix[0, 1:])
    thresholds = np.maximum(naive.with_neighbours(values), 0)
    check_count(angles, table, cosine=thresholds, signed=signed)
    check_pairs(angles, table, cosine=float(values[100]), signed=signed)
    check_pairs(angles, table, top=100, signed=signed)


def test_all_rows_equal_to_nine_digits():
    rng = np.random.default_rng(6)
    table = rng.standard_normal(40) * (1 + 1e-9 * rng.standard_normal((500, 40)))
    angles = naive.pair_cosines(table)
    values = np.unique(angles.values())
    assert len(values) > 1
    check_count(angles, table, cosine=naive.with_neighbours(values[:50]))
    check_pairs(angles, table, top=60_000)
    check_tolerance(angles, table, cosine=float(values[-2]))


# Plans


@pytest.fixture(scope="module")
def large():
    table = gaussian(1200, 40)
    table[1100:1150] = table[100:150] * -2
    return table, naive.pair_cosines(table)


@pytest.mark.parametrize("signed", [False, True])
def test_plans(large, signed):
    table, angles = large
    thresholds = naive.sharp_thresholds(angles.values(signed), 1)
    expected = naive.count(angles, cosine=thresholds, signed=signed)
    for found in naive.answers(partial(count, table, cosine=thresholds, signed=signed)):
        naive.same(found, expected, np.int64)
    for question in ({"cosine": 0.45}, {"top": 1000}, {"top": 30}):
        expected = naive.pairs(angles, signed=signed, **question)
        ask = partial(pairs, table, limit=EVERY, signed=signed, **question)
        for found in naive.answers(ask, threads=(1, 3)):
            agree(found, expected)


def test_plans_of_tolerances(large):
    table, angles = large
    assert all(naive.answers(partial(within_tolerance, table, cosine=1)))
    best = float(np.sort(angles.values(signed=False))[-51])
    assert best < 0.999
    for found in naive.answers(partial(within_tolerance, table, cosine=best)):
        assert not found
        assert (found.i + 1000, found.cosine) == (found.j, angles.matrix[found.i, found.j])


# Refusals


@pytest.mark.parametrize("ask", ASKED)
def test_not_one_threshold(ask):
    naive.complaint(CHOICES, ask, TABLE)
    naive.complaint(CHOICES, ask, TABLE, cosine=0.5, angle=60)
    with pytest.raises((TypeError, ValueError)):
        ask(TABLE, 0.5)


@pytest.mark.parametrize("ask", ASKED)
@pytest.mark.parametrize("name", ["cosine", "angle"])
@pytest.mark.parametrize("bad", [float("nan"), np.nan, "0.5", 1j, {}], ids=str)
def test_bad_thresholds(ask, name, bad):
    naive.complaint(name, ask, TABLE, **{name: bad})


@pytest.mark.parametrize("ask", ASKED)
@pytest.mark.parametrize("angle", [-1, 180.5, float("inf"), -float("inf")])
def test_angles_that_are_none(ask, angle):
    naive.complaint("angle", ask, TABLE, angle=angle)


def test_lines_meet_at_a_right_angle_at_most():
    for ask in ASKED:
        naive.complaint("angle", ask, TABLE, angle=90.5)
    for ask in (pairs, count):
        ask(TABLE, angle=90.5, signed=True)
        naive.complaint("angle", ask, TABLE, angle=180.5, signed=True)


def test_arrays_of_thresholds():
    naive.complaint("cosine", count, TABLE, cosine=[0.5, float("nan")])
    naive.complaint("angle", count, TABLE, angle=[[60, float("nan")]])
    naive.complaint("cosine", count, TABLE, cosine=["a"])
    for ask in (pairs, within_tolerance):
        naive.complaint("cosine", ask, TABLE, cosine=[0.5, 0.6])
        naive.complaint("angle", ask, TABLE, angle=[60, 90])


@pytest.mark.parametrize("ask", [pairs, count])
def test_bad_flags(ask):
    naive.complaint("signed", ask, TABLE, cosine=0.5, signed="no")


@pytest.mark.parametrize("ask", ASKED)
def test_what_all_refuse(ask):
    naive.refuses_what_all_refuse(partial(ask, cosine=0.5))
