"""Codes: rows as a few bits an entry, by stochastic rounding, and panels of them.

With y a row and s its scale, q_k = floor(y_k / s + U_k), U_k uniform in [0, 1): then s q_k is y_k
on average, and off by less than s.  With U_k = 1/2 it is rounding to nearest.

y_k / s is held in fixed point, 23 bits after the point, and so is U_k, so that what is drawn is
unbiased to the last bit (Gao & Long, *RaBitQ*, SIGMOD 2024, use codes of this kind for approximate
search).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .compiling import compiled, part
from .micro_f32 import LANES
from .panels import unit_entries
from .rows import scaling

_POINT = 23
_ONE = 1 << _POINT
# A code's largest magnitude is not reached by rounding errors.
_ROOM = 2.0**-8
# What is shorter is nothing.
_LEAST = 2.0**-60
# Errors are squared with so many bits after the point.
_COARSE = 15


@njit(inline="always")
def draw(counter, draws):
    """Fill `draws` with uniform integers of 23 bits: a stretch of the SplitMix64 sequence.

    Two from each of its numbers (Steele, Lea & Flood 2014, *Fast splittable pseudorandom number
    generators*); `counter` is where the stretch begins.
    """
    for k in range(draws.size // 2):
        z = (counter + np.uint64(k)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
        draws[2 * k] = np.int32(z >> np.uint64(64 - _POINT))
        draws[2 * k + 1] = np.int32(z & np.uint64(_ONE - 1))


@part
def encode(row, bits, width, draws, levels, offset, codes):
    """Write a row's codes plus `offset`; return its scale, sum, length and error's length.

    Lengths are of the codes times the scale, off by less than 2^-50 of itself, and of what rounding
    has added, rounded up.  `bits`
    views the entries as integers, whose maximum vectorises, and has room for one more.
    """
    largest = np.int32(0)
    for k in range(width):
        largest = max(largest, np.int32(bits[k] & np.int32(0x7FFFFFFF)))
    bits[width] = largest
    top, entries = row[width], row[:width]
    if top < _LEAST:
        codes[:] = offset
        return 0.0, 0, 0.0, 0.0
    factor = np.float32((levels - _ROOM) * _ONE / top)
    total = square = error = np.int64(0)
    for k in range(entries.size):
        fixed = np.int32(entries[k] * factor)
        code = np.int32((fixed + draws[k]) >> _POINT)
        codes[k] = np.uint8(code + offset)
        gap = np.int32((fixed - np.int32(code << _POINT)) >> (_POINT - _COARSE))
        total += code
        square += np.int32(code * code)
        error += np.int32(gap * gap)
    scale = _ONE / np.float64(factor)
    coarse = (math.sqrt(error) + math.sqrt(entries.size)) * 2.0**-_COARSE
    return scale, total, scale * math.sqrt(square), scale * coarse


@compiled
def pack_codes(
    block, exponents, squares, panels, padded, first, depth, chunk, turned, levels, offset, stream,
    facts, units, bits, draws, codes, words,
):  # fmt: skip
    """Pack rows as codes of unit vectors, as rows first, first + 1, ... of `padded` rows.

    Like `panels.pack_units`; `depth` and `chunk` are in words, and where they are `turned`, as tile
    registers have rows, LANES words of a row lie together.  A row's draws come from its own
    stretch of the sequence, 2^32 numbers from stretch `stream` on; with a negative `stream` they
    are all 1/2.  `facts`
    (4 x padded float64) gets what `encode` returns.  Scratch: `units` float32 and
    `bits`, the same as int32, a row and one entry; `draws` int32 of a row; `codes` uint8 of LANES
    rows, and `words`, the same as int32.
    """
    rows, width = block.shape
    if stream < 0:
        draws[:] = _ONE // 2
    for low in range(0, rows, LANES):
        codes[:] = offset
        for i in range(low, min(rows, low + LANES)):
            if squares[i] == 0.0:
                continue
            inverse = 1.0 / np.sqrt(squares[i])
            unit_entries(block[i], scaling(np.int64(exponents[i])), inverse, units[:width])
            if stream >= 0:
                draw(np.uint64(stream + i) << np.uint64(32), draws)
            found = encode(units, bits, width, draws, levels, offset, codes[i - low, :width])
            facts[0, first + i], facts[1, first + i] = found[0], found[1]
            facts[2, first + i], facts[3, first + i] = found[2], found[3]
        for start in range(0, depth, chunk):
            length = min(chunk, depth - start)
            at = start * padded + (first + low) * length
            panel = panels[at : at + length * LANES]
            if turned:
                tiles = panel.reshape(length // LANES, LANES, LANES)
                for k in range(length):
                    for lane in range(LANES):
                        tiles[k // LANES, lane, k % LANES] = words[lane, start + k]
                continue
            lines = panel.reshape(length, LANES)
            for k in range(length):
                for lane in range(LANES):
                    lines[k, lane] = words[lane, start + k]
