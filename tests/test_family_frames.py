"""Exact answers on frames whose pairs are counted by theory, in whole numbers.

A frame's |cosines| are few, so every threshold, edge and quantile of interest lies on one of them
or a float beside it.
"""

import math
from functools import cache

import numpy as np
import pytest

from helpers import whole_e6, whole_simplex
from superpos_fast import (
    babel,
    count,
    describe,
    histogram,
    mean_cosine,
    mutual_nearest,
    nearest,
    pairs,
    quantile,
    within_tolerance,
)
from superpos_fast.capacity import frames

SMALL = {
    "d4": (lambda: frames.d4().array(), {0: 18, 1 / 2: 48}),
    "e6": (whole_e6, {0: 270, 1 / 2: 360}),
    "e7": (lambda: frames.e7().array(), {0: 945, 1 / 2: 1008}),
    "e8": (lambda: frames.e8().array(), {0: 3780, 1 / 2: 3360}),
    "lines28": (lambda: frames.lines28().array(), {1 / 3: 378}),
    "basis": (lambda: frames.basis(300).array(), {0: 44850}),
    "hadamard": (lambda: frames.hadamard(8).array(), {0: 32640}),
    "simplex": (lambda: whole_simplex(12), {1 / 11: 66}),
    "kerdock4": (lambda: frames.kerdock(4).array(), {0: 9 * 120, 1 / 4: 36 * 256}),
    "kerdock6": (lambda: frames.kerdock(6).array(), {0: 33 * 2016, 1 / 8: 528 * 4096}),
    "gold5": (lambda: frames.gold(5).array(), {0: 269824, 1 / 4: 253952}),
    "mcfarland3": (lambda: frames.mcfarland(3).array(), {1 / 7: 2016}),
    "mcfarland5": (lambda: frames.mcfarland(5).array(), {1 / 31: 523776}),
}
LARGE = {
    "gold7": (lambda: frames.gold(7).array(), {0: 67624960, 1 / 8: 66584576}),
    "kerdock8": (lambda: frames.kerdock(8).array(), {0: 129 * 32640, 1 / 16: 8256 * 65536}),
    "leech": (lambda: frames.leech().array(), {0: 2288695500, 1 / 4: 2314690560, 1 / 2: 226044000}),
}
FRAMES = SMALL | LARGE
SMALLEST = 5e-324

small = pytest.mark.parametrize("name", SMALL)
large = [pytest.param(name, marks=pytest.mark.slow) for name in LARGE]
every = pytest.mark.parametrize("name", [*SMALL, *large])
# What goes through half a billion pairs, or Leech's five, several times.
long = [pytest.param(name, marks=[pytest.mark.slow, pytest.mark.long]) for name in LARGE][1:]
large_or_long = [large[0], *long]
every_or_long = pytest.mark.parametrize("name", [*SMALL, *large_or_long])


@cache
def made(name):
    return FRAMES[name][0]()


@pytest.fixture
def frame(name):
    return made(name)


@pytest.fixture
def known(name):
    """{|cosine|: number of pairs}, ascending."""
    return dict(sorted(FRAMES[name][1].items()))


@cache
def cosines(name):
    """All of a small frame's cosines, from whole numbers; 2 on the diagonal."""
    rows = made(name).astype(float)
    gram = rows @ rows.T
    norms = np.diagonal(gram)
    result = gram / np.sqrt(norms[:, None] * norms)
    np.fill_diagonal(result, 2)
    return result


def at_least(known, cosine):
    return sum(number for value, number in known.items() if value >= cosine)


def degrees(cosine):
    return math.degrees(math.acos(cosine))


# Counts


@every
def test_the_number_of_pairs(name, frame, known):
    assert sum(known.values()) == len(frame) * (len(frame) - 1) // 2


@every
def test_counts(frame, known):
    """At every cosine of the frame, at the floats on either side of it, and beyond."""
    values = np.array([0, SMALLEST, 1, *known])
    thresholds = np.concatenate([values, np.nextafter(values, 0), np.nextafter(values, 1)])
    expected = [at_least(known, threshold) for threshold in thresholds]
    assert count(frame, cosine=thresholds).tolist() == expected


