"""The deciding arithmetic, row by row and pair by listed pair.

It (see `kernels/README.md`) scales a row by the power of two that brings its largest entry into
[1, 2).  Everything here and in `panels` reads the data through `scaled`, but `decide_narrow`, which
scales products.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .compiling import compiled
from .micro_f64 import TOGETHER, dot_pair, dot_pairs


@njit(inline="always")
def scaling(exponent):
    """Return two powers of two whose product is 2**-exponent, and the least magnitude kept.

    Two, because one factor could overflow.  What 2**-exponent would bring below 2**-1022 is not
    kept (see `scaled`), so that every product is exact.
    """
    half = -exponent // 2
    least = math.ldexp(1.0, exponent - 1022)
    return math.ldexp(1.0, half), math.ldexp(1.0, -exponent - half), least


@njit(inline="always")
def scaled(value, first, second, least):
    """Return value * first * second in float64, or 0 where the value is below `least`."""
    wide = np.float64(value)
    return wide * first * second if abs(wide) >= least else 0.0


@njit(inline="always")
def dot(x, y, nothing):
    """Dot product of two scaled rows, padded to a multiple of 8, in the deciding arithmetic."""
    return dot_pair(x, 0, y, 0, x.size, nothing, nothing)


@njit(inline="always")
def cosine(product, square, other_square):
    """Return the deciding cosine, zero as +0; NaN where a row has no direction (square 0)."""
    value = product / np.sqrt(square * other_square)
    if value > 1.0:
        value = 1.0
    if value < -1.0:
        value = -1.0
    return value + 0.0


@compiled
def survey(block, bits, infinity, exponents, squares, row, nothing, cell, value):
    """Fill the exponents and squares of a block of rows; return its first bad row, or -1.

    `bits` views the block as signed integers, and `infinity` is the bit pattern of +inf: a row's
    largest magnitude, and whether it is NaN, infinity or zero, are one integer maximum, which
    vectorises without fast-math.  Scratch: a row of zeros padded to a multiple of 8, 8 zeros, and
    one integer with a view of it as a number.  (Made in here they took 0.2 s to compile.)
    """
    rows, depth = block.shape
    magnitude = infinity | (infinity - 1)
    for i in range(rows):
        top = np.int64(0)
        for k in range(depth):
            top = max(top, bits[i, k] & magnitude)
        if top >= infinity:
            return i
        if top == 0:
            exponents[i] = 0
            squares[i] = 0.0
            continue
        cell[0] = top
        exponents[i] = math.frexp(np.float64(value[0]))[1] - 1
        first, second, least = scaling(np.int64(exponents[i]))
        for k in range(depth):
            row[k] = scaled(block[i, k], first, second, least)
        squares[i] = dot(row, row, nothing)
    return -1


@njit(inline="always")
def scale_row(entries, exponent, out):
    """Write a scaled row as float64."""
    first, second, least = scaling(np.int64(exponent))
    for k in range(entries.size):
        out[k] = scaled(entries[k], first, second, least)


@compiled
def scale(block, exponents, out):
    """Write the scaled rows of a block as float64."""
    for i in range(block.shape[0]):
        scale_row(block[i], exponents[i], out[i])


@njit(inline="always")
def tail(entries, out):
    """Write the entries beyond the last whole eight as float64."""
    for k in range(entries.size):
        out[k] = np.float64(entries[k])


@njit(inline="always")
def power(exponent):
    """Return 2**exponent, a normal number: `math.ldexp` took a third of the time at d = 64."""
    return np.int64((np.int64(exponent) + 1023) << 52).view(np.float64)


@compiled
def decide_narrow(left, i, right, j, depth, x_tails, y_tails, out):
    """Write the deciding cosine of each pair (row i[p] of left, row j[p] of right), float32 rows.

    A side is (the block's entries, exponents, squares); there are 8 entries a row or more.  In
    float64 no product of float32 numbers overflows or is subnormal, so that rows may be scaled
    after they are multiplied.
    """
    whole = depth // 8 * 8
    x, y = left[0], right[0]
    for start in range(0, out.size, TOGETHER):
        # The last pair again, where there are no more.
        p0, p1 = start, min(start + 1, out.size - 1)
        p2, p3 = min(start + 2, out.size - 1), min(start + 3, out.size - 1)
        x_at = i[p0] * depth, i[p1] * depth, i[p2] * depth, i[p3] * depth
        y_at = j[p0] * depth, j[p1] * depth, j[p2] * depth, j[p3] * depth
        for p in range(TOGETHER):
            tail(x[x_at[p] + whole : x_at[p] + depth], x_tails[8 * p : 8 * p + 8])
            tail(y[y_at[p] + whole : y_at[p] + depth], y_tails[8 * p : 8 * p + 8])
        products = dot_pairs(x, x_at, y, y_at, whole, x_tails, y_tails)
        for p in range(min(TOGETHER, out.size - start)):
            row, column = i[start + p], j[start + p]
            product = products[p] * power(-(left[1][row] + right[1][column]))
            out[start + p] = cosine(product, left[2][row], right[2][column])


@compiled
def decide_listed(left, i, right, j, x, y, nothing, out):
    """Write the deciding cosine of each pair (row i[p] of left, row j[p] of right).

    Rows are scaled as they are met, in two buffers of a row, zeros up to a multiple of 8; `nothing`
    is 8 zeros.
    """
    last = np.int64(-1)
    for p in range(out.size):
        row, column = i[p], j[p]
        if row != last:
            scale_row(left[0][row], left[1][row], x)
            last = row
        scale_row(right[0][column], right[1][column], y)
        out[p] = cosine(dot(x, y, nothing), left[2][row], right[2][column])
