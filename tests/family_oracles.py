"""Naive answers to every question about angles, from the full matrix of deciding cosines.

Each is one definition in NumPy on top of `oracles`.  The second half is what the family's tests
share: thresholds that cut where it hurts, memory caps, refusals.  Nothing here knows the package
under test.
"""

import math
import re
from typing import NamedTuple

import numpy as np
import pytest

import oracles

LARGEST_CAP = 1 << 30
FULL_RANGE = {"angle": (0, 180), "line_angle": (0, 90), "cosine": (-1, 1), "abs_cosine": (0, 1)}
OF_LINES = ("line_angle", "abs_cosine")
OF_ANGLES = ("angle", "line_angle")
EXACT_COSINES = {0: 1.0, 60: 0.5, 90: 0.0, 120: -0.5, 180: -1.0}


# Pairs


class Angles(NamedTuple):
    """All cosines, NaN where there is no pair; `within` one table (i, j) and (j, i) are one."""

    matrix: np.ndarray
    within: bool

    @property
    def kept(self) -> np.ndarray:
        """The rows that have partners."""
        return np.flatnonzero(~np.isnan(self.matrix).all(axis=1))

    @property
    def partners(self) -> int:
        """How many every kept row has."""
        return int((~np.isnan(self.matrix)).sum(axis=1).max())

    def listed(self):
        """Every pair once, in the order of (i, j): i, j, cosine."""
        there = ~np.isnan(self.matrix)
        i, j = np.nonzero(np.triu(there) if self.within else there)
        return i, j, self.matrix[i, j]

    def values(self, signed=True) -> np.ndarray:
        cosine = self.listed()[2]
        return cosine if signed else np.abs(cosine)

    def turned(self) -> "Angles":
        """The same pairs from the other side."""
        return Angles(self.matrix.T, self.within)


