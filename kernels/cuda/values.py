"""Tiles as folds look at them: products that are off by some bound, or cosines that are decided."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from .formats import ACROSS, FUSED_COLUMNS, FUSED_ROWS, FUSED_SHARED
from .loader import Module
from .packed import UNIT, Halves, Units, products
from .resident import DeviceRows
from .team import Place

# Parts of a tile's height that are multiplied by themselves, each only with columns where it has
# pairs: of a tile on the diagonal five eighths.
_STRIPS = 4
# Blocks of a fold at most, so that their shared counts are added up seldom.
_MOST_BLOCKS = 4096


def _grid(columns: int, rows: int, size: int) -> tuple[int, int]:
    """Return the blocks of a fold over a stored tile of elements of so many bytes."""
    across = ceil(columns / (512 // size))
    return across, max(1, min(ceil(rows / 256), _MOST_BLOCKS // across))


def tile_shift(shift: int | None, row: int, column: int) -> int:
    """Return the shift of a tile at (row, column) of two sides."""
    return ACROSS if shift is None else shift + column - row


class Values:
    """Products of a tile's rows: multiplied when they are looked at, stored but for short rows.

    `tile` is (row, row end, column, column end) within the two sides.
    """

    def __init__(
        self,
        place: Place,
        buffer: Any,
        sides: tuple[Units, Units],
        tile: tuple[int, int, int, int],
        shift: int | None,
        error: Any,
    ) -> None:
        left, right = sides
        row, row_end, column, column_end = tile
        self._place, self._buffer, self._sides, self._tile = place, buffer, sides, tile
        self.rows, self.columns = row_end - row, column_end - column
        # Rows of padding beside it, so that a row of the tile is read 16 bytes at a time.
        self._stride = min(ceil(self.columns / 8) * 8, right.padded - column)
        self._is_half = isinstance(left, Halves)
        self._fuses = self._is_half and left.stride <= place.module.fused_depth
        self._stored: Any = None
        module = place.module
        self.shift = tile_shift(shift, row, column)
        self._common = {
            "rows": self.rows,
            "columns": self.columns,
            "scale": 1.0 / (left.SCALE * right.SCALE),
            "row_bounds": left.bounds(module, error)[0][row:row_end],
            "column_bounds": right.bounds(module, error)[1][column:column_end],
            "shift": self.shift,
        }

    def blocks(self, kernel: str) -> int:
        """Return how many blocks fold the stored tile."""
        across, down = self._grid(kernel)
        return across * down

    def fold(self, kernel: str, *, shared: int = 0, **arguments: Any) -> None:
        """Fold the tile, by the kernel of that name for values of this kind."""
        module = self._place.module
        if self._fuses and kernel in ("list", "ranks"):
            grid = ceil(self.columns / FUSED_COLUMNS), ceil(self.rows / FUSED_ROWS)
            left, right = self._entries()
            depth = self._sides[0].stride
            module.launch(
                f"fused_{kernel}_f16", grid, shared=FUSED_SHARED, left=left, right=right,
                depth=depth, left_stride=depth, right_stride=depth, **self._common, **arguments,
            )  # fmt: skip
            return
        kind, relative = ("f16", Halves.RELATIVE) if self._is_half else ("f32", Units.RELATIVE)
        module.launch(
            f"{kernel}_{kind}", self._grid(kernel), shared=shared, tile=self._product(),
            stride=self._stride, relative=relative, **self._common, **arguments,
        )  # fmt: skip

    def _grid(self, kernel: str) -> tuple[int, int]:
        return _grid(self.columns, self.rows, 2 if self._is_half else 4)

    def _entries(self) -> tuple[Any, Any]:
        module, (left, right) = self._place.module, self._sides
        row, row_end, column, _ = self._tile
        return (
            left.entries(module, row, row_end),
            right.entries(module, column, column + self._stride),
        )

    def _product(self) -> Any:
        if self._stored is None:
            size = self.rows * self._stride
            flat = self._buffer.view(np.float16 if self._is_half else np.float32)[:size]
            left, right = self._entries()
            out = flat.reshape(self.rows, self._stride)
            # Where not all rows have pairs with all columns, strips as far as there are pairs.
            height = ceil(self.rows / (_STRIPS if self.shift < self.rows else 1))
            for row in range(0, self.rows, height):
                some = slice(row, min(row + height, self.rows))
                first = max(0, row - self.shift) // UNIT * UNIT
                if first < self._stride:
                    products(self._place.module, left[some], right[first:], out[some, first:])
            self._stored = flat
        return self._stored


class Decider:
    """Decides pairs of a tile from rows that lie on the device."""

    def __init__(
        self, module: Module, left: DeviceRows, right: DeviceRows, row: int, column: int
    ) -> None:
        self._module = module
        self._arguments = {
            **left.lines(module, 0, len(left)).arguments("left"),
            **right.lines(module, 0, len(right)).arguments("right"),
            "depth": left.shape[1],
            "first_row": row,
            "first_column": column,
        }

    def cosines(self, listing: Any, pairs: int, out: Any) -> None:
        """Write the deciding cosines of the listed pairs."""
        self._module.launch(
            "cosines_listed", (min(ceil(pairs / 32), 2048),), rows=listing.rows,
            columns=listing.columns, found=listing.found, room=listing.room, out=out,
            **self._arguments,
        )  # fmt: skip


class Cosines:
    """The deciding cosines of a piece, on the device; NaN where there is no pair."""

    def __init__(self, module: Module, values: Any, columns: int, shift: int) -> None:
        self._module, self._values, self._shift = module, values, shift
        self.rows, self.columns = len(values), columns

    def blocks(self, rows: int) -> int:
        """Return how many blocks fold some of the rows."""
        across, down = _grid(self.columns, rows, 8)
        return across * down

    def fold(self, kernel: str, row: int, rows: int, *, shared: int = 0, **arguments: Any) -> None:
        """Fold some of the rows, which are then counted from the first of them."""
        some = self._values[row : row + rows]
        self._module.launch(
            kernel, _grid(self.columns, rows, 8), shared=shared, tile=some, rows=rows,
            columns=self.columns, stride=some.shape[1], shift=self._shift - row, **arguments,
        )  # fmt: skip
