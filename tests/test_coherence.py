"""`coherence` against the oracle: the same value and the same pair, bit for bit."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import oracles
from helpers import caps, check, smallest_memory, whole_e6, whole_simplex
from strategies import (
    FLOATS,
    executions,
    sparse,
    tables,
    ternary,
    tiny_tables,
    two_tables,
)
from superpos_fast import Coherence, coherence
from superpos_fast.capacity import frames

THREADS = [1, 2, 3, 8]


def gaussian(rows, depth, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).standard_normal((rows, depth)).astype(dtype)


def with_caps(execution, vectors, other=None, **options):
    """Execution keywords with `memory` in bytes instead of as a fraction."""
    if "memory" not in execution:
        return execution
    (memory,) = caps(vectors, other, (execution["memory"],), **options)
    return execution | {"memory": memory}


# Any table


@given(tables(), st.booleans(), executions())
def test_pairs_within_a_table(table, signed, execution):
    check(table, signed=signed, **with_caps(execution, table))


@given(two_tables(), st.booleans(), executions())
def test_pairs_across_two_tables(two, signed, execution):
    check(*two, signed=signed, **with_caps(execution, *two))


@given(tables(families=[ternary, sparse]), st.booleans(), executions())
def test_ties_go_to_the_lowest_pair(table, signed, execution):
    check(table, signed=signed, **with_caps(execution, table))


@given(st.sampled_from([np.float16, np.float32, np.float64]).flatmap(tiny_tables), st.booleans())
def test_any_numbers(table, signed):
    assume((table != 0).any(axis=1).all())
    check(table, signed=signed)


@given(tables(), st.booleans(), executions(), st.integers(0, 99))
def test_zero_rows_are_left_out(table, signed, execution, seed):
    kept = np.random.default_rng(seed).random(len(table)) < 0.5
    assume(kept.sum() >= 2)
    table = np.where(kept[:, None], table, np.zeros_like(table))
    record = check(table, signed=signed, zero="skip", **with_caps(execution, table, zero="skip"))
    assert kept[[record.i, record.j]].all()


@given(two_tables(), st.booleans())
def test_zero_rows_are_left_out_across(two, signed):
    with_zeros = [np.concatenate([np.zeros_like(t[:2]), t, np.zeros_like(t[:1])]) for t in two]
    check(*with_zeros, signed=signed, zero="skip")


@given(
    tables(rows=st.integers(2, 24), depth=st.integers(1, 20)),
    st.booleans(),
    st.sampled_from(["auto", "cpu", "reference"]),
)
def test_backends_agree(table, signed, backend):
    record = check(table, signed=signed, backend=backend)
    assert record.run.backend == (record.run.backend if backend == "auto" else backend)
    check(table, table[:5], signed=signed, backend=backend)


# What comes back


def test_the_plain_answer_is_a_float():
    table = gaussian(20, 7)
    value = coherence(table)
    assert type(value) is float
    assert value == oracles.coherence(table).value


def test_the_record():
    table = gaussian(20, 7)
    record = coherence(table, return_pair=True)
    assert isinstance(record, Coherence)
    assert [type(part) for part in (record.value, record.i, record.j)] == [float, int, int]
    assert record.i < record.j
    assert "\n" not in repr(record)
    for name in ("value", "i", "run"):
        with pytest.raises((AttributeError, dataclasses.FrozenInstanceError)):
            setattr(record, name, 0)


def test_records_of_two_runs_are_equal():
    table = gaussian(300, 30)
    one, two = (coherence(table, return_pair=True, threads=threads) for threads in (1, 2))
    assert one == two
    assert hash(one) == hash(two)
    assert one != coherence(table, table, return_pair=True)
    assert one != coherence(np.roll(table, 1, axis=0), return_pair=True)


def test_the_run():
    run = coherence(gaussian(50, 7), return_pair=True, threads=2).run
    assert 0 < run.seconds < 60
    assert 1 <= run.threads <= 2
    assert run.pairs == 50 * 49 // 2
    assert 0 <= run.survivors <= run.pairs
    assert run.backend == "cpu"
    assert coherence(gaussian(50, 7), gaussian(9, 7), return_pair=True).run.pairs == 450


@pytest.mark.parametrize(
    ("vectors", "signed", "degrees"),
    [
        (frames.e8().array(), False, 60),
        (frames.basis(3).array(), False, 90),
        ([[1, 0], [3, 0]], False, 0),
        ([[1, 0], [-3, 0]], False, 0),
        ([[1, 0], [-3, 0]], True, 180),
        (whole_simplex(3), True, 120),
        (frames.kerdock(4).array(), False, 75.52248781407008),
    ],
)
def test_the_angle(vectors, signed, degrees):
    record = coherence(vectors, signed=signed, return_pair=True)
    assert math.isclose(record.angle, degrees, rel_tol=2**-50)


# Frames


@pytest.mark.parametrize(
    ("frame", "value"),
    [
        (frames.d4().array(), 0.5),
        (whole_e6(), 0.5),
        (frames.e7().array(), 0.5),
        (frames.e8().array(), 0.5),
        (frames.lines28().array(), 1 / 3),
        (frames.basis(200).array(), 0.0),
        (frames.hadamard(8).array(), 0.0),
        (whole_simplex(12), 12 / 132),
        (frames.kerdock(4).array(), 0.25),
        (frames.kerdock(6).array(), 0.125),
        (frames.mcfarland(3).array(), 1 / 7),
        (frames.mcfarland(5).array(), 1 / 31),
    ],
    ids=lambda case: "x".join(map(str, case.shape)) if isinstance(case, np.ndarray) else "",
)
def test_frames(frame, value):
    assert check(frame).value == value
    assert check(frame.astype(np.float32), frame[::-1]).value == 1.0


@pytest.mark.parametrize("q", [13, 29, 101])
def test_paley(q):
    assert math.isclose(check(frames.paley(q).array()).value, q**-0.5, rel_tol=1e-12)


@pytest.mark.parametrize("p", [3, 5, 7])
def test_mutually_unbiased(p):
    assert math.isclose(check(frames.mutually_unbiased(p).array()).value, p**-0.5, rel_tol=1e-12)


@pytest.mark.parametrize(
    ("frame", "value"),
    [
        pytest.param(lambda: frames.gold(7), 1 / 8, id="gold"),
        pytest.param(lambda: frames.kerdock(8), 1 / 16, id="kerdock", marks=pytest.mark.slow),
        pytest.param(frames.leech, 1 / 2, id="leech", marks=pytest.mark.slow),
    ],
)
def test_large_frames(frame, value):
    """Every row has a partner at the coherence, so the first pair holds row 0."""
    rows = frame().array()
    first_partner = 1 + int(np.abs(rows[1:].astype(int) @ rows[0].astype(int)).argmax())
    assert coherence(rows, return_pair=True) == Coherence(value, 0, first_partner)


def test_all_cosines_negative():
    record = check(whole_simplex(40), signed=True)
    assert (record.value, record.i, record.j) == (-1 / 39, 0, 1)
    assert check(np.array([[1.0, 0.0], [-2.0, 0.0]]), signed=True).value == -1.0


# Too close for float32


def test_orthogonal_rows_only():
    for rows in (
        frames.basis(300).array(),
        frames.hadamard(8).array(),
        np.diag(np.arange(1.0, 1001.0)),
    ):
        assert check(rows) == Coherence(0.0, 0, 1)


def test_sparse_rows():
    rng = np.random.default_rng(4)
    check(sparse(rng, (2000, 500)) + np.eye(2000, 500))


@pytest.mark.parametrize("dtype", FLOATS)
def test_equal_and_opposite_rows(dtype):
    table = gaussian(700, 33, dtype=dtype)
    table[601] = table[77]
    assert check(table) == Coherence(1.0, 77, 601)
    table[601] = -table[77]
    assert check(table) == Coherence(1.0, 77, 601)
    assert check(table, signed=True).value < 1
    table[5] = table[601]
    assert check(table, signed=True) == Coherence(1.0, 5, 601)


def test_thousands_of_duplicates():
    table = gaussian(40, 24, dtype=np.float64)[np.arange(3000) % 40]
    assert check(table) == Coherence(1.0, 0, 40)
    assert check(np.broadcast_to(table[:1], (900, 24))) == Coherence(1.0, 0, 1)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("depth", [2, 64, 300])
def test_all_rows_equal_to_nine_digits(depth, signed):
    rng = np.random.default_rng(6)
    check(
        rng.standard_normal(depth) * (1 + 1e-9 * rng.standard_normal((1500, depth))), signed=signed
    )


@pytest.mark.parametrize("cosine", [1e-6, 0.1, 0.5, 0.999])
def test_cosines_that_differ_below_float32(cosine):
    """Row 0 is nearest to the known winner, by 1e-13, and to every other row only a little less."""
    rows, winner = 400, 271
    steps = np.random.default_rng(7).permutation(rows).astype(float)
    steps[winner] = rows + 10
    near = cosine * (1 + 1e-13 * steps)
    table = np.zeros((rows + 1, rows + 1))
    table[0, 0] = 1
    table[1:, 0] = near
    table[1:, 1:] = np.diag(np.sqrt(1 - near**2))
    for signed in (False, True):
        record = check(table, signed=signed)
        assert (record.i, record.j) == (0, winner + 1)
        record = check(table[1:], table[:1], signed=signed)
        assert (record.i, record.j) == (winner, 0)


def test_float32_rows_one_ulp_apart():
    row = gaussian(1, 50)[0]
    table = np.tile(row, (600, 1))
    place = np.arange(600) % 50
    table[np.arange(600), place] = np.nextafter(row[place], np.float32(9))
    check(table)
    check(table[:50])
    check(table[:50], signed=True)


# Sizes of numbers


@pytest.mark.parametrize("power", [-300, -150, 150, 300])
def test_float64_norms(power):
    """Squares of these norms would overflow or vanish, and so would products of two of them."""
    table = gaussian(300, 40, dtype=np.float64) * 10.0**power
    check(table)
    check(table, gaussian(20, 40) * np.float64(10.0**-power))
    table[::2] *= 10.0**-power
    check(table)


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [
        (np.float16, 2.0**-24),
        (np.float16, 2.0**12),
        (np.float32, 2.0**-148),
        (np.float32, 2.0**124),
        (np.float64, 2.0**-1072),
        (np.float64, 2.0**1020),
    ],
)
def test_ends_of_the_range(dtype, scale):
    rng = np.random.default_rng(8)
    table = (rng.integers(1, 8, (200, 30)) * rng.choice([-1, 1], (200, 30)) * scale).astype(dtype)
    assert np.isfinite(table).all()
    assert (table != 0).all()
    check(table)
    check(table, table[::3].astype(np.float64), signed=True)


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ([1.0, 2.0**-1022], 2.0**-1022),
        ([2.0, 2.0**-1022], 0.0),
        ([2.0, (2 - 2**-52) * 2.0**-1022], 0.0),
        ([2.0**1023, 2.0], 2.0**-1022),
        ([2.0**1023, 1.0], 0.0),
        ([2.0**-52, 5e-324], 2.0**-1022),
        ([5e-324, 5e-324], 1 / math.sqrt(2)),
    ],
)
def test_entries_that_become_zero(row, value):
    """Entries 2^1022 below the largest of their row become 0, and no larger ones."""
    assert check(np.array([row, [0.0, 1.0]])).value == value


def test_one_row_over_the_whole_range():
    row = np.ldexp(1.0, np.arange(-1074, 1024))
    table = np.stack([row, row[::-1], np.where(row < 1, row, 0), np.where(row < 1, 0, row)])
    check(table)
    check(table[2:], signed=True)


# Where blocks of any kind begin and end


def around(*multiples):
    return sorted({size + step for size in multiples for step in (-1, 0, 1) if size + step > 0})


@pytest.mark.parametrize("rows", [n for n in around(4, 8, 24, 192, 240, 480) if n > 1])
def test_sizes(rows):
    """The nearest two rows are planted at each corner in turn."""
    table = gaussian(rows, 17, seed=rows)
    for i, j in {(0, 1), (0, rows - 1), (rows - 2, rows - 1), (rows // 2 - 1, rows // 2)}:
        if i < j:
            planted = table.copy()
            planted[j] = planted[i] * 2
            assert check(planted) == Coherence(1.0, i, j)
    check(table, signed=True)


@pytest.mark.parametrize("m", [1, 3, 8, 25, 239, 481])
@pytest.mark.parametrize("n", [1, 4, 23, 193, 240])
def test_sizes_across(n, m):
    vectors, other = gaussian(n, 9, seed=n), gaussian(m, 9, seed=1000 + m)
    for i, j in {(0, 0), (0, m - 1), (n - 1, 0), (n - 1, m - 1)}:
        planted = other.copy()
        planted[j] = vectors[i] * -2
        assert check(vectors, planted) == Coherence(1.0, i, j)
    check(vectors, other, signed=True)


@pytest.mark.parametrize("depth", around(8, 16, 64, 256, 512, 1024))
def test_depths(depth):
    """Two rows that meet in their last entry alone."""
    table = gaussian(30, depth, seed=depth)
    check(table)
    table[[3, 28]] = 0
    table[[3, 28], [0, 1]] = 1e-3
    table[[3, 28], depth - 1] = 1
    record = check(table)
    assert (record.i, record.j) == (3, 28)


def test_one_dimension():
    assert check([[2], [-3], [5]]) == Coherence(1.0, 0, 1)
    assert check([[2.0], [-3.0], [5.0]], signed=True) == Coherence(1.0, 0, 2)
    assert check([[2]], [[-1]], signed=True) == Coherence(-1.0, 0, 0)


def test_two_rows():
    assert check([[1, 0], [1, 1]]) == Coherence(1 / math.sqrt(2), 0, 1)


def test_a_table_with_itself():
    table = gaussian(60, 8)
    assert check(table, table) == Coherence(1.0, 0, 0)


# Plans: nothing about the work's division shows in the answer


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_plans(dtype):
    table = gaussian(3000, 40, dtype=dtype)
    table[2999] = table[1500] + dtype(1e-3)
    expected = check(table)
    assert (expected.i, expected.j) == (1500, 2999)
    for memory in caps(table):
        for threads in THREADS:
            plan = {"memory": memory, "threads": threads}
            assert coherence(table, return_pair=True, **plan) == expected


def test_plans_with_ties_everywhere():
    table = frames.kerdock(6).array()[np.random.default_rng(9).permutation(2112)]
    expected = check(table)
    for memory in caps(table):
        for threads in THREADS:
            plan = {"memory": memory, "threads": threads}
            assert coherence(table, return_pair=True, **plan) == expected


def test_plans_across():
    vectors, other = gaussian(1500, 40), gaussian(2300, 40, seed=1)
    expected = check(vectors, other)
    for memory in caps(vectors, other):
        for threads in THREADS:
            plan = {"memory": memory, "threads": threads}
            assert coherence(vectors, other, return_pair=True, **plan) == expected


def test_planted_pairs_in_the_smallest_memory():
    """Each group of rows against each other one: the last rows of all are found as well."""
    table = gaussian(1200, 20)
    memory = smallest_memory(table)
    rng = np.random.default_rng(10)
    places = [(0, 1), (0, 1199), (1198, 1199), *np.sort(rng.choice(1200, (40, 2)), axis=1).tolist()]
    for i, j in places:
        if i < j:
            planted = table.copy()
            planted[j] = planted[i]
            expected = Coherence(1.0, i, j)
            assert coherence(planted, return_pair=True, memory=memory) == expected


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("rows", [2, 40, 3000])
def test_a_zero_is_positive(signed, rows):
    """A negative product of subnormals underflows in the quotient: -0, which is not an answer."""
    table = np.zeros((1, 8))
    table[0, :2] = 2.0**-52, 1.9
    other = np.zeros((rows, 8))
    other[:, 1:3] = -1.0
    other[0] = 0.0
    other[0, 0], other[0, 2] = -(2.0**-1022), 1.9
    for options in {}, {"backend": "reference"}, {"memory": caps(table, other)[0]}:
        found = check(table, other, signed=signed, **options)
        assert signed is False or str(found.value) == "0.0"
