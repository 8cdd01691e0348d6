"""The CPU's screens: rows packed for them, and a tile of values folded.

What `superpos_fast.protocols.Screens` asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import ceil, inf, isqrt
from typing import Any

import numpy as np

from ..records import DIGIT_DEPTHS
from . import codes, digits, micro_amx, micro_f32, micro_i8, panels, screens
from .arrays import aligned, frozen
from .deciding import ACROSS, listed_cosines, survey
from .products import multiply, project
from .tile_folds import BestFold
from .workspace import Workspace

UNIT, PANEL = micro_f32.UNIT, micro_f32.LANES
TILE_ROWS, TILE_COLUMNS = screens.CACHE_ROWS, screens.CACHE_COLUMNS

# Entries of a depth chunk, about, which the error bound of the screen hangs on: beside 192, half as
# many pairs are listed, by which counts and histograms gain and products alone lose nothing; by 64
# these do (`python -m bench.family` with others here).
CHUNK = 96
# Where no bound hangs on it: of codes, whose sums are exact, and of sums that are estimates.
LONG_CHUNK = 192

_MOST_CODES = 2**17
# What is kept of a coded row besides, and while that is made.
_CODE_BYTES = 100


def packed_depth(depth: int, most: int | None = None) -> tuple[int, int]:
    """Return the depth that panels are padded to, and the length of a chunk of it.

    Without a length that is the `most`, chunks are such that a product's longest chain, a chunk and
    the number of chunks, is short: of long rows there are as many as each has entries.
    """
    turn = micro_f32.UNROLL
    padded = ceil(depth / turn) * turn
    if most is None:
        chunks = max(1, round(padded / max(CHUNK, isqrt(padded))))
    else:
        chunks = ceil(padded / most)
    return padded, ceil(padded / chunks / turn) * turn


def rehearse(folds: list[Any], dtypes: tuple[Any, ...], depth: int, coded: bool) -> None:
    """Compile, or load, what a walk with these folds runs, if this process has not yet.

    `dtypes` are those of the two sides' blocks; `coded` is whether codes are screened too.
    """
    _rehearsed(tuple(type(fold) for fold in folds), dtypes, digits.pay(depth), coded)


@cache
def _rehearsed(
    kinds: tuple[type[Any], ...], dtypes: tuple[Any, ...], in_digits: bool, coded: bool
) -> None:
    blocks = [np.ones((2, 8), dtype) for dtype in dtypes]
    exponents, squares, _ = survey(blocks[0])
    units = packed(blocks[0], exponents, squares)
    products(units, units)
    if in_digits:
        for block in blocks:
            some = digits.Digits(digits.room(UNIT, 8), squares, 0, 8)
            some.fill(block, exponents, squares, 0)
        screen(Workspace(), some, some, (0, 2, 0, 2), 0, [kind.rehearsing() for kind in kinds])
    else:
        screen(Workspace(), units, units, (0, 2, 0, 2), 0, [kind.rehearsing() for kind in kinds])
    if coded and coder is not None:
        left, right = (
            coder.codes(coder.room(UNIT, 8), squares, 0, 8, columns, None)
            for columns in (False, True)
        )
        for block, side in zip(blocks, (left, right), strict=True):
            side.fill(block, exponents, squares, 0)
            side.bounded(np.zeros(2), side is right)
        for block in blocks:
            projected(units, block, exponents, squares)
        coded_fold = BestFold.rehearsing()
        screen(Workspace(), left, right, (0, 2, 0, 2), 0, [coded_fold])
    pair = np.array([0, 1])
    listed = [(block, exponents, squares) for block in blocks]
    listed_cosines(listed[0], pair[:1], listed[1], pair[1:])


class Units:
    """Consecutive rows of the data as float32 unit vectors in panels, in a buffer that is reused.

    `panels` has room for the rows, padded to `UNIT`.
    """

    lost = None

    def __init__(self, panels: Any, squares: Any, first: int, depth: int) -> None:
        self.depth, self.chunk = packed_depth(depth)
        self.first, self.rows = first, len(squares)
        self.padded = ceil(self.rows / UNIT) * UNIT
        self.side = screens.Side(
            panels[: self.padded * self.depth], self.padded, squares, not squares.all()
        )
        self._roundings = np.zeros(self.padded)
        whole = len(squares) // micro_f32.LANES * micro_f32.LANES
        for start in range(0, self.depth, self.chunk):
            length = min(self.chunk, self.depth - start)
            base = start * self.padded
            self.side.panels[base + whole * length : base + self.padded * length] = 0.0

    def fill(self, block: Any, exponents: Any, squares: Any, start: int) -> None:
        """Pack a block whose first row is row `start`, a multiple of `PANEL`, of these rows."""
        panels.pack_units(
            frozen(block),
            exponents,
            squares,
            self.side.panels,
            self.padded,
            start,
            self.depth,
            self.chunk,
            np.empty((PANEL, self.chunk), np.float32),
        )
        self._roundings[start : start + len(squares)] = inf

    def count_roundings(self, start: int, rows: int) -> None:
        """Find `roundings` of so many rows that were packed from `start` on."""
        panels.count_roundings(
            self.side.panels,
            self.padded,
            start,
            rows,
            self.depth,
            self.chunk,
            np.zeros(PANEL, np.float32),
            self._roundings,
        )

    @property
    def roundings(self) -> float:
        """See `superpos_fast.protocols.Units`."""
        return float(self._roundings[: self.rows].max()) * (1.0 + 2.0**-12)


class Codes:
    """Consecutive rows of the data as codes in panels, in a buffer that is reused.

    `words` has room for the rows, padded to `UNIT`.
    `columns` is the side that they are for; `stream` chooses what rounding draws (see
    `codes.pack_codes`), or with None is rounding to nearest.  What multiplies them is `product`.

    Attributes
    ----------
    facts : ndarray, shape (4, padded)
        A row's scale, sum of codes, length of codes and of what rounding has added.
    residuals : ndarray
        Length of what of a row is not coded; zeros, unless they are set.
    """

    def __init__(
        self,
        product: micro_i8.Product,
        words: Any,
        squares: Any,
        first: int,
        depth: int,
        columns: bool,
        stream: int | None,
    ) -> None:
        self._words, self._chunk = code_words(depth, product)
        self._tiled = product is micro_amx.CODES
        step = micro_amx.TILE if self._tiled else 1
        self.depth, self.chunk = self._words // step, self._chunk // step
        self.first, self.padded = first, ceil(len(squares) / UNIT) * UNIT
        self.facts = np.zeros((4, self.padded))
        self.residuals = np.zeros(len(squares))
        self._squares, self._stream = squares, stream
        self._turned = self._tiled and not columns
        self._levels = product.column_levels if columns else product.row_levels
        here, there = ("columns", "rows") if columns else ("rows", "columns")
        self._offset = product.offset if product.unsigned == here else 0
        self._against = product.offset if product.unsigned == there else 0
        self._panels = words[: self.padded * self._words]
        for start in range(0, self._words, self._chunk):
            length = min(self._chunk, self._words - start)
            whole = len(squares) // PANEL * PANEL
            base = start * self.padded
            self._panels[base + whole * length : base + self.padded * length] = 0

    def fill(self, block: Any, exponents: Any, squares: Any, start: int) -> None:
        """Pack a block whose first row is row `start`, a multiple of `PANEL`, of these rows."""
        width, depth = block.shape[1], self._words * micro_i8.TOGETHER
        units = np.zeros(width + 1, np.float32)
        lines = np.empty((PANEL, depth), np.uint8)
        codes.pack_codes(
            frozen(block),
            exponents,
            squares,
            self._panels,
            self.padded,
            start,
            self._words,
            self._chunk,
            self._turned,
            self._levels,
            self._offset,
            -1 if self._stream is None else self._stream + self.first + start,
            self.facts,
            units,
            units.view(np.int32),
            np.empty(width + 1, np.int32),
            lines,
            lines.view(np.int32),
        )

    def bounded(self, slacks: Any, columns: bool) -> None:
        """Set each row's part of what a cosine may exceed the codes' by, rounded up to float32.

        The product of a pair's residuals comes on top of it.
        """
        del columns  # they are codes for one side
        terms = np.zeros((3, self.padded), np.float32)
        terms[0] = self.facts[0]
        for term, values in ((terms[1], slacks), (terms[2], self.residuals)):
            term[: len(values)] = _float32_above(values)
        rows = self.padded, self._squares, not self._squares.all(), terms.ravel()
        starts = (-self._against * self.facts[1]).astype(np.int32)
        self.side: screens.TileCodeSide | screens.CodeSide = (
            screens.TileCodeSide(self._panels.view(np.int8), *rows)
            if self._tiled
            else screens.CodeSide(self._panels, *rows, starts)
        )


def _float32_above(values: Any) -> Any:
    """Return float32 numbers not below those given, which are not negative; 0 for 0.

    None is subnormal: on Intel's processors each operation on one takes some 150 cycles, and with
    residual lengths of 2^-149 in the place of 0 a pair of codes took twenty times as long.
    """
    rounded = np.asarray(values).astype(np.float32)
    above = np.where(rounded < values, np.nextafter(rounded, np.float32(np.inf)), rounded)
    return np.where(values > 0.0, np.maximum(above, np.finfo(np.float32).tiny), np.float32(0.0))


def code_words(depth: int, product: micro_i8.Product) -> tuple[int, int]:
    """Return how many words of codes rows are padded to, and the length of a chunk of them."""
    words = ceil(depth / micro_i8.TOGETHER)
    if product is not micro_amx.CODES:
        return packed_depth(words, LONG_CHUNK)
    whole = ceil(words / micro_amx.TILE) * micro_amx.TILE
    return whole, whole


class Coder:
    """What codes there are, and how they are made.

    Attributes
    ----------
    levels : (int, int)
        Largest magnitude of a row's codes and of a column's.
    cost : float
        What an entry of a pair costs, in float32 multiply-adds.
    draws, two_sided : bool
        Rounding draws, and a row is coded differently as a row and as a column.
    finds_gates : bool
        Folds look for no gates of their own.
    """

    draws = two_sided = True
    finds_gates = False

    def __init__(self, product: micro_i8.Product) -> None:
        self.levels = product.row_levels, product.column_levels
        self.cost, self.product = product.cost, product

    def room(self, rows: int, depth: int) -> Any:
        """Return memory for the codes of so many rows, a multiple of `UNIT`."""
        return aligned(rows * code_words(depth, self.product)[0], np.int32)

    def codes(self, *what: Any) -> Codes:
        """Return codes that are yet to be filled."""
        return Codes(self.product, *what)


def unit_bytes(depth: int) -> int:
    """Return the bytes of a unit row, with what is known of it.

    The same on all machines, so that they cut work alike: in digits where some have these.
    """
    if depth in DIGIT_DEPTHS:
        return digits.row_bytes(depth)
    return 4 * packed_depth(depth)[0] + 8


def code_bytes(depth: int) -> int:
    """Return the bytes of a row's codes on both sides, with its facts, residual, terms and start.

    0 if there are no codes of such rows: of more entries a sum of their products could overflow.
    The same on all machines that have codes, as tile registers want them.
    """
    if coder is None or depth > _MOST_CODES:
        return 0
    return 2 * (4 * code_words(depth, micro_amx.CODES)[0] + _CODE_BYTES)


_product = micro_amx.CODES if micro_amx.tiles_allowed() else micro_i8.PRODUCT
coder = None if _product is None else Coder(_product)


def room(rows: int, depth: int) -> Any:
    """Return memory for so many unit rows, a multiple of `UNIT`."""
    return digits.room(rows, depth) if digits.pay(depth) else _room(rows, depth)


def _room(rows: int, depth: int) -> Any:
    return aligned(rows * packed_depth(depth)[0], np.float32)


def units(room: Any, squares: Any, first: int, depth: int) -> Units | digits.Digits:
    """Return unit rows that are yet to be filled."""
    return (digits.Digits if digits.pay(depth) else Units)(room, squares, first, depth)


def packed(block: Any, exponents: Any, squares: Any) -> Units:
    """Return a block's rows as unit rows, in memory of their own."""
    rows = Units(_room(ceil(len(block) / UNIT) * UNIT, block.shape[1]), squares, 0, block.shape[1])
    rows.fill(block, exponents, squares, 0)
    return rows


