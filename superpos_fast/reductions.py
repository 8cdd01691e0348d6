"""Reductions over all pairs, as data: how a statistic begins, grows and joins.

A reduction knows no walk over tiles and the walk knows no statistic.  A partial is immutable;
`combine` is associative, commutative and exact, so that threads, blocks and machines may meet in
any order.
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
    fold : callable
        (rows, columns, cosines) of decided pairs to a partial.  The indices broadcast against the
        cosines, pairs come in the order of (row, column), and NaN is no pair.
    combine : callable
        Two partials to the partial of both sets of pairs.
    threshold : callable
        The cosine (magnitude, unless `signed`) below which no pair changes the partial.
    closed : callable
        (partial, row, column) to whether no pair from there on, in the order of (row, column), can
        change the partial.
    signed : bool
        Whether cosines are compared with their sign.
    """

    identity: P
    fold: Callable[[Any, Any, Any], P]
    combine: Callable[[P, P], P]
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
        fold=partial(_best, signed),
        combine=lambda one, other: max(one, other, key=lambda b: (b.value, -b.i, -b.j)),
        threshold=lambda best: best.value,
        closed=lambda best, i, j: best.value == 1.0 and (best.i, best.j) < (i, j),
        signed=signed,
    )


def _best(signed: bool, rows: Any, columns: Any, cosines: Any) -> Best:
    values = cosines if signed else np.abs(cosines)
    value = np.fmax.reduce(values, axis=None, initial=np.nan)
    if np.isnan(value):
        return Best()
    first = np.unravel_index(np.argmax(values == value), values.shape)
    i, j = (np.broadcast_to(index, values.shape)[first] for index in (rows, columns))
    return Best(float(value), int(i), int(j))
