"""Normal numbers by their place in a stream, compiled; the stream is defined in `..normals`.

Words by whatever vectors LLVM makes of a loop over calls; normals by explicit ones, as it makes
none of that loop.  A block takes a tenth of the time of NumPy's Philox and ziggurat (AVX-512), with
which the coherence of 200,000 x 256 random rows takes 1.3 times as long: `python -m bench.scale
drawn`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from ..normals import CALLS, INCREMENTS, MULTIPLIERS, PRECISIONS, ROUNDS, Precision
from .compiling import compiled, part
from .second_moment import words_for
from .simd import Vectors, array_data, depth_loop, index

_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_EVEN, _ODD = (np.uint64(number) for number in MULTIPLIERS)
_STEPS = tuple(np.uint64(number) for number in INCREMENTS)


def normals(seed: int, first: int, count: int, dtype: Any) -> Any:
    """Return so many normals of the stream of a seed and a type, from number `first` on."""
    dtype = np.dtype(dtype)
    found = np.empty(count, dtype)
    block = np.empty(PRECISIONS[dtype.itemsize].block, dtype)
    words = np.empty(4 * CALLS, np.uint32)
    _fill(np.uint64(seed), first, found, block, words)
    return found


@compiled
def _fill(seed, first, out, block, words):
    """Fill `out` with the stream from number `first` on; the scratch is a block and its words."""
    at = -(first % block.size)
    while at < out.size:
        _draw(seed, (first + at) // block.size, out.itemsize, words)
        if at >= 0 and at + block.size <= out.size:
            _transform(words, out, at)
        else:
            _transform(words, block, 0)
            for k in range(max(at, 0), min(at + block.size, out.size)):
                out[k] = block[k - at]
        at += block.size


@part
def _draw(seed, number, itemsize, words):
    """Draw the words of a block, all first ones, then all second ones, ..."""
    start, kind = np.uint64(number * CALLS), np.uint64(itemsize)
    for c in range(CALLS):
        call = start + np.uint64(c)
        found = _philox(call & _LOW, call >> _HALF, kind, seed & _LOW, seed >> _HALF)
        for k in range(4):
            words[k * CALLS + c] = np.uint32(found[k])


@njit(inline="always")
def _philox(low, high, kind, key, other_key):
    a, b, c, d = low, high, kind, np.uint64(0)
    for _ in range(ROUNDS):
        even, odd = _EVEN * a, _ODD * c
        a, b, c, d = (
            (odd >> _HALF) ^ b ^ key, odd & _LOW,
            (even >> _HALF) ^ d ^ other_key, even & _LOW,
        )  # fmt: skip
        key, other_key = (key + _STEPS[0]) & _LOW, (other_key + _STEPS[1]) & _LOW
    return a, b, c, d


@intrinsic
def _transform(typing, words, out, at):
    """Write the normals of a block's words, uint32, to `out` from `at` on."""
    return types.void(words, out, types.int64), _emit_block


def _emit_block(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    words, out = (array_data(context, builder, signature, args, place) for place in (0, 1))
    size = signature.args[1].dtype.bitwidth // 8
    how, numbers = PRECISIONS[size], words_for(size)
    drawn = Vectors(ir.IntType(32), numbers.lanes)
    whole = Vectors(ir.IntType(how.bits), numbers.lanes)
    across = how.bits // 32

    def load(place: int, k: Any) -> Any:
        """Return whole numbers of as many rows of words as they have."""
        rows = [index((place * across + n) * CALLS) for n in range(across)]
        found = [drawn.load(builder, words, builder.add(k, row)) for row in rows]
        if across == 1:
            return found[0]
        high, low = (builder.zext(word, whole.kind) for word in found)
        return builder.or_(builder.shl(high, ir.Constant(whole.kind, [32] * whole.lanes)), low)

    with depth_loop(builder, index(CALLS), numbers.lanes, []) as (k, _):
        for pair in range(0, 4 // across, 2):
            u, v = (load(pair + n, k) for n in range(2))
            for n, value in enumerate(_emit_pair(builder, numbers, whole, how, u, v)):
                place = builder.add(args[2], builder.add(k, index((pair + n) * CALLS)))
                numbers.store(builder, value, out, place)
    return context.get_dummy_value()


def _emit_pair(
    builder: Any, numbers: Vectors, whole: Vectors, how: Precision, u: Any, v: Any
) -> list[Any]:
    """Emit the two normals of each u and v, step by step as the reference has it."""

    def number(value: float) -> Any:
        return ir.Constant(numbers.kind, [value] * numbers.lanes)

    def integer(value: int) -> Any:
        return ir.Constant(whole.kind, [value] * whole.lanes)

    def series(terms: tuple[float, ...], x: Any) -> Any:
        total = number(terms[-1])
        for term in reversed(terms[:-1]):
            total = builder.fadd(builder.fmul(total, x), number(term))
        return total

    def scaled(value: Any, power: int) -> Any:
        """Return (value + 1/2) 2^power."""
        return builder.fadd(builder.fmul(value, number(2.0**power)), number(2.0 ** (power - 1)))

    uniform = scaled(builder.uitofp(u, numbers.kind), -how.bits)
    uniform = numbers.minimum(builder, uniform, number(how.below_one))
    bits = builder.bitcast(uniform, whole.kind)
    exponent = builder.ashr(builder.sub(bits, integer(how.half)), integer(how.fraction))
    mantissa = builder.bitcast(
        builder.sub(bits, builder.shl(exponent, integer(how.fraction))), numbers.kind
    )
    share = builder.fdiv(builder.fsub(mantissa, number(1.0)), builder.fadd(mantissa, number(1.0)))
    logarithm = builder.fadd(
        builder.fmul(builder.sitofp(exponent, numbers.kind), number(math.log(2.0))),
        builder.fmul(share, series(how.logarithm, builder.fmul(share, share))),
    )
    length = numbers.intrinsic(builder, "sqrt", [builder.fmul(number(-2.0), logarithm)])

    quarters = builder.ashr(builder.add(v, integer(1 << (how.bits - 3))), integer(how.bits - 2))
    rest = builder.sub(v, builder.shl(quarters, integer(how.bits - 2)))
    angle = scaled(builder.sitofp(rest, numbers.kind), 2 - how.bits)
    square = builder.fmul(angle, angle)
    sine = builder.fmul(angle, series(how.sine, square))
    cosine = series(how.cosine, square)
    crossed = builder.icmp_signed("!=", builder.and_(quarters, integer(1)), integer(0))
    found = []
    for value, sign in (
        (builder.select(crossed, sine, cosine), builder.add(quarters, integer(1))),
        (builder.select(crossed, cosine, sine), quarters),
    ):
        sign = builder.shl(builder.and_(sign, integer(2)), integer(how.bits - 2))
        value = builder.xor(builder.bitcast(value, whole.kind), sign)
        found.append(builder.fmul(length, builder.bitcast(value, numbers.kind)))
    return found
