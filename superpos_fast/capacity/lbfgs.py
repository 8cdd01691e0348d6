"""Riemannian L-BFGS on products of spheres, of several sets of unit vectors at once.

A step goes along a tangent direction and back to the spheres by normalisation.  What is remembered
of earlier steps stays as it was, and the direction that comes of it is projected onto the tangent
space: products of remembered vectors with the gradient, which is tangent, are those that carrying
them over by projection would give, and those among themselves differ by the square of a step.

The recursion is done on the inner products of everything remembered (Chen, Wang & Zhou 2014,
"Large-scale L-BFGS using MapReduce"): two passes over the memory a step, not four for each pair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Function = Callable[[Any, Any], tuple[Any, Any, Any]]

MEMORY = 8
# Armijo's share of the decrease that the slope promises, and what a step shrinks by without it.
_SHARE = 1e-4
_SHRINK = 0.3
_TRIALS = 12
# No vector turns further in a step than about 30 degrees.
_FARTHEST = 0.5
# The first step moves the vector with the steepest gradient so far.
_FIRST = 0.05
# Cosine between a step and what it changed of the gradient, below which it is not remembered.
_LEAST_CURVATURE = 1e-8
# Entries multiplied at a time: so few that BLAS does not share them among threads, on whose number
# the sum would hang.  And those that a thread of ours takes at a time.
_ENTRIES, _SHARE_ENTRIES = 2**12, 2**16


Each = Callable[[Callable[[slice], None], list[slice]], None]


def one_by_one(work: Callable[[slice], None], parts: list[slice]) -> None:
    """Do work on parts of an axis on the calling thread."""
    for part in parts:
        work(part)


def _parts(start: int, stop: int, step: int) -> list[slice]:
    return [slice(k, min(k + step, stop)) for k in range(start, stop, step)]


def inner(left: Any, right: Any, each: Each = one_by_one) -> Any:
    """Return the inner products of vectors (s, p, k) and (s, q, k) of each set, (s, p, q).

    They are added up part by part in one order, whoever multiplies.
    """
    found: dict[int, Any] = {}

    def multiply(part: slice) -> None:
        found[part.start] = sum(
            left[..., few] @ right[..., few].swapaxes(1, 2)
            for few in _parts(part.start, part.stop, _ENTRIES)
        )

    each(multiply, _parts(0, left.shape[-1], _SHARE_ENTRIES))
    total = found.pop(0)
    for start in sorted(found):
        total += found[start]
    return total


def tangent(points: Any, directions: Any) -> Any:
    """Project directions, in place, onto the tangent spaces at points."""
    directions -= np.einsum("snd,snd->sn", points, directions)[..., None] * points
    return directions


def normalised(points: Any) -> Any:
    """Divide vectors, in place, by their lengths."""
    points /= np.sqrt(np.einsum("snd,snd->sn", points, points))[..., None]
    return points


def _longest(directions: Any) -> Any:
    return np.sqrt(np.einsum("snd,snd->sn", directions, directions).max(axis=1))


class _Memory:
    """The last steps of each set and what they changed of its gradient, in slots used in turn.

    Slot i of `vectors` is a step, slot i + `size` the change that it made; `products` are the inner
    products of all of them, `used` the slots in the order in which they were filled.
    """

    def __init__(self, sets: int, entries: int, size: int, each: Each) -> None:
        self.size, self.each = size, each
        self.vectors = np.zeros((sets, 2 * size, entries))
        self.products = np.zeros((sets, 2 * size, 2 * size))
        self.scale = np.zeros(sets)
        self.used: list[int] = []

    def keep(self, kept: Any) -> None:
        """Forget all other sets."""
        self.vectors, self.products = self.vectors[kept], self.products[kept]
        self.scale = self.scale[kept]

    def add(self, step: Any, change: Any) -> None:
        """Remember a step; of a set that it does not curve upwards in, nothing."""
        slot = self.used.pop(0) if len(self.used) == self.size else len(self.used)
        pair = [slot, slot + self.size]
        self.vectors[:, pair[0]], self.vectors[:, pair[1]] = step, change
        found = inner(self.vectors, self.vectors[:, slot :: self.size], self.each)
        square, product, curve = found[:, slot, 0], found[:, slot, 1], found[:, pair[1], 1]
        bad = product <= _LEAST_CURVATURE * np.sqrt(square * curve)
        self.scale = np.where(bad, self.scale, product / np.where(bad, 1.0, curve))
        self.vectors[np.ix_(bad, pair)] = 0.0
        found[bad] = 0.0
        self.products[:, :, pair], self.products[:, pair, :] = found, found.swapaxes(1, 2)
        self.used.append(slot)

    def directions(self, gradients: Any) -> Any:
        """Return minus the inverse Hessian's estimate times the gradient of each set."""
        if not self.used:
            return -self.scale[:, None] * gradients
        slopes = inner(self.vectors, gradients[:, None], self.each)[..., 0]
        weights = np.zeros_like(slopes)  # of the vectors; the gradient's is 1 throughout
        curvatures = {slot: self.products[:, slot, slot + self.size] for slot in self.used}
        inverses = {
            slot: np.divide(1.0, value, out=np.zeros_like(value), where=value > 0.0)
            for slot, value in curvatures.items()
        }
        shares = {}
        for slot in reversed(self.used):
            product = slopes[:, slot] + (weights * self.products[:, slot]).sum(axis=1)
            shares[slot] = inverses[slot] * product
            weights[:, slot + self.size] -= shares[slot]
        weights *= self.scale[:, None]
        for slot in self.used:
            change = slot + self.size
            product = self.scale * slopes[:, change]
            product += (weights * self.products[:, change]).sum(axis=1)
            weights[:, slot] += shares[slot] - inverses[slot] * product
        found = np.empty_like(gradients)

        def combine(part: slice) -> None:
            for few in _parts(part.start, part.stop, _ENTRIES):
                sums = (weights[:, None] @ self.vectors[..., few])[:, 0]
                np.negative(sums + self.scale[:, None] * gradients[:, few], out=found[:, few])

        self.each(combine, _parts(0, found.shape[-1], _SHARE_ENTRIES))
        return found


