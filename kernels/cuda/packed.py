"""Unit rows on each device, in float32 and in float16, and how far off their products may be."""

from __future__ import annotations

import threading
from math import ceil, inf
from typing import Any, ClassVar

import numpy as np

from ..records import EXACT, Error
from .loader import Module
from .resident import Block, DeviceRows, lines_of
from .team import Team

# Rows are padded to a multiple of this, so that tiles are read 16 bytes at a time.
UNIT = 32
# Depths are: what the tensor cores take in.
_DEPTH_UNIT = 32
# float32 products are sums of those of so many entries at most.  On an H200 at 32768 x 4096 too
# many pairs were near an edge of a histogram by the bound of 4096 additions in a row, and all were
# decided, in 1.0 s; a part takes 6 % for reading and writing a tile again.
_MOST_ADDED = 512
# What a device may lose by taking subnormal numbers for zeros.
_SUBNORMAL = 2.0**-124


def padded_depth(depth: int) -> int:
    """Return the entries of a packed row."""
    return ceil(depth / _DEPTH_UNIT) * _DEPTH_UNIT


def chain(depth: int, certain: bool) -> int:
    """Return the roundings that a float32 product goes through.

    `certain`: in whatever order it is added up.  Else a part is added up by itself, and then to
    those before it: what cuBLAS documents, alpha A B + beta C, though it
    does not promise that no sum begins from C.
    """
    padded = padded_depth(depth)
    if certain:
        return padded + 1
    part = _part(padded)
    return part + ceil(padded / part) + 1


def _part(padded: int) -> int:
    """Return the entries of a row that are multiplied at a time: parts are equal but for the last.

    A sum of parts goes through fewer roundings than one of all, whatever the order within them.
    """
    return padded_depth(ceil(padded / ceil(padded / _MOST_ADDED)))


def products(module: Module, left: Any, right: Any, out: Any) -> None:
    """Write the products of all packed rows of two sides on the current stream."""
    depth = left.shape[1]
    part = depth if left.dtype == np.float16 else _part(depth)
    for start in range(0, depth, part):
        some = slice(start, start + part)
        module.multiply(left[:, some], right[:, some], out, add=start > 0)


def float32_above(values: Any) -> Any:
    """Return float32 numbers above those given."""
    return np.nextafter(np.asarray(values + _SUBNORMAL).astype(np.float32), np.float32(np.inf))


