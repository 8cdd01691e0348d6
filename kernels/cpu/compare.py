"""Comparing vectors: which values reach a gate, as bits, and how many shades reach a bound."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .micro_f32 import REGISTERS, SINGLE
from .micro_f64 import DOUBLE
from .simd import INDEX, LANE, Vectors, array_data, depth_loop, index

# Float32 and float64 values compared at once.
WIDE, WIDER = SINGLE.lanes, DOUBLE.lanes
# Shades compared at once.
ABREAST = 32
_SHORT = Vectors(ir.IntType(16), ABREAST)
# With masks of their own, lanes are counted as bits: LLVM makes three instructions, not two, of a
# comparison and a subtraction of its result, which ten thresholds took 1.3 times as long with.
_MASKED = REGISTERS.name == "avx512"


def _bits(builder: Any, lanes: Any) -> Any:
    """Emit truth values as the bits of an integer."""
    return builder.zext(builder.bitcast(lanes, ir.IntType(lanes.type.count)), INDEX)


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
    return _bits(builder, lanes)


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


def _emit_reaching(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    shades = array_data(context, builder, signature, args, 0)
    bounds = [_SHORT.broadcast(builder, bound) for bound in args[2:]]
    none = index(0) if _MASKED else ir.Constant(_SHORT.kind, [0] * ABREAST)
    with depth_loop(builder, args[1], ABREAST, [none] * len(bounds)) as (k, sums):
        some = _SHORT.load(builder, shades, k)
        for n, bound in enumerate(bounds):
            lanes = builder.icmp_unsigned(">=", some, bound)
            if _MASKED:
                sums[n] = builder.add(sums[n], builder.ctpop(_bits(builder, lanes)))
            else:
                sums[n] = builder.sub(sums[n], builder.sext(lanes, _SHORT.kind))
    if not _MASKED:
        wide = Vectors(LANE, ABREAST)
        sums = [wide.total(builder, builder.zext(lanes, wide.kind)) for lanes in sums]
        sums = [builder.zext(total, INDEX) for total in sums]
    return context.make_tuple(builder, signature.return_type, sums)


@intrinsic
def reaching(typing, shades, size, least, most):
    """Return how many of the first `size` shades are >= `least`, and how many >= `most`.

    `size` is a multiple of ABREAST, once that at least and 65535 times at most.
    """
    counts = types.UniTuple(types.int64, 2)
    return counts(shades, types.int64, types.uint16, types.uint16), _emit_reaching


def _emit_within(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    shades = array_data(context, builder, signature, args, 0)
    _, at, first, end = args
    beyond = builder.sub(_SHORT.load(builder, shades, at), _SHORT.broadcast(builder, first))
    room = _SHORT.broadcast(builder, builder.sub(end, first))
    return _bits(builder, builder.icmp_unsigned("<", beyond, room))


@intrinsic
def within(typing, shades, at, first, end):
    """Return which of the ABREAST shades from `at` on are `first` or more, and less than `end`."""
    return types.uint64(shades, types.int64, types.uint16, types.uint16), _emit_within
