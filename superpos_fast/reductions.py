"""Reductions over all pairs, as data: how a statistic begins, grows, joins and ends.

A reduction knows no tiles' walk and the walk knows no statistic.  A partial is immutable; `combine`
is associative, commutative and deterministic, so that threads, blocks and machines may meet in any
order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np

P = TypeVar("P")


@dataclass(frozen=True)
class Reduction(Generic[P]):
    """What the engine needs to know of a statistic.

    Attributes
    ----------
    identity : P
        The partial of no pairs.
    combine : callable
        Two partials to the partial of both sets of pairs.
    fold_listed : callable
        (rows, columns, cosines) of decided pairs to a partial.
    fold_tile : callable
        (cosines, first row, first column) of a decided tile to a partial; NaN is no pair.
    threshold : callable
        The cosine (magnitude, unless `signed`) below which no pair changes the partial.
    closed : callable
        (partial, first row, first column) to whether no pair at or after that place, in the order
        of (row, column), can change the partial.
    signed : bool
        Whether cosines are compared with their sign.
    """

    identity: P
    combine: Callable[[P, P], P]
    fold_listed: Callable[[Any, Any, Any], P]
    fold_tile: Callable[[Any, int, int], P]
    threshold: Callable[[P], float]
    closed: Callable[[P, int, int], bool]
    signed: bool


@dataclass(frozen=True)
class Best:
    """The largest cosine so far and the lowest pair that has it; -inf before any pair."""

    value: float = -np.inf
    i: int = -1
    j: int = -1


def extremum(signed: bool) -> Reduction[Best]:
    """Return the reduction to max |cos| (`signed`: max cos) and its lowest pair."""
    return Reduction(
        identity=Best(),
        combine=_better,
        fold_listed=partial(_best_listed, signed),
        fold_tile=partial(_best_in_tile, signed),
        threshold=lambda best: best.value,
        closed=lambda best, i, j: best.value == 1.0 and (best.i, best.j) < (i, j),
        signed=signed,
    )


def _better(one: Best, other: Best) -> Best:
    return max(one, other, key=lambda best: (best.value, -best.i, -best.j))


def _best_listed(signed: bool, rows: Any, columns: Any, cosines: Any) -> Best:
    values = cosines if signed else np.abs(cosines)
    if not len(values):
        return Best()
    value = values.max()
    i, j = min(zip(rows[values == value], columns[values == value], strict=True))
    return Best(float(value), int(i), int(j))


def _best_in_tile(signed: bool, cosines: Any, row: int, column: int) -> Best:
    values = cosines if signed else np.abs(cosines)
    value = np.fmax.reduce(values, axis=None)
    if np.isnan(value):
        return Best()
    i, j = divmod(int(np.argmax(values == value)), values.shape[1])
    return Best(float(value), row + i, column + j)
