"""What is known of each row on its own: its exponent, its square, whether it is finite.

The deciding arithmetic (see `kernels/README.md`) scales a row by the power of two that brings its
largest entry into [1, 2); everything here and in `panels` reads the data through `scaled`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .compiling import compiled


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
def dot(x, y):
    """Dot product of two scaled rows, padded to a multiple of 8, in the deciding arithmetic."""
    l0 = l1 = l2 = l3 = l4 = l5 = l6 = l7 = 0.0
    for k in range(0, x.size, 8):
        l0 += x[k] * y[k]
        l1 += x[k + 1] * y[k + 1]
        l2 += x[k + 2] * y[k + 2]
        l3 += x[k + 3] * y[k + 3]
        l4 += x[k + 4] * y[k + 4]
        l5 += x[k + 5] * y[k + 5]
        l6 += x[k + 6] * y[k + 6]
        l7 += x[k + 7] * y[k + 7]
    return ((l0 + l1) + (l2 + l3)) + ((l4 + l5) + (l6 + l7))


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
def survey(block, bits, infinity, exponents, squares):
    """Fill the exponents and squares of a block of rows; return its first bad row, or -1.

    `bits` views the block as signed integers, and `infinity` is the bit pattern of +inf: a row's
    largest magnitude, and whether it is NaN, infinity or zero, are one integer maximum, which
    vectorises without fast-math.
    """
    rows, depth = block.shape
    magnitude = infinity | (infinity - 1)
    cell = np.empty(1, bits.dtype)
    row = np.zeros((depth + 7) // 8 * 8, np.float64)
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
        exponents[i] = math.frexp(np.float64(cell.view(block.dtype)[0]))[1] - 1
        first, second, least = scaling(np.int64(exponents[i]))
        for k in range(depth):
            row[k] = scaled(block[i, k], first, second, least)
        squares[i] = dot(row, row)
    return -1


@compiled
def scale(block, exponents, out):
    """Write the scaled rows of a block as float64."""
    rows, depth = block.shape
    for i in range(rows):
        first, second, least = scaling(np.int64(exponents[i]))
        for k in range(depth):
            out[i, k] = scaled(block[i, k], first, second, least)


@compiled
def listed(left, right, left_squares, right_squares, out):
    """Write the deciding cosine of each pair (left[p], right[p]) of scaled rows."""
    for p in range(out.size):
        out[p] = cosine(dot(left[p], right[p]), left_squares[p], right_squares[p])
