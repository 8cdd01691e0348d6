"""`mmcs`, `mutual_nearest` between two tables, and `babel` within one, against the oracle."""

import dataclasses
import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import family_oracles as naive
from helpers import gaussian
from strategies import FEW, TABLE, TIES, executions, seeds, tables, two_tables
from superpos_fast import babel, coherence, mmcs, mutual_nearest, nearest
from superpos_fast.capacity import frames


def directions(found):
    return found.a_to_b, found.b_to_a


def check_babel(table, k, zero="raise", execution=None):
    """mu_1(1..k), or to as many as there are."""
    angles = naive.pair_cosines(table)
    k = min(k, angles.partners)
    found = naive.answer(partial(babel, table, k, zero=zero), execution or {})
    naive.same(found, naive.babel(angles, k), np.float64)
    return found


def check_overlap(one, two, zero="raise", execution=None):
    """Best cosines and partners are exact; a mean of n numbers is as good as its sum."""
    angles = naive.pair_cosines(one, two)
    found = naive.answer(partial(mmcs, one, two, zero=zero), execution or {})
    forth, back = directions(found)
    assert type(forth) is type(back) is float
    assert np.allclose((forth, back), naive.mmcs(angles), rtol=1e-13, atol=0)
    pairs = naive.answer(partial(mutual_nearest, one, two, zero=zero), execution or {})
    naive.same(pairs, naive.mutual_nearest(angles), np.int64)
    return forth, back, pairs


# Any table


@given(tables(**FEW), st.integers(1, 20) | st.just(1024), executions())
def test_babel_of_a_table(table, k, execution):
    sums = check_babel(table, k, execution=execution)
    assert sums[0] == coherence(table)


@given(tables(**FEW, **TIES), st.integers(1, 20), executions())
def test_babel_of_ties(table, k, execution):
    check_babel(table, k, execution=execution)


@given(two_tables(), executions())
def test_overlaps(two, execution):
    check_overlap(*(table[:90] for table in two), execution=execution)


@given(tables(**FEW, **TIES), seeds, executions())
def test_overlaps_of_ties(table, seed, execution):
    order = np.random.default_rng(seed).permutation(len(table))
    check_overlap(table, table[order][: 1 + seed % len(table)], execution=execution)


@given(tables(**FEW), st.integers(1, 12), executions(), seeds)
def test_zero_rows_are_left_out(table, k, execution, seed):
    table = naive.with_zero_rows(table, seed)
    check_babel(table, k, zero="skip", execution=execution)
    other = naive.with_zero_rows(table[::-1], seed + 1)
    if (other != 0).any():
        *_, pairs = check_overlap(table, other, zero="skip", execution=execution)
        assert (table[pairs[:, 0]] != 0).any(axis=1).all()


@given(tables(rows=st.integers(2, 24), depth=st.integers(1, 20)), st.integers(1, 12))
def test_backends_agree(table, k):
    for backend in ("cpu", "reference"):
        execution = {"backend": backend}
        check_babel(table, k, execution=execution)
        check_overlap(table, table[:5], execution=execution)


# Known overlaps


def test_a_table_meets_its_own_shuffle():
    table = gaussian(150, 12)
    order = np.random.default_rng(1).permutation(150)
    forth, back, pairs = check_overlap(table, -4 * table[order])
    assert (forth, back) == (1.0, 1.0)
    assert pairs[:, 0].tolist() == list(range(150))
    assert order[pairs[:, 1]].tolist() == list(range(150))


def test_nothing_in_common():
    basis = frames.basis(20).array()
    assert directions(mmcs(basis[:5], basis[5:])) == (0.0, 0.0)
    assert mutual_nearest(basis[:5], basis[5:]).tolist() == [[0, 0]]
    assert directions(mmcs(basis, basis[:5])) == (0.25, 1.0)


def test_one_row():
    table = gaussian(30, 4)
    forth, back, pairs = check_overlap(table[:1], table)
    assert forth == 1.0
    assert 0 < back < 1
    assert pairs.tolist() == [[0, 0]]
    check_overlap(table, table[7:8])


