"""The screening micro-kernel: a register block of float32 dot products over one depth chunk, as IR.

    C[r, c] (+)= sum_k A[k, r] B[k, c]        r < ROWS, c < COLUMNS

Both sides are read from *panels*, ``LANES`` vectors of the data interleaved: ``panel[k, lane]``.
The columns are consecutive panels, the rows single lanes, one broadcast each, so one packed copy
of the data serves both sides.  Prolog: accumulators start at zero.  Main loop: one load a column
vector, one broadcast a row, ROWS x VECTORS multiply-adds.  Epilog: the sums of earlier chunks
(``resume``) are added last, so that the longest chain of additions is a chunk's length plus the
number of chunks; then the block is held against gates, and touches memory only if it must.

Emitted as IR because the loop vectoriser never keeps such a block in registers.  The tile walk
around it runs at 0.88 to 0.95 of the multiply-add peak; `bench/roofline.py` measures whole calls.
"""

from __future__ import annotations

from math import lcm
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .simd import (
    Vectors,
    array_data,
    choose_registers,
    depth_loop,
    index,
    target_features,
)

REGISTERS = choose_registers(target_features())
SINGLE = Vectors(ir.FloatType(), REGISTERS.width // 4)
LANES = SINGLE.lanes

# As many accumulators as leave registers for VECTORS columns and a broadcast.
ROWS = 4 if REGISTERS.count == 16 else 8
VECTORS = 3
COLUMNS = VECTORS * LANES
# Rows that are whole panels, whole row groups and whole column groups.
UNIT = lcm(ROWS, COLUMNS)
# Depth steps a turn of the main loop, of which a chunk is a multiple.
UNROLL = 4
# Words a depth step that are brought into L2 meanwhile, on either side: so a cache block of 192
# rows asks for all of its next panels.  With 0 here they come from L3 only as they are needed, and
# in `bench.family` a histogram took 6 % more at d = 768.
AHEAD = 2

_PLACES = [(row, v) for row in range(ROWS) for v in range(VECTORS)]


def multiply_add(builder: Any, left: Any, right: Any, total: Any) -> Any:
    """Emit left * right + total, of vectors of any width and precision."""
    if REGISTERS.fused:
        words = Vectors(total.type.element, total.type.count)
        return words.intrinsic(builder, "fma", [left, right, total])
    return builder.fadd(total, builder.fmul(left, right))


def panel_places(builder: Any, a_at: Any, b_at: Any, depth: Any) -> tuple[list[Any], list[Any]]:
    """Emit where each row's lane and each vector of columns begins in its panel."""
    panel_size = builder.mul(depth, index(LANES))

    def row_at(row: int) -> Any:
        panel, lane = divmod(row, LANES)
        return builder.add(a_at, builder.add(builder.mul(panel_size, index(panel)), index(lane)))

    rows = [row_at(row) for row in range(ROWS)]
    columns = [builder.add(b_at, builder.mul(panel_size, index(v))) for v in range(VECTORS)]
    return rows, columns


def ask_ahead(builder: Any, words: Vectors, k: Any, ahead: Any) -> None:
    """Emit, at depth k of a turn: ask for what is next; `ahead` are (data, where it begins)."""
    for data, at in ahead:
        words.prefetch(builder, data, builder.add(at, builder.mul(k, index(AHEAD))))


def accumulate(
    builder: Any, words: Vectors, left: Any, right: Any, depth: Any, ahead: Any = ()
) -> list[Any]:
    """Emit prolog and main loop; return the block's sums in registers, row after row.

    A side is (data, where each row or vector of columns begins, step from depth to depth).
    """
    (a, rows, a_step), (b, columns, b_step) = left, right
    start = [words.zero()] * (len(rows) * len(columns))
    with depth_loop(builder, depth, UNROLL, start) as (k, sums):
        ask_ahead(builder, words, k, ahead)
        for turn in range(UNROLL):
            here = builder.add(k, index(turn))
            a_here, b_here = builder.mul(here, a_step), builder.mul(here, b_step)
            loaded = [words.load(builder, b, builder.add(at, b_here)) for at in columns]
            for row, at in enumerate(rows):
                entry = builder.load(builder.gep(a, [builder.add(at, a_here)]))
                spread = words.broadcast(builder, entry)
                for v, column in enumerate(loaded):
                    place = row * len(columns) + v
                    sums[place] = multiply_add(builder, spread, column, sums[place])
    return sums


def block_places(builder: Any, c_at: Any, c_stride: Any) -> list[Any]:
    """Return where each vector of the block lies in C."""
    rows = [builder.add(c_at, builder.mul(c_stride, index(row))) for row in range(ROWS)]
    return [builder.add(rows[row], index(v * LANES)) for row, v in _PLACES]


def resumed(
    builder: Any, words: Vectors, sums: list[Any], c: Any, places: list[Any], resume: Any
) -> list[Any]:
    """Emit: where `resume` is not 0, add the block's earlier sums from memory."""
    fresh = builder.block
    again, ready = builder.append_basic_block("resume"), builder.append_basic_block("ready")
    builder.cbranch(builder.icmp_signed("!=", resume, index(0)), again, ready)
    builder.position_at_end(again)
    added = [
        words.add(builder, words.load(builder, c, at), value)
        for at, value in zip(places, sums, strict=True)
    ]
    builder.branch(ready)
    builder.position_at_end(ready)
    totals = [builder.phi(words.kind) for _ in sums]
    for phi, value, more in zip(totals, sums, added, strict=True):
        phi.add_incoming(value, fresh)
        phi.add_incoming(more, again)
    return totals


def masked(builder: Any, totals: list[Any], mask: Any) -> list[Any]:
    """Emit the values with `mask` applied to their bits."""
    spread = SINGLE.broadcast(builder, mask)
    bits = [builder.and_(builder.bitcast(value, spread.type), spread) for value in totals]
    return [builder.bitcast(value, SINGLE.kind) for value in bits]


def reaches(builder: Any, values: list[Any], rows: Any, columns: Any) -> Any:
    """Emit whether a value of the block reaches one of its gates.

    `rows` and `columns` are (data, place): a gate a row and a gate a column, and the lower of a
    value's two counts.
    """

    def place(gates: Any, offset: int) -> Any:
        return builder.add(gates[1], index(offset))

    beside = [SINGLE.load(builder, columns[0], place(columns, v * LANES)) for v in range(VECTORS)]
    reached = None
    for row in range(ROWS):
        gate = SINGLE.broadcast(builder, builder.load(builder.gep(rows[0], [place(rows, row)])))
        for v, other in enumerate(beside):
            least = SINGLE.minimum(builder, gate, other)
            lanes = builder.fcmp_ordered(">=", values[row * VECTORS + v], least)
            reached = lanes if reached is None else builder.or_(reached, lanes)
    bits = builder.bitcast(reached, ir.IntType(LANES))
    return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))


