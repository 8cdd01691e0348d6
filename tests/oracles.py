"""The deciding arithmetic, written out twice: in plain Python, and in NumPy for larger tables.

A cosine is defined by float64 arithmetic alone, each operation rounded once. A row is scaled by
the power of two that brings its largest entry into [1, 2), and entries that are then below
2^-1022 become 0. Product k of a dot product goes to lane k mod 8; the eight lanes start at +0 and
are added as a fixed tree. With q the dot product of a row with itself,

    cos = min(1, max(-1, dot / sqrt(q_i * q_j))), a zero being +0.

The best pair has the highest value, then the lowest i, then the lowest j. `exact_cosine` is the
real number that all of this approximates. Nothing here knows the package under test.
"""

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np

LANES = 8
SMALLEST_EXPONENT = -1022
BLOCK_ELEMENTS = 1 << 16


class Best(NamedTuple):
    value: float
    i: int
    j: int


# Plain Python


def exponent(x: float) -> int:
    """floor(log2(|x|)) of a number other than 0."""
    return math.frexp(x)[1] - 1


def scaled_row(row: list[float]) -> list[float]:
    largest = exponent(max(abs(x) for x in row))
    return [
        math.ldexp(x, -largest) if x and exponent(x) - largest >= SMALLEST_EXPONENT else 0.0
        for x in row
    ]


def dot(x: list[float], y: list[float]) -> float:
    lane = [0.0] * LANES
    for k, (a, b) in enumerate(zip(x, y, strict=True)):
        product = a * b
        lane[k % LANES] += product
    return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]))


def cosine(x: list[float], y: list[float]) -> float:
    """The cosine of two rows as they came."""
    x, y = scaled_row(x), scaled_row(y)
    return min(1.0, max(-1.0, dot(x, y) / math.sqrt(dot(x, x) * dot(y, y)))) + 0.0


def plain_coherence(vectors, other=None, *, signed=False, zero="raise") -> Best:
    rows = widened(vectors).tolist()
    columns = rows if other is None else widened(other).tolist()
    best = Best(-math.inf, -1, -1)
    for i, x in enumerate(rows):
        for j in range(i + 1 if other is None else 0, len(columns)):
            if zero == "skip" and not (any(x) and any(columns[j])):
                continue
            cos = cosine(x, columns[j])
            value = cos if signed else abs(cos)
            if value > best.value:
                best = Best(value, i, j)
    return best


# NumPy


def widened(vectors) -> np.ndarray:
    return np.asarray(np.asarray(vectors).astype(np.float64))


def scaled(rows: np.ndarray) -> np.ndarray:
    """Every row scaled, its depth filled up with zeros to whole groups of lanes."""
    largest = np.frexp(np.abs(rows).max(axis=1, keepdims=True))[1] - 1
    kept = np.frexp(rows)[1] - 1 - largest >= SMALLEST_EXPONENT
    result = np.zeros((len(rows), -(-rows.shape[1] // LANES) * LANES))
    result[:, : rows.shape[1]] = np.where(kept, np.ldexp(rows, -largest), 0.0)
    return result


def lane_tree(lanes: np.ndarray) -> np.ndarray:
    for _ in range(3):
        lanes = lanes[..., 0::2] + lanes[..., 1::2]
    return lanes[..., 0]


def dots(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The dot products of arrays of scaled rows that broadcast against each other."""
    shape = np.broadcast_shapes(x.shape, y.shape)
    lanes = np.zeros((*shape[:-1], LANES))
    for k in range(0, shape[-1], LANES):
        lanes += x[..., k : k + LANES] * y[..., k : k + LANES]
    return lane_tree(lanes)


def cosines(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The matrix of cosines between two arrays of scaled rows."""
    products = dots(x, x)[:, None] * dots(y, y)
    return np.clip(dots(x[:, None], y[None]) / np.sqrt(products), -1.0, 1.0) + 0.0


def coherence(vectors, other=None, *, signed=False, zero="raise") -> Best:
    rows = widened(vectors)
    columns = rows if other is None else widened(other)
    row_index, column_index = (
        np.flatnonzero(side.any(axis=1)) if zero == "skip" else np.arange(len(side))
        for side in (rows, columns)
    )
    x, y = scaled(rows[row_index]), scaled(columns[column_index])
    step = max(1, BLOCK_ELEMENTS // (LANES * len(y)))
    best = Best(-math.inf, -1, -1)
    for first in range(0, len(x), step):
        start = first if other is None else 0
        values = cosines(x[first : first + step], y[start:])
        values = values if signed else np.abs(values)
        if other is None:
            values[np.tri(*values.shape, dtype=bool)] = -math.inf
        i, j = divmod(int(values.argmax()), values.shape[1])
        if values[i, j] > best.value:
            pair = int(row_index[first + i]), int(column_index[start + j])
            best = Best(float(values[i, j]), *pair)
    return best


# The truth


def exact_cosine(x: list[float], y: list[float], bits: int = 256) -> Fraction:
    """The cosine of the numbers as they came, cut off after `bits` binary places."""

    def exact_dot(x, y):
        return sum(Fraction(a) * Fraction(b) for a, b in zip(x, y, strict=True))

    xy = exact_dot(x, y)
    square = Fraction(xy * xy, exact_dot(x, x) * exact_dot(y, y))
    root = math.isqrt((square.numerator << 2 * bits) // square.denominator)
    return Fraction(root if xy > 0 else -root, 1 << bits)