@small
def test_counts_of_angles(frame, known):
    thresholds = [0, 59.9, 60, 60.1, 89.9, 90]
    expected = [
        at_least(known, cosine)
        for cosine in (1, 0.5 + 1e-9, 0.5, 0.5 - 1e-9, math.cos(math.radians(89.9)), 0)
    ]
    assert count(frame, angle=thresholds).tolist() == expected


@small
def test_signed_counts(name, frame):
    found = cosines(name)[np.triu_indices(len(frame), 1)]
    values = np.unique(found)
    thresholds = np.concatenate([values, np.nextafter(values, -1), np.nextafter(values, 1)])
    expected = [int((found >= threshold).sum()) for threshold in thresholds]
    assert count(frame, cosine=thresholds, signed=True).tolist() == expected
    angles = [0, 60, 90, 120, 180]
    expected = [int((found >= cosine).sum()) for cosine in (1, 0.5, 0, -0.5, -1)]
    assert count(frame, angle=angles, signed=True).tolist() == expected


@small
def test_counts_across(frame, known):
    """Both orders of each pair, and every row with itself."""
    thresholds = [*known, 1]
    rows = len(frame)
    expected = [2 * at_least(known, threshold) + rows for threshold in thresholds]
    assert count(frame, frame[::-1], cosine=thresholds).tolist() == expected


# Histograms


@pytest.mark.parametrize("name", [*SMALL, *large[:2], long[1]])
def test_histograms_of_cosines(frame, known):
    """A bin begins at each cosine, and one ends just below it."""
    values = np.array(list(known))
    edges = np.unique(np.concatenate([[0, 1], values, np.nextafter(values, 0)]))
    expected = [known.get(edge, 0) for edge in edges[:-1].tolist()]
    counts, _ = histogram(frame, bins=edges, of="abs_cosine")
    assert counts.tolist() == expected


@small
def test_histograms_of_lines(frame, known):
    """180 half degrees; a right angle lies in the last one."""
    counts, edges = histogram(frame, of="line_angle")
    expected = np.zeros(180, dtype=int)
    for cosine, number in known.items():
        expected[min(179, math.floor(2 * degrees(cosine) + 1e-9))] += number
    assert (counts == expected).all()
    assert edges.tolist() == [half / 2 for half in range(181)]


@small
def test_histograms_of_angles(name, frame):
    """An angle of 60, 90 or 120 degrees lies in the bin that starts there."""
    found = cosines(name)[np.triu_indices(len(frame), 1)]
    values, numbers = np.unique(found, return_counts=True)
    expected = np.zeros(180, dtype=int)
    for cosine, number in zip(values, numbers, strict=True):
        expected[min(179, math.floor(degrees(cosine) + 1e-9))] += number
    assert (histogram(frame)[0] == expected).all()


# Neighbours and pairs


@small
@pytest.mark.parametrize("signed", [False, True])
def test_neighbours(name, frame, signed):
    matrix = cosines(name).copy()
    key = matrix.copy() if signed else np.abs(matrix)
    np.fill_diagonal(key, -3)
    for k in (1, min(20, len(frame) - 1)):
        order = np.argsort(-key, axis=1, kind="stable")[:, :k]
        found = nearest(frame, k=k, signed=signed)
        assert np.array_equal(found.indices, order)
        assert np.array_equal(found.cosines, np.take_along_axis(matrix, order, axis=1))


