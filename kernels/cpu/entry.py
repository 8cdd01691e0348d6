"""The CPU's entry of the kernel table: NumPy arrays in, NumPy arrays out.

`superpos_fast.kernels.reference` offers the same functions in plain NumPy; the table that chooses
is `superpos_fast.backends`.
"""

from __future__ import annotations

from functools import cache, cached_property
from math import ceil, lcm
from typing import Any

import numpy as np

from .. import reference
from . import (
    codes,
    decisions,
    folds,
    lists,
    micro_f32,
    micro_f64,
    micro_i8,
    panels,
    rows,
    screens,
    second_moment,
)
from .products import multiply
from .tile_folds import BestFold as BestFold
from .tile_folds import RanksFold as RanksFold
from .tile_folds import TotalFold as TotalFold

SCREENS = True
UNIT = micro_f32.UNIT
PANEL = micro_f32.LANES
DECIDE_UNIT = lcm(micro_f64.ROWS, micro_f64.COLUMNS)
TILE_ROWS, TILE_COLUMNS = screens.CACHE_ROWS, screens.CACHE_COLUMNS
PAIR_BYTES = 3 * 8  # the cosine, its magnitude, and a mask
SCRATCH_BYTES = 4 * TILE_ROWS * TILE_COLUMNS + 8 * decisions.SCRATCH_SIZE

# Longest depth chunk.  384 was level within 2 % in alternating calls at d = 768 and 4096, and would
# double the error bound of the screen.
CHUNK = 192

# So few pairs are ranked in NumPy: all that `coherence` has, most of the time, so that its first
# call need not compile a kernel, half a second, for them.
_HANDFUL = 32

# Column index shift that makes every pair a pair: the two sides are different sets.
ACROSS = 1 << 40


def aligned(count: int, dtype: Any) -> Any:
    """Return an uninitialised array that starts on a cache line."""
    size = np.dtype(dtype).itemsize
    raw = np.empty(count * size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + count * size].view(dtype)


def _frozen(block: Any) -> Any:
    """Return a read-only view: input that cannot be written then needs no kernels of its own."""
    block = block.view()
    block.flags.writeable = False
    return block


def packed_depth(depth: int) -> tuple[int, int]:
    """Return the depth that panels are padded to, and the length of a chunk of it."""
    turn = micro_f32.UNROLL
    padded = ceil(depth / turn) * turn
    return padded, ceil(padded / ceil(padded / CHUNK) / turn) * turn


@cache
def prepare(dtype: Any) -> None:
    """Compile the kernels, or load them from the cache, that every call on `dtype` needs."""
    block = np.ones((2, 1), dtype)
    exponents, squares, _ = survey(block)
    packed = Packed(aligned(UNIT * packed_depth(1)[0], np.float32), squares, 0, 1)
    packed.fill(block, exponents, 0)


def rehearse(folds: list[Any], dtypes: tuple[Any, ...], coded: bool) -> None:
    """Compile, or load, what a walk with these folds runs, if this process has not yet.

    `dtypes` are those of the two sides' blocks; `coded` is whether codes are screened too.
    """
    _rehearsed(tuple(type(fold) for fold in folds), dtypes, coded)


@cache
def _rehearsed(kinds: tuple[type[Any], ...], dtypes: tuple[Any, ...], coded: bool) -> None:
    blocks = [np.ones((2, 8), dtype) for dtype in dtypes]
    exponents, squares, _ = survey(blocks[0])
    units = packed(blocks[0], exponents, squares)
    screen(Workspace(), units, units, (0, 2, 0, 2), 0, [kind.rehearsing() for kind in kinds])
    if coded:
        left, right = (
            Codes(aligned(UNIT * code_words(8)[0], np.int32), squares, 0, 8, columns, None)
            for columns in (False, True)
        )
        for block, side in zip(blocks, (left, right), strict=True):
            side.fill(block, exponents, squares, 0)
            side.bounded(np.zeros(2))
        products(units, units)
        coded_fold = BestFold.rehearsing()
        screen(Workspace(), left, right, (0, 2, 0, 2), 0, [coded_fold])
    pair = np.array([0, 1])
    listed = [(block, exponents, squares) for block in blocks]
    listed_cosines(listed[0], pair[:1], listed[1], pair[1:])


