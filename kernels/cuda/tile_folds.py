"""The folds as the engine holds them: one thread's buffers on its device.

A tile is folded where it lies.  Pairs that it leaves open are decided and sifted there too where
the rows lie on the device, so that only what matters comes to the host.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from math import ceil
from typing import Any

import numpy as np

from ..records import EXACT, Error, Footprint, Listed
from .formats import rank_cells
from .team import Team
from .values import Cosines, Decider, Values

# Peaks are found in so many groups of a line for each value that is asked for, and at least: the
# k-th largest peak is then close to the k-th largest value.
_GROUPS_EACH, _FEWEST_GROUPS = 2, 8
_LEAST_WIDTH = 8
_SHARED_BYTES = 48 * 1024


class Listing:
    """Room on a device for listed pairs, with their values."""

    def __init__(self, arrays: Any, room: int, dtype: Any) -> None:
        self._arrays, self.room = arrays, room
        self.found = arrays.zeros(1, np.uint32)
        self.rows, self.columns = arrays.empty(room, np.int32), arrays.empty(room, np.int32)
        self.values = arrays.empty(room, dtype)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of kernels that list."""
        return {
            "found": self.found,
            "room": self.room,
            "out_rows": self.rows,
            "out_columns": self.columns,
            "out_values": self.values,
        }

    def clear(self) -> None:
        """Forget all pairs."""
        self.found.fill(0)

    def count(self) -> int:
        """Return how many pairs there are, whether they fit or not."""
        return int(self.found.get()[0])

    def take(self, count: int) -> tuple[Any, Any, Any]:
        """Return the first pairs' rows, columns and values on the host."""
        rows, columns, values = (
            part[:count].get() for part in (self.rows, self.columns, self.values)
        )
        return rows.astype(np.int64), columns.astype(np.int64), values


