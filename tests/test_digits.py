"""Screens by tile registers: rows in digits, and codes, answer as those without do."""

import contextlib
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import superpos_fast as sf
from helpers import gaussian, needs_compiled, output_of
from strategies import FLOATS, tables
from superpos_fast.kernels.cpu import digits, entry, micro_amx, micro_i8, screening
from superpos_fast.kernels.records import Error
from superpos_fast.screening import digit_bound, float32_bound

pytestmark = [
    needs_compiled,
    pytest.mark.skipif(not micro_amx.tiles_allowed(), reason="no tile registers here"),
]

CALLS = {
    "count": lambda x: sf.count(x, cosine=[0.0, 0.1, 0.5, 1.0], zero="skip"),
    "histogram": lambda x: sf.histogram(x, zero="skip")[0],
    "nearest": lambda x: sf.nearest(x, k=3, zero="skip"),
    "signed": lambda x: sf.nearest(x, signed=True, zero="skip"),
    "pairs": lambda x: sf.pairs(x, top=20, zero="skip"),
    "both": lambda x: sf.nearest(x, x[::-2].copy(), zero="skip", return_both=True),
}


@contextlib.contextmanager
def in_digits(yes):
    """Take digits whatever the depth, or none."""
    with mock.patch.object(digits, "pay", return_value=yes):
        yield


def same(one, other):
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    return all(map(same, one, other)) if type(one) is tuple else one == other


@settings(max_examples=40)
@given(tables(rows=st.integers(7, 300), element_types=FLOATS), st.sampled_from(sorted(CALLS)))
def test_answers_are_the_same(table, call):
    answers = []
    for yes in True, False:
        with in_digits(yes):
            answers.append(CALLS[call](table))
    assert same(*answers)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("rows", "depth"), [(1100, 70), (700, 800), (400, 1700)])
def test_large_tables_are_cut_the_same(call, rows, depth):
    """Of several tiles and strips, several chunks of depth, with ties and rows of zeros."""
    table = gaussian(rows, depth)
    table[rows // 2 :: 7] = table[3]
    table[::31] = 0.0
    table[5] = 0.0
    table[5, 11] = -2.0
    answers = []
    for yes in True, False:
        with in_digits(yes):
            answers.append(CALLS[call](table))
    assert same(*answers)


@pytest.mark.parametrize("memory", ["1500KiB", None])
def test_tiles_that_codes_give_up_are_packed_one_by_one(memory, monkeypatch):
    """The bound rises with what is packed: rows that lack more and more, and all of them alike."""
    monkeypatch.setattr(entry, "CODED_WORK", 0)
    table = np.ones((1500, 96)) + 1e-4 * gaussian(1500, 96)
    table[:, 0] *= 1.005 ** np.arange(1500)
    how = {} if memory is None else {"memory": memory}
    answers = []
    for yes in True, False:
        with in_digits(yes):
            answers.append([sf.count(table, cosine=0.999, **how), sf.pairs(table, top=30, **how)])
    assert answers[0] == answers[1]


def test_the_bound_is_a_fifth_of_float32s():
    """For random rows of 768, with what is known of each, at most."""
    table = gaussian(2000, 768)
    exponents, squares, _ = entry.survey(table)
    side = digits.Digits(digits.room(2016, 768), squares, 0, 768)
    side.fill(table, exponents, squares, 0)
    units = screening.packed(table, exponents, squares)
    units.count_roundings(0, 2000)
    float32 = float32_bound(768, screening.chain(768), units.roundings)
    assert digit_bound(768, side.roundings, side.lost, side.lost) < 0.2 * float32


@pytest.mark.skipif(micro_i8.PRODUCT is None, reason="no other product of codes here")
@given(
    st.sampled_from([1, 3, 63, 64, 65, 200, 777]),
    st.sampled_from([None, 5]),
    st.booleans(),
    st.integers(0, 10**6),
)
def test_codes_are_multiplied_as_without_tiles(depth, stream, signed, seed):
    """The same codes, and the same bounds to the bit."""
    rng = np.random.default_rng(seed)
    sides, found = rng.standard_normal((2, 83, depth)), []
    sides[0][7] = 0.0
    for product in micro_amx.CODES, micro_i8.PRODUCT:
        packed = []
        for columns, table in enumerate(sides):
            exponents, squares, _ = entry.survey(table)
            coder = screening.Coder(product)
            room = coder.room(96, depth)
            room[:] = 0x55555555
            side = coder.codes(room, squares, 0, depth, bool(columns), stream)
            side.residuals[:] = np.linspace(0.0, 0.1, 83)
            for start in range(0, 83, 48):
                some = slice(start, start + 48)
                side.fill(table[some], exponents[some], squares[some], start)
            side.bounded(np.linspace(0.1, 0.2, 83), bool(columns))
            packed.append(side)
        fold = entry.BestFold(83, 83, 1, 9000, per="all", k=1, magnitude=not signed)
        fold.aim(Error(9.0, 0.0), np.full(83, -8.0), np.full(83, np.inf))
        screening.screen(entry.workspace(1), *packed, (0, 83, 0, 83), None, [fold])
        values = fold.listing.values[: int(fold.listing.found[0])].copy()
        listed = fold.take()
        order = np.lexsort((listed.columns, listed.rows))
        found.append((listed.rows[order], listed.columns[order], values[order], packed[0].facts))
    for one, other in zip(*found, strict=True):
        assert np.array_equal(one, other)
    assert len(found[0][0]) == 82 * 83


def test_gates_let_strips_go_unfolded():
    """A strip is folded where one of its blocks reaches a gate, and finds the pair."""
    table = gaussian(300, 64)
    table[250] = -table[40]
    found = sf.pairs(table, cosine=0.9, screen="off")
    assert (found.i.tolist(), found.j.tolist()) == ([40], [250])


def test_without_permission_there_are_no_tiles():
    """Where the system refuses, kernels do without."""
    code = """
from unittest import mock
from superpos_fast.kernels.cpu import micro_amx
refusing = mock.Mock()
refusing.CDLL().syscall.return_value = -1
with mock.patch.object(micro_amx, "ctypes", refusing):
    from superpos_fast.kernels.cpu import digits, screening
assert not digits.pay(768) and screening.coder.product is not micro_amx.CODES
import numpy as np, superpos_fast as sf
print(sf.count(np.eye(100), cosine=0.0))
"""
    assert output_of(code) == ["4950"]