def survey(block: Any) -> tuple[Any, Any, int]:
    """Return exponents and squares of a block's rows and its first row that is not finite, or -1.

    A block is C-contiguous float32 or float64; a row of zeros has square 0.
    """
    exponents = np.zeros(len(block), np.int32)
    squares = np.zeros(len(block), np.float64)
    integer = np.int32 if block.dtype == np.float32 else np.int64
    infinity = int(np.array(np.inf, block.dtype).view(integer))
    block = _frozen(block)
    cell = np.empty(1, integer)
    bad = rows.survey(
        block,
        block.view(integer),
        infinity,
        exponents,
        squares,
        np.zeros(ceil(block.shape[1] / 8) * 8),
        np.zeros(8),
        cell,
        cell.view(block.dtype),
    )
    return exponents, squares, bad


def scale(block: Any, exponents: Any, unit: int = 1) -> Any:
    """Return scaled float64 rows, zeros up to a whole number of lanes and of `unit` rows."""
    count, depth = block.shape
    lines = ceil(depth / 8)
    if lines * 8 > decisions.CHUNK:
        lines |= 1  # an odd stride in cache lines: rows a power of two apart share cache sets
    shape = ceil(count / unit) * unit, lines * 8
    out = aligned(shape[0] * shape[1], np.float64).reshape(shape)
    out[count:] = 0.0
    out[:, depth:] = 0.0
    rows.scale(_frozen(block), exponents, out)
    return out


def listed_cosines(left: Any, i: Any, right: Any, j: Any) -> Any:
    """Return the deciding cosines of the pairs (row i[p] of left, row j[p] of right).

    A side is (block, exponents, squares), the block as `survey` takes it.
    """
    out = np.empty(len(i), np.float64)
    depth = left[0].shape[1]
    if left[0].dtype == right[0].dtype == np.float32 and depth >= 8:
        left, right = ((_frozen(side[0]).reshape(-1), *side[1:]) for side in (left, right))
        rows.decide_narrow(left, i, right, j, depth, np.zeros(8), np.zeros(8), out)
    else:
        left, right = ((_frozen(side[0]), *side[1:]) for side in (left, right))
        rows.decide_listed(left, i, right, j, out)
    return out


def keep_best(
    groups: Any, keys: Any, cosines: Any, magnitude: bool, best: Any, best_keys: Any
) -> None:
    """Let each pair into its group's list, in place: k best cosines and keys (-1: empty)."""
    if len(cosines) <= _HANDFUL:
        reference.keep_best(groups, keys, cosines, magnitude, best, best_keys)
        return
    lists.keep_best(groups, keys, cosines, -1.0 if magnitude else 1.0, best, best_keys)


class Workspace:
    """One thread's buffers."""

    def __init__(self) -> None:
        self.partial_f32 = aligned(TILE_ROWS * TILE_COLUMNS, np.float32)
        self.partial_f64 = aligned(decisions.SCRATCH_SIZE, np.float64)


def tile_cosines(
    workspace: Workspace,
    left: Any,
    right: Any,
    left_squares: Any,
    right_squares: Any,
    shift: int | None,
) -> Any:
    """Return the deciding cosines of all pairs of two blocks of scaled, padded rows.

    NaN where there is no pair: a row left out, padding, and with a `shift` (column j is the same
    vector as row j + shift) the columns that are not beyond their row.
    """

    def padded(squares: Any, count: int) -> Any:
        return np.concatenate([squares, np.zeros(count - len(squares))])

    out = np.empty((len(left), len(right)), np.float64)
    decisions.decide_tile(
        left,
        right,
        padded(left_squares, len(left)),
        padded(right_squares, len(right)),
        ACROSS if shift is None else shift,
        workspace.partial_f64,
        out,
    )
    return out[: len(left_squares), : len(right_squares)]


class Packed:
    """Consecutive rows of the data as float32 unit vectors in panels, in a buffer that is reused.

    `panels` has room for the rows, padded to `UNIT`, of the depth padded by `packed_depth`.
    """

    def __init__(self, panels: Any, squares: Any, first: int, depth: int) -> None:
        self.depth, self.chunk = packed_depth(depth)
        self.first, self.rows = first, len(squares)
        self.padded = ceil(self.rows / UNIT) * UNIT
        self.side = screens.Side(
            panels[: self.padded * self.depth], self.padded, squares, not squares.all()
        )
        whole = len(squares) // micro_f32.LANES * micro_f32.LANES
        for start in range(0, self.depth, self.chunk):
            length = min(self.chunk, self.depth - start)
            base = start * self.padded
            self.side.panels[base + whole * length : base + self.padded * length] = 0.0

    def fill(self, block: Any, exponents: Any, start: int) -> None:
        """Pack a block whose first row is row `start`, a multiple of `PANEL`, of these rows."""
        squares = self.side.squares[start : start + len(block)]
        panels.pack_units(
            _frozen(block),
            exponents,
            squares,
            self.side.panels,
            self.padded,
            start,
            self.depth,
            self.chunk,
            np.empty((PANEL, self.chunk), np.float32),
        )


