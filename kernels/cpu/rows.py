"""What is known of each row on its own: its exponent, its square, whether it is finite.

The deciding arithmetic (see `kernels/README.md`) scales a row by the power of two that brings its
largest entry into [1, 2); everything here and in `panels` reads the data through `scaled`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .compiling import compiled

SMALLEST_NORMAL = 2.0**-1022


@njit
def halves(exponent):
    """Return two powers of two whose product is 2**-exponent (one factor could overflow)."""
    half = -exponent // 2
    return math.ldexp(1.0, half), math.ldexp(1.0, -exponent - half)


@njit
def scaled(value, first, second):
    """Return value * first * second in float64; what falls below 2**-1022 becomes zero."""
    result = np.float64(value) * first * second
    return result if abs(result) >= SMALLEST_NORMAL else 0.0


@njit
def tree(l0, l1, l2, l3, l4, l5, l6, l7):
    """Add the eight lanes of a dot product, neighbours first."""
    return ((l0 + l1) + (l2 + l3)) + ((l4 + l5) + (l6 + l7))


@njit
def dot(x, y):
    """Dot product of two scaled rows in the deciding arithmetic."""
    depth = x.size
    whole = depth - depth % 8
    l0 = l1 = l2 = l3 = l4 = l5 = l6 = l7 = 0.0
    for k in range(0, whole, 8):
        l0 += x[k] * y[k]
        l1 += x[k + 1] * y[k + 1]
        l2 += x[k + 2] * y[k + 2]
        l3 += x[k + 3] * y[k + 3]
        l4 += x[k + 4] * y[k + 4]
        l5 += x[k + 5] * y[k + 5]
        l6 += x[k + 6] * y[k + 6]
        l7 += x[k + 7] * y[k + 7]
    if whole < depth:
        l0 += x[whole] * y[whole]
    if whole + 1 < depth:
        l1 += x[whole + 1] * y[whole + 1]
    if whole + 2 < depth:
        l2 += x[whole + 2] * y[whole + 2]
    if whole + 3 < depth:
        l3 += x[whole + 3] * y[whole + 3]
    if whole + 4 < depth:
        l4 += x[whole + 4] * y[whole + 4]
    if whole + 5 < depth:
        l5 += x[whole + 5] * y[whole + 5]
    if whole + 6 < depth:
        l6 += x[whole + 6] * y[whole + 6]
    return tree(l0, l1, l2, l3, l4, l5, l6, l7)


@njit
def cosine(product, square, other_square):
    """Return the deciding cosine; NaN where a row has no direction (its square is 0)."""
    value = product / np.sqrt(square * other_square)
    if value > 1.0:
        value = 1.0
    if value < -1.0:
        value = -1.0
    return value


@compiled
def survey(block, bits, infinity, exponents, squares):
    """Fill the exponents and squares of a block of rows; return its first bad row, or -1.

    `bits` views the block as unsigned integers, and `infinity` is the bit pattern of +inf: the
    largest magnitude and the test for NaN and infinity are one integer maximum, which vectorises
    and does not care about the floating-point mode.
    """
    rows, depth = block.shape
    magnitude = infinity | (infinity - 1)
    row = np.empty(depth, np.float64)
    for i in range(rows):
        top = infinity ^ infinity
        for k in range(depth):
            top = max(top, bits[i, k] & magnitude)
        if top >= infinity:
            return i
        if top == 0:
            exponents[i] = 0
            squares[i] = 0.0
            continue
        largest = 0.0
        for k in range(depth):
            largest = max(largest, abs(np.float64(block[i, k])))
        exponents[i] = math.frexp(largest)[1] - 1
        first, second = halves(np.int64(exponents[i]))
        for k in range(depth):
            row[k] = scaled(block[i, k], first, second)
        squares[i] = dot(row, row)
    return -1


@compiled
def scale(block, exponents, out):
    """Write the scaled rows of a block as float64."""
    rows, depth = block.shape
    for i in range(rows):
        first, second = halves(np.int64(exponents[i]))
        for k in range(depth):
            out[i, k] = scaled(block[i, k], first, second)


@compiled
def listed(left, right, left_squares, right_squares, out):
    """Write the deciding cosine of each pair (left[p], right[p]) of scaled rows."""
    for p in range(out.size):
        out[p] = cosine(dot(left[p], right[p]), left_squares[p], right_squares[p])
