"""The last digits of a small packing: sequential linear programming on its closest pairs.

    minimise t   subject to   |c_ij + <x_j, h_i> + <x_i, h_j>| <= t,  <x_i, h_i> = 0,  |h_i| <= r

over tangent moves h, for the pairs that could be among the closest within the trust radius r.  The
program sees which pairs are active, so where as many are as there are directions to move in, which
is the rule for good packings, its steps converge as Newton's do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .lbfgs import normalised

_STEPS = 40
_FIRST_RADIUS = 1e-3
_LEAST_RADIUS = 1e-14
# Share of the promised decrease that must come true; and from which on the radius grows.
_ACCEPT, _GROW = 0.05, 0.75
# A pair this many radii below the largest |cos| cannot become it.
_REACH = 4.0


def largest_cosine(points: Any) -> float:
    """Return the largest |cos| of unit vectors so few that all fit into a matrix."""
    cosines = np.abs(points @ points.T)
    np.fill_diagonal(cosines, 0.0)
    return float(cosines.max())


def refined(points: Any, stop: Callable[[], bool] = lambda: False) -> Any:
    """Return unit vectors of shape (n, d) with the same or a smaller largest |cos|."""
    from scipy.optimize import linprog

    value = largest_cosine(points)
    radius = _FIRST_RADIUS
    for _ in range(_STEPS):
        if radius < _LEAST_RADIUS or stop():
            break
        bases = _bases(points)
        promised, moves = _program(linprog, points, bases, value, radius)
        if moves is None or value - promised <= 1e-16:
            break
        trial = normalised((points + moves)[None])[0]
        found = largest_cosine(trial)
        ratio = (value - found) / (value - promised)
        if ratio > _ACCEPT:
            points, value = trial, found
        if ratio > _GROW:
            radius *= 2.0
        elif ratio < 0.25:
            radius = 0.25 * min(radius, float(np.abs(moves).max()))
    return points


def _bases(points: Any) -> Any:
    """Return an orthonormal basis of each vector's tangent space, shape (n, d, d - 1).

    The reflection that takes the first unit vector to +-x takes the others to such a basis.
    """
    n, d = points.shape
    axis = points.copy()
    axis[:, 0] += np.where(points[:, 0] < 0.0, -1.0, 1.0)
    axis = axis / np.sqrt((axis * axis).sum(axis=1, keepdims=True))
    return np.broadcast_to(np.eye(d)[:, 1:], (n, d, d - 1)) - 2.0 * np.einsum(
        "nd,nk->ndk", axis, axis[:, 1:]
    )


def _program(linprog: Any, points: Any, bases: Any, value: float, radius: float) -> Any:
    """Solve the linear program; return its t and moves, or None for these if it has none."""
    from scipy.sparse import csr_array

    n, d = points.shape
    cosines = points @ points.T
    i, j = np.nonzero(np.triu(np.abs(cosines) >= value - _REACH * radius * np.sqrt(d), 1))
    signs = np.where(cosines[i, j] < 0.0, -1.0, 1.0)
    moved = (
        np.einsum("pd,pdk->pk", points[j], bases[i]),
        np.einsum("pd,pdk->pk", points[i], bases[j]),
    )
    pairs, free = len(i), d - 1
    entries = np.concatenate([signs[:, None] * side for side in moved] + [-np.ones((pairs, 1))], 1)
    columns = np.concatenate(
        [free * which[:, None] + np.arange(free) for which in (i, j)]
        + [np.full((pairs, 1), n * free)],
        1,
    )
    rows = np.repeat(np.arange(pairs), 2 * free + 1)
    matrix = csr_array((entries.ravel(), (rows, columns.ravel())), shape=(pairs, n * free + 1))
    # In units of the radius, so that the solver's tolerances are small beside what is sought.
    matrix = matrix.tocsc()
    goal = np.zeros(n * free + 1)
    goal[-1] = 1.0
    found = linprog(
        goal,
        A_ub=matrix,
        b_ub=(value - np.abs(cosines[i, j])) / radius,
        bounds=[(-1.0, 1.0)] * (n * free) + [(None, None)],
        method="highs",
    )
    if found.x is None:
        return value, None
    moves = radius * np.einsum("ndk,nk->nd", bases, found.x[:-1].reshape(n, free))
    return value + radius * float(found.x[-1]), moves
