"""The folds as the engine holds them: one thread's buffers on its device.

A tile is folded where it lies.  Pairs that it leaves open are decided and sifted there too where
the rows lie on the device, so that only what matters comes to the host.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from math import ceil
from typing import Any

import numpy as np

from ..records import EXACT, Error, Footprint, Listed
from .formats import rank_cells, rank_copies
from .gates import Gates
from .team import Team
from .values import Cosines, Decider, Values

# Peaks are found in so many groups of a line for each value that is asked for, and at least: the
# k-th largest peak is then close to the k-th largest value.  With 4 instead of 2 the ten
# nearest of 65536 x 64 in `bench.device` took .85 of the time (H200), with 8 .77, for twice the
# memory.
_GROUPS_EACH, _FEWEST_GROUPS = 4, 8
_LEAST_WIDTH = 8
# Decided pairs from which those that reach their gates are sifted out on the device: an estimate,
# of a launch and a wait against a copy of so many.  None other was tried.
_SIFTED = 1 << 13


class Listing:
    """Room on a device for listed pairs, with their values; `found` counts them."""

    def __init__(self, arrays: Any, found: Any, room: int, dtype: Any) -> None:
        self.found, self.room = found, room
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

    def take(self, count: int) -> tuple[Any, Any, Any]:
        """Return the first pairs' rows, columns and values on the host."""
        if not count:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        rows, columns, values = (
            part[:count].get() for part in (self.rows, self.columns, self.values)
        )
        return rows.astype(np.int64), columns.astype(np.int64), values


class _TileFold:
    """What all folds have.  As it stands it lists nothing."""

    def __init__(self, team: Team, magnitude: bool) -> None:
        self._arrays, self._place = team.arrays, team.here()
        self._magnitude = int(magnitude)
        self.error = EXACT

    @property
    def open(self) -> bool:
        """Whether too many pairs were left open to be listed."""
        return False

    def take(self) -> Listed:
        """Return the listed pairs, with their cosines if these are decided, and forget them."""
        nothing = np.empty(0, np.int64)
        return Listed(nothing, nothing)

    def _begin(self, error: Error) -> None:
        self.error = error


class _ListingFold(_TileFold, ABC):
    """One with a room for pairs that are open, and one for those that matter."""

    def __init__(self, team: Team, room: int, magnitude: bool) -> None:
        super().__init__(team, magnitude)
        self._found = team.arrays.zeros(2, np.uint32)
        self._near = Listing(team.arrays, self._found[:1], room, np.float32)
        self._sure = Listing(team.arrays, self._found[1:], room, np.float64)
        self._cosines = team.arrays.empty(room, np.float64)
        self._open_pairs, self._sure_pairs = 0, 0
        self._is_decided = self._is_sifted = False

    @property
    def open(self) -> bool:
        """Whether too many pairs were left open to be listed."""
        return self._open_pairs > self._near.room

    def take(self) -> Listed:
        """Return the listed pairs, with their cosines if these are decided, and forget them."""
        looked, self._open_pairs = self._open_pairs, 0
        if not looked:
            return super().take()
        if self._is_sifted:
            return Listed(*self._sure.take(self._sure_pairs), looked)
        cosines = self._cosines[:looked].get() if self._is_decided else None
        return Listed(*self._near.take(looked)[:2], cosines, looked)

    def _begin(self, error: Error) -> None:
        super()._begin(error)
        self._open_pairs, self._is_decided, self._is_sifted = 0, False, False

    def _count(self) -> None:
        """Look how many pairs were listed, whether they fit or not."""
        self._open_pairs, self._sure_pairs = self._found.get().tolist()

    def _decide(self, decider: Decider | None, kernel: str, fewest: int, **arguments: Any) -> None:
        """Decide the pairs that are open, if that can be done here, and sift `fewest` or more."""
        self._count()
        pairs = self._open_pairs
        if decider is None or pairs == 0 or self.open:
            return
        near = self._near
        decider.cosines(near, pairs, self._cosines)
        self._is_decided, self._is_sifted = True, pairs >= fewest
        if not self._is_sifted:
            return
        self._launch(
            kernel, (_blocks_of(pairs),), cosines=self._cosines, pair_rows=near.rows,
            pair_columns=near.columns, pairs=near.found, pair_room=near.room,
            magnitude=self._magnitude, **arguments, **self._sure.arguments(),
        )  # fmt: skip
        self._count()

    def _launch(self, kernel: str, grid: tuple[int, ...], **arguments: Any) -> None:
        self._place.module.launch(kernel, grid, **arguments)

    def _listed_of(self, cosines: Cosines, row: int, rows: int) -> tuple[Any, Any, Any] | None:
        """List pairs of some rows of a piece; None if they do not fit."""
        self._found.fill(0)
        self._fold_rows(cosines, row, rows)
        self._count()
        fit = self._sure_pairs <= self._sure.room
        return self._sure.take(self._sure_pairs) if fit else None

    @abstractmethod
    def _fold_rows(self, cosines: Cosines, row: int, rows: int) -> None:
        """Fold some rows of a piece."""

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


