"""The folds as the engine holds them: one thread's buffers, aimed at a tile, read out after it.

`superpos_fast.kernels.reference` has the same classes in plain NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..records import EXACT, Error, Footprint, Listed
from ..rounding import float32_below
from . import folds, screens
from .arrays import frozen
from .micro_f32 import UNIT
from .screens import CACHE_COLUMNS

# The table that tells ranks takes 64 KiB; a histogram of random vectors touches its middle, and
# it has no more ranks than its type.
_RANGES = folds.SHADES >> folds.RANGE
_MOST_RANKS = 65536 // folds.COPIES - 1
# Thresholds up to which each is counted by itself.  At d = 64, of 16384 rows, 3, 10, 14 and 18 took
# .18, .22, .24 and .26 s by themselves, and .24 to .25 s by the table.
_FEW = 14
_MAGNITUDES, _SIGNED = 0x7FFFFFFF, -1
_REHEARSED = Error(1e-6, 1e-6)


class _TileFold:
    """What all folds have: gates for a tile of float32 values, and a room for listed pairs.

    Values that are off are a tile's, float32; decided ones, `EXACT`, are a piece's.
    """

    def __init__(self, rows: int, columns: int, room: int, magnitude: bool) -> None:
        self.sign = -1.0 if magnitude else 1.0
        self.gates = screens.Gates(
            np.full(rows + UNIT, -np.inf, np.float32),
            np.full(columns + UNIT, -np.inf, np.float32),
            _MAGNITUDES if magnitude else _SIGNED,
        )
        self.listing = folds.Listing(
            np.empty(room, np.int32),
            np.empty(room, np.int32),
            np.empty(room, np.float64),
            np.zeros(1, np.int64),
        )

    @property
    def open(self) -> bool:
        """Whether too many pairs were left open to be listed."""
        return bool(self.listing.found[0] < 0)

    def take(self) -> Listed:
        """Return the listed pairs, and forget them."""
        count = int(self.listing.found[0])
        self.listing.found[0] = 0
        rows, columns = (part[:count] for part in self.listing[:2])
        return Listed(rows.astype(np.int64), columns.astype(np.int64))


class BestFold(_TileFold):
    """The k largest of each row, of each row and column, or of all (`per`: rows, both, all)."""

    def __init__(
        self, rows: int, columns: int, piece: int, room: int, *, per: str, k: int, magnitude: bool
    ) -> None:
        super().__init__(rows, columns, max(room, piece), magnitude)

        def heaps(rows: int, columns: int, dtype: type) -> tuple[Any, Any]:
            shapes = (1 if per == "all" else rows, k), (columns if per == "both" else 0, k)
            return np.empty(shapes[0], dtype), np.empty(shapes[1], dtype)

        self._heaps = heaps(rows, columns, np.float32)
        self._exact_heaps = heaps(piece, piece, np.float64)
        self._exact_gates = np.empty(piece), np.empty(piece)
        self._reaching = np.empty(max(piece, CACHE_COLUMNS), np.int32)

    @classmethod
    def rehearsing(cls) -> BestFold:
        """Return a fold that is aimed at nothing."""
        fold = cls(2, 2, 1, 1, per="all", k=1, magnitude=True)
        fold.aim(_REHEARSED, np.full(2, np.inf), np.full(2, np.inf))
        fold.take()
        return fold

    @staticmethod
    def footprint(piece: int, *, per: str, k: int) -> Footprint:
        """Return the bytes of a fold for pieces of at most so many rows."""
        lines = {"all": 0, "rows": 1, "both": 2}[per]
        heaps = 8 * k * lines * piece if lines else 12 * k
        gates = 16 * piece + 8 * UNIT
        return Footprint(heaps + gates + 4 * max(piece, CACHE_COLUMNS), 4 + (4 * k if lines else 0))

    def aim(self, error: Error, row_gates: Any, column_gates: Any, rising: bool = True) -> None:
        """Set what cosines must reach to matter: float64 a row and a column.

        Gates stay as they are if they are not `rising`: then k does not matter.
        """
        slack = error.slack if rising else np.inf
        if error == EXACT:
            rows, columns = self._exact_gates
            rows[: len(row_gates)] = row_gates
            columns[: len(column_gates)] = column_gates
            self._begin((rows, columns), self._exact_heaps, slack)
            return
        for gates, wanted in zip(self.gates[:2], (row_gates, column_gates), strict=True):
            folds.set_gates(frozen(np.ascontiguousarray(wanted)), float(error.above), gates)
        self._begin((self.gates.rows, self.gates.columns), self._heaps, slack)

    def take(self) -> Listed:
        """Return the listed pairs, of those that still reach a gate, and forget them."""
        folds.drop(self.listing, self.record.row_gates, self.record.column_gates)
        return super().take()

    def _begin(self, gates: tuple[Any, Any], heaps: tuple[Any, Any], slack: float) -> None:
        for side in heaps:
            side.fill(-np.inf)
        self.listing.found[0] = 0
        self.record = folds.Best(*gates, *heaps, slack, self.sign, self._reaching, self.listing)


class RanksFold(_TileFold):
    """How many values have each rank among ascending thresholds; lists the pairs of some ranks."""

    record: folds.Ranks | folds.Best

    def __init__(
        self,
        rows: int,
        columns: int,
        piece: int,
        room: int,
        *,
        thresholds: Any,
        listed: Any,
        magnitude: bool,
    ) -> None:
        super().__init__(rows, columns, max(room, piece), magnitude)
        self._thresholds, self._listed = thresholds, listed
        width = max(piece, folds.LINES * CACHE_COLUMNS)
        self._counts = np.zeros((len(thresholds) + 2) * folds.COPIES, np.int64)
        self._reached = np.empty(len(thresholds), np.int64)
        self._shades, self._unclear = np.empty(width, np.uint16), np.empty(width, np.int32)
        self._records: dict[float, folds.Ranks] = {}

    @classmethod
    def rehearsing(cls) -> RanksFold:
        """Return a fold that is aimed at nothing."""
        fold = cls(2, 2, 1, 1, thresholds=np.ones(1), listed=np.zeros(2, bool), magnitude=True)
        fold.aim(_REHEARSED)
        return fold

    @staticmethod
    def footprint(piece: int, *, thresholds: int) -> Footprint:
        """Return the bytes of a fold for pieces of at most so many rows."""
        # Two records, of a tile's values and of cosines: a table and its ranges, and two shades.
        records = 2 * (2 * folds.SHADES + 2 * 4 * _RANGES + 4 * thresholds)
        # While a record is made: ranks, what is counted by the table and what is compared.
        making = 6 * folds.SHADES + 32 * thresholds
        counters = 8 * folds.COPIES * (thresholds + 2) + 8 * thresholds
        lines = 6 * max(piece, folds.LINES * CACHE_COLUMNS) + 8 * UNIT
        return Footprint(records + making + counters + lines, 4)

    def aim(self, error: Error) -> None:
        """Begin a tile, or a piece; of values that only rule pairs out list those that do not."""
        self._counts.fill(0)
        self.listing.found[0] = 0
        rows, columns = self.gates[:2]
        gate = float32_below(self._thresholds[0] - error.above)
        rows.fill(gate)
        columns.fill(np.inf if error.is_one_sided else gate)
        if error.is_one_sided:
            self.record = folds.Best(
                rows,
                columns,
                np.zeros((1, 1), np.float32),
                np.zeros((0, 1), np.float32),
                np.inf,
                self.sign,
                self._unclear,
                self.listing,
            )
            return
        bound = max(error)
        if bound not in self._records:
            # Two at most: of cosines, and of a tile's values, whose bound may rise.
            for other in self._records.keys() - {0.0}:
                del self._records[other]
            self._records[bound] = self._record(bound)
        self.record = self._records[bound]

    def _record(self, bound: float) -> folds.Ranks:
        margin = bound + _ROUNDING
        low, high = self._thresholds[0] - 4.0 * margin, self._thresholds[-1] + 4.0 * margin
        size = (high - low) / (folds.SHADES - 8)
        origin, scale = float(np.float32(low - 4.0 * size)), float(np.float32(1.0 / size))
        return folds.Ranks(
            self._thresholds,
            origin,
            (folds.SHADES - 1)
            / scale
            * (1.0 - 2.0**-22),  # times scale, rounded twice, no more shades
            scale,
            *_shades(self._thresholds, origin, scale, bound, self._listed),
            bound=bound,
            listed=self._listed,
            few=len(self._thresholds) <= _FEW and not self._listed.any(),
            sign=self.sign,
            counts=self._counts,
            reached=self._reached,
            shades=self._shades,
            unclear=self._unclear,
            listing=self.listing,
        )

    @property
    def counts(self) -> Any:
        """How many values have each rank; what rank 0 has means nothing."""
        return self._counts.reshape(-1, folds.COPIES).sum(axis=1)[1:]


class TotalFold(_TileFold):
    """The sum of magnitudes."""

    def __init__(self, rows: int, columns: int, piece: int, room: int) -> None:
        del room
        super().__init__(rows, columns, 0, True)
        self.record = folds.Total(np.empty(max(piece, CACHE_COLUMNS)))

    @classmethod
    def rehearsing(cls) -> TotalFold:
        """Return a fold that is aimed at nothing."""
        fold = cls(2, 2, 1, 0)
        fold.aim(_REHEARSED)
        return fold

    @staticmethod
    def footprint(piece: int) -> Footprint:
        """Return the bytes of a fold for pieces of at most so many rows."""
        return Footprint(8 * max(piece, CACHE_COLUMNS) + 8 * UNIT, 4)

    def aim(self, error: Error) -> None:
        """Begin a tile or a piece."""
        del error
        self.record.lanes.fill(0.0)

    @property
    def total(self) -> float:
        """The sum."""
        return float(self.record.lanes.sum())


# Beyond the rounding of a float32 value's difference from where the shades begin.
_ROUNDING = 2.0**-20


def _shades(
    thresholds: Any, origin: float, scale: float, bound: float, listed: Any
) -> tuple[Any, Any, Any, Any, Any]:
    """Return each threshold's first possible and first certain shade, and the tables of ranks."""
    margin = bound + _ROUNDING
    least = np.floor((thresholds - margin - origin) * scale).astype(np.uint16)
    most = np.floor((thresholds + margin - origin) * scale).astype(np.uint16) + np.uint16(1)
    # The least and the greatest rank that a value of a shade may have.
    lowest, highest = _up_to(most), _up_to(least)
    unclear = lowest != highest
    unclear |= lowest >= _MOST_RANKS
    unclear |= listed[lowest]
    table = lowest.astype(np.uint16)
    table += np.uint16(1)
    table *= np.uint16(folds.COPIES)
    table[unclear] = folds.UNCLEAR
    size = 1 << folds.RANGE
    ends = lowest[::size], highest[size - 1 :: size]
    return least, most, table, *(ranks.astype(np.int32) for ranks in ends)


def _up_to(places: Any) -> Any:
    """Return for each shade how many places are not above it."""
    counts = np.zeros(folds.SHADES, np.uint16 if len(places) < 65536 else np.int32)
    np.add.at(counts, places, 1)
    return np.cumsum(counts, out=counts, dtype=counts.dtype)
