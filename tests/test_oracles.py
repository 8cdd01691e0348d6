"""The oracles against each other and against the real numbers."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import oracles
from strategies import tables, tiny_tables, two_tables

SMALL = {"rows": st.integers(2, 12), "depth": st.integers(1, 40)}


@given(tables(**SMALL), st.booleans())
def test_numpy_equals_plain_python(table, signed):
    expected = oracles.plain_coherence(table, signed=signed)
    assert oracles.coherence(table, signed=signed) == expected


@given(tiny_tables(), st.booleans())
def test_numpy_equals_plain_python_with_zero_rows_left_out(table, signed):
    assume(np.count_nonzero(table.any(axis=1)) >= 2)
    expected = oracles.plain_coherence(table, signed=signed, zero="skip")
    assert oracles.coherence(table, signed=signed, zero="skip") == expected


@given(two_tables(), st.booleans())
def test_numpy_equals_plain_python_across(pair, signed):
    few = [table[:8, :40] for table in pair]
    assume(all((table != 0).any(axis=1).all() for table in few))
    expected = oracles.plain_coherence(*few, signed=signed)
    assert oracles.coherence(*few, signed=signed) == expected


def test_blocks_of_rows_do_not_matter(monkeypatch):
    table = np.random.default_rng(1).integers(-1, 2, (50, 9))
    table[:, 0] = 1
    expected = oracles.coherence(table)
    for elements in (1, 500, 4096):
        monkeypatch.setattr(oracles, "BLOCK_ELEMENTS", elements)
        assert oracles.coherence(table) == expected


@given(tables(rows=st.just(2), depth=st.integers(1, 200)))
def test_cosine_is_near_the_truth(table):
    """Each of the two norms and the dot product is a chain of d / 8 + 4 roundings or fewer."""
    x, y = oracles.widened(table).tolist()
    error = abs(Fraction(oracles.cosine(x, y)) - oracles.exact_cosine(x, y))
    assert error <= Fraction(len(x) // 4 + 12, 2**53)


def test_exact_cosine():
    rounded_down = Fraction(24, 25) - oracles.exact_cosine([3.0, 4.0], [4.0, 3.0])
    assert 0 <= rounded_down < Fraction(1, 2**250)
    assert oracles.exact_cosine([1.0, 0.0], [-2.0, 0.0]) == -1
    assert oracles.exact_cosine([1e-300, 1e300], [1e300, 1e300]) > 0.7


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([1.0, 2.0**-1022], [1.0, 2.0**-1022]),
        ([2.0, 2.0**-1022], [1.0, 0.0]),
        ([2.0, (2 - 2**-52) * 2.0**-1022], [1.0, 0.0]),
        ([5e-324, 0.0], [1.0, 0.0]),
        ([-3 * 2.0**1022, 5e-324], [-1.5, 0.0]),
    ],
)
def test_scaling(x, expected):
    assert oracles.scaled_row(x) == expected
    assert oracles.scaled(np.array([x]))[0, :2].tolist() == expected


def test_lanes_are_added_as_a_tree():
    huge, ones = 2.0**53, [1.0] * 10
    assert oracles.dot([huge, 1.0, 1.0, -huge], ones[:4]) == 1.0
    assert oracles.dot([huge, -huge, 1.0, 1.0], ones[:4]) == 2.0
    assert oracles.dot([huge, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0], ones) == huge
