"""`nearest` against the oracle: the same neighbours in the same order, bit for bit."""

import dataclasses
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import family_oracles as naive
from helpers import gaussian
from strategies import FEW, TABLE, TIES, executions, tables, two_tables
from superpos_fast import Nearest, coherence, nearest
from superpos_fast.capacity import frames


def agree(found, expected):
    assert isinstance(found, Nearest)
    naive.same(found.cosines, expected[0], np.float64)
    naive.same(found.indices, expected[1], np.int64)


def check(vectors, other=None, *, k=1, signed=False, zero="raise", execution=None):
    """`k` neighbours, or as many as there are."""
    angles = naive.pair_cosines(vectors, other)
    k = min(k, angles.partners)
    ask = partial(nearest, vectors, other, k=k, signed=signed, zero=zero)
    found = naive.answer(ask, execution or {})
    agree(found, naive.nearest(angles, k, signed))
    return found


counts = st.integers(1, 12) | st.just(1024)


# Any table


@given(tables(), counts, st.booleans(), executions())
def test_within_a_table(table, k, signed, execution):
    check(table, k=k, signed=signed, execution=execution)


@given(two_tables(), counts, st.booleans(), executions())
def test_across_two_tables(two, k, signed, execution):
    check(*two, k=k, signed=signed, execution=execution)


@given(tables(**FEW, **TIES), counts, st.booleans(), executions())
def test_ties_go_to_the_lowest_index(table, k, signed, execution):
    check(table, k=k, signed=signed, execution=execution)


@given(two_tables(), counts, st.booleans(), executions())
def test_both_directions(two, k, signed, execution):
    one, two = (table[:90] for table in two)
    k = min(k, len(one), len(two))
    ask = partial(nearest, one, two, k=k, signed=signed, return_both=True)
    both = naive.answer(ask, execution)
    assert isinstance(both, tuple)
    forth, back = both
    angles = naive.pair_cosines(one, two)
    agree(forth, naive.nearest(angles, k, signed))
    agree(back, naive.nearest(angles.turned(), k, signed))


@given(tables(**FEW), counts, st.booleans(), executions(), st.integers(0, 99))
def test_zero_rows_are_left_out(table, k, signed, execution, seed):
    table = naive.with_zero_rows(table, seed)
    found = check(table, k=k, signed=signed, zero="skip", execution=execution)
    skipped = ~(table != 0).any(axis=1)
    assert (found.indices[skipped] == -1).all()
    assert np.isnan(found.cosines[skipped]).all()
    assert not np.isin(found.indices[~skipped], np.flatnonzero(skipped)).any()


@given(two_tables(), st.integers(1, 3), st.booleans(), st.integers(0, 99))
def test_zero_rows_are_left_out_across(two, k, signed, seed):
    one, two = (naive.with_zero_rows(table[:60], seed, least=1) for table in two)
    check(one, two, k=k, signed=signed, zero="skip")
    angles = naive.pair_cosines(one, two)
    forth, back = nearest(one, two, signed=signed, zero="skip", return_both=True)
    agree(forth, naive.nearest(angles, 1, signed))
    agree(back, naive.nearest(angles.turned(), 1, signed))


@given(tables(rows=st.integers(2, 24), depth=st.integers(1, 20)), counts, st.booleans())
def test_backends_agree(table, k, signed):
    for backend in ("cpu", "reference"):
        found = check(table, k=k, signed=signed, execution={"backend": backend})
        assert found.run.backend == backend
        check(table, table[:5], k=k, signed=signed, execution={"backend": backend})


# Many neighbours


@pytest.fixture(scope="module")
def many():
    table = gaussian(1100, 8)
    table[500:600] = table[:100] * -2
    table[600:700] = table[200]
    return table, naive.pair_cosines(table)


@pytest.mark.parametrize("signed", [False, True])
def test_many_neighbours(many, signed):
    table, angles = many
    cosines, indices = naive.nearest(angles, 1024, signed)
    for k in (1, 2, 15, 16, 17, 63, 64, 65, 255, 1000, 1024):
        agree(nearest(table, k=k, signed=signed), (cosines[:, :k], indices[:, :k]))
    across = angles.matrix[:, :1030].copy()
    np.fill_diagonal(across, 1)
    cosines, indices = naive.nearest(naive.Angles(across, within=False), 1024, signed)
    for k in (1, 17, 65, 1024):
        found = nearest(table, table[:1030], k=k, signed=signed)
        agree(found, (cosines[:, :k], indices[:, :k]))


@pytest.mark.parametrize("signed", [False, True])
def test_all_partners(signed):
    for rows in (2, 3, 17, 200):
        table = gaussian(rows, 5)
        found = check(table, k=rows - 1, signed=signed)
        everyone = np.sort(np.concatenate([found.indices, np.arange(rows)[:, None]], axis=1))
        assert (everyone == np.arange(rows)).all()
        check(table, gaussian(rows, 5, seed=1), k=rows, signed=signed)