@dataclass
class _State:
    """Sets that still descend; `which` are their numbers among all."""

    which: Any
    points: Any
    values: Any
    gradients: Any
    memory: _Memory

    def keep(self, kept: Any) -> None:
        """Forget all other sets."""
        self.which, self.points = self.which[kept], self.points[kept]
        self.values, self.gradients = self.values[kept], self.gradients[kept]
        self.memory.keep(kept)

    def directions(self) -> tuple[Any, Any]:
        """Return directions and slopes: steepest descent where the memory's is none."""
        flat = self.gradients.reshape(len(self.which), -1)
        found = tangent(self.points, self.memory.directions(flat).reshape(self.points.shape))
        slopes = _products(found, self.gradients)
        uphill = ~(slopes < 0.0)
        if uphill.any():
            found[uphill] = -self.memory.scale[uphill, None, None] * self.gradients[uphill]
            slopes[uphill] = _products(found[uphill], self.gradients[uphill])
        return found, slopes


def _products(left: Any, right: Any) -> Any:
    return inner(*(part.reshape(len(part), 1, -1) for part in (left, right)))[:, 0, 0]


def descend(
    function: Function,
    points: Any,
    *,
    steps: int,
    tolerance: Any,
    memory: int = MEMORY,
    stop: Callable[[int], bool] = lambda sets: False,
    each: Each = one_by_one,
) -> tuple[Any, Any]:
    """Minimise a function of each set of unit vectors.

    Parameters
    ----------
    function : callable
        Takes points and the numbers of their sets; returns values, gradients in the tangent spaces,
        and one more number a set.
    points : ndarray, shape (sets, n, d)
        Unit vectors; overwritten with those that were found.
    steps : int
        Most steps.
    tolerance : ndarray, shape (sets,)
        A set is done when its value falls by less in a step.
    memory : int
        Steps remembered.
    stop : callable
        Called after each step with the number of sets that took it; True ends all.
    each : callable
        Does work on parts of the entries of many vectors, on several threads perhaps.

    Returns
    -------
    values, more : ndarray, shape (sets,)
        The function's values at the points, and its last numbers.
    """
    values, gradients, more = function(points, np.arange(len(points)))
    state = _State(
        np.arange(len(points)),
        points.copy(),
        values.copy(),
        gradients,
        _Memory(len(points), points[0].size, memory, each),
    )
    steepest = _longest(gradients)
    np.divide(_FIRST, steepest, out=state.memory.scale, where=steepest > 0.0)
    for _ in range(steps):
        taken, new_points, new_values, new_gradients, new_more = _search(function, state)
        shape = len(taken), -1
        state.memory.add(
            (new_points - state.points).reshape(shape),
            (new_gradients - state.gradients).reshape(shape),
        )
        settled = ~taken | (state.values - new_values < tolerance[state.which])
        state.points, state.values, state.gradients = new_points, new_values, new_gradients
        better = state.which[taken]
        points[better], values[better] = new_points[taken], new_values[taken]
        more[better] = new_more[taken]
        if stop(len(settled)) or settled.all():
            break
        if settled.any():
            state.keep(~settled)
    return values, more


def _search(function: Function, state: _State) -> tuple[Any, Any, Any, Any, Any]:
    """Go along each set's direction until its value has fallen enough.

    Returns which sets have taken a step, and where all of them are now.
    """
    directions, slopes = state.directions()
    farthest = _longest(directions)
    lengths = np.minimum(1.0, _FARTHEST / np.maximum(farthest, _FARTHEST))
    found: tuple[Any, ...] = ()
    left = np.arange(len(slopes))
    for _ in range(_TRIALS):
        trial = normalised(state.points[left] + lengths[left, None, None] * directions[left])
        there = (trial, *function(trial, state.which[left]))
        enough = there[1] <= state.values[left] + _SHARE * lengths[left] * slopes[left]
        if not found:
            if enough.all():
                return enough, *there
            here = (state.points, state.values, state.gradients, np.zeros_like(slopes))
            found = tuple(part.copy() for part in here)
        for whole, some in zip(found, there, strict=True):
            whole[left[enough]] = some[enough]
        left = left[~enough]
        if not len(left):
            break
        lengths[left] *= _SHRINK
    taken = np.ones(len(slopes), bool)
    taken[left] = False
    return taken, *found