class _TileFold:
    """What all folds have: a room for pairs that are open, and one for those that matter."""

    def __init__(self, team: Team, room: int, magnitude: bool) -> None:
        place = team.here()
        self._arrays, self._place = team.arrays, place
        self._magnitude = int(magnitude)
        self._near = Listing(team.arrays, room, np.float32)
        self._sure = Listing(team.arrays, room, np.float64)
        self._cosines = team.arrays.empty(room, np.float64)
        self._open_pairs, self._is_decided = 0, False
        self.error = EXACT

    @property
    def open(self) -> bool:
        """Whether too many pairs were left open to be listed."""
        return self._open_pairs > self._near.room

    def take(self) -> Listed:
        """Return the listed pairs, with their cosines if these are decided, and forget them."""
        looked, self._open_pairs = self._open_pairs, 0
        if not looked:
            nothing = np.empty(0, np.int64)
            return Listed(nothing, nothing)
        if not self._is_decided:
            return Listed(*self._near.take(looked)[:2], None, looked)
        return Listed(*self._sure.take(self._sure.count()), looked)

    def _begin(self, error: Error) -> None:
        self.error = error
        self._open_pairs, self._is_decided = 0, False

    def _decide(self, decider: Decider | None, kernel: str, **arguments: Any) -> None:
        """Decide the pairs that are open, if that can be done here, and sift them."""
        self._is_decided = decider is not None
        if decider is None:
            return
        near = self._near
        decider.cosines(near, self._cosines)
        self._sure.clear()
        self._launch(
            kernel, (_blocks_of(near.room),), cosines=self._cosines, pair_rows=near.rows,
            pair_columns=near.columns, pairs=near.found, pair_room=near.room,
            magnitude=self._magnitude, **arguments, **self._sure.arguments(),
        )  # fmt: skip

    def _launch(self, kernel: str, grid: tuple[int, ...], **arguments: Any) -> None:
        self._place.module.launch(kernel, grid, **arguments)

    def _listed_of(self, cosines: Cosines, row: int, rows: int) -> tuple[Any, Any, Any] | None:
        """List pairs of some rows of a piece; None if they do not fit."""
        self._sure.clear()
        self._fold_rows(cosines, row, rows)
        count = self._sure.count()
        return self._sure.take(count) if count <= self._sure.room else None

    def _fold_rows(self, cosines: Cosines, row: int, rows: int) -> None:
        raise NotImplementedError

    def sift(self, cosines: Cosines) -> Iterator[tuple[Any, Any, Any]]:
        """Fold a piece of cosines; yield rows, columns and cosines of pairs that are listed."""
        found = self._listed_of(cosines, 0, cosines.rows)
        if found is not None:
            yield found
            return
        self._begin(EXACT)
        step = max(1, self._sure.room // cosines.columns)
        for row in range(0, cosines.rows, step):
            found = self._listed_of(cosines, row, min(step, cosines.rows - row))
            assert found is not None
            yield found[0] + row, *found[1:]


class BestFold(_TileFold):
    """The k largest of each row, of each row and column, or of all (`per`: rows, both, all)."""

    def __init__(
        self,
        team: Team,
        rows: int,
        columns: int,
        piece: int,
        room: int,
        *,
        per: str,
        k: int,
        magnitude: bool,
    ) -> None:
        super().__init__(team, max(room, piece), magnitude)
        self._per, self._k = per, k

    @staticmethod
    def footprint(piece: int, *, per: str, k: int) -> Footprint:
        """Return the bytes of a fold, with those of peaks while they are looked at."""
        del piece
        groups = 1 if per == "all" else _groups(k)
        return Footprint(16 * k if per == "all" else 0, 12 + 2 * 8 * groups)

    def aim(self, error: Error, row_gates: Any, column_gates: Any) -> None:
        """Set what cosines must reach to matter: float64 a row and a column."""
        self._begin(error)
        self._blind = bool(np.isneginf(row_gates).any() or np.isneginf(column_gates).any())
        wide = row_gates, column_gates
        self._exact = [self._arrays.asarray(np.array(gates, np.float64)) for gates in wide]
        if error != EXACT:
            self._gates = [self._arrays.asarray(float32_below(gates)) for gates in wide]

    def screen(self, values: Values, decider: Decider | None) -> None:
        """Fold a tile; where too many pairs reach their gates, raise these first, once."""
        if self._blind:
            self._raise(values)
        self._list(values, decider)
        if self.open and not self._blind:
            self._raise(values)
            self._list(values, decider)

    def _list(self, values: Values, decider: Decider | None) -> None:
        self._near.clear()
        rows, columns = self._gates
        values.fold(
            "list", magnitude=self._magnitude, row_gates=rows, column_gates=columns,
            **self._near.arguments(),
        )  # fmt: skip
        exact_rows, exact_columns = self._exact
        self._decide(decider, "sift_list", row_gates=exact_rows, column_gates=exact_columns)
        self._open_pairs = self._near.count()

    def _raise(self, values: Values) -> None:
        """Raise gates to what the tile's values prove: each line's k-th largest peak."""
        width, height = self._group_sizes(values.rows, values.columns)
        row_groups = ceil(values.columns / width)
        column_groups = ceil(values.rows / height)
        zeros = self._arrays.zeros
        row_peaks = zeros((values.rows, row_groups), np.uint64)
        column_peaks = zeros((column_groups, values.columns), np.uint64)
        values.fold(
            "peaks", magnitude=self._magnitude, width=width, height=height, row_peaks=row_peaks,
            row_groups=row_groups, column_peaks=column_peaks,
        )  # fmt: skip
        if self._per == "all":
            gate = self._arrays.full(1, -np.inf, np.float32)
            self._raise_side(row_peaks, 1, values.rows * row_groups, (0, 1), gate)
            self._gates[0] = self._arrays.maximum(self._gates[0], gate)
        else:
            self._raise_side(row_peaks, values.rows, row_groups, (row_groups, 1), self._gates[0])
        if self._per == "both":
            steps = 1, values.columns
            self._raise_side(column_peaks, values.columns, column_groups, steps, self._gates[1])
        raised = [gates.astype(np.float64) for gates in self._gates]
        self._exact = [
            self._arrays.maximum(gates, higher)
            for gates, higher in zip(self._exact, raised, strict=True)
        ]

    def _raise_side(
        self, peaks: Any, lines: int, groups: int, steps: tuple[int, int], gates: Any
    ) -> None:
        self._launch(
            "raise_gates", (ceil(lines / 8),), peaks=peaks, lines=lines, groups=groups,
            line_stride=steps[0], group_stride=steps[1], k=self._k, gates=gates,
        )  # fmt: skip

    def _group_sizes(self, rows: int, columns: int) -> tuple[int, int]:
        """Return how many columns of a row, and rows of a column, have one peak."""
        if self._per == "all":
            groups = _groups(self._k)
            return _power_of_two(max(_LEAST_WIDTH, rows * columns // groups), columns), _above(rows)
        groups = _groups(self._k)
        width = _power_of_two(max(_LEAST_WIDTH, columns // groups), columns)
        if self._per == "rows":
            return width, _above(rows)
        return width, _power_of_two(max(1, rows // groups), rows)

    def _fold_rows(self, cosines: Cosines, row: int, rows: int) -> None:
        row_gates, column_gates = self._exact
        cosines.fold(
            "list_f64", row, rows, magnitude=self._magnitude,
            row_gates=row_gates[row : row + rows], column_gates=column_gates,
            **self._sure.arguments(),
        )  # fmt: skip


class RanksFold(_TileFold):
    """How many values have each rank among ascending thresholds; lists the pairs of some ranks."""

    def __init__(
        self,
        team: Team,
        rows: int,
        columns: int,
        piece: int,
        room: int,
        *,
        thresholds: Any,
        listed: Any,
        magnitude: bool,
    ) -> None:
        super().__init__(team, max(room, piece), magnitude)
        arrays, ranks = team.arrays, len(thresholds) + 1
        self._counts = arrays.zeros(ranks, np.uint64)
        shared = 4 * ranks if 4 * ranks <= _SHARED_BYTES else 0
        self._shared = shared
        common = {
            "listed": arrays.asarray(listed.astype(np.uint8)),
            "counts": self._counts,
            "shared_counts": int(shared > 0),
        }
        self._asked = {}
        for dtype in np.float32, np.float64:
            cells = rank_cells(thresholds, dtype)
            for name in "thresholds", "cells":
                cells[name] = arrays.asarray(cells[name])
            self._asked[dtype] = cells | common

    @staticmethod
    def footprint(piece: int, *, thresholds: int) -> Footprint:
        """Return the bytes of a fold."""
        del piece
        # Thresholds in two precisions with up to 64 cells or 4 a threshold, flags and counts.
        return Footprint(2 * 4 * (64 + 4 * thresholds) + (12 + 1 + 8) * (thresholds + 2))

    def aim(self, error: Error) -> None:
        """Begin a tile, or a piece."""
        self._begin(error)

    def _begin(self, error: Error) -> None:
        super()._begin(error)
        self._counts.fill(0)

    def screen(self, values: Values, decider: Decider | None) -> None:
        """Fold a tile."""
        self._near.clear()
        values.fold(
            "ranks", shared=self._shared, magnitude=self._magnitude, **self._asked[np.float32],
            **self._near.arguments(),
        )  # fmt: skip
        self._decide(decider, "sift_ranks", shared=self._shared, **self._asked[np.float64])
        self._open_pairs = self._near.count()

    def _fold_rows(self, cosines: Cosines, row: int, rows: int) -> None:
        cosines.fold(
            "ranks_f64", row, rows, shared=self._shared, magnitude=self._magnitude,
            **self._asked[np.float64], **self._sure.arguments(),
        )  # fmt: skip

    @property
    def counts(self) -> Any:
        """How many values have each rank; what rank 0 has means nothing."""
        return self._counts.get().astype(np.int64)


class TotalFold(_TileFold):
    """The sum of magnitudes."""

    def __init__(self, team: Team, rows: int, columns: int, piece: int, room: int) -> None:
        super().__init__(team, 0, True)
        self._parts = team.arrays.empty(0, np.float64)

    @staticmethod
    def footprint(piece: int) -> Footprint:
        """Return the bytes of a fold: a part for each block."""
        del piece
        return Footprint(2**18)

    def aim(self, error: Error) -> None:
        """Begin a tile or a piece."""
        self._begin(error)

    def screen(self, values: Values, decider: Decider | None) -> None:
        """Fold a tile."""
        del decider
        self._parts = self._arrays.empty(values.blocks("total"), np.float64)
        values.fold("total", magnitude=self._magnitude, parts=self._parts)

    def sift(self, cosines: Cosines) -> Iterator[tuple[Any, Any, Any]]:
        """Fold a piece of cosines; none is listed."""
        self._parts = self._arrays.empty(cosines.blocks(cosines.rows), np.float64)
        cosines.fold("total_f64", 0, cosines.rows, magnitude=self._magnitude, parts=self._parts)
        yield from ()

    @property
    def total(self) -> float:
        """The sum."""
        return math.fsum(self._parts.get().tolist())


def _blocks_of(pairs: int) -> int:
    return min(ceil(pairs / 256), 2048)


def _groups(k: int) -> int:
    return max(_FEWEST_GROUPS, _GROUPS_EACH * k)


def _above(count: int) -> int:
    """Return a power of two that is not below."""
    return 1 << max(0, count - 1).bit_length()


def _power_of_two(most: int, enough: int) -> int:
    """Return the largest power of two that is not above; none needs to be above `enough`."""
    return min(1 << (most.bit_length() - 1), max(_LEAST_WIDTH, _above(enough)))


def float32_below(values: Any) -> Any:
    """Return the largest float32 not above each value."""
    nearest = np.asarray(values, np.float64).astype(np.float32)
    return np.where(nearest <= values, nearest, np.nextafter(nearest, np.float32(-np.inf)))
