"""Frames all of whose lines meet at one angle, and the basis."""

from __future__ import annotations

import math
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from ...vectors import check_count
from ..families import primes
from .algebra import hadamard_matrix, quadratic_character, sylvester
from .record import Frame, known


def _equal(name: str, n: int, d: int, cosine: float, block: Any) -> Frame:
    return Frame(name, n, d, cosine, block, known({cosine: n * (n - 1) // 2}))


def basis(d: SupportsIndex) -> Frame:
    """Return d orthogonal lines, the coordinate axes.

    Examples
    --------
    >>> basis(5).cosines
    {0.0: 10}
    """
    depth = check_count(d, "d", 1)

    def block(start: int, stop: int) -> NDArray[np.int8]:
        rows = np.zeros((stop - start, depth), dtype=np.int8)
        rows[np.arange(stop - start), np.arange(start, stop)] = 1
        return rows

    return _equal(f"basis of R^{depth}", depth, depth, 0.0, block)


def hadamard(m: SupportsIndex) -> Frame:
    """Return 2^m orthogonal lines, the rows of Sylvester's matrix, entries +-1.

    Examples
    --------
    >>> hadamard(1).array().tolist()
    [[1, 1], [1, -1]]
    """
    matrix = sylvester(check_count(m, "m", 0, 14))
    size = len(matrix)
    return _equal(f"Hadamard {size}", size, size, 0.0, lambda i, j: matrix[i:j].copy())


def simplex(d: SupportsIndex) -> Frame:
    """Return the d + 1 lines of a regular simplex in d dimensions, float64, |cos| = 1/d.

    Examples
    --------
    >>> simplex(3).cosines
    {0.3333333333333333: 6}
    """
    depth = check_count(d, "d", 1)
    return _equal(
        f"simplex in R^{depth}", depth + 1, depth, 1.0 / depth, lambda i, j: _helmert(depth, i, j)
    )


def _helmert(d: int, start: int, stop: int) -> NDArray[np.float64]:
    """Return rows of the d + 1 points e_i less their mean, in an orthonormal basis of their span.

    Axis k, from 1 on, is (1, ..., 1 [k times], -k, 0, ..., 0) / sqrt(k (k + 1)).
    """
    i, k = np.arange(start, stop)[:, None], np.arange(1, d + 1)
    entries = np.where(i < k, 1.0, np.where(i == k, -1.0 * k, 0.0))
    rows: NDArray[np.float64] = entries / np.sqrt(k * (k + 1.0))
    return rows


def bukh_cox(groups: SupportsIndex = 3, copies: SupportsIndex = 34) -> Frame:
    """Return groups x copies equiangular lines in groups (copies - 1) + 1 dimensions, float64.

    The copies of each point of a simplex, pushed apart: Gram matrix (1 + mu) I - mu B (x) J with
    mu = 1 / (2 copies - 1), B of `groups` rows with 1 on the diagonal and -1 elsewhere, and J of
    `copies` rows of ones (Bukh & Cox 2020, Nearly orthogonal vectors and small antipodal spherical
    codes).

    Examples
    --------
    >>> lines = bukh_cox()  # the most that fit into 100 dimensions at 89 degrees
    >>> lines.shape, round(1 / lines.coherence)
    ((102, 100), 67)
    """
    many, each = check_count(groups, "groups", 2), check_count(copies, "copies", 2)
    cosine = 1.0 / (2 * each - 1)
    depth = many * (each - 1) + 1

    def block(start: int, stop: int) -> NDArray[np.float64]:
        rows = np.zeros((stop - start, depth))
        rows[:, -1] = math.sqrt(cosine)
        points = math.sqrt(2 * each * cosine) * _helmert(each - 1, 0, each)
        for row, at in zip(rows, range(start, stop), strict=True):
            group, place = divmod(at, each)
            row[group * (each - 1) : (group + 1) * (each - 1)] = points[place]
        return rows

    return _equal(f"Bukh-Cox {many} x {each}", many * each, depth, cosine, block)


def paley(q: SupportsIndex) -> Frame:
    """Return q + 1 equiangular lines in (q + 1) / 2 dimensions, float64, |cos| = 1 / sqrt(q).

    An eigenspace of Paley's conference matrix, q a prime of the form 4k + 1: the point at infinity
    is the first axis, the point x has 1 / sqrt(q) there, and 2 / sqrt(q) times the cosine and sine
    of 2 pi k x / q for each square k, of k and -k one.

    Examples
    --------
    >>> paley(1009).shape
    (1010, 505)
    """
    prime = check_count(q, "q", 5)
    if prime % 4 != 1 or primes(prime)[-1] != prime:
        raise ValueError(f"q: must be a prime of the form 4k + 1, got {prime}")
    k = np.flatnonzero(quadratic_character(prime) == 1)
    k = k[k <= prime // 2]

    def block(start: int, stop: int) -> NDArray[np.float64]:
        x = np.arange(start, stop)[:, None] - 1
        angles = 2.0 * math.pi / prime * (k * x % prime)
        waves = 2.0 * np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
        rows = np.concatenate([np.ones((stop - start, 1)), waves], axis=1) / math.sqrt(prime)
        if start == 0 < stop:
            rows[0] = 0.0
            rows[0, 0] = 1.0
        return rows

    return _equal(f"Paley {prime}", prime + 1, (prime + 1) // 2, 1.0 / math.sqrt(prime), block)


def mcfarland(m: SupportsIndex) -> Frame:
    """Return 4^m equiangular lines in 2^(m-1) (2^m - 1) dimensions, entries +-1.

    The columns of Sylvester's matrix, of its rows (u, v) those with u . v = 1: McFarland's
    difference set (Ding & Feng 2007); |cos| = 1 / (2^m - 1).

    Examples
    --------
    >>> mcfarland(3).shape, mcfarland(3).cosines
    ((64, 28), {0.14285714285714285: 2016})
    """
    half = sylvester(check_count(m, "m", 2, 8))
    size = len(half)
    u, v = np.nonzero(half < 0)

    def block(start: int, stop: int) -> NDArray[np.int8]:
        a, b = np.divmod(np.arange(start, stop), size)
        rows: NDArray[np.int8] = half[a][:, u] * half[b][:, v]
        return rows

    return _equal(f"McFarland {m}", size * size, len(u), 1.0 / (size - 1), block)


def steiner(v: SupportsIndex) -> Frame:
    """Return v^2 equiangular lines in v (v - 1) / 2 dimensions, entries 0 and +-1.

    A dimension for each edge of the complete graph on v points; for each point, the rows of a
    Hadamard matrix of order v without its first column, on the edges at that point (Fickus, Mixon &
    Tremain 2012, Steiner equiangular tight frames); |cos| = 1 / (v - 1).

    Parameters
    ----------
    v : int
        4 or more: a power of two times 1 or q + 1, q a prime of the form 4k + 3.

    Examples
    --------
    >>> steiner(12).shape, steiner(12).cosines
    ((144, 66), {0.09090909090909091: 10296})
    """
    points = check_count(v, "v", 4, 664)
    matrix = hadamard_matrix(points)
    if matrix is None:
        raise ValueError(
            f"v: must be 2^k, or 2^k (q + 1) with a prime q of the form 4k + 3, got {points}"
        )
    edge = np.zeros((points, points), dtype=np.int64)
    upper = np.triu_indices(points, 1)
    edge[upper] = np.arange(len(upper[0]))
    edge += edge.T
    there = np.arange(points - 1) + (np.arange(points - 1) >= np.arange(points)[:, None])
    edges = np.take_along_axis(edge, there, axis=1)

    def block(start: int, stop: int) -> NDArray[np.int8]:
        point, sign = np.divmod(np.arange(start, stop), points)
        rows = np.zeros((stop - start, len(upper[0])), dtype=np.int8)
        np.put_along_axis(rows, edges[point], matrix[sign, 1:], axis=1)
        return rows

    return _equal(f"Steiner {points}", points * points, len(upper[0]), 1.0 / (points - 1), block)