def products(left: Units, right: Units) -> Any:
    """Return the float32 dot products of all packed rows of two sides, within their bound."""
    out = aligned(left.padded * right.padded, np.float32)
    sides = left.side, right.side
    multiply(
        *(side.panels for side in sides),
        left.padded,
        right.padded,
        left.depth,
        left.chunk,
        np.empty(1, np.float32),
        out,
    )
    return out.reshape(left.padded, right.padded)[: left.rows, : right.rows]


def projected(directions: Units, block: Any, exponents: Any, squares: Any) -> tuple[Any, Any]:
    """Return the products of a block's unit rows with packed ones, and the sums of their squares.

    They are those of `products`.
    """
    rows, count = len(block), directions.padded
    padded = ceil(rows / UNIT) * UNIT
    out, lengths = np.empty(padded * count, np.float32), np.empty(rows)
    project(
        frozen(block),
        exponents,
        squares,
        directions.side.panels,
        count,
        directions.depth,
        directions.chunk,
        aligned(UNIT * directions.depth, np.float32),
        np.empty((PANEL, directions.chunk), np.float32),
        np.empty(1, np.float32),
        out,
        lengths,
    )
    return out.reshape(padded, count)[:rows, : directions.rows], lengths


def cost(depth: int) -> float:
    """Return what a pair of `units` costs, in float32 multiply-adds."""
    return digits.cost(depth) if digits.pay(depth) else depth


