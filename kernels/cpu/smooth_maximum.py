"""The smooth maximum of squared cosines and its gradient, tile by tile, as two kinds of product.

    e_ij = exp(sharpness (c_ij^2 - level)),  c_ij = <u_i, u_j>         i < j
    S = sum_ij e_ij                          G_i = sum_j c_ij e_ij u_j

The dots of a tile come from panels by the screen's micro-kernel, which leaves a block of pairs in
the registers where all are far below the largest; the rest becomes weights c e where it lies, in
the same cache block, and is multiplied twice by rows as they lie: W U of the columns is added to
the gradient of the rows, W^T U of the rows to that of the columns.

`add_tile` is the pass over a pair of blocks of many vectors, in float32; `add_sets` is for sets so
small that panels would be mostly padding, several at a time, in float64.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compiling import compiled, part
from .exponential import exponential
from .micro_f32 import (
    COLUMNS,
    LANES,
    ROWS,
    SINGLE,
    UNIT,
    VECTORS,
    accumulate,
    multiply_add,
    multiply_block,
)
from .screens import CACHE_COLUMNS, CACHE_ROWS, Tile, first_column, panel_place
from .second_moment import lanes_of, words_for
from .simd import INDEX, LANE, Vectors, array_data, depth_loop, index

_MAGNITUDE = 0x7FFFFFFF
STRIPS = CACHE_ROWS // UNIT
# Pairs of a strip up to which each is multiplied alone, instead of all of its cache block.
FEW = UNIT * CACHE_COLUMNS // 8


def _emit_weights(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    values, sums, tops = (array_data(context, builder, signature, args, n) for n in (0, 5, 6))
    _, at, length, sharpness, level, _, _ = args
    words = words_for(signature.args[0].dtype.bitwidth // 8)
    wide = Vectors(ir.DoubleType(), words.lanes)
    sharp, below = (words.broadcast(builder, scalar) for scalar in (sharpness, level))
    below = builder.fsub(words.zero(), below)
    start = [words.zero(), words.load(builder, tops, index(0))]
    with depth_loop(builder, length, words.lanes, start) as (k, carried):
        place = builder.add(at, k)
        cosine = words.load(builder, values, place)
        # One rounding: sharpness times that of c^2 would drown what sets close pairs apart.
        excess = multiply_add(builder, cosine, cosine, below)
        share = exponential(builder, words, builder.fmul(excess, sharp))
        carried[0] = builder.fadd(carried[0], share)
        carried[1] = words.maximum(builder, carried[1], excess)
        words.store(builder, builder.fmul(cosine, share), values, place)
    total = carried[0]
    if words.kind != wide.kind:
        total = builder.fpext(total, wide.kind)
    wide.store(builder, builder.fadd(wide.load(builder, sums, index(0)), total), sums, index(0))
    words.store(builder, carried[1], tops, index(0))
    return context.get_dummy_value()


@intrinsic
def weigh(typing, values, at, length, sharpness, level, sums, tops):
    """Replace cosines by c e, add e to the lanes of float64 sums; tops get the largest c^2 - level.

    `length` is whole vectors, of the type of values, sharpness, level and tops.
    """
    place = types.int64
    scalar = values.dtype
    return types.void(values, place, place, scalar, scalar, sums, tops), _emit_weights


def _emit_products(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    weights, units, out = (array_data(context, builder, signature, args, n) for n in (0, 4, 8))
    _, w_at, w_apart, w_step, _, u_at, u_step, depth, _, out_at, out_apart, vectors = args
    words = words_for(signature.args[0].dtype.bitwidth // 8)
    lanes = index(words.lanes)

    def apart(at: Any, step: Any, count: int) -> list[Any]:
        return [builder.add(at, builder.mul(step, index(number))) for number in range(count)]

    rows = apart(w_at, w_apart, ROWS)
    done = builder.append_basic_block("products.done")
    for count in range(VECTORS, 0, -1):
        here, other = builder.append_basic_block("products"), builder.append_basic_block("narrower")
        builder.cbranch(builder.icmp_signed("==", vectors, index(count)), here, other)
        builder.position_at_end(here)
        columns = apart(u_at, lanes, count)
        left, right = (weights, rows, w_step), (units, columns, u_step)
        found = accumulate(builder, words, left, right, depth)
        for row, line in enumerate(apart(out_at, out_apart, ROWS)):
            for v, place in enumerate(apart(line, lanes, count)):
                before = words.load(builder, out, place)
                words.store(builder, builder.fadd(before, found[row * count + v]), out, place)
        builder.branch(done)
        builder.position_at_end(other)
    builder.branch(done)
    builder.position_at_end(done)
    return context.get_dummy_value()


@intrinsic
def add_products(
    typing, weights, w_at, w_apart, w_step, units, u_at, u_step, depth,
    out, out_at, out_apart, vectors,
):  # fmt: skip
    """Add ROWS rows of weights times `depth` rows of units to rows of out, `vectors` wide.

    Row r of weights begins at w_at + r w_apart and goes on by w_step; `depth` is whole UNROLLs.
    """
    at = types.int64
    signature = types.void(weights, at, at, at, units, at, at, at, out, at, at, at)
    return signature, _emit_products


def _emit_heavy(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    values = array_data(context, builder, signature, args, 0)
    _, at, least = args
    found = SINGLE.load(builder, values, at)
    # Magnitudes of float32 are in the order of their bits.
    bits = ir.VectorType(LANE, LANES)
    mask = ir.Constant(bits, [_MAGNITUDE] * LANES)
    size = builder.bitcast(builder.and_(builder.bitcast(found, bits), mask), SINGLE.kind)
    reached = builder.fcmp_ordered(">=", size, SINGLE.broadcast(builder, least))
    return builder.zext(builder.bitcast(reached, ir.IntType(LANES)), INDEX)


@intrinsic
def heavy_lanes(typing, values, at, least):
    """Return a bit for each lane of a vector of values whose magnitude is at least `least`."""
    return types.uint64(values, types.int64, types.float32), _emit_heavy


@intrinsic
def lowest_bit(typing, bits):
    """Return the place of the lowest bit that is set."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), emit


