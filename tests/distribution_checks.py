"""`histogram`, `quantile`, `mean_cosine`, `describe`: asked and held against the oracle."""

from functools import partial

import numpy as np
from hypothesis import strategies as st

import family_oracles as naive
from helpers import gaussian
from superpos_fast import AngleStatistics, describe, histogram, mean_cosine, quantile
from superpos_fast.capacity import frames

OF = list(naive.FULL_RANGE)
kinds = st.sampled_from(OF)


def agree(found, expected):
    counts, edges = found
    naive.same(counts, expected[0], np.int64)
    naive.same(edges, expected[1], np.float64)


def check_histogram(angles, *tables, execution=None, zero="raise", **question):
    ask = partial(histogram, *tables, zero=zero, **question)
    found = naive.answer(ask, execution or {})
    agree(found, naive.histogram(angles, **question))
    return found


def check_quantile(angles, q, *tables, execution=None, zero="raise", of="angle"):
    vectors, *other = tables
    ask = partial(quantile, vectors, q, *other, zero=zero, of=of)
    found = naive.answer(ask, execution or {})
    naive.same(found, naive.quantile(angles, q, of), np.float64)
    assert type(found) is (float if np.ndim(q) == 0 else np.ndarray)
    return found


def check_mean(angles, *tables, signed=False, execution=None, zero="raise"):
    """Single cosines are known to about (depth / 4 + 12) 2^-53."""
    expected = naive.mean_cosine(angles, signed)
    depth = np.shape(tables[0])[1]
    for precision, bound in (("float32", 1e-6), ("float64", 1e-14 + (depth / 4 + 12) * 2**-53)):
        ask = partial(mean_cosine, *tables, signed=signed, zero=zero, precision=precision)
        found = naive.answer(ask, execution or {})
        assert type(found) is float
        assert abs(found - expected) <= bound
    return found


def check_description(table, other=None, zero="raise", execution=None):
    tables = (table,) if other is None else (table, other)
    angles = naive.pair_cosines(*tables)
    found = naive.answer(partial(describe, *tables, zero=zero), execution or {})
    assert isinstance(found, AngleStatistics)
    best = naive.pairs(angles, top=1)
    assert (found.coherence, *found.pair) == (abs(best[2][0]), best[0][0], best[1][0])
    assert type(found.coherence) is float
    cosines, indices = naive.nearest(angles)
    naive.same(found.nearest_cosines, cosines[:, 0], np.float64)
    naive.same(found.nearest_indices, indices[:, 0], np.int64)
    agree((found.histogram, found.edges), naive.histogram(angles))
    assert abs(found.mean_abs_cosine - naive.mean_cosine(angles)) <= 1e-6
    return found


def edges_in_data(angles, of, seed):
    """Edges that are angles or cosines of pairs, and their neighbours; uneven and ascending.

    Of angles, some are below 0 or above 180 degrees.
    """
    rng = np.random.default_rng(seed)
    values = angles.values(signed=of not in naive.OF_LINES)
    chosen = rng.choice(values, min(8, 1 + seed % 9))
    low, high = naive.FULL_RANGE[of]
    ends = [low, high] if seed % 2 else [low + (high - low) * rng.random(), high]
    if of in naive.OF_ANGLES:
        chosen = np.degrees(np.arccos(np.concatenate([chosen, [0.5, 0.0]])))
        chosen = np.append(chosen, [60, 90])
    around = [chosen, np.nextafter(chosen, low), np.nextafter(chosen, high), ends]
    edges = np.unique(np.clip(np.concatenate(around), low, high))
    if of in naive.OF_ANGLES:
        cosines = naive.threshold(angle=edges)
        lowest = np.minimum.accumulate(np.append(2.0, cosines))
        edges = edges[cosines < lowest[:-1]]
        below = ([], [-1e-9], [-400, -90])[seed % 3]
        above = ([], [360], [190, 370])[seed // 3 % 3]
        edges = np.concatenate([below, edges, above])
    return edges


def some_quantiles(number, seed):
    """Quantiles on a step of the distribution of `number` values, beside one, and the ends."""
    rng = np.random.default_rng(seed)
    steps = rng.integers(1, number + 1, 4) / number
    return np.concatenate([steps, steps - 0.5 / number, rng.random(3), [0, 0.5, 1]])


def large_table():
    """Too many rows for one tile, a good part of them duplicates, opposites or axes."""
    table = gaussian(1200, 40)
    table[1100:1150] = table[100:150] * -2
    table[:64, :] = frames.basis(40).array().repeat(2, axis=0)[:64]
    return table
