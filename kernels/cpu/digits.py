"""Rows in three digits: unit vectors in fixed point, for the tile micro-kernel, and their tiles.

An entry is a sum of three digits from -128 to 127: so many of the row's *scale*, of it over 256 and
of it over 65536.  What a row lacks for being rounded to them, and what products lack without those
of two last digits, is bounded by lengths: of the *rest* of a row and of its last digits.

Storage, of either side:

    for each chunk of depth steps          (offset: first step of the chunk x padded rows)
        for each TILE rows                 (size: chunk length x TILE rows)
            for each step of TILE_BYTES depths
                for each digit: a tile register's bytes

On the rows' side these are TILE rows of TILE_BYTES depths, on the columns' TILE words of four
depths for each of TILE rows.  Padding is zero.
"""

from __future__ import annotations

import math
import threading
from math import ceil
from typing import Any

import numpy as np

from ..records import DIGIT_DEPTHS
from . import screens
from .arrays import aligned, frozen
from .compiling import compiled, part
from .micro_amx import DIGITS, ROW_BYTES, TILE, TILE_BYTES, tiles_allowed
from .micro_f32 import UNIT
from .rows import scaled, scaling

# The largest number of digits: three of 127.
_LARGEST = (127 << 16) + (127 << 8) + 127
_BASE = 2.0**16
_HALVES = np.int32(0x808080)
_MAGNITUDE = np.int64(0x7FFFFFFFFFFFFFFF)
_COARSE = 14
# Words of four digits that a row takes for a step, on one side.
_WORDS = ROW_BYTES // 4
# What a pair costs in float32 multiply-adds, and in each depth.  Both follow from
# `pairs(rows, cosine=0.9, screen="off")` of 8192, with `DIGIT_DEPTHS` as it is, of all and of none,
# which took .0130 s in digits and .0121 in float32 at d = 32, .0140 and .0153 at 48, .0140
# and .0184 at 64, .0305 and .0571 at 256, .0855 and .1629 at 768, .563 and .853 at 4096, and so do
# the depths from which on digits are taken; up to which, from their bound: of the worst rows beyond
# it is above what `mean_cosine` states.
_PAIR_COST, _DEPTH_COST = 14.0, 0.5
# Steps in a chunk, about: its sums of first digits are below 2^24, float32 numbers then, and what a
# cache block needs of both sides stays in L2.
CHUNK = 12


def pay(depth: int) -> bool:
    """Return whether rows of that depth are screened by their digits."""
    return depth in DIGIT_DEPTHS and tiles_allowed()


def packed_steps(depth: int) -> tuple[int, int]:
    """Return how many depth steps rows are padded to, and how many are in a chunk."""
    steps = ceil(depth / TILE_BYTES)
    return steps, ceil(steps / ceil(steps / CHUNK))


def cost(depth: int) -> float:
    """Return what a pair's product costs, in float32 multiply-adds."""
    return _PAIR_COST + _DEPTH_COST * TILE_BYTES * packed_steps(depth)[0]


def row_bytes(depth: int) -> int:
    """Return the bytes of a row's digits on both sides, with its scale."""
    return 2 * ROW_BYTES * packed_steps(depth)[0] + 4


@part
def split(numbers, lane, panel, start, steps):
    """Write digits of a row's numbers as row `lane` of a chunk's tiles; return the last's squares.

    `panel` is the chunk's, (steps, DIGITS, TILE, TILE_BYTES).  With 128 added to each digit they
    are the bytes of a number.
    """
    total = np.int64(0)
    for step in range(steps):
        some = numbers[(start + step) * TILE_BYTES :][:TILE_BYTES]
        for digit in range(DIGITS):
            shift = np.int32(8 * (DIGITS - 1 - digit))
            line = panel[step, digit, lane]
            for k in range(TILE_BYTES):
                line[k] = np.int8((np.int32(some[k] + _HALVES) >> shift) - 128)
        for k in range(TILE_BYTES):
            last = np.int32((np.int32(some[k] + _HALVES) & 255) - 128)
            total += last * last
    return total


@part
def fixed(units, bits, width, numbers):
    """Write a row's entries as numbers of digits; return its scale and the rest's length.

    `bits` views the entries as integers, whose maximum vectorises, and has room for one more; so
    do sums of integers, which gaps are made, rounded to 2^-_COARSE.
    """
    largest = np.int64(0)
    for k in range(width):
        largest = max(largest, bits[k] & _MAGNITUDE)
    bits[width] = largest
    scale = np.float32(units[width] * (_BASE / _LARGEST * (1.0 + 2.0**-22)))
    factor, square = _BASE / np.float64(scale), np.int64(0)
    for k in range(width):
        exact = units[k] * factor
        whole = np.rint(exact)
        numbers[k] = np.int32(whole)
        gap = np.int32((exact - whole) * 2.0**_COARSE)
        square += gap * gap
    rest = (math.sqrt(square) + math.sqrt(width)) * 2.0**-_COARSE / factor
    return np.float64(scale), rest