@every
def test_every_row_has_a_partner_at_the_coherence(frame, known):
    best = max(known)
    found = nearest(frame)
    assert (np.abs(found.cosines) == best).all()
    rows = frame.astype(np.float32)
    for i in (0, 1, len(frame) // 3, len(frame) - 1):
        dots = np.abs(rows @ rows[i]) / np.sqrt((rows * rows).sum(axis=1))
        dots[i] = -1
        assert found.indices[i, 0] == (dots >= dots.max() * (1 - 1e-5)).argmax()


@small
def test_pairs_at_the_coherence(name, frame, known):
    best = max(known)
    number = known[best]
    everything = sum(known.values())
    i, j = np.nonzero(np.triu(np.abs(cosines(name)) == best, 1))
    for question in ({"cosine": best}, {"top": number}):
        found = pairs(frame, limit=everything, **question)
        assert np.array_equal(found.i, i)
        assert np.array_equal(found.j, j)
        assert np.array_equal(found.cosine, cosines(name)[i, j])
    if best < 1:
        assert len(pairs(frame, cosine=np.nextafter(best, 1)).i) == 0
    half = pairs(frame, top=1 + number // 2, limit=everything)
    assert np.array_equal(half.j, j[: 1 + number // 2])
    assert len(pairs(frame, angle=90, limit=everything).i) == everything


@pytest.mark.parametrize("name", large_or_long)
def test_too_many_pairs_are_counted(frame, known):
    best = max(known)
    with pytest.raises(ValueError, match=rf"^limit\b.*\b{known[best]}\b"):
        pairs(frame, cosine=best, limit=1000)
    found = pairs(frame, top=1000, limit=1000)
    assert (np.abs(found.cosine) == best).all()
    assert (np.diff(found.i * len(frame) + found.j) > 0).all()
    assert len(pairs(frame, cosine=np.nextafter(best, 1), limit=1000).i) == 0


# Tolerances


@every_or_long
def test_tolerances(frame, known):
    best = max(known)
    assert within_tolerance(frame, cosine=best)
    if best == 0:
        assert within_tolerance(frame, angle=90)
        return
    found = within_tolerance(frame, cosine=np.nextafter(best, 0))
    assert not found
    i, j = (frame[index].astype(int) for index in (found.i, found.j))
    assert abs(found.cosine) == best
    assert found.cosine == i @ j / math.sqrt((i @ i) * (j @ j))
    assert bool(within_tolerance(frame, angle=60)) is (best <= 0.5)
    assert not within_tolerance(frame, angle=90)
    assert within_tolerance(frame, angle=degrees(best) - 1e-6)
    assert not within_tolerance(frame, angle=degrees(best) + 1e-6)


# Quantiles and means


@every_or_long
def test_quantiles(name, frame, known):
    """Half a pair before and after every step."""
    number, below, q, values = sum(known.values()), 0, [0], [min(known)]
    for value, here in known.items():
        q += [(below + 0.5) / number, (below + here - 0.5) / number]
        values += [value, value]
        below += here
    q, values = [*q, 1], [*values, max(known)]
    assert quantile(frame, q, of="abs_cosine").tolist() == values
    if name == "leech":  # two minutes each
        return
    q = [1 - part for part in q]
    assert quantile(frame, q, of="line_angle").tolist() == [degrees(value) for value in values]


@small
def test_quantiles_of_angles(name, frame):
    found = np.sort(cosines(name)[np.triu_indices(len(frame), 1)])
    number = len(found)
    ranks = np.unique(np.linspace(0, number - 1, 40).astype(int))
    q = (ranks + 0.5) / number
    assert quantile(frame, q, of="cosine").tolist() == found[ranks].tolist()
    expected = [degrees(cosine) for cosine in found[::-1][ranks]]
    assert quantile(frame, q).tolist() == expected


@every
def test_means(frame, known):
    mean = sum(value * number for value, number in known.items()) / sum(known.values())
    assert abs(mean_cosine(frame) - mean) <= 1e-6


@small
def test_means_in_float64(name, frame, known):
    number = sum(known.values())
    mean = sum(value * pairs for value, pairs in known.items()) / number
    assert abs(mean_cosine(frame, precision="float64") - mean) <= 1e-14
    signed = math.fsum(cosines(name)[np.triu_indices(len(frame), 1)]) / number
    assert abs(mean_cosine(frame, signed=True, precision="float64") - signed) <= 1e-14


# Rows and everything


@small
def test_every_row_has_the_same_angles(frame, known):
    """These frames are alike from each of their vectors, so Babel's row is any row."""
    rows = len(frame)
    row = np.concatenate([np.full(2 * known[c] // rows, c) for c in sorted(known, reverse=True)])
    assert len(row) == rows - 1
    k = min(rows - 1, 200)
    assert np.array_equal(babel(frame, k), np.cumsum(row)[:k])


@small
def test_a_shuffled_frame_is_found_again(frame):
    order = np.random.default_rng(0).permutation(len(frame))
    found = mutual_nearest(frame, -frame[order])
    assert found[:, 0].tolist() == list(range(len(frame)))
    assert np.array_equal(order[found[:, 1]], np.arange(len(frame)))


@every_or_long
def test_descriptions(frame, known):
    """Signs are as they come, so an angle and its supplement count together."""
    found = describe(frame)
    assert found.coherence == max(known)
    first = pairs(frame, top=1)
    assert tuple(found.pair) == (first.i[0], first.j[0])
    assert (np.abs(found.nearest_cosines) == max(known)).all()
    assert found.histogram.sum() == sum(known.values())
    for cosine, number in known.items():
        angles = degrees(cosine), degrees(-cosine)
        places = {min(179, math.floor(angle + 1e-9)) for angle in angles}
        assert found.histogram[list(places)].sum() == number
    mean = sum(value * number for value, number in known.items()) / sum(known.values())
    assert abs(found.mean_abs_cosine - mean) <= 1e-6


# Frames that are not in whole numbers


@pytest.mark.parametrize("q", [13, 29, 101, 1009])
def test_paley(q):
    """Equiangular to a few roundings."""
    rows, cosine = frames.paley(q).array(), q**-0.5
    number = q * (q + 1) // 2
    thresholds = [cosine * (1 - 1e-11), cosine * (1 + 1e-11)]
    assert count(rows, cosine=thresholds).tolist() == [number, 0]
    assert within_tolerance(rows, cosine=thresholds[1])
    assert not within_tolerance(rows, cosine=thresholds[0])
    edges = [0, *thresholds, 1]
    assert histogram(rows, bins=edges, of="abs_cosine")[0].tolist() == [0, number, 0]
    assert math.isclose(quantile(rows, 0.5, of="abs_cosine"), cosine, rel_tol=1e-11)
    assert math.isclose(mean_cosine(rows, precision="float64"), cosine, rel_tol=1e-11)
    signed = histogram(rows, bins=[-1, 0, 1], of="cosine")[0]
    assert signed.sum() == number
    assert np.allclose(np.abs(nearest(rows, k=q).cosines), cosine, rtol=1e-11)


@pytest.mark.parametrize("p", [3, 5, 7, 31])
def test_mutually_unbiased(p):
    """Complex lines x as the real pairs x, i x: a product's real and imaginary parts are cosines.

    Orthogonal lines give four right angles and x with i x one.  Unbiased vectors have products
    w / sqrt(p), w a root of unity of order p, times the i of Gauss's sum if any: where w = 1, two
    of the four cosines are 0 and two as large as can be.
    """
    rows = frames.mutually_unbiased(p).array()
    couples = p * (p - 1) // 2
    orthogonal, ones = (p + 1) * couples, p * couples + p * (2 * p - 1)
    zero = 4 * orthogonal + p * (p + 1) + 2 * ones
    if p == 31:
        assert (orthogonal, p * p * couples + p**3) == (14880, 476656)
    number = p * (p + 1) * (2 * p * (p + 1) - 1)
    largest = p**-0.5
    thresholds = [0, 1e-9, largest * (1 - 1e-11), largest * (1 + 1e-11)]
    assert count(rows, cosine=thresholds).tolist() == [number, number - zero, 2 * ones, 0]
    edges = [0, *thresholds[1:], 1]
    found = histogram(rows, bins=edges, of="abs_cosine")[0]
    assert found.tolist() == [zero, number - zero - 2 * ones, 2 * ones, 0]
    assert within_tolerance(rows, cosine=thresholds[-1])
    assert len(pairs(rows, cosine=thresholds[2]).i) == 2 * ones
    assert quantile(rows, (zero - 0.5) / number, of="abs_cosine") < 1e-9
    assert quantile(rows, (zero + 0.5) / number, of="abs_cosine") > 1e-9
    assert np.allclose(np.abs(nearest(rows).cosines), largest, rtol=1e-11)