def _emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    a, b, c, row_gates, column_gates = (
        array_data(context, builder, signature, args, position) for position in (0, 2, 5, 11, 13)
    )
    _, a_at, _, b_at, depth, _, c_at, c_stride, resume, keep, mask = args[:11]
    ahead = (a, args[15]), (b, args[16])
    places = block_places(builder, c_at, c_stride)
    rows, columns = panel_places(builder, a_at, b_at, depth)
    step = index(LANES)
    sums = accumulate(builder, SINGLE, (a, rows, step), (b, columns, step), depth, ahead)
    totals = resumed(builder, SINGLE, sums, c, places, resume)
    compare, store, done = (
        builder.append_basic_block(name) for name in ("compare", "store", "done")
    )
    builder.cbranch(keep, store, compare)
    builder.position_at_end(compare)
    values = masked(builder, totals, mask)
    reached = reaches(builder, values, (row_gates, args[12]), (column_gates, args[14]))
    builder.cbranch(reached, store, done)
    builder.position_at_end(store)
    for value, at in zip(totals, places, strict=True):
        SINGLE.store(builder, value, c, at)
    builder.branch(done)
    builder.position_at_end(done)
    result = builder.phi(reached.type)
    result.add_incoming(ir.Constant(reached.type, 1), store)
    result.add_incoming(ir.Constant(reached.type, 0), compare)
    return result


@intrinsic
def multiply_block(
    typing, a, a_at, b, b_at, depth, c, c_at, c_stride, resume, keep, mask,
    row_gates, row_at, column_gates, column_at, a_ahead, b_ahead,
):  # fmt: skip
    """Compute the block (resume ? C : 0) + A B; store it in C if an entry matters; return whether.

    With `keep` (bool) it always does.  Otherwise `mask` (int32) is applied to each entry's bits
    (0x7FFFFFFF compares magnitudes, -1 signed values) and the entry in row r, column c matters when
    it reaches row_gates[row_at + r] or column_gates[column_at + c].  Meanwhile AHEAD x depth
    entries of A from a_ahead on, and of B from b_ahead on, are brought into L2.  One kernel with
    two ends, because every place it is used costs half a second of compilation.
    """
    at = types.int64
    signature = types.boolean(
        a, at, b, at, at, c, at, at, at, types.boolean, types.int32,
        row_gates, at, column_gates, at, at, at,
    )  # fmt: skip
    return signature, _emit