def pair_cosines(vectors, other=None) -> Angles:
    """Rows of zeros have no pairs."""
    rows = oracles.widened(vectors)
    columns = rows if other is None else oracles.widened(other)
    matrix = np.full((len(rows), len(columns)), np.nan)
    kept_rows, kept_columns = (np.flatnonzero(side.any(axis=1)) for side in (rows, columns))
    y = oracles.scaled(columns[kept_columns])
    step = max(1, oracles.BLOCK_ELEMENTS // (oracles.LANES * len(y)))
    for first in range(0, len(kept_rows), step):
        block = kept_rows[first : first + step]
        matrix[np.ix_(block, kept_columns)] = oracles.cosines(oracles.scaled(rows[block]), y)
    if other is None:
        np.fill_diagonal(matrix, np.nan)
    return Angles(matrix, other is None)


def angle_cosine(degrees) -> float:
    return EXACT_COSINES.get(float(degrees), math.cos(math.radians(degrees)))


def threshold(cosine=None, angle=None):
    """The cosine that a threshold, or an array of them, means."""
    if angle is None:
        return np.asarray(cosine, dtype=float)
    return np.vectorize(angle_cosine, otypes=[float])(angle)


# Answers


def nearest(angles, k=1, signed=False):
    """Cosines and indices; a stable sort leaves equals in the order of their indices."""
    key = angles.matrix if signed else np.abs(angles.matrix)
    indices = np.argsort(-key, axis=1, kind="stable")[:, :k]
    cosines = np.take_along_axis(angles.matrix, indices, axis=1)
    return cosines, np.where(np.isnan(cosines), -1, indices)


def pairs(angles, *, cosine=None, angle=None, top=None, signed=False):
    """i, j, cosine."""
    i, j, value = angles.listed()
    key = value if signed else np.abs(value)
    order = np.argsort(-key, kind="stable")
    if top is None:
        order = order[key[order] >= threshold(cosine, angle)]
    return tuple(part[order[:top]] for part in (i, j, value))


def count(angles, *, cosine=None, angle=None, signed=False):
    least = threshold(cosine, angle)
    return (angles.values(signed) >= least[..., None]).sum(axis=-1)


def within_tolerance(angles, *, cosine=None, angle=None) -> bool:
    return bool((angles.values(signed=False) <= threshold(cosine, angle)).all())


def histogram(angles, *, bins=180, range=None, of="angle"):  # noqa: A002
    """Counts and edges; a bin of angles begins at its first edge's cosine and goes down.

    Edges below 0 or above 180 degrees have no cosine: all angles are after, or before.
    """
    values = angles.values(signed=of not in OF_LINES)
    limits = FULL_RANGE[of] if range is None else range
    if of not in OF_ANGLES:
        return np.histogram(values, bins, limits)
    edges = np.linspace(*limits, bins + 1) if np.ndim(bins) == 0 else np.asarray(bins, dtype=float)
    cosines = threshold(angle=np.clip(edges, 0, 180))
    cosines[edges < 0], cosines[edges > 180] = np.inf, -np.inf
    inside = values[(values <= cosines[0]) & (values >= cosines[-1])]
    place = np.searchsorted(-cosines, -inside, side="right") - 1
    last = len(edges) - 2
    return np.bincount(np.minimum(place, last), minlength=last + 1), edges


def quantile(angles, q, of="angle"):
    """`q` counts as the float64 that it is, whatever its type."""
    q = np.asarray(q, dtype=float)
    values = angles.values(signed=of not in OF_LINES)
    q = np.asarray(q, np.float64)  # NumPy would find the place in float32
    if of not in OF_ANGLES:
        return np.quantile(values, q, method="inverted_cdf")
    cosines = -np.quantile(-values, q, method="inverted_cdf")
    return np.vectorize(lambda c: math.degrees(math.acos(c)), otypes=[float])(cosines)


def mean_cosine(angles, signed=False) -> float:
    values = angles.values(signed)
    return math.fsum(values) / len(values)


def babel(angles, k):
    rows = np.abs(angles.matrix[angles.kept])
    return np.cumsum(-np.sort(-rows, axis=1)[:, :k], axis=1).max(axis=0)


def mmcs(angles) -> tuple[float, float]:
    sides = (np.abs(side.matrix[side.kept]) for side in (angles, angles.turned()))
    one, two = (math.fsum(np.nanmax(side, axis=1)) / len(side) for side in sides)
    return one, two


def mutual_nearest(angles):
    forth, back = (nearest(side)[1][:, 0] for side in (angles, angles.turned()))
    found = [(i, j) for i, j in enumerate(forth) if j >= 0 and back[j] == i]
    return np.array(found, dtype=np.int64).reshape(-1, 2)


# What the family's tests share


def same(found, expected, dtype=None) -> None:
    """Two arrays are the same, bit for bit, but for the bits of a NaN."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert dtype is None or found.dtype == dtype
    assert found.shape == expected.shape
    assert np.array_equal(found, expected, equal_nan=True)
    if found.dtype.kind == "f":
        number = ~np.isnan(found)
        assert np.array_equal(np.signbit(found[number]), np.signbit(expected[number]))


def with_neighbours(values) -> np.ndarray:
    """Numbers between -1 and 1 and the floats on either side of each."""
    values = np.asarray(values, dtype=float)
    around = np.concatenate([values, np.nextafter(values, -2), np.nextafter(values, 2)])
    return np.clip(around, -1, 1)


def sharp_thresholds(values, seed, some=3) -> np.ndarray:
    """Thresholds at some of the values, a float away from them, and at special ones, mixed.

    None is below 0 unless a value is.
    """
    rng = np.random.default_rng(seed)
    chosen = np.concatenate([rng.choice(values, some), values[[values.argmax()]], [0.0, 0.5, 1.0]])
    return rng.permutation(np.clip(with_neighbours(chosen), -1 if values.min() < 0 else 0, 1))


def with_zero_rows(table, seed, least=2) -> np.ndarray:
    """The table with about a third of its rows zero, but for its first ones."""
    kept = np.random.default_rng(seed).random(len(table)) < 0.7
    kept[:least] = True
    return np.where(kept[:, None], table, np.zeros_like(table))


def smallest_memory(ask) -> int:
    """The smallest cap that a question accepts, as the refusal of a smaller one states it."""
    with pytest.raises(ValueError, match=r"^memory\b.*\bat least [0-9]+ bytes") as refusal:
        ask(memory=1)
    return int(re.search(r"at least (\d+) bytes", str(refusal.value))[1])


def caps(ask, fractions=(0.0, 0.05, 0.2, 1.0)) -> list[int]:
    """Caps between the smallest (0) and 1 GiB (1), evenly spread over the orders of magnitude."""
    least = smallest_memory(ask)
    return [round(least * max(1.0, LARGEST_CAP / least) ** part) for part in fractions]


def answer(ask, execution):
    """Ask with execution keywords whose `memory` is a fraction as in `caps`."""
    if "memory" in execution:
        (memory,) = caps(ask, (execution["memory"],))
        execution = execution | {"memory": memory}
    return ask(**execution)


def answers(ask, threads=(1, 2, 3, 8)):
    """The answers in every combination of cap and threads."""
    for memory in caps(ask):
        for number in threads:
            yield ask(memory=memory, threads=number)


def complaint(about, ask, *arguments, **options) -> str:
    """What a function says to bad input, in one line: the argument, what it must be, what came."""
    with pytest.raises((TypeError, ValueError)) as raised:
        ask(*arguments, **options)
    message = str(raised.value)
    assert "\n" not in message
    assert re.match(rf"({about})\b", message), message
    assert " must " in message, message
    assert "got " in message, message
    return message


def refuses_what_all_refuse(ask, names=("vectors", "other")) -> None:
    """`ask` takes one table or two, called by those names, and execution keywords."""
    table = np.random.default_rng(0).standard_normal((40, 6))
    empty, wrong = table.copy(), table.copy()
    empty[7] = 0
    wrong[9, 2] = np.nan
    if len(names) == 2:
        for bad, word in ((empty, "row 7"), (wrong, "row 9"), (table[:, :5], "5")):
            assert word in complaint(names[1], ask, table, bad)
    assert "row 7" in complaint(names[0], ask, empty)
    for zero in ("raise", "skip"):
        assert "row 9" in complaint(names[0], ask, wrong, zero=zero)
    complaint(names[0], ask, table[0])
    complaint(names[0], ask, table.astype(complex))
    complaint("threads", ask, table, threads=0)
    complaint("memory", ask, table, memory="lots")
    complaint("memory", ask, table, memory=1)
    complaint("zero", ask, table, zero="drop")
    complaint("backend", ask, table, backend="fast")
    with pytest.raises(TypeError):
        ask(table, thread=1)
