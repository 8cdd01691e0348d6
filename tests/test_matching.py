"""`match` against SciPy's dense solver, in whole numbers, and its proof against all pairs."""

import re
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

import family_oracles as naive
import superpos_fast
from helpers import gaussian, stop_after
from strategies import TABLE, TIES, executions, seeds, tables, two_tables
from superpos_fast import Interrupted, match, mutual_nearest
from superpos_fast.assignment import Candidates
from superpos_fast.backends import choose_backend
from superpos_fast.capacity import frames

UNITS = 2**40


def scores(angles, signed=False):
    """What the docstring says; a row that is left out has none."""
    cosines = np.nan_to_num(angles.matrix)
    lifted = np.rint((cosines if signed else np.abs(cosines)) * UNITS).astype(np.int64)
    return np.where(np.isnan(angles.matrix), 0, lifted + UNITS * signed)


def check(a, b, *, signed=False, zero="raise", execution=None, **options):
    """The value is SciPy's, to the unit, and the certificate proves it without SciPy."""
    ask = partial(match, a, b, signed=signed, zero=zero, **options)
    found = naive.answer(ask, execution or {})
    angles = naive.pair_cosines(a, b)
    table = scores(angles, signed)
    kept = [
        np.flatnonzero(~np.isnan(side.matrix).all(axis=1)) for side in (angles, angles.turned())
    ]
    i, j = found.pairs.T
    assert len(found) == len(i) == min(map(len, kept))
    assert len(set(j)) == len(j)
    assert set(i) <= set(kept[0])
    assert set(j) <= set(kept[1])
    expected = np.full(len(table), np.nan)
    expected[i] = angles.matrix[i, j]
    naive.same(found.cosines, expected, np.float64)
    strengths = expected[i] if signed else np.abs(expected[i])
    assert found.value == pytest.approx(strengths.sum(), rel=1e-13)
    proof = found.certificate
    assert proof.total == proof.bound == table[i, j].sum() == _scipy(table)
    assert proof.gap == 0
    assert min(proof.a_duals.min(), proof.b_duals.min()) >= 0
    assert (proof.a_duals[:, None] + proof.b_duals >= table).all()
    return found


def _scipy(table):
    """The largest sum; its float64 sums of whole numbers below 2^53 are exact."""
    i, j = linear_sum_assignment(table, maximize=True)
    return table[i, j].sum()


# Any table


@given(two_tables(), st.booleans(), st.integers(1, 20), executions())
def test_any_two_tables(two, signed, k, execution):
    check(*(table[:60] for table in two), signed=signed, k=k, execution=execution)


@given(tables(rows=st.integers(2, 50), depth=st.integers(1, 9), **TIES), seeds, st.booleans())
def test_ties(table, seed, signed):
    order = np.random.default_rng(seed).permutation(len(table))
    check(table, table[order][: 1 + seed % len(table)], signed=signed, k=1 + seed % 3)


@given(tables(rows=st.integers(2, 40), depth=st.integers(1, 9)), seeds, st.booleans())
def test_zero_rows_have_no_partner(table, seed, signed):
    table = naive.with_zero_rows(table, seed, least=1)
    other = naive.with_zero_rows(table[::-1], seed + 1)
    if (other != 0).any() and (table != 0).any():
        check(table, other, zero="skip", signed=signed, k=2)


@settings(max_examples=20)
@given(tables(rows=st.integers(2, 24), depth=st.integers(1, 9)), st.integers(1, 4), st.booleans())
def test_backends_agree(table, k, signed):
    found = [
        check(table, table[::-2], k=k, signed=signed, backend=backend)
        for backend in ("cpu", "reference")
    ]
    assert found[0] == found[1]
    assert found[0].certificate == found[1].certificate


# Sparse tables


