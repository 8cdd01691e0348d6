"""Where restarts begin: random directions, random directions with a symmetry, or near given ones.

Many of the best packings known are orbits of a few lines under a group, and descent keeps a
symmetry that its start has, because the gradient has it too.  So every other restart begins with
the orbits of random lines under a random orthogonal map g of finite order m, up to sign: a rotation
by a random multiple of 180 / m degrees in each of d / 2 orthogonal planes, all multiples even
(g^m = 1) or all odd (g^m = -1).  Rounding breaks the symmetry in the end where it is unstable.

Orders 2, 4, 8, 16 and 32 led to the best 32 lines of R^8 in 34, 42, 15, 2 and 1
of 128, starts without a symmetry in none; orders 2, 3 and 6 to the best 24 of R^12 in 1, 3 and 1 of
512, orders 4, 5, 8, 11, 12, 23 and 24 in none.  So small orders are drawn more often.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .lbfgs import normalised
from .refinement import largest_cosine

# Lines closer than this have no slope that would part them.
_TOGETHER = 1.0 - 1e-6
_TRIALS = 20
# Length of what is added to each of a given start's vectors, before a later restart.
_NEAR = 0.1


def random_start(n: int, d: int, seed: int, restart: int) -> Any:
    """Return random unit vectors, shape (n, d)."""
    return normalised(np.random.default_rng([seed, restart]).standard_normal((1, n, d)))[0]


def symmetric_start(n: int, d: int, seed: int, restart: int) -> Any:
    """Return unit vectors with a symmetry, shape (n, d)."""
    rng = np.random.default_rng([seed, restart])
    orders = np.array([m for m in range(2, n + 1) if n % m == 0 or (n - 1) % m == 0])
    shares = (1.0 / orders) / (1.0 / orders).sum()
    for _ in range(_TRIALS):
        points = _orbits(rng, n, d, int(rng.choice(orders, p=shares)))
        if largest_cosine(points) < _TOGETHER:
            return points
    return random_start(n, d, seed, restart)


def _orbits(rng: np.random.Generator, n: int, d: int, m: int) -> Any:
    """Return orbits of m lines, and if m does not divide n one line more."""
    parity = int(rng.integers(2))
    angles = np.pi * (2 * rng.integers(m, size=(d + 1) // 2) + parity) / m
    count = n // m
    first = rng.standard_normal((count, (d + 1) // 2)) + 1j * rng.standard_normal(
        (count, (d + 1) // 2)
    )
    turns = np.exp(1j * angles * np.arange(m)[:, None])
    planes = (first[:, None] * turns).reshape(count * m, -1)
    points = np.empty((n, d))
    points[: count * m, ::2] = planes.real
    points[: count * m, 1::2] = planes.imag[:, : d // 2]
    points[count * m :] = rng.standard_normal((n - count * m, d))
    return normalised(points[None])[0]


def start_nearby(start: Any, seed: int, restart: int) -> Any:
    """Return given unit vectors, from the second restart on each with something random added."""
    if restart == 0:
        return start.copy()
    rng = np.random.default_rng([seed, restart])
    noise = normalised(rng.standard_normal((1, *start.shape)))
    return normalised(start[None] + _NEAR * noise)[0]


def parted(start: Any, nearest: Any, seed: int) -> Any:
    """Return a start whose vectors on one line, by their largest |cos|, are moved a little."""
    together = nearest >= _TOGETHER
    rng = np.random.default_rng([seed, 1 << 32])
    noise = normalised(rng.standard_normal((1, int(together.sum()), start.shape[1])))[0]
    moved = start.copy()
    moved[together] += _NEAR**2 * noise
    return normalised(moved[None])[0]