def test_ties_have_the_lowest_partner():
    one, two = np.ones((4, 3)), np.ones((6, 3))
    assert mutual_nearest(one, two).tolist() == [[0, 0]]


def test_mmcs_is_a_mean_of_nearest():
    one, two = gaussian(400, 30), gaussian(300, 30, seed=1)
    forth, back = directions(mmcs(one, two))
    assert math.isclose(forth, np.abs(nearest(one, two).cosines).mean(), rel_tol=1e-14)
    assert math.isclose(back, np.abs(nearest(two, one).cosines).mean(), rel_tol=1e-14)


# Known sums


def test_babel_of_frames():
    assert babel(frames.basis(30).array(), 4).tolist() == [0, 0, 0, 0]
    assert babel(frames.e8().array(), 60).tolist() == [min(k, 56) / 2 for k in range(1, 61)]
    assert babel(frames.kerdock(4).array(), 130)[-1] == 32
    assert babel(np.ones((9, 4)), 8).tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_babel_of_all_partners():
    table = gaussian(130, 20)
    sums = check_babel(table, 129)
    assert sums.shape == (129,)
    assert (np.diff(sums) > 0).all()
    assert type(check_babel(table, 1)) is np.ndarray


def test_the_row_with_the_largest_sum_changes():
    """One near twin for row 0, many fair neighbours for row 2."""
    table = np.eye(30)
    table[1, 0], table[3:12, 2] = 5, 1
    sums = check_babel(table, 9)
    assert sums[0] < 1 < sums[1] < 2


# What comes back


def test_the_record():
    found = mmcs(TABLE, TABLE[:7])
    assert "\n" not in repr(found)
    assert found.run.threads >= 1
    for name in ("a_to_b", "b_to_a", "run"):
        with pytest.raises((AttributeError, dataclasses.FrozenInstanceError)):
            setattr(found, name, 0)
    assert found == mmcs(TABLE, TABLE[:7], threads=1)
    assert found != mmcs(TABLE[:7], TABLE)


# Plans


def test_plans():
    table, other = gaussian(900, 40), gaussian(500, 40, seed=1)
    table[700:720] = other[:20]
    expected = naive.babel(naive.pair_cosines(table), 12)
    for found in naive.answers(partial(babel, table, 12)):
        naive.same(found, expected, np.float64)
    angles = naive.pair_cosines(table, other)
    expected, means = naive.mutual_nearest(angles), naive.mmcs(angles)
    for found in naive.answers(partial(mutual_nearest, table, other)):
        naive.same(found, expected, np.int64)
    found = {directions(found) for found in naive.answers(partial(mmcs, table, other))}
    assert len(found) == 1
    assert np.allclose(found.pop(), means, rtol=1e-13, atol=0)


# Refusals


@pytest.mark.parametrize("k", [0, -1, 1.0, "1", None, True, [1], 40, 1025])
def test_bad_k(k):
    naive.complaint("k", babel, TABLE, k)


def test_k_above_the_partners():
    few = TABLE.copy()
    few[3:30] = 0
    assert babel(few, 12, zero="skip").shape == (12,)
    naive.complaint("k", babel, few, 13, zero="skip")


def test_two_tables_are_needed():
    for ask in (mmcs, mutual_nearest):
        with pytest.raises(TypeError):
            ask(TABLE)
        naive.complaint("b", ask, TABLE, None)
        naive.complaint("a", ask, None, TABLE)


def test_what_all_refuse():
    naive.refuses_what_all_refuse(partial(babel, k=3), names=("vectors",))


@pytest.mark.parametrize("ask", [mmcs, mutual_nearest])
def test_what_all_refuse_of_two_tables(ask):
    def question(a, b=TABLE, **options):
        return ask(a, b, **options)

    naive.refuses_what_all_refuse(question, names=("a", "b"))
