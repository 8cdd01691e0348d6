"""Pairs that duals do not cover: what tells whether an assignment is the best one of all.

A pair's *score* is its cosine in whole units of 2^-40.  Duals u and v, whole numbers, cover a pair
if u_i + v_j is at least its score.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from .kernels.records import Error
from .plan import Plan, Tile
from .protocols import Kernels
from .ranking import Ranking
from .reductions import State
from .vectors import Vectors

UNITS = 2**40
# Pairs that are gathered before each row's worst are picked from them.
_MOST_GATHERED = 2**20
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 (golden ratio - 1)


def scores_of(cosines: Any, magnitude: bool) -> Any:
    """Return scores: |cos| in units, or the cosine in units above -1, so that none is below 0."""
    strengths = np.abs(cosines) if magnitude else cosines
    return np.rint(strengths * UNITS).astype(np.int64) + _lift(magnitude)


def _lift(magnitude: bool) -> int:
    return 0 if magnitude else UNITS


def _scattered(count: int) -> Any:
    """Return a fixed permutation in which neighbours are far apart."""
    places = np.arange(count, dtype=np.uint64) * _GOLDEN
    scattered = np.empty(count, np.int64)
    scattered[np.argsort(places)] = np.arange(count)
    return scattered


class Violations:
    """Pairs that duals do not cover: all of them, or if they are many the k worst of each row.

    Equally bad ones come in an order of the row's own, which hops over the columns: where many
    columns are alike, rows list different ones of them.

    Parameters
    ----------
    rows, columns : Vectors
        The two sides.
    k : int
        How many of each row.
    room : int
        Pairs beyond which they are many.
    magnitude : bool
        Whether |cos| is scored, not cos.
    row_duals, column_duals : ndarray of int64
        u and v.  The less v differs within a tile, the fewer pairs are decided.
    """

    selective = True
    of_each = of_columns = repeatable = False

    def __init__(
        self,
        rows: Vectors,
        columns: Vectors,
        *,
        k: int,
        room: int,
        magnitude: bool,
        row_duals: Any,
        column_duals: Any,
    ) -> None:
        self._sides, self._k, self._room, self.magnitude = (rows, columns), k, room, magnitude
        self._duals = row_duals, column_duals
        self._order = _scattered(len(columns))
        self._first = _scattered(len(rows)) * len(columns) // len(rows)
        self._lock = threading.Lock()
        self._gathered: list[tuple[Any, Any, Any]] = []
        self._count, self._most = 0, room
        # Of rows that have k pairs the last one; None as long as pairs are few.
        self._last: tuple[Any, Any] | None = None

    def fold(self, kernels: Kernels, plan: Plan) -> Any:
        """Return a fold, whose gates are not to rise."""
        return kernels.BestFold(
            plan.tile_rows, plan.tile_columns, plan.piece, plan.survivors,
            per="rows", k=1, magnitude=self.magnitude,
        )  # fmt: skip

    def aim(self, fold: Any, tile: Tile, error: Error) -> bool:
        """Aim at what reaches a row's dual and the tile's lowest column dual."""
        rows, columns = slice(tile.row, tile.row_end), slice(tile.column, tile.column_end)
        duals = self._duals[1][columns][self._sides[1].squares[columns] > 0.0]
        if not len(duals):
            return False
        last = self._last
        # Of a row that has its k another pair as bad may come before the last.
        least = 1 if last is None else last[0][rows]
        scores = self._duals[0][rows] + least + duals.min() - _lift(self.magnitude)
        gates = (scores - 0.5) / UNITS
        gates[(gates > 1.0) | (self._sides[0].squares[rows] == 0.0)] = np.inf
        if np.isinf(gates).all():
            return False
        fold.aim(error, gates, np.full(tile.column_end - tile.column, np.inf), rising=False)
        return True

    def blind(self, tile: Tile) -> bool:
        """Return False: duals are known."""
        return False

    def likely_gates(self, strengths: Any, met: float) -> Any:
        """Return gates as they are spread over rows; whose they are does not matter."""
        count = len(strengths)
        gates = np.quantile(self._duals[0], (np.arange(count) + 0.5) / count)
        return (gates + np.median(self._duals[1]) - _lift(self.magnitude)) / UNITS

    def likely_share(self, turns: float) -> None:
        """Return None: gates do not rise."""

    def absorb(self, fold: Any, tile: Tile) -> None:
        """Do nothing: all that matters was listed."""

    def decided(self, i: Any, j: Any, cosines: Any, kernels: Kernels) -> None:
        """Take those of some pairs that are not covered."""
        excesses = scores_of(cosines, self.magnitude) - self._duals[0][i] - self._duals[1][j]
        there = excesses > 0
        self._gather(i[there], j[there], excesses[there])

    def _gather(self, i: Any, j: Any, excesses: Any) -> None:
        with self._lock:
            if self._last is not None:
                least, place = (part[i] for part in self._last)
                places = self._places(i, j)
                better = (excesses > least) | ((excesses == least) & (places < place))
                i, j, excesses = i[better], j[better], excesses[better]
            if len(i):
                self._gathered.append((i, j, excesses))
                self._count += len(i)
            if self._count > self._most:
                self._crowd()

    def _places(self, i: Any, j: Any) -> Any:
        return (self._order[j] - self._first[i]) % len(self._order)

    def _crowd(self) -> None:
        """Keep the k worst of each row."""
        i, j, excesses = self._together()
        places = self._places(i, j)
        order = np.lexsort((places, -excesses, i))
        i, j, excesses, places = (part[order] for part in (i, j, excesses, places))
        starts = np.searchsorted(i, np.arange(len(self._sides[0]) + 1))
        kept = np.arange(len(i)) - starts[i] < self._k
        full = np.flatnonzero(np.diff(starts) >= self._k)
        ends = starts[full] + self._k - 1
        least = np.ones(len(self._sides[0]), np.int64)
        last = np.full(len(self._sides[0]), len(self._order))
        least[full], last[full] = excesses[ends], places[ends]
        self._last = least, last
        self._gathered = [(i[kept], j[kept], excesses[kept])]
        self._count = int(kept.sum())
        self._most = max(self._room, 2 * self._count, _MOST_GATHERED)

    def _together(self) -> tuple[Any, Any, Any]:
        nothing = (np.empty(0, np.int64),) * 3
        i, j, excesses = (
            np.concatenate(part) for part in zip(nothing, *self._gathered, strict=True)
        )
        return i, j, excesses

    @classmethod
    def of(cls, rows: Vectors, columns: Vectors, triangle: bool, **parameters: Any) -> Violations:
        """Return one that knows nothing yet."""
        return cls(rows, columns, **parameters)

    @property
    def parameters(self) -> dict[str, Any]:
        """What is asked."""
        return {
            "k": self._k,
            "room": self._room,
            "magnitude": self.magnitude,
            "row_duals": self._duals[0],
            "column_duals": self._duals[1],
        }

    def state(self) -> State:
        """Return what was gathered, and whether that is not all."""
        i, j, excesses = self._together()
        many = np.array([self._last is not None])
        return {"i": i, "j": j, "excesses": excesses, "many": many}

    def join(self, state: State, kernels: Kernels) -> None:
        """Take what another one has gathered."""
        if state["many"][0] and self._last is None:
            with self._lock:
                self._crowd()
        self._gather(state["i"], state["j"], state["excesses"])

    def pairs(self) -> tuple[Any, Any, Any]:
        """Return i, j and scores of the pairs."""
        if self._last is not None:
            self._crowd()
        i, j, excesses = self._together()
        return i, j, excesses + self._duals[0][i] + self._duals[1][j]


def ranked_pairs(ranking: Ranking, side: int) -> tuple[Any, Any, Any]:
    """Return i, j and scores of the pairs in a ranking's lists of each row, or of each column."""
    cosines, keys = ranking.lists[side]
    own, place = np.nonzero(keys >= 0)
    other = keys[own, place]
    scores = scores_of(cosines[own, place], ranking.magnitude)
    return (other, own, scores) if side else (own, other, scores)