@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(0, 60),
    st.sampled_from([1, 3, UNITS]),
    seeds,
)
def test_sparse_tables(rows, columns, count, largest, seed):
    """Begun anew, or from the answer to fewer candidates; SciPy has zeros where there are none."""
    rng = np.random.default_rng(seed)
    table, candidates, begin = np.zeros((rows, columns), np.int64), Candidates(rows, columns), None
    kernels = [choose_backend(name).kernels for name in ("cpu", "reference")]
    for _ in range(3):
        i, j = rng.integers(0, rows, count), rng.integers(0, columns, count)
        fresh = table[i, j] == 0
        i, j = np.unique(np.stack([i[fresh], j[fresh]]), axis=1)
        table[i, j] = rng.integers(0, largest, len(i), endpoint=True)
        candidates.add(i, j, table[i, j])
        for start in (None, begin):
            found, same = (candidates.best(each, start) for each in kernels)
            assert all(
                np.array_equal(one, two)
                for one, two in zip(vars(found).values(), vars(same).values(), strict=True)
            )
            assert found.value == found.bound == _scipy(table)
            assert (found.row_duals[:, None] + found.column_duals >= table).all()
            matched = np.flatnonzero(found.partners >= 0)
            assert len(set(found.partners[matched])) == len(matched)
        begin = found


# Known assignments


def test_a_table_meets_its_own_noisy_shuffle():
    """Where the best is far ahead it is the same assignment, not just the same value."""
    table = gaussian(400, 24)
    order = np.random.default_rng(1).permutation(400)
    found = check(table, -3 * table[order] + gaussian(400, 24, seed=2))
    assert (order[found.indices] == np.arange(400)).mean() > 0.98
    shuffled = check(table, -3 * table[order])
    assert order[shuffled.indices].tolist() == list(range(400))
    assert shuffled.certificate.total == 400 * UNITS
    assert shuffled.certificate.rounds == 1


def test_mutual_nearest_are_not_always_matched():
    """0.9 + 0.1 is less than 0.8 + 0.8."""
    a = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    b = np.array([[0.9, 0.8, 0.0], [0.8, 0.1, 1.0]])
    assert [0, 0] in mutual_nearest(a, b).tolist()
    assert check(a, b).indices.tolist() == [1, 0]


def test_signs_count_if_asked():
    a, b = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[-1.0, 0.1], [0.2, -1.0]])
    assert check(a, b).indices.tolist() == [0, 1]
    assert check(a, b, signed=True).indices.tolist() == [1, 0]


def test_nothing_in_common():
    """All scores are 0: whoever is left takes whoever is left."""
    basis = frames.basis(20).array()
    found = check(basis[:5], basis[5:])
    assert found.indices.tolist() == [0, 1, 2, 3, 4]
    assert found.value == 0.0


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 30), (30, 1), (2, 3)])
def test_few_rows(n, m):
    check(gaussian(n, 4), gaussian(m, 4, seed=1))


@pytest.mark.parametrize(("n", "m"), [(300, 300), (300, 400), (400, 300)])
def test_all_alike(n, m):
    """All pairs tie, and the k nearest of all are the same few."""
    found = check(np.ones((n, 3)), np.ones((m, 3)), k=4)
    assert found.value == 300.0
    assert found.certificate.candidates < 300 * 400 / 4


@pytest.mark.parametrize("noise", [0.0, 1e-9, 1e-4, 0.2])
def test_clusters(noise):
    """More rows in some than there are columns: the rest have to go elsewhere."""
    rng = np.random.default_rng(3)
    centres = gaussian(6, 16)
    a, b = (
        centres[rng.integers(0, 6, 240)] + noise * rng.standard_normal((240, 16)) for _ in range(2)
    )
    check(a, b, k=3)


def test_a_cone():
    """Some columns are closer to all rows than others are."""
    a, b = (np.ones(20) + 0.1 * gaussian(500, 20, seed) for seed in range(2))
    found = check(a, b, k=4)
    assert found.certificate.rounds < 20


def test_one_row_must_take_a_far_column():
    """Its best of what is left is behind hundreds, whose duals have to say so."""
    rng = np.random.default_rng(4)
    table = rng.standard_normal((500, 12))
    other = table + 0.05 * rng.standard_normal((500, 12))
    other[7] = table[9]
    found = check(table, other, k=2)
    assert found.certificate.rounds < 12