# Whether there is an int8 screen, of vectors of so many entries: then no sum of products of codes
# overflows.
CODES = micro_i8.PRODUCT is not None
MOST_CODES = 2**17
if micro_i8.PRODUCT is not None:
    CODE_LEVELS = micro_i8.PRODUCT.row_levels, micro_i8.PRODUCT.column_levels
    CODE_COST = micro_i8.PRODUCT.cost


class Codes:
    """Consecutive rows of the data as codes in panels, in a buffer that is reused.

    `words` has room for the rows, padded to `UNIT`, of the depth padded by `code_words`.
    `columns` is the side that they are for; `stream` chooses what rounding draws (see
    `codes.pack_codes`), or with None is rounding to nearest.

    Attributes
    ----------
    facts : ndarray, shape (4, padded)
        A row's scale, sum of codes, length of codes and of what rounding has added.
    residuals : ndarray
        Length of what of a row is not coded; zeros, unless they are set.
    """

    def __init__(
        self, words: Any, squares: Any, first: int, depth: int, columns: bool, stream: int | None
    ) -> None:
        assert micro_i8.PRODUCT is not None
        self.depth, self.chunk = code_words(depth)
        self.first, self.padded = first, ceil(len(squares) / UNIT) * UNIT
        self.facts = np.zeros((4, self.padded))
        self.residuals = np.zeros(len(squares))
        self._squares, self._stream = squares, stream
        product = micro_i8.PRODUCT
        self._levels = product.column_levels if columns else product.row_levels
        here, there = ("columns", "rows") if columns else ("rows", "columns")
        self._offset = product.offset if product.unsigned == here else 0
        self._against = product.offset if product.unsigned == there else 0
        self._panels = words[: self.padded * self.depth]
        for start in range(0, self.depth, self.chunk):
            length = min(self.chunk, self.depth - start)
            whole = len(squares) // PANEL * PANEL
            base = start * self.padded
            self._panels[base + whole * length : base + self.padded * length] = 0

    def fill(self, block: Any, exponents: Any, squares: Any, start: int) -> None:
        """Pack a block whose first row is row `start`, a multiple of `PANEL`, of these rows."""
        width, depth = block.shape[1], self.depth * micro_i8.TOGETHER
        units = np.zeros(width + 1, np.float32)
        lines = np.empty((PANEL, depth), np.uint8)
        codes.pack_codes(
            _frozen(block),
            exponents,
            squares,
            self._panels,
            self.padded,
            start,
            self.depth,
            self.chunk,
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

    def bounded(self, slacks: Any) -> None:
        """Set each row's part of what a cosine may exceed the codes' by, rounded up to float32.

        The product of a pair's residuals comes on top of it.
        """
        terms = np.zeros((3, self.padded), np.float32)
        terms[0] = self.facts[0]
        for term, values in ((terms[1], slacks), (terms[2], self.residuals)):
            term[: len(values)] = _float32_above(values)
        starts = (-self._against * self.facts[1]).astype(np.int32)
        self.side = screens.CodeSide(
            self._panels, self.padded, self._squares, not self._squares.all(), terms.ravel(), starts
        )


def _float32_above(values: Any) -> Any:
    """Return float32 numbers not below those given, which are not negative; 0 for 0.

    None is subnormal: on Intel's processors each operation on one takes some 150 cycles, which for
    residual lengths of 2^-149 in the place of 0 was 6 ns a pair.
    """
    rounded = np.asarray(values).astype(np.float32)
    above = np.where(rounded < values, np.nextafter(rounded, np.float32(np.inf)), rounded)
    return np.where(values > 0.0, np.maximum(above, np.finfo(np.float32).tiny), np.float32(0.0))


def code_words(depth: int) -> tuple[int, int]:
    """Return how many words of codes rows are padded to, and the length of a chunk of them."""
    return packed_depth(ceil(depth / micro_i8.TOGETHER))


def packed(block: Any, exponents: Any, squares: Any) -> Packed:
    """Return a block's rows packed, in memory of their own."""
    whole = ceil(len(block) / UNIT) * UNIT
    room = aligned(whole * packed_depth(block.shape[1])[0], np.float32)
    rows = Packed(room, squares, 0, block.shape[1])
    rows.fill(block, exponents, 0)
    return rows


def products(left: Packed, right: Packed) -> Any:
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


def chain(depth: int) -> int:
    """Return the longest chain of roundings behind a float32 dot product of packed rows."""
    padded, chunk = packed_depth(depth)
    return chunk + ceil(padded / chunk) + 1


def screen(
    workspace: Workspace,
    left: Packed | Codes,
    right: Packed | Codes,
    tile: tuple[int, int, int, int],
    shift: int | None,
    aimed: list[Any],
) -> None:
    """Fold the float32 dot products of a tile into folds that are aimed at it.

    `tile` is (row, row end, column, column end) within the two sides, starting at multiples of
    `UNIT`.
    """
    row, row_end, column, column_end = tile
    screens.screen_tile(
        left.side,
        right.side,
        screens.Tile(row, min(row_end, left.padded), column, min(column_end, right.padded)),
        left.depth,
        left.chunk,
        ACROSS if shift is None else shift,
        _gates(aimed),
        tuple(fold.record for fold in aimed),
        workspace.partial_f32,
    )


def _gates(aimed: list[Any]) -> screens.Gates:
    """Return the gates of the one fold, or such as let everything through to several."""
    gates: screens.Gates = aimed[0].gates
    if len(aimed) == 1:
        return gates
    rows, columns = (np.full_like(part, -np.inf) for part in gates[:2])
    return screens.Gates(rows, columns, gates.mask)


def sift(cosines: Any, row: int, fold: Any) -> int:
    """Fold decided cosines from a row on, until the fold's room is full; return the row after."""
    found, room = np.zeros(1, np.int64), 0
    if fold.listing.rows.size:
        found, room = fold.listing.found, fold.listing.rows.size - cosines.shape[1]
    # Only pieces at the edge are parts of a larger array.
    return int(folds.sift(np.ascontiguousarray(cosines), row, fold.record, found, room))


class SecondMoment(reference.SecondMoment):
    """The same in registers, with buffers that are made at first use."""

    def __init__(self, depth: int, first: int, last: int, rows: int, dtype: Any) -> None:
        super().__init__(depth, first, last, rows, dtype)
        self._width = last * self.unit
        # An odd stride in cache lines: rows a power of two apart share cache sets.
        line = 64 // self.dtype.itemsize
        self._stride = (ceil(self._width / line) | 1) * line

    @staticmethod
    def shape(dtype: Any) -> tuple[int, int]:
        """Return the columns of a strip, and how many of them lie together."""
        size = np.dtype(dtype).itemsize
        return second_moment.unit_for(size), second_moment.words_for(size).lanes

    @classmethod
    def row_bytes(cls, depth: int, dtype: Any) -> int:
        """Return a bound on the bytes of buffers a row."""
        unit, lanes = cls.shape(dtype)
        return (depth + unit) * np.dtype(dtype).itemsize + 128 + 8 * lanes

    @staticmethod
    @cache
    def rehearse(read: Any, dtype: Any, energies: bool) -> None:
        """Compile, or load, what blocks of that type need."""
        block, factors = np.ones((2, 8), read), np.ones(2, np.result_type(read, dtype))
        moment = SecondMoment(8, 0, 1, micro_f32.UNROLL * micro_f32.ROWS, dtype)
        sums = np.zeros(moment.size, dtype)
        if energies:
            moment.add_energies(block, factors, sums, np.zeros(2))
        else:
            moment.add(block, factors, sums, True)

    @cached_property
    def _panels(self) -> tuple[Any, Any]:
        return np.zeros(self._width, self.dtype), aligned(self.rows * self._width, self.dtype)

    @cached_property
    def _lines(self) -> tuple[Any, Any]:
        units = aligned(self.rows * self._stride, self.dtype)
        units[:] = 0.0
        return units, np.empty(self.rows * self.lanes)

    def add(self, block: Any, factors: Any, sums: Any, fresh: bool) -> None:
        """Add a block's rows to the sums; if they are `fresh` these begin here, else were zeros."""
        line, panels = self._panels
        second_moment.add_moment(
            _frozen(block), factors, self.depth, self.first, self.last, self.rows,
            line, panels, sums, not fresh,
        )  # fmt: skip

    def add_energies(self, block: Any, factors: Any, triangle: Any, out: Any) -> None:
        """Add to `out` these strips' share of u T u, T the triangle, for each of a block's rows."""
        units, sums = self._lines
        second_moment.add_energies(
            _frozen(block), factors, self.depth, self.first, self.last, self.rows,
            self._stride, units, triangle, sums, out,
        )  # fmt: skip
