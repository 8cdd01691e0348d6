"""Comparing a vector of values with gates: which lanes reach one, as bits."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .micro_f32 import SINGLE
from .micro_f64 import DOUBLE
from .simd import Vectors, array_data

# Float32 and float64 values compared at once.
WIDE, WIDER = SINGLE.lanes, DOUBLE.lanes


def _emit_reach(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    values, gates = (array_data(context, builder, signature, args, n) for n in (0, 3))
    _, at, gate, _, place, sign = args
    words = SINGLE if isinstance(values.type.pointee, ir.FloatType) else DOUBLE
    value = words.load(builder, values, at)
    other = builder.fmul(value, words.broadcast(builder, sign))
    strength = builder.select(builder.fcmp_ordered(">", other, value), other, value)
    beside = Vectors(gates.type.pointee, words.lanes).load(builder, gates, place)
    least = words.minimum(builder, words.broadcast(builder, gate), beside)
    lanes = builder.fcmp_ordered(">=", strength, least)
    bits = builder.bitcast(lanes, ir.IntType(words.lanes))
    return builder.zext(bits, ir.IntType(64))


@intrinsic
def reach(typing, values, at, gate, gates, place, sign):
    """Return which of the values from `at` on, times `sign` if that is more, reach a gate.

    Bit c stands for values[at + c], which must reach `gate` or gates[place + c].  All are of one
    type, of which WIDE float32 or WIDER float64 values are compared.
    """
    kind = values.dtype
    return types.uint64(values, types.int64, kind, gates, types.int64, kind), _emit_reach


@intrinsic
def first_bit(typing, bits):
    """Return the place of the lowest bit that is set."""

    def emit(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), emit
