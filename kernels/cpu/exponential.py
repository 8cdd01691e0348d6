"""The exponential of a vector in registers, as IR.

    x = k ln 2 + r, |r| <= ln 2 / 2         e^x = 2^k e^r

k is rounded by adding 3/2 times the power of two whose unit in the last place is 1, which leaves k
in the sum's low bits, and 2^k is multiplied in by adding k to the exponent's bits.  e^r is the sum
of its series, as far as the precision sees it.  Nothing here is beyond the vocabulary that all
targets have; the C library's, which Numba would call, takes one element at a time.
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir

from .micro_f32 import multiply_add
from .simd import Vectors

# By the bytes of an element: bits after the point, terms of the series after the first, and the
# range of arguments beyond which the nearest one in it is taken.  Its lower end leaves room for
# factors: subnormal numbers would take a hundred cycles each.
_PRECISIONS = {4: (23, 7, (-60.0, 88.0)), 8: (52, 13, (-600.0, 709.0))}
# Bits of ln 2 whose product with k is exact.
_HIGH_BITS = 9


def exponential(builder: Any, words: Vectors, value: Any) -> Any:
    """Emit e^value; its relative error is a few units of the last place."""

    def constant(number: float) -> Any:
        return ir.Constant(words.kind, [number] * words.lanes)

    size = 8 if isinstance(words.element, ir.DoubleType) else 4
    bits, terms, (least, most) = _PRECISIONS[size]
    value = words.minimum(builder, words.maximum(builder, value, constant(least)), constant(most))
    magic = constant(1.5 * 2.0**bits)
    shifted = multiply_add(builder, value, constant(1.0 / math.log(2.0)), magic)
    whole = builder.fsub(shifted, magic)
    high = math.floor(math.log(2.0) * 2.0**_HIGH_BITS) / 2.0**_HIGH_BITS
    rest = multiply_add(builder, whole, constant(-high), value)
    rest = multiply_add(builder, whole, constant(high - math.log(2.0)), rest)
    total = constant(1.0 / math.factorial(terms))
    for term in reversed(range(terms)):
        total = multiply_add(builder, total, rest, constant(1.0 / math.factorial(term)))
    integers = ir.VectorType(ir.IntType(8 * size), words.lanes)
    power = builder.shl(
        builder.bitcast(shifted, integers), ir.Constant(integers, [bits] * words.lanes)
    )
    return builder.bitcast(builder.add(builder.bitcast(total, integers), power), words.kind)