def _emit_pair(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    units, out = (array_data(context, builder, signature, args, n) for n in (1, 2))
    weight, _, _, row_at, column_at, length = args
    weight = SINGLE.broadcast(builder, weight)
    with depth_loop(builder, length, LANES, []) as (k, _):
        rows, columns = builder.add(row_at, k), builder.add(column_at, k)
        for here, there in ((rows, columns), (columns, rows)):
            other, before = SINGLE.load(builder, units, there), SINGLE.load(builder, out, here)
            SINGLE.store(builder, multiply_add(builder, weight, other, before), out, here)
    return context.get_dummy_value()


@intrinsic
def add_pair(typing, weight, units, out, row_at, column_at, length):
    """Add weight times each of two rows of units, `length` entries, to the other's row of out."""
    at = types.int64
    return types.void(types.float32, units, out, at, at, at), _emit_pair


class Terms(NamedTuple):
    """What makes weights of cosines; float32."""

    sharpness: Any
    level: Any
    light: Any  # the smallest weight that is not negligible


class Rows(NamedTuple):
    """Vectors as rows, for products with weights, and the gradient, which is laid out like them."""

    units: Any
    gradient: Any
    stride: int
    depth: int


class Scratch(NamedTuple):
    """What one thread works in."""

    weights: Any  # float32, CACHE_ROWS x CACHE_COLUMNS
    sums: Any  # float64, a register
    tops: Any  # float32, a register
    ranges: Any  # int64, strips of a cache block x 2
    few: Any  # int64, FEW x 2


@part
def _clear(row, column, count, weights, at):
    """Make 0 of what is no pair i < j < count in a register block; return how many there are."""
    found = 0
    for r in range(ROWS):
        for c in range(COLUMNS):
            j = column + c
            if row + r >= j or j >= count:
                weights[at + r * CACHE_COLUMNS + c] = 0.0
                found += 1
    return found


@part
def _multiply_strip(side, strip, block, start, length, last, gates, weights):
    """Multiply a chunk of a strip's register blocks; return a bit for each that is stored."""
    stored, bit = np.uint64(0), np.uint64(1)
    first = first_column(strip, block.column, 0)
    for c in range(block.column, block.column_end, COLUMNS):
        b_at = start * side.padded + c * length
        for r in range(strip, strip + UNIT, ROWS):
            a_at = start * side.padded + panel_place(r, length)
            at = (r - block.row) * CACHE_COLUMNS + c - block.column
            if c >= first and multiply_block(
                side.panels, a_at, side.panels, b_at, length, weights, at,
                CACHE_COLUMNS, start, not last, _MAGNITUDE, gates, 0, gates, 0, a_at, b_at,
            ):  # fmt: skip
                stored |= bit
            bit <<= np.uint64(1)
    return stored


@part
def _weigh_strip(strip, block, count, terms, stored, own):
    """Turn the stored register blocks of a strip into weights, and the others into zeros.

    Returns the columns between which there are weights, and the number of zeros weighed.
    """
    zeros, low, high = 0, block.column_end, block.column
    for c in range(block.column, block.column_end, COLUMNS):
        for r in range(strip, strip + UNIT, ROWS):
            at = (r - block.row) * CACHE_COLUMNS + c - block.column
            here = stored & np.uint64(1) != 0
            if here:
                low, high = min(low, c), c + COLUMNS
                if r + ROWS > c or c + COLUMNS > count:
                    zeros += _clear(r, c, count, own.weights, at)
            for line in range(at, at + ROWS * CACHE_COLUMNS, CACHE_COLUMNS):
                if here:
                    weigh(
                        own.weights, line, COLUMNS, terms.sharpness, terms.level, own.sums, own.tops
                    )
                else:
                    own.weights[line : line + COLUMNS] = 0.0
            stored >>= np.uint64(1)
    return low, high, zeros


@part
def _add_few(strip, block, low, high, light, rows, own):
    """Add a strip's pairs to the gradient one by one, if there are but few; return whether.

    Their weights become zeros, and what is lighter is negligible.
    """
    found = 0
    for r in range(strip, strip + UNIT):
        line = (r - block.row) * CACHE_COLUMNS - block.column
        for c in range(low, high, LANES):
            heavy = heavy_lanes(own.weights, line + c, light)
            while heavy != 0:
                if found == own.few.shape[0]:
                    return False
                own.few[found, 0], own.few[found, 1] = r, c + lowest_bit(heavy)
                found += 1
                heavy &= heavy - np.uint64(1)
    for pair in range(found):
        r, c = own.few[pair]
        at = (r - block.row) * CACHE_COLUMNS + c - block.column
        add_pair(
            own.weights[at], rows.units, rows.gradient, r * rows.stride, c * rows.stride, rows.depth
        )
        own.weights[at] = 0.0
    return True


@part
def _add_rows(block, rows, own, aside, wide):
    """Add a cache block's weights times its columns' units to its rows' gradient."""
    for strip in range(block.row, block.row_end, UNIT):
        low, high = own.ranges[(strip - block.row) // UNIT]
        if low < high:
            for r in range(strip, strip + UNIT, ROWS):
                add_products(
                    own.weights, (r - block.row) * CACHE_COLUMNS + low - block.column,
                    CACHE_COLUMNS, 1, rows.units, low * rows.stride + aside, rows.stride,
                    high - low, rows.gradient, r * rows.stride + aside, rows.stride, wide,
                )  # fmt: skip


@part
def _add_columns(block, rows, own, aside, wide):
    """Add a cache block's weights times its rows' units to its columns' gradient."""
    for group in range(block.column, block.column_end, COLUMNS):
        top, bottom = block.row_end, block.row
        for strip in range(block.row, block.row_end, UNIT):
            low, high = own.ranges[(strip - block.row) // UNIT]
            if low <= group < high:
                top, bottom = min(top, strip), strip + UNIT
        if top < bottom:
            for c in range(group, group + COLUMNS, ROWS):
                add_products(
                    own.weights, (top - block.row) * CACHE_COLUMNS + c - block.column,
                    1, CACHE_COLUMNS, rows.units, top * rows.stride + aside, rows.stride,
                    bottom - top, rows.gradient, c * rows.stride + aside, rows.stride, wide,
                )  # fmt: skip


@compiled
def add_tile(side, tile, depth, chunk, rows, terms, gates, own):
    """Add what a tile of pairs i < j adds to the sums and to the gradient; return the zeros in it.

    `side` are the packed vectors, of `depth` entries in panels of `chunk`.  A register block
    without a magnitude that reaches gates[0] is left out.  A zero is no pair, but counts in the
    sums like a cosine of 0.
    """
    zeros = 0
    for row in range(tile.row, tile.row_end, CACHE_ROWS):
        for column in range(tile.column, tile.column_end, CACHE_COLUMNS):
            block = Tile(
                row,
                min(row + CACHE_ROWS, tile.row_end),
                column,
                min(column + CACHE_COLUMNS, tile.column_end),
            )
            if block.column_end <= row + 1:
                continue
            for start in range(0, depth, chunk):
                length = min(chunk, depth - start)
                last = start + length == depth
                for strip in range(row, block.row_end, UNIT):
                    stored = _multiply_strip(
                        side, strip, block, start, length, last, gates, own.weights
                    )
                    if last:
                        low, high, more = _weigh_strip(
                            strip, block, side.squares.size, terms, stored, own
                        )
                        zeros += more
                        if low < high and _add_few(strip, block, low, high, terms.light, rows, own):
                            low = high
                        own.ranges[(strip - row) // UNIT] = low, high
            vectors = (rows.depth + LANES - 1) // LANES
            for v in range(0, vectors, VECTORS):
                _add_rows(block, rows, own, v * LANES, min(VECTORS, vectors - v))
                _add_columns(block, rows, own, v * LANES, min(VECTORS, vectors - v))
    return zeros


@compiled
def add_sets(
    sets, sharpness, levels, units, across, gradient, cosines, sums, tops, totals, highest, out
):  # fmt: skip
    """Add up each of several small sets, in float64, over all ordered pairs; return their zeros.

    `sets` and `out` are sets x vectors x entries; `totals` and `highest` get a number a set: e
    summed over pairs, and the largest c^2 - level.  The rest is scratch: units and gradient, rows
    x stride, vectors padded to ROWS and entries to whole registers; across, UNROLLs of entries x
    width, vectors padded to whole registers; cosines, ROWS x width; sums and tops, a register.
    """
    count, vectors, depth = sets.shape
    (padded, stride), (deep, width) = units.shape, across.shape
    lanes, zeros = lanes_of(units), 0
    entries, lines, flat = units.reshape(-1), across.reshape(-1), cosines.reshape(-1)
    slopes = gradient.reshape(-1)
    for s in range(count):
        sums[:] = 0.0
        tops[:] = -np.inf
        slopes[:] = 0.0
        for i in range(vectors):
            for k in range(depth):
                units[i, k] = across[k, i] = sets[s, i, k]
        zeros = 0
        for r in range(0, padded, ROWS):
            flat[:] = 0.0
            for c in range(0, width, VECTORS * lanes):
                add_products(
                    entries, r * stride, stride, 1, lines, c, width, deep,
                    flat, c, width, min(VECTORS, (width - c) // lanes),
                )  # fmt: skip
            for i in range(r, min(r + ROWS, vectors)):
                cosines[i - r, i] = 0.0
                zeros += width - vectors + 1
                weigh(flat, (i - r) * width, width, sharpness[s], levels[s], sums, tops)
            for k in range(0, stride, VECTORS * lanes):
                add_products(
                    flat, 0, width, 1, entries, k, stride, width,
                    slopes, r * stride + k, stride, min(VECTORS, (stride - k) // lanes),
                )  # fmt: skip
        for i in range(vectors):
            for k in range(depth):
                out[s, i, k] = gradient[i, k]
        total, top = 0.0, -np.inf
        for lane in range(sums.size):
            total += sums[lane]
            top = max(top, tops[lane])
        totals[s], highest[s] = total, top
    return zeros
