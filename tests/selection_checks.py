"""`pairs`, `count`, `within_tolerance`: asked and held against the oracle."""

from functools import partial

import numpy as np

import family_oracles as naive
from superpos_fast import Pairs, count, pairs, within_tolerance

EVERY = 10**6
LINE_ANGLES = [0, 0.5, 30, 60, 60.0, 75.5224, 85, 89.9, 90]
CHOICES = "cosine|angle|top"  # what a refusal names


def agree(found, expected):
    assert isinstance(found, Pairs)
    naive.same(found.i, expected[0], np.int64)
    naive.same(found.j, expected[1], np.int64)
    naive.same(found.cosine, expected[2], np.float64)


def check_pairs(angles, *tables, execution=None, zero="raise", **question):
    ask = partial(pairs, *tables, limit=EVERY, zero=zero, **question)
    found = naive.answer(ask, execution or {})
    agree(found, naive.pairs(angles, **question))
    return found


def check_count(angles, *tables, execution=None, zero="raise", **question):
    ask = partial(count, *tables, zero=zero, **question)
    found = naive.answer(ask, execution or {})
    expected = naive.count(angles, **question)
    if expected.ndim == 0:
        assert type(found) is int
        assert found == expected
    else:
        assert isinstance(found, np.ndarray)
        naive.same(found, expected, np.int64)


def check_tolerance(angles, *tables, execution=None, zero="raise", **question):
    found = naive.answer(partial(within_tolerance, *tables, zero=zero, **question), execution or {})
    assert bool(found) is naive.within_tolerance(angles, **question)
    if found:
        assert (found.i, found.j, found.cosine) == (None, None, None)
    else:
        assert [type(part) for part in (found.i, found.j, found.cosine)] == [int, int, float]
        assert found.i < found.j or not angles.within
        assert found.cosine == angles.matrix[found.i, found.j]
        assert abs(found.cosine) > naive.threshold(**question)
    return found
