"""The k best pairs: a reduction whose lists rise as pairs are decided."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from .kernels.records import Error
from .plan import Demand, Plan, Tile
from .protocols import Kernels
from .reductions import State
from .vectors import Vectors

# Of the pairs that a tile lists for a row: its k best, those that were before them, and for large k
# no more than this; tiles with more are decided whole.
_MOST_LISTED_PER_LINE = 64
# Of a thread, for each row and column of a tile, while gates are found.
_GATE_BYTES = 12
# Of the best of all pairs a tile lists one more for a row, for so many that are asked for.
_LISTED_OF_ALL = 200
# Of lists that are gone through at a time: 256 KiB with all that is made of them.
_SORTED_ENTRIES = 2**12
# A sample's largest values, from which it is guessed how larger ones are spread.
_TAIL = 4


def list_blocks(lists: Any) -> Iterator[slice]:
    """Yield slices of lists, a row each, that hold some 4096 entries each."""
    step = max(1, _SORTED_ENTRIES // lists.shape[1])
    for start in range(0, len(lists), step):
        yield slice(start, start + step)


def _exceeded(lines: Any, count: float) -> Any:
    """Return what so many of each line's values, which descend, reach.

    Less than one beyond the largest, as quantiles go on if they are linear in the logarithm of
    their share.
    """
    if count >= 1.0:
        return lines[:, round(count) - 1]
    few = min(_TAIL, lines.shape[1])
    first, last = lines[:, 0], lines[:, few - 1]
    spread = np.subtract(first, last, out=np.zeros_like(first), where=np.isfinite(last))
    return np.minimum(first + spread * math.log(1.0 / count) / math.log(max(2, few)), 1.0)


class Ranking:
    """The k best pairs of all, or of each vector, in a total order: strength, then lowest index.

    Parameters
    ----------
    rows, columns : Vectors
        The two sides; the same ones for a triangle.
    triangle : bool
        Whether only pairs i < j count.
    k : int
        How many.
    per : {"all", "rows", "both"}
        Of all pairs, of each row, or of each row and each column (for a triangle these are the
        same vectors).
    magnitude : bool
        Whether |cos| is compared, not cos.
    """

    selective = True

    def __init__(
        self,
        rows: Vectors,
        columns: Vectors,
        triangle: bool,
        *,
        k: int,
        per: Literal["all", "rows", "both"],
        magnitude: bool,
    ) -> None:
        self._sides, self._triangle = (rows, columns), triangle
        self._k, self._per, self.magnitude = k, per, magnitude
        self.of_each, self.of_columns = per != "all", per == "both"
        # One best pair does not make room for itself.
        self.repeatable = k == 1
        self._lock = threading.Lock()
        # Of each side: what is below is in no list, and the share of pairs that is not.
        self._floors, self._open = [-math.inf, -math.inf], [1.0, 1.0]

        def empty(groups: int) -> tuple[Any, Any]:
            return np.zeros((groups, k)), np.full((groups, k), -1, np.int64)

        first = empty(1 if per == "all" else len(rows.squares))
        self.lists = [first]
        if per == "both":
            self.lists.append(first if triangle else empty(len(columns.squares)))

    @staticmethod
    def demand(k: int, state: int = 0) -> Demand:
        """Return what k best pairs a vector need of memory."""
        return Demand(
            state=state,
            line=_GATE_BYTES,
            folds=(lambda kernels, piece: kernels.BestFold.footprint(piece, per="both", k=k),),
            listed=min(4 * k, _MOST_LISTED_PER_LINE),
            selective=True,
        )

    @staticmethod
    def demand_of_all(k: int) -> Demand:
        """Return what the k best of all pairs need of memory."""
        return Demand(
            line=_GATE_BYTES,
            folds=(lambda kernels, piece: kernels.BestFold.footprint(piece, per="all", k=k),),
            listed=min(_MOST_LISTED_PER_LINE, 1 + k // _LISTED_OF_ALL),
            selective=True,
        )

    def fold(self, kernels: Kernels, plan: Plan) -> Any:
        return kernels.BestFold(
            plan.tile_rows, plan.tile_columns, plan.piece, plan.survivors,
            per=self._per, k=self._k, magnitude=self.magnitude,
        )  # fmt: skip

    def aim(self, fold: Any, tile: Tile, error: Error) -> bool:
        gates = self._gates(tile)
        if gates is None:
            return False
        fold.aim(error, *gates)
        return True

    @property
    def k(self) -> int:
        """How many a list has."""
        return self._k

    @property
    def seekers(self) -> list[tuple[Vectors, Vectors]]:
        """Those with a list each, and among whom they seek, for each side that has lists."""
        if self._per == "all":
            return []
        sides = [self._sides, self._sides[::-1]]
        return sides[: 2 if self._per == "both" and not self._triangle else 1]

    def expect(self, floors: list[tuple[float, float]]) -> None:
        """Leave pairs below a floor, one for each of the `seekers`, out of lists.

        With each comes the share of pairs that reach it, about.  In the end `begin_anew` tells
        which lists may lack some.
        """
        self._floors, self._open = map(list, zip(*(floors * 2)[:2], strict=True))

    def begin_anew(self, side: int, most: int) -> Iterator[Any]:
        """Empty the lists of a side that do not reach the floor, and yield whose they are.

        So many at a time, or some more.
        """
        best, keys = self.lists[side]
        found: list[Any] = []
        for some in list_blocks(best):
            short = (self.worst(side, some) < self._floors[side]) & (
                self._sides[side].squares[some] != 0.0
            )
            best[some][short], keys[some][short] = 0.0, -1
            found.append(some.start + np.flatnonzero(short))
            if sum(map(len, found)) >= most:
                yield np.concatenate(found)
                found = []
        if any(map(len, found)):
            yield np.concatenate(found)

    def worst(self, side: int, groups: Any) -> Any:
        """Return the strengths of the last in some of a side's lists, -inf of those not full."""
        with self._lock:
            return self._worst(side, groups)[0]

    def _worst(self, side: int, groups: Any) -> tuple[Any, Any]:
        best, keys = (part[groups, 0] for part in self.lists[side])
        return np.where(keys < 0, -np.inf, np.abs(best) if self.magnitude else best), keys

    def offer(self, side: int, groups: Any, keys: Any, cosines: Any, kernels: Kernels) -> None:
        """Let each pair into one list."""
        with self._lock:
            kernels.keep_best(groups, keys, cosines, self.magnitude, *self.lists[side])

    def blind(self, tile: Tile) -> bool:
        groups = slice(tile.row, tile.row_end), slice(tile.column, tile.column_end)
        sides = zip(self._floors, self.lists, self._sides, groups, strict=False)
        with self._lock:
            if self._per == "all":
                return bool(self.lists[0][1][0, 0] < 0)
            return any(
                np.isinf(floor) and ((keys[some, 0] < 0) & (side.squares[some] != 0.0)).any()
                for floor, (_, keys), side, some in sides
            )

    def _gates(self, tile: Tile) -> list[Any] | None:
        """Return the cosines that matter to each row and each column, infinite where none does.

        None where none does to any.
        """
        lengths = tile.row_end - tile.row, tile.column_end - tile.column
        with self._lock:
            gates = self._gates_now(tile)
        for gate in gates:
            gate[gate > 1.0] = np.inf
        if all(np.isposinf(gate).all() for gate in gates):
            return None
        return [np.broadcast_to(gate, n) for gate, n in zip(gates, lengths, strict=True)]

    def _gates_now(self, tile: Tile) -> tuple[Any, Any]:
        """Return gates a row and a column, or but one where it is the same for all."""
        rows, columns = slice(tile.row, tile.row_end), slice(tile.column, tile.column_end)
        nothing = np.full(1, np.inf)
        if self._per == "all":
            first = max(tile.column, tile.row + 1) if self._triangle else tile.column
            return self._gate(0, slice(0, 1), self._key(tile.row, first)), nothing
        gates = self._gate(0, rows, tile.column, self._sides[0].squares[rows])
        if self._per == "rows":
            return gates, nothing
        return gates, self._gate(1, columns, tile.row, self._sides[1].squares[columns])

    def _gate(self, side: int, groups: slice, first: int, squares: Any = 1.0) -> Any:
        """Return what is better than the worst listed, of pairs with keys from `first` on."""
        worst, keys = self._worst(side, groups)
        passed = (keys >= 0) & (keys < first)
        gate = np.where(passed, np.nextafter(worst, np.inf), worst)
        gate = np.maximum(gate, self._floors[side])
        return np.where(squares == 0.0, np.inf, gate)

    def _key(self, i: Any, j: Any) -> Any:
        return i * len(self._sides[1].squares) + j

    def likely_gates(self, strengths: Any, met: float) -> Any:
        if self._per == "all":
            place = self._passing(math.inf) * strengths.size
            most = min(strengths.size, max(_TAIL, math.ceil(place)))
            largest = np.partition(strengths, strengths.size - most, axis=None)[-most:]
            gate = _exceeded(-np.sort(-largest)[None], place)
            return np.broadcast_to(gate, len(strengths))
        if met < self._k:
            return np.full(len(strengths), self._floors[0])
        gates = _exceeded(strengths, self._k / met * strengths.shape[1])
        return np.maximum(gates, self._floors[0])

    def likely_share(self, turns: float) -> float:
        return min(1.0, (2 if self.of_columns else 1) * self._passing(turns))

    def _passing(self, turns: float) -> float:
        """Return the share of a list's pairs that are in it for a while, or at the end of a turn.

        While the k best of n are found, these are some k (1 + ln(n / k)).
        """
        there = len(self._sides[1].squares)
        if self._per == "all":
            there *= len(self._sides[0].squares)
            there = max(1, there // 2) if self._triangle else there
        lists = max(1.0, min(turns, max(self._open) * there / self._k))
        return min(1.0, self._k / there * (1.0 + math.log(lists)))

    def absorb(self, fold: Any, tile: Tile) -> None:
        """Do nothing: all that matters was listed."""

    def decided(self, i: Any, j: Any, cosines: Any, kernels: Kernels) -> None:
        offers = [(np.zeros_like(i), self._key(i, j))] if self._per == "all" else [(i, j), (j, i)]
        for side, (groups, keys) in enumerate(offers[: len(self.lists)]):
            self.offer(side, groups, keys, cosines, kernels)

    @classmethod
    def of(cls, rows: Vectors, columns: Vectors, triangle: bool, **parameters: Any) -> Ranking:
        return cls(rows, columns, triangle, **parameters)

    @property
    def parameters(self) -> dict[str, Any]:
        return {"k": self._k, "per": self._per, "magnitude": self.magnitude}

    def state(self) -> State:
        return {
            f"{name} {side}": part
            for side, lists in enumerate(self._distinct())
            for name, part in zip(("cosines", "keys"), lists, strict=True)
        }

    def join(self, state: State, kernels: Kernels) -> None:
        for side, (best, best_keys) in enumerate(self._distinct()):
            cosines, keys = state[f"cosines {side}"], state[f"keys {side}"]
            for some in list_blocks(best):
                groups, places = np.nonzero(keys[some] >= 0)
                offer = groups, keys[some][groups, places], cosines[some][groups, places]
                kernels.keep_best(*offer, self.magnitude, best[some], best_keys[some])

    def _distinct(self) -> list[tuple[Any, Any]]:
        """Return the lists; those of rows and columns are the same ones in a triangle."""
        return self.lists[:1] if self._triangle else self.lists

    def ranked(self, kernels: Kernels, side: int = 0) -> tuple[Any, Any]:
        """Sort a side's lists, best first, and return cosines and keys; NaN and -1 for no pair.

        In place: the lists are as large as the result.
        """
        best, keys = self.lists[side]
        kernels.sort_lists(best, keys, self.magnitude)
        for some in list_blocks(best):
            best[some][keys[some] < 0] = np.nan
        return best, keys

    def pairs(self, kernels: Kernels) -> tuple[Any, Any, Any]:
        """Return the best of all pairs, best first: i, j and their cosines."""
        (cosines,), (keys,) = self.ranked(kernels)
        i, j = np.divmod(keys, len(self._sides[1].squares))
        return i, j, cosines