def chain(depth: int, certain: bool = True) -> int:
    """Return the longest chain of roundings behind a float32 dot product of packed rows."""
    padded, chunk = packed_depth(depth)
    return chunk + ceil(padded / chunk) + 1


def screen(
    workspace: Workspace,
    left: Units | Codes | digits.Digits,
    right: Units | Codes | digits.Digits,
    tile: tuple[int, int, int, int],
    shift: int | None,
    aimed: Sequence[Any],
) -> None:
    """Fold a tile's dot products, or bounds by codes, into folds that are aimed at it.

    `tile` is (row, row end, column, column end) within the two sides, starting at multiples of
    `UNIT`.
    """
    row, row_end, column, column_end = tile
    some = screens.Tile(row, min(row_end, left.padded), column, min(column_end, right.padded))
    what = left.side, right.side, some, left.depth, left.chunk, ACROSS if shift is None else shift
    records = tuple(fold.record for fold in aimed)
    if isinstance(left.side, screens.DigitSide | screens.TileCodeSide):
        screens.screen_tiles(*what, _gates(aimed), records, workspace.partial_f32, workspace.sums)
    else:
        screens.screen_tile(*what, _gates(aimed), records, workspace.partial_f32)


def _gates(aimed: Sequence[Any]) -> screens.Gates:
    """Return the gates of the one fold, or such as let everything through to several."""
    gates: screens.Gates = aimed[0].gates
    if len(aimed) == 1:
        return gates
    rows, columns = (np.full_like(part, -np.inf) for part in gates[:2])
    return screens.Gates(rows, columns, gates.mask)