@part
def turn(rows, columns, tiles):
    """Write the rows' tiles, as words of four digits, as the columns' tiles."""
    for tile in range(tiles):
        at = tile * TILE * TILE
        one = rows[at : at + TILE * TILE].reshape(TILE, TILE)
        other = columns[at : at + TILE * TILE].reshape(TILE, TILE)
        for word in range(TILE):
            for lane in range(TILE):
                other[word, lane] = one[lane, word]


@compiled
def pack_digits(
    block, exponents, squares, rows, columns, padded, first, steps, chunk, scales,
    units, bits, numbers,
):  # fmt: skip
    """Pack rows as digits of unit vectors, as rows first, first + 1, ... of `padded` rows.

    `rows` and `columns` are the two sides' storage, int32; `scales` float32, a row.  Scratch:
    `units` float64 and `bits`, the same as int64, a row and one entry; `numbers` int32, a row's
    whole steps, zero behind its entries.  Returns the
    largest length of a rest, of last digits, and the largest scale.
    """
    count, width = block.shape
    rest = lasting = largest = 0.0
    for low in range(0, count, TILE):
        lines = min(count - low, TILE)
        for lane in range(TILE):
            i = low + lane
            empty = lane >= lines or squares[i] == 0.0
            if empty:
                numbers[:width] = 0
                scale = left = 0.0
            else:
                one, two, least = scaling(np.int64(exponents[i]))
                inverse = 1.0 / np.sqrt(squares[i])
                for k in range(width):
                    units[k] = scaled(block[i, k], one, two, least) * inverse
                scale, left = fixed(units, bits, width, numbers)
            if lane < lines:
                scales[first + i] = scale
            total = np.int64(0)
            for start in range(0, steps, chunk):
                length = min(chunk, steps - start)
                at = (start * padded + (first + low) * length) * _WORDS
                panel = rows[at : at + TILE * length * _WORDS].view(np.int8)
                shape = (length, DIGITS, TILE, TILE_BYTES)
                total += split(numbers, lane, panel.reshape(shape), start, length)
            rest = max(rest, left)
            lasting = max(lasting, scale * math.sqrt(total) / _BASE)
            largest = max(largest, scale)
        for start in range(0, steps, chunk):
            length = min(chunk, steps - start)
            at = (start * padded + (first + low) * length) * _WORDS
            some = slice(at, at + TILE * length * _WORDS)
            turn(rows[some], columns[some], length * DIGITS)
    return rest, lasting, largest


class Digits:
    """Consecutive rows of the data as digits of unit vectors, in a buffer that is reused.

    `words` has room for the rows, padded to `UNIT`, on both sides.  `lost` is what
    `superpos_fast.protocols.Units` has by this name.
    """

    def __init__(self, words: Any, squares: Any, first: int, depth: int) -> None:
        self.depth, self.chunk = packed_steps(depth)
        self.first, self.rows = first, len(squares)
        self.padded = ceil(self.rows / UNIT) * UNIT
        size = self.padded * self.depth * _WORDS
        self._sides = words[:size], words[len(words) // 2 :][:size]
        self._scales = np.zeros(self.padded, np.float32)
        self.lost, self._lock = (0.0, 0.0, 0.0), threading.Lock()
        rows, columns = (side.view(np.int8) for side in self._sides)
        self.side = screens.DigitSide(
            rows, columns, self._scales, self.padded, squares, not squares.all()
        )
        whole = ceil(self.rows / TILE) * TILE
        for start in range(0, self.depth, self.chunk):
            length = min(self.chunk, self.depth - start)
            base = start * self.padded
            for side in self._sides:
                side[(base + whole * length) * _WORDS : (base + self.padded * length) * _WORDS] = 0

    def fill(self, block: Any, exponents: Any, squares: Any, start: int) -> None:
        """Pack a block whose first row is row `start`, a multiple of TILE, of these rows."""
        units = np.empty(block.shape[1] + 1)
        found = pack_digits(
            frozen(block),
            exponents,
            squares,
            *self._sides,
            self.padded,
            start,
            self.depth,
            self.chunk,
            self._scales,
            units,
            units.view(np.int64),
            np.zeros(self.depth * TILE_BYTES, np.int32),
        )
        with self._lock:
            rest, last, scale = map(max, self.lost, found)
            self.lost = rest, last, scale

    def count_roundings(self, start: int, rows: int) -> None:
        """Do nothing: they are the same for all rows."""

    @property
    def roundings(self) -> float:
        """See `superpos_fast.protocols.Units`: those that all of a product goes through."""
        return 2 + ceil(self.depth / self.chunk)


def room(rows: int, depth: int) -> Any:
    """Return memory for so many rows, a multiple of `UNIT`."""
    return aligned(2 * rows * packed_steps(depth)[0] * _WORDS, np.int32)