def test_against_scipy_at_full_size():
    """The dictionary that ships, against a noisy shuffle of itself: 4096 x 4096."""
    table = superpos_fast.data.example().astype(np.float32)
    rng = np.random.default_rng(5)
    other = table[rng.permutation(len(table))]
    other = other + 0.08 * rng.standard_normal(other.shape, dtype=np.float32)
    found = match(table, other)
    i, j = found.pairs.T
    units = [side / np.linalg.norm(side, axis=1)[:, None] for side in (table, other)]
    dense = np.rint(np.abs(units[0] @ units[1].T).astype(np.float64) * UNITS).astype(np.int64)
    # What float32 cannot tell from the duals is decided.
    reach = 2.0**-18 * UNITS
    duals = found.certificate.a_duals[:, None] + found.certificate.b_duals
    close = np.flatnonzero((dense + reach >= duals).ravel())
    near = np.divmod(close, len(table))
    dense[near] = _decided(table, other, *near)
    assert (duals >= dense).all()
    assert found.certificate.total == dense[i, j].sum() == _scipy(dense)


def _decided(table, other, i, j):
    kernels = choose_backend("reference").kernels
    sides = []
    for rows in (table, other):
        exponents, squares, _ = kernels.survey(rows)
        sides.append((rows, exponents, squares))
    return np.rint(np.abs(kernels.listed_cosines(sides[0], i, sides[1], j)) * UNITS).astype(
        np.int64
    )


# How it is computed


def test_plans():
    table, other = gaussian(700, 20), gaussian(500, 20, seed=1)
    expected = check(table, other)
    for found in naive.answers(partial(match, table, other), threads=(1, 3)):
        assert found == expected
        assert found.certificate == expected.certificate
    for screen in ("off", "deterministic"):
        assert match(table, other, screen=screen) == expected
    rows = superpos_fast.rows(700, 20, lambda start, stop: table[start:stop], block=100)
    assert match(rows, other).certificate.total == expected.certificate.total


def test_the_value_does_not_hang_on_k():
    table, other = gaussian(300, 10), gaussian(300, 10, seed=1)
    totals = {match(table, other, k=k).certificate.total for k in (1, 2, 16, 300, 1024)}
    assert len(totals) == 1


def test_it_goes_on_from_a_checkpoint(tmp_path):
    """Stopped in the first pass and in a later one."""
    table, other = gaussian(3000, 40), gaussian(3000, 40, seed=1)
    expected = match(table, other, k=2)
    assert expected.certificate.rounds > 1
    options = {"k": 2, "checkpoint": tmp_path / "run.ckpt", "threads": 1}
    calls, stops = 1, 0
    while True:
        try:
            found = match(table, other, progress=stop_after(calls), **options)
        except Interrupted:
            stops, calls = stops + 1, calls + 20
            continue
        break
    assert stops > 1
    assert found == expected
    assert found.certificate == expected.certificate


# What comes back, and what is refused


def test_the_record():
    found = match(TABLE, TABLE[:7])
    assert repr(found) == f"Match(pairs=7, value={found.value:.9g}, gap=0)"
    assert found.indices.dtype == np.int64
    assert found.indices.tolist() == [*range(7), *[-1] * 33]
    assert np.isnan(found.cosines[7:]).all()
    assert found.run.pairs == 280
    assert found != match(TABLE[:7], TABLE)


@pytest.mark.parametrize("k", [0, -1, 1.0, "1", None, True, 1025])
def test_bad_k(k):
    naive.complaint("k", match, TABLE, TABLE, k=k)


def test_refusals():
    naive.complaint("signed", match, TABLE, TABLE, signed=1)
    naive.complaint("shard", match, TABLE, TABLE, shard=(0, 2))
    naive.complaint("b", match, TABLE, None)
    naive.complaint("a", match, None, TABLE)
    with pytest.raises(TypeError, match=re.escape("match()")):
        match(TABLE)


def test_what_all_refuse():
    def question(a, b=TABLE, **options):
        return match(a, b, **options)

    naive.refuses_what_all_refuse(question, names=("a", "b"))