class Units:
    """Consecutive rows of the data as float32 unit rows, on each device, in room that is reused.

    Attributes
    ----------
    first : int
        The first row's place among all.
    source : DeviceRows or None
        Where the rows lie on the devices, if they do.
    """

    KERNEL: ClassVar[str] = "unit_rows_f32"
    DTYPE: ClassVar[Any] = np.float32
    # Stored entries are so many times those of unit rows.
    SCALE: ClassVar[float] = 1.0
    # Of a product, apart from its rows' bounds, when it is stored.
    RELATIVE: ClassVar[float] = 0.0
    # Of an entry's product, on the average: in which order cuBLAS adds is not known.
    roundings: ClassVar[float] = inf
    lost: ClassVar[None] = None

    def count_roundings(self, start: int, rows: int) -> None:
        """Do nothing."""

    def __init__(self, team: Team, room: Any, squares: Any, first: int, depth: int) -> None:
        self._team = team
        self.first, self.rows, self.stride = first, len(squares), padded_depth(depth)
        self.padded = ceil(self.rows / UNIT) * UNIT
        self.source: DeviceRows | None = None
        self._entries: dict[int, Any] = {}
        self._residuals: dict[int, Any] = {}
        self._absent: dict[int, Any] = {}  # NaN for rows that are left out, else 0
        shape = self.padded, self.stride
        absent = np.full(self.padded, np.nan, np.float32)
        absent[: self.rows][squares != 0.0] = 0.0
        for module in team.modules:
            with team.here().on(module):
                number = module.device.number
                entries = room[number][: self.padded * self.stride].reshape(shape)
                self._entries[number] = entries
                self._residuals[number] = team.arrays.empty(self.padded, np.float32)
                self._absent[number] = team.arrays.asarray(absent)
                # Other threads' streams go on from here.
                team.here().synchronize(module)
        self._lock = threading.Lock()
        self._bounds: dict[tuple[int, Error], tuple[Any, Any]] = {}

    @classmethod
    def room(cls, team: Team, rows: int, depth: int) -> dict[int, Any]:
        """Return memory for so many rows, a multiple of `UNIT`, on each device."""
        rooms = {}
        for module in team.modules:
            with team.here().on(module):
                number = module.device.number
                rooms[number] = team.arrays.empty(rows * padded_depth(depth), cls.DTYPE)
        return rooms

    @classmethod
    def bytes(cls, depth: int) -> int:
        """Return the bytes of a row, with its residual and bounds."""
        return padded_depth(depth) * np.dtype(cls.DTYPE).itemsize + 4 + 8

    def fill(self, block: Any, exponents: Any, squares: Any, start: int) -> None:
        """Pack a block whose first row is row `start`, a multiple of `UNIT`, of these rows."""
        if isinstance(block, Block):
            self.source = block.rows
        end = start + len(block)
        some = slice(start, end if end < self.rows else self.padded)
        place = self._team.here()
        for module in self._team.modules:
            with place.on(module):
                self._fill(module, lines_of(self._team, module, block, exponents, squares),
                           len(block), block.shape[1], some)  # fmt: skip
        for module in self._team.modules:
            place.synchronize(module)

    def _fill(self, module: Module, lines: Any, rows: int, depth: int, some: slice) -> None:
        number = module.device.number
        out = self._entries[number][some]
        module.launch(
            self.KERNEL, (ceil(len(out) / 32),), rows=rows, depth=depth, scale=self.SCALE, out=out,
            out_rows=len(out), out_stride=self.stride, residuals=self._residuals[number][some],
            **lines.arguments(),
        )  # fmt: skip

    def entries(self, module: Module, start: int, stop: int) -> Any:
        """Return packed rows on a device."""
        return self._entries[module.device.number][start:stop]

    def bounds(self, module: Module, error: Error) -> tuple[Any, Any]:
        """Return what products are off by, a part for each row and for each column.

        NaN for rows that are left out.
        """
        return self._kept_bounds(module, error, float32_above(max(error)), np.float32(0.0))

    def _kept_bounds(self, module: Module, error: Error, row: Any, column: Any) -> tuple[Any, Any]:
        number, arrays = module.device.number, self._team.arrays
        with self._lock:
            if (number, error) not in self._bounds:
                absent = self._absent[number]
                # By one thread for all, whatever their streams.
                self._bounds[number, error] = (
                    absent + (arrays.asarray(row) if np.ndim(row) else row),
                    absent + (arrays.asarray(column) if np.ndim(column) else column),
                )
                self._team.here().synchronize(module)
            return self._bounds[number, error]


class Halves(Units):
    """The same in float16, with bounds from what rounding took from each row.

    Attributes
    ----------
    facts : ndarray, shape (4, padded)
        As of other codes: scale (1), nothing, and bounds of the lengths of the rounded row and of
        what rounding has taken.
    residuals : ndarray
        Zeros: all entries are there.
    """

    KERNEL = "unit_rows_f16"
    DTYPE = np.float16
    SCALE = 16.0  # entries from 4e-6 on are normal numbers
    RELATIVE = 2.0**-11 * (1.0 + 2.0**-10)

    def __init__(self, team: Team, room: Any, squares: Any, first: int, depth: int) -> None:
        super().__init__(team, room, squares, first, depth)
        self.residuals = np.zeros(self.rows)
        self._slacks: dict[bool, Any] = {}

    @property
    def facts(self) -> Any:
        """What is known of each row."""
        lost = self._residuals[self._team.here().module.device.number].get().astype(np.float64)
        lost[np.isnan(lost)] = 0.0  # of rows that are left out
        return np.stack([np.ones_like(lost), np.zeros_like(lost), 1.0 + lost, lost])

    def bounded(self, slacks: Any, columns: bool) -> None:
        """Set each row's part of what a cosine may lie from the product, as a row or a column."""
        self._slacks[columns] = float32_above(np.asarray(slacks))
        self._bounds.clear()

    def bounds(self, module: Module, error: Error) -> tuple[Any, Any]:
        """Return what products are off by, a part for each row and for each column."""
        del error
        nothing = np.float32(0.0)
        row, column = (self._slacks.get(side, nothing) for side in (False, True))
        return self._kept_bounds(module, EXACT, row, column)
