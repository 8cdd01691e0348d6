"""Root systems, the Leech lattice, and lines that come from them."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .algebra import signs
from .record import Frame, of_table

# The lines of the plane of seven points.
_FANO = tuple(tuple(sorted((i, (i + 1) % 7, (i + 3) % 7))) for i in range(7))


def _up_to_sign(rows: NDArray[Any]) -> NDArray[Any]:
    """Return the rows whose first entry other than 0 is positive."""
    leading = np.take_along_axis(rows, (rows != 0).argmax(axis=1)[:, None], axis=1)[:, 0]
    return rows[leading > 0]


def _two_entries(d: int, size: int) -> NDArray[np.int8]:
    """Return all vectors with two entries +-size and zeros elsewhere."""
    rows = np.zeros((2 * d * (d - 1), d), dtype=np.int8)
    for row, (places, values) in zip(
        rows, product(combinations(range(d), 2), product((size, -size), repeat=2)), strict=True
    ):
        row[list(places)] = values
    return rows


def _on_words(words: Any, d: int) -> NDArray[np.int8]:
    """Return the vectors +-1 on each word's places, 0 elsewhere."""
    rows = []
    for places in words:
        block = np.zeros((1 << len(places), d), dtype=np.int8)
        block[:, list(places)] = list(product((1, -1), repeat=len(places)))
        rows.append(block)
    return np.concatenate(rows)


def d4() -> Frame:
    """Return the 12 lines of the roots of D4, in integers.

    Examples
    --------
    >>> d4().cosines
    {0.0: 18, 0.5: 48}
    """
    return of_table("D4", _up_to_sign(_two_entries(4, 1)), {0.0: 18, 0.5: 48})


def e8() -> Frame:
    """Return the 120 lines of the roots of E8, in integers (twice the roots).

    Examples
    --------
    >>> e8().cosines
    {0.0: 3780, 0.5: 3360}
    """
    return of_table("E8", _e8_rows(), {0.0: 3780, 0.5: 3360})


def _e8_rows() -> NDArray[Any]:
    halves = np.array(list(product((1, -1), repeat=8)), dtype=np.int8)
    return _up_to_sign(np.concatenate([_two_entries(8, 2), halves[halves.prod(axis=1) == 1]]))


def e7() -> Frame:
    """Return the 63 lines of the roots of E7, in seven integers.

    Twice the unit vectors, and signs on the complements of the lines of the Fano plane: E7 as
    construction A of the dual Hamming code (Conway & Sloane, chapter 4).

    Examples
    --------
    >>> e7().cosines
    {0.0: 945, 0.5: 1008}
    """
    words = [set(range(7)) - set(line) for line in _FANO]
    rows = np.concatenate([2 * np.eye(7, dtype=np.int8), _on_words(map(sorted, words), 7)])
    return of_table("E7", _up_to_sign(rows), {0.0: 945, 0.5: 1008})


def e6() -> Frame:
    """Return the 36 lines of the roots of E6 in six coordinates, float64.

    The lines of E8 that are perpendicular to a hexagon of its roots.  No multiple of E6 has integer
    coordinates in six dimensions (its determinant is 3 times a square).

    Examples
    --------
    >>> e6().cosines
    {0.0: 270, 0.5: 360}
    """
    rows = _e8_rows().astype(np.int64)
    hexagon = np.array([[1] * 8, [2, 2, 0, 0, 0, 0, 0, 0]])
    rows = rows[(rows @ hexagon.T == 0).all(axis=1)]
    axes = np.array(
        [
            [1, -1, 0, 0, 0, 0, 0, 0],
            [0, 0, 1, -1, 0, 0, 0, 0],
            [0, 0, 0, 0, 1, -1, 0, 0],
            [0, 0, 0, 0, 0, 0, 1, -1],
            [0, 0, 1, 1, -1, -1, 0, 0],
            [0, 0, 1, 1, 1, 1, -2, -2],
        ]
    )
    # Times sqrt(2), so that four of the coordinates are integers.
    lengths = np.sqrt((axes * axes).sum(axis=1) / 2.0)
    return of_table("E6", rows @ axes.T / lengths, {0.0: 270, 0.5: 360})


def lines28() -> Frame:
    """Return 28 equiangular lines of R^7, in integers: signs on the lines of the Fano plane.

    Examples
    --------
    >>> lines28().cosines
    {0.3333333333333333: 378}
    """
    return of_table("28 lines", _up_to_sign(_on_words(_FANO, 7)), {1 / 3: 378})


def _golay() -> NDArray[np.int8]:
    """Return the 4096 words of the extended binary Golay code."""
    generator = np.array([int(bit) for bit in "110001110101"])
    basis = np.array([np.pad(generator, (shift, 11 - shift)) for shift in range(12)])
    messages = np.arange(4096)[:, None] >> np.arange(12) & 1
    words = messages @ basis % 2
    return np.concatenate([words, words.sum(axis=1, keepdims=True) % 2], axis=1).astype(np.int8)


def leech() -> Frame:
    """Return the 98,280 lines of the Leech lattice's minimal vectors, in integers (sqrt(8) times).

    Conway & Sloane, chapter 4, section 11; optimal by Levenshtein's bound.

    Examples
    --------
    >>> leech().shape, leech().coherence
    ((98280, 24), 0.5)
    """
    words = _golay()
    octads = words[words.sum(axis=1) == 8]
    even = np.array(list(product((2, -2), repeat=8)), dtype=np.int8)
    even = even[(even < 0).sum(axis=1) % 2 == 0]
    eights = np.zeros((len(octads), len(even), 24), dtype=np.int8)
    for block, octad in zip(eights, octads, strict=True):
        block[:, octad == 1] = even
    odd = np.ones((24, 24), dtype=np.int8) - 4 * np.eye(24, dtype=np.int8)
    threes = signs(words)[:, None] * odd
    shapes = _two_entries(24, 4), eights.reshape(-1, 24), threes.reshape(-1, 24)
    counts = {0.0: 2_288_695_500, 0.25: 2_314_690_560, 0.5: 226_044_000}
    return of_table("Leech", _up_to_sign(np.concatenate(shapes)), counts)