# Special rows


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_equal_and_opposite_rows(dtype):
    table = gaussian(400, 33).astype(dtype)
    table[301], table[77], table[390] = table[5], -table[5], table[5] * 2
    found = check(table, k=4)
    assert found.indices[5, :3].tolist() == [77, 301, 390]
    assert found.cosines[5, :3].tolist() == [-1, 1, 1]
    assert found.indices[77, :3].tolist() == [5, 301, 390]
    found = check(table, k=4, signed=True)
    assert found.indices[5, :2].tolist() == [301, 390]
    assert found.cosines[77, 0] < 1


def test_nothing_but_ties():
    for table in (np.ones((150, 9)), frames.basis(150).array(), frames.hadamard(7).array()):
        found = check(table, k=5)
        assert found.indices[0].tolist() == [1, 2, 3, 4, 5]
        assert found.indices[3].tolist() == [0, 1, 2, 4, 5]
        check(table, table[::-1], k=140)


def test_float32_rows_one_ulp_apart():
    row = gaussian(1, 50)[0]
    table = np.tile(row, (300, 1))
    place = np.arange(300) % 50
    table[np.arange(300), place] = np.nextafter(row[place], np.float32(9))
    for k in (1, 7, 299):
        check(table, k=k)
        check(table, k=k, signed=True)


def test_neighbours_that_differ_below_float32():
    """Row 0 sees the others in an order that only float64 tells."""
    rows = 300
    steps = np.random.default_rng(7).permutation(rows).astype(float)
    near = 0.5 * (1 + 1e-13 * steps)
    table = np.zeros((rows + 1, rows + 1))
    table[0, 0] = 1
    table[1:, 0] = near
    table[1:, 1:] = np.diag(np.sqrt(1 - near**2))
    found = check(table, k=20)
    assert found.indices[0].tolist() == (1 + np.argsort(-steps)[:20]).tolist()
    check(table[1:], table[:1], signed=True)


def test_a_table_with_itself_finds_itself():
    table = gaussian(60, 8)
    found = check(table, table, k=2)
    assert found.indices[:, 0].tolist() == list(range(60))
    assert (found.cosines[:, 0] == 1).all()


def test_the_best_neighbour_is_the_coherence():
    table = gaussian(700, 30)
    found, best = nearest(table), coherence(table, return_pair=True)
    assert np.abs(found.cosines).max() == best.value
    assert found.indices[best.i, 0] == best.j


# Plans


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("k", [1, 10])
def test_plans(many, k, signed):
    table, angles = many
    expected = naive.nearest(angles, k, signed)
    for found in naive.answers(partial(nearest, table, k=k, signed=signed)):
        agree(found, expected)


def test_plans_across():
    table, other = gaussian(500, 40), gaussian(900, 40, seed=1)
    angles = naive.pair_cosines(table, other)
    ask = partial(nearest, table, other, k=3, return_both=True)
    for forth, back in naive.answers(ask):
        agree(forth, naive.nearest(angles, 3))
        agree(back, naive.nearest(angles.turned(), 3))


@pytest.mark.parametrize("rows", [23, 24, 25, 191, 192, 193, 239, 240, 241])
def test_sizes(rows):
    table = gaussian(rows, 17, seed=rows)
    check(table, k=2)
    check(table, gaussian(rows + 5, 17), k=2, signed=True)


# What comes back


def test_the_record():
    found = nearest(TABLE, k=3)
    assert found.cosines.shape == found.indices.shape == (40, 3)
    assert "\n" not in repr(found)
    assert found.run.threads >= 1
    for name in ("cosines", "indices", "run"):
        with pytest.raises((AttributeError, dataclasses.FrozenInstanceError)):
            setattr(found, name, 0)
    assert [field.name for field in dataclasses.fields(found) if field.compare] == [
        "cosines",
        "indices",
    ]
    assert nearest(TABLE, TABLE[:7]).indices.shape == (40, 1)


# Refusals


@pytest.mark.parametrize("k", [0, -1, 1.0, "1", None, True, [1], 40, 1025, float("nan")])
def test_bad_k(k):
    naive.complaint("k", nearest, TABLE, k=k)


def test_k_above_the_partners():
    large = np.ones((1100, 3))
    nearest(large, k=1024)
    naive.complaint("k", nearest, large, k=1025)
    nearest(TABLE, TABLE[:9], k=9)
    naive.complaint("k", nearest, TABLE, TABLE[:9], k=10)
    naive.complaint("k", nearest, TABLE[:9], TABLE, k=10, return_both=True)
    naive.complaint("k", nearest, TABLE, TABLE[:9], k=10, return_both=True)
    few = TABLE.copy()
    few[3:30] = 0
    nearest(few, k=12, zero="skip")
    naive.complaint("k", nearest, few, k=13, zero="skip")
    naive.complaint("k", nearest, TABLE, few, k=14, zero="skip")
    naive.complaint("k", nearest, few, TABLE, k=14, zero="skip", return_both=True)


def test_bad_flags():
    naive.complaint("signed", nearest, TABLE, signed="no")
    naive.complaint("return_both", nearest, TABLE, return_both=True)
    naive.complaint("return_both", nearest, TABLE, TABLE, return_both="yes")
    with pytest.raises(TypeError):
        nearest(TABLE, TABLE, 3)


def test_what_all_refuse():
    naive.refuses_what_all_refuse(nearest)
