"""What must hold for tables too large for the oracle, and whatever the arithmetic."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import FLOATS, tables
from superpos_fast import Coherence, coherence

SHAPES = [(5000, 300), (20_000, 17), (700, 5000)]


@pytest.fixture(scope="module", params=SHAPES, ids=str)
def large(request):
    return np.random.default_rng(0).standard_normal(request.param, dtype=np.float32)


def pair(*vectors, **options):
    return coherence(*vectors, return_pair=True, **options)


def test_rows_may_come_in_any_order(large):
    order = np.random.default_rng(1).permutation(len(large))
    straight, mixed = pair(large), pair(large[order])
    assert mixed.value == straight.value
    assert {order[mixed.i], order[mixed.j]} == {straight.i, straight.j}


def test_a_table_is_its_parts(large):
    """The best pair lies within the one part, within the other or across them."""
    cut = len(large) // 3
    first, second = large[:cut], large[cut:]
    within, across = pair(second), pair(first, second)
    parts = [
        pair(first),
        Coherence(within.value, within.i + cut, within.j + cut),
        Coherence(across.value, across.i, across.j + cut),
    ]
    assert pair(large) == min(parts, key=lambda part: (-part.value, part.i, part.j))


def test_the_two_sides_may_change_places(large):
    cut = len(large) // 3
    one, two = pair(large[:cut], large[cut:]), pair(large[cut:], large[:cut])
    assert (one.value, one.i, one.j) == (two.value, two.j, two.i)


def test_unsigned_is_the_larger_of_both_signs(large):
    cut = len(large) // 3
    first, second = large[:cut], large[cut:]
    both = [pair(sign * first, second, signed=True) for sign in (1, -1)]
    assert pair(first, second) == max(both, key=lambda part: part.value)


def test_all_threads_and_caps_agree(large):
    expected = pair(large, threads=1)
    for options in ({"threads": 2}, {"threads": 3, "memory": "64MiB"}, {"threads": 8}):
        assert pair(large, **options) == expected


def test_planted_pairs_are_found(large):
    """A twin that differs by one unit in its last place is nearer than any chance pair."""
    rows = len(large)
    rng = np.random.default_rng(2)
    for i, j in [(0, 1), (0, rows - 1), (rows - 2, rows - 1), *np.sort(rng.choice(rows, (5, 2)))]:
        if i < j:
            planted = large.copy()
            planted[j] = -planted[i]
            planted[j, 0] = np.nextafter(planted[j, 0], np.float32(0))
            found = pair(planted)
            assert (found.i, found.j) == (i, j)
            assert found.value > 1 - 1e-9
            assert pair(planted, signed=True).value < 0.99


@given(tables(), st.integers(0, 99))
def test_signs_and_powers_of_two_do_not_matter(table, seed):
    rng = np.random.default_rng(seed)
    table = table.astype(np.float64) / max(1.0, float(np.abs(table).max()))
    table[~(np.abs(table) > 1e-200).any(axis=1)] = 1.0
    scale = np.ldexp(rng.choice([-1.0, 1.0], len(table)), rng.integers(0, 900, len(table)))
    table = np.where(np.abs(table) < 1e-290, 0.0, table)
    assert pair(table * scale[:, None]) == pair(table)


@given(tables(element_types=FLOATS))
def test_columns_of_zeros_do_not_matter(table):
    table = table.astype(np.float64)
    wider = np.concatenate([table, np.zeros((len(table), 13))], axis=1)
    assert pair(wider) == pair(table)


@given(tables(), st.booleans())
def test_repeating_the_table_repeats_its_pairs(table, signed):
    """Rows have a twin further down, which changes nothing across, as the lowest pair wins."""
    few = table[:40]
    expected = pair(table, few, signed=signed)
    assert pair(np.concatenate([table, table]), few, signed=signed) == expected
    assert pair(table, np.concatenate([few, few, few]), signed=signed) == expected
