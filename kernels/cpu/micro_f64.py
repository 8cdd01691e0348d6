"""The deciding micro-kernel: a register block of eight-lane float64 dot products, as LLVM IR.

    lane l of (row r, column c)  =  sum over k = l, l + 8, l + 16, ... of fl(x_r[k] y_c[k])

in ascending k, every product rounded before it is added: the deciding arithmetic to the letter,
for a block of pairs at once.  Rows are read as they lie in memory, eight entries a step, so the
lanes of a pair fill 8 / lanes registers.  The lane sums may start from and go back to memory, for
a depth that is walked in chunks, or be added up (neighbours first) into the dot product.

The float32 block's layout, with one depth chunk a lane, was tried too and is worth another look for
deep rows: in a noisy session 33 against 19 to 27 GFLOP/s at d = 4096 and 15 against 17 to 19 at
d = 64, where its lane sums pass through memory eight times; it needs packing and three partial
tiles.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .micro_f32 import REGISTERS
from .simd import Vectors, array_data, depth_loop, element, index

LANES = 8
DOUBLE = Vectors(ir.DoubleType(), REGISTERS.width // 8)
# Vectors that hold the lanes of one pair.
PARTS = LANES // DOUBLE.lanes


def _shape() -> tuple[int, int]:
    """Rows and columns of the block: as many pairs as the registers' accumulators hold."""
    pairs = (12 if REGISTERS.count == 16 else 24) // PARTS
    return {3: (1, 3), 6: (2, 3), 24: (4, 6)}[pairs]


ROWS, COLUMNS = _shape()

# Listed pairs that are multiplied together: alone each waits for memory and for its own additions.
TOGETHER = 4

_PAIRS = [(row, column) for row in range(ROWS) for column in range(COLUMNS)]


def _lane_sums(context: Any, builder: Any, signature: Any, args: Any) -> list[Any]:
    """Emit the main loop; return the lanes of each pair, PARTS vectors a pair."""
    x, y, memory = (
        array_data(context, builder, signature, args, position) for position in (0, 2, 6)
    )
    _, x_at, _, y_at, stride, depth, _, start_at = args[:8]
    rows = [builder.add(x_at, builder.mul(stride, index(row))) for row in range(ROWS)]
    columns = [builder.add(y_at, builder.mul(stride, index(column))) for column in range(COLUMNS)]
    start = [
        DOUBLE.load(builder, memory, builder.add(start_at, index(slot * DOUBLE.lanes)))
        for slot in range(len(_PAIRS) * PARTS)
    ]
    with depth_loop(builder, depth, LANES, start) as (k, sums):
        for part in range(PARTS):
            here = builder.add(k, index(part * DOUBLE.lanes))
            left = [DOUBLE.load(builder, x, builder.add(at, here)) for at in rows]
            for column, at in enumerate(columns):
                right = DOUBLE.load(builder, y, builder.add(at, here))
                for row in range(ROWS):
                    slot = (row * COLUMNS + column) * PARTS + part
                    sums[slot] = builder.fadd(sums[slot], builder.fmul(left[row], right))
    return sums


def _pair_dots(
    context: Any, builder: Any, signature: Any, args: Any, rows: list[Any], columns: list[Any]
) -> list[Any]:
    """Emit the dot products of pairs that begin at these places, all in one loop."""
    x, y, *tails = (
        array_data(context, builder, signature, args, position) for position in (0, 2, 5, 6)
    )
    narrow = Vectors(x.type.pointee, DOUBLE.lanes)

    def load(base: Any, at: Any) -> Any:
        value = narrow.load(builder, base, at)
        return builder.fpext(value, DOUBLE.kind) if narrow.kind != DOUBLE.kind else value

    slots = [(pair, part * DOUBLE.lanes) for pair in range(len(rows)) for part in range(PARTS)]
    with depth_loop(builder, args[4], LANES, [DOUBLE.zero()] * len(slots)) as (k, sums):
        for slot, (pair, offset) in enumerate(slots):
            here = builder.add(k, index(offset))
            left = load(x, builder.add(rows[pair], here))
            right = load(y, builder.add(columns[pair], here))
            sums[slot] = builder.fadd(sums[slot], builder.fmul(left, right))
    for slot, (pair, offset) in enumerate(slots):
        left, right = (DOUBLE.load(builder, tail, index(pair * LANES + offset)) for tail in tails)
        sums[slot] = builder.fadd(sums[slot], builder.fmul(left, right))
    return [_tree(builder, sums[at : at + PARTS]) for at in range(0, len(slots), PARTS)]