class BestFold(_ListingFold):
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
        lines = max(rows + columns, 2 * piece)
        self._gates = Gates(team.arrays, self._place.module, lines)

    @staticmethod
    def footprint(piece: int, *, per: str, k: int) -> Footprint:
        """Return the bytes of a fold, with those of peaks while they are looked at."""
        del piece
        groups = 1 if per == "all" else _groups(k)
        return Footprint(16 * k if per == "all" else 0, 12 + 2 * 8 * groups)

    def aim(self, error: Error, row_gates: Any, column_gates: Any) -> None:
        """Set what cosines must reach to matter: float64 a row and a column."""
        self._begin(error)
        self._gates.set(row_gates, column_gates)

    def screen(self, values: Values, decider: Decider | None) -> None:
        """Fold a tile; where too many pairs reach their gates, raise these first, once."""
        blind = self._gates.blind
        if blind:
            self._raise(values)
        self._list(values, decider)
        if self.open and not blind:
            self._raise(values)
            self._list(values, decider)

    def _list(self, values: Values, decider: Decider | None) -> None:
        self._found.fill(0)
        self.list_near(values)
        self._decide(decider, "sift_list", _SIFTED, **self._gates.exact())

    def list_near(self, values: Values) -> None:
        """List what may reach its gates."""
        values.fold(
            "list", magnitude=self._magnitude, **self._gates.narrow(), **self._near.arguments()
        )

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
            self._gates.raise_all(row_peaks, self._k)
            return
        of_columns = column_peaks if self._per == "both" else None
        self._gates.raise_lines(row_peaks, of_columns, self._k, values.shift)

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
        cosines.fold(
            "list_f64", row, rows, magnitude=self._magnitude, **self._gates.exact_of(row, rows),
            **self._sure.arguments(),
        )  # fmt: skip


class RanksFold(_ListingFold):
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
        copies = rank_copies(ranks)
        self._shared = 4 * ranks * copies
        common = {
            "listed": arrays.asarray(listed.astype(np.uint8)),
            "counts": self._counts,
            "copies": copies,
        }
        self._asked = {}
        for dtype in np.float32, np.float64:
            cells = rank_cells(thresholds, listed, dtype)
            for name in "thresholds", "cells":
                cells[name] = arrays.asarray(cells[name])
            self._asked[dtype] = cells | common

    @staticmethod
    def footprint(piece: int, *, thresholds: int) -> Footprint:
        """Return the bytes of a fold."""
        del piece
        # Thresholds in two precisions with up to 64 cells or 4 a threshold, flags and counts.
        return Footprint(2 * 16 * (64 + 4 * thresholds) + (12 + 1 + 8) * (thresholds + 2))

    def aim(self, error: Error) -> None:
        """Begin a tile, or a piece."""
        self._begin(error)

    def _begin(self, error: Error) -> None:
        super()._begin(error)
        self._counts.fill(0)

    def screen(self, values: Values, decider: Decider | None) -> None:
        """Fold a tile."""
        self._found.fill(0)
        values.fold(
            "ranks", shared=self._shared, magnitude=self._magnitude, **self._asked[np.float32],
            **self._near.arguments(),
        )  # fmt: skip
        # Sifting counts those that are not listed.
        self._decide(decider, "sift_ranks", 1, shared=self._shared, **self._asked[np.float64])

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
        del rows, columns, piece, room
        super().__init__(team, True)
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
