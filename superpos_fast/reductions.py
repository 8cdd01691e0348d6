"""Reductions over all pairs: what a statistic keeps, what it takes from a tile, how that joins.

A reduction knows no walk over tiles and the walk knows no statistic.  Whatever it is given, and in
whatever order, its state is the same: lists of the best pairs under a total order, counts, and
sums kept apart tile by tile.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any, Protocol, cast

import numpy as np

from .kernels.records import Error
from .plan import Demand, Plan, Tile
from .protocols import Kernels
from .vectors import Vectors

State = dict[str, Any]


class Reduction(Protocol):
    """What the engine asks of a statistic.

    A *fold* is one thread's buffers, made by the kernels.  It is aimed at a tile of values before
    the tile is walked (False: nothing there matters), and absorbed after.  Pairs it lists are
    decided, and come back with their cosines.

    Attributes
    ----------
    selective : bool
        Whether pairs below some value, of a row or of all, do not matter at all: then it is a
        `Selective` one.
    """

    @property
    def selective(self) -> bool: ...

    def fold(self, kernels: Kernels, plan: Plan) -> Any:
        """Return a fold."""

    def aim(self, fold: Any, tile: Tile, error: Error) -> bool:
        """Aim a fold at a tile of values, or at a piece of decided cosines, which are exact."""

    def absorb(self, fold: Any, tile: Tile) -> None:
        """Take what the fold has gathered of the tile, apart from listed pairs."""

    def decided(self, i: Any, j: Any, cosines: Any, kernels: Kernels) -> None:
        """Take listed pairs with their cosines."""

    @classmethod
    def of(cls, rows: Vectors, columns: Vectors, triangle: bool, **parameters: Any) -> Reduction:
        """Return one that is asked the same about these vectors, and knows nothing yet."""

    @property
    def parameters(self) -> dict[str, Any]:
        """What is asked, by the names that the constructor has."""

    def state(self) -> State:
        """Return what is known of the pairs so far, as arrays, some of them views."""

    def join(self, state: State, kernels: Kernels) -> None:
        """Take what another one, asked the same, knows of other pairs."""


class Selective(Reduction, Protocol):
    """What a screen that rules pairs out asks besides.

    Attributes
    ----------
    of_each : bool
        Whether every vector has a value of its own that pairs must reach.
    of_columns : bool
        Whether a pair that does not reach its row's may still reach its column's.
    magnitude : bool
        Whether |cos| is compared, not cos.
    repeatable : bool
        Whether a pair may be decided more than once.
    """

    @property
    def of_each(self) -> bool: ...
    @property
    def of_columns(self) -> bool: ...
    @property
    def repeatable(self) -> bool: ...
    @property
    def magnitude(self) -> bool: ...

    def likely_gates(self, strengths: Any, met: float) -> Any:
        """Return a gate for each row of a sample, when it has met so many partners.

        By the strengths (cosines or magnitudes) of its pairs, which descend, to -inf where there is
        no pair.
        """

    def likely_share(self, turns: float) -> float | None:
        """Return the share of pairs that reach gates which rise on so many turns of a row's.

        None if it hangs on the vectors: gates do not rise.
        """

    def blind(self, tile: Tile) -> bool:
        """Return whether it is not known yet what matters to some row or column of a tile."""


def selective_one(reductions: Sequence[Reduction]) -> Selective | None:
    """Return the reduction that all is asked for, if there is but one and it is selective."""
    if len(reductions) > 1 or not reductions[0].selective:
        return None
    return cast("Selective", reductions[0])


class Counts:
    """How many pairs reach each threshold, and on demand the pairs between two of them.

    Parameters
    ----------
    thresholds : ndarray of float64, ascending
        A pair's rank is the number of thresholds that its cosine reaches.
    magnitude : bool
        Whether |cos| is compared, not cos.
    listed : tuple of int
        Ranks whose pairs are gathered.
    limit : int
        Pairs to gather at most; beyond it they are only counted.
    first_only : bool
        Whether to stop at the first gathered pair.
    """

    def __init__(
        self,
        thresholds: Any,
        *,
        magnitude: bool,
        listed: tuple[int, ...] = (),
        limit: int = 0,
        first_only: bool = False,
    ) -> None:
        self._thresholds, self.magnitude = thresholds, magnitude
        self._listed = np.zeros(len(thresholds) + 1, bool)
        self._listed[list(listed)] = True
        self._limit, self._first_only = limit, first_only
        self._lock = threading.Lock()
        self._ranks = np.zeros(len(thresholds) + 1, np.int64)
        self._gathered: list[tuple[Any, Any, Any]] = []

    @staticmethod
    def demand(thresholds: int, selective: bool = False) -> Demand:
        """Return what so many thresholds need of memory."""
        return Demand(
            state=48 * thresholds,
            folds=(
                lambda kernels, piece: kernels.RanksFold.footprint(piece, thresholds=thresholds),
            ),
            selective=selective,
        )

    def fold(self, kernels: Kernels, plan: Plan) -> Any:
        return kernels.RanksFold(
            plan.tile_rows, plan.tile_columns, plan.piece, plan.survivors,
            thresholds=self._thresholds, listed=self._listed, magnitude=self.magnitude,
        )  # fmt: skip

    def aim(self, fold: Any, tile: Tile, error: Error) -> bool:
        if self._first_only and self._gathered:
            return False
        fold.aim(error)
        return True

    of_each = of_columns = repeatable = False

    @property
    def selective(self) -> bool:
        return bool(self._thresholds[0] > (0.0 if self.magnitude else -1.0))

    def likely_gates(self, strengths: Any, met: float) -> Any:
        return np.full(len(strengths), self._thresholds[0])

    def likely_share(self, turns: float) -> None:
        return None

    def blind(self, tile: Tile) -> bool:
        return False

    def absorb(self, fold: Any, tile: Tile) -> None:
        with self._lock:
            self._ranks += fold.counts

    def decided(self, i: Any, j: Any, cosines: Any, kernels: Kernels) -> None:
        values = np.abs(cosines) if self.magnitude else cosines
        ranks = np.searchsorted(self._thresholds, values, "right")
        wanted = self._listed[ranks]
        with self._lock:
            self._ranks += np.bincount(ranks, minlength=len(self._ranks))
            if wanted.any() and self._ranks[self._listed].sum() <= self._limit:
                self._gathered.append((i[wanted], j[wanted], cosines[wanted]))

    @classmethod
    def of(cls, rows: Vectors, columns: Vectors, triangle: bool, **parameters: Any) -> Counts:
        return cls(**parameters)

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            "thresholds": self._thresholds,
            "magnitude": self.magnitude,
            "listed": tuple(np.flatnonzero(self._listed).tolist()),
            "limit": self._limit,
            "first_only": self._first_only,
        }

    def state(self) -> State:
        i, j, cosines = self._together()
        return {"ranks": self._ranks, "i": i, "j": j, "cosines": cosines}

    def join(self, state: State, kernels: Kernels) -> None:
        with self._lock:
            self._ranks += state["ranks"]
            if len(state["i"]) and self._ranks[self._listed].sum() <= self._limit:
                self._gathered.append((state["i"], state["j"], state["cosines"]))

    def reaching(self) -> Any:
        """Return how many pairs reach each threshold."""
        return self._ranks[:0:-1].cumsum()[::-1]

    def gathered(self) -> tuple[Any, Any, Any]:
        """Return i, j and the cosines of the gathered pairs: all, unless beyond the limit."""
        found = self._together()
        self._gathered = []
        return found

    def _together(self) -> tuple[Any, Any, Any]:
        """Join the gathered pairs; what was joined stands for its parts."""
        parts = self._gathered or [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
        i, j, cosines = (np.concatenate(part) for part in zip(*parts, strict=True))
        self._gathered = [(i, j, cosines)] if len(i) else []
        return i, j, cosines


class Total:
    """The sum of |cos|, tile by tile, so that the order of tiles is nothing."""

    selective = False

    def __init__(self) -> None:
        self._parts: dict[tuple[int, int], float] = {}

    @staticmethod
    def demand(tiles: int = 0) -> Demand:
        """Return what a sum needs of memory."""
        return Demand(
            state=200 * tiles, folds=(lambda kernels, piece: kernels.TotalFold.footprint(piece),)
        )

    def fold(self, kernels: Kernels, plan: Plan) -> Any:
        return kernels.TotalFold(plan.tile_rows, plan.tile_columns, plan.piece, plan.survivors)

    def aim(self, fold: Any, tile: Tile, error: Error) -> bool:
        fold.aim(error)
        return True

    def absorb(self, fold: Any, tile: Tile) -> None:
        self._parts[tile.row, tile.column] = fold.total

    def decided(self, i: Any, j: Any, cosines: Any, kernels: Kernels) -> None:
        """Do nothing: a sum lists no pairs."""

    @classmethod
    def of(cls, rows: Vectors, columns: Vectors, triangle: bool, **parameters: Any) -> Total:
        return cls(**parameters)

    @property
    def parameters(self) -> dict[str, Any]:
        return {}

    def state(self) -> State:
        places = np.array(list(self._parts), np.int64).reshape(-1, 2)
        return {"places": places, "sums": np.array(list(self._parts.values()))}

    def join(self, state: State, kernels: Kernels) -> None:
        for place, part in zip(state["places"].tolist(), state["sums"].tolist(), strict=True):
            self._parts[place[0], place[1]] = part

    @property
    def value(self) -> float:
        """The sum, rounded once from the tiles' sums."""
        return math.fsum(self._parts.values())