def _emit_pair(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    (total,) = _pair_dots(context, builder, signature, args, [args[1]], [args[3]])
    return total


def _emit_pairs(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    rows, columns = (
        [builder.extract_value(args[position], pair) for pair in range(TOGETHER)]
        for position in (1, 3)
    )
    totals = _pair_dots(context, builder, signature, args, rows, columns)
    return context.make_tuple(builder, signature.return_type, totals)


def _tree(builder: Any, parts: list[Any]) -> Any:
    """Emit the sum of a pair's lanes, neighbours first: ((0+1)+(2+3))+((4+5)+(6+7))."""
    while len(parts) > 1:
        parts = [_neighbours(builder, a, b) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    (vector,) = parts
    while vector.type.count > 1:
        vector = _neighbours(builder, vector, None)
    return element(builder, vector, 0)


def _neighbours(builder: Any, left: Any, right: Any) -> Any:
    """Emit the sums of neighbouring lanes of two vectors laid end to end (or of one)."""
    count = left.type.count * (1 if right is None else 2)
    right = ir.Constant(left.type, ir.Undefined) if right is None else right
    even = DOUBLE.shuffle(builder, left, right, list(range(0, count, 2)))
    odd = DOUBLE.shuffle(builder, left, right, list(range(1, count, 2)))
    return builder.fadd(even, odd)


def _emit_lanes(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    sums = _lane_sums(context, builder, signature, args)
    memory = array_data(context, builder, signature, args, 6)
    for slot, value in enumerate(sums):
        DOUBLE.store(builder, value, memory, builder.add(args[8], index(slot * DOUBLE.lanes)))
    return context.get_dummy_value()


def _emit_dots(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    sums = _lane_sums(context, builder, signature, args)
    out = array_data(context, builder, signature, args, 8)
    for pair, (row, column) in enumerate(_PAIRS):
        total = _tree(builder, sums[pair * PARTS : (pair + 1) * PARTS])
        at = builder.add(args[9], builder.add(builder.mul(args[10], index(row)), index(column)))
        builder.store(total, builder.gep(out, [at]))
    return context.get_dummy_value()


@intrinsic
def sum_lanes(typing, x, x_at, y, y_at, stride, depth, memory, start_at, end_at):
    """Add one depth chunk of a block: its lane sums go from memory[start_at] to memory[end_at]."""
    at = types.int64
    return types.void(x, at, y, at, at, at, memory, at, at), _emit_lanes


@intrinsic
def dot_block(typing, x, x_at, y, y_at, stride, depth, memory, start_at, out, out_at, out_stride):
    """Add the last depth chunk of a block and write its dot products."""
    at = types.int64
    return types.void(x, at, y, at, at, at, memory, at, out, at, at), _emit_dots


@intrinsic
def dot_pair(typing, x, x_at, y, y_at, depth, x_tail, y_tail):
    """Return the dot product of one pair, float32 or float64 rows where they lie.

    `depth` is a multiple of 8, 8 at least; the tails are 8 entries more, in float64.  Written out
    in Numba with eight sums it stays scalar: 340 instead of 120 ns at d = 768.
    """
    at = types.int64
    return types.float64(x, at, y, at, at, x_tail, y_tail), _emit_pair


@intrinsic
def dot_pairs(typing, x, x_at, y, y_at, depth, x_tails, y_tails):
    """Return what `dot_pair` would for each of `TOGETHER` pairs; their tails are in a row."""
    at = types.int64
    places = types.UniTuple(at, TOGETHER)
    dots = types.UniTuple(types.float64, TOGETHER)
    return dots(x, places, y, places, at, x_tails, y_tails), _emit_pairs
