"""Products of unit rows with each other's columns, and with what comes of that, in registers.

    S[k, c] (+)= sum_i U[i, k] U[i, c]              k, c < depth, the triangle k <= c
    E[i]     += sum_c U[i, c] sum_k U[i, k] T[k, c]    T + T^T = S: half of U[i] S U[i]

Columns of S stand in *strips* of `unit` columns, strip g with its rows down to its own end:

    for each strip g:
        for each panel of `lanes` columns
            panel[k, lane]                          k < (g + 1) unit

so that S, once added up, is T as the second product reads it when each strip's last `unit` rows,
a whole symmetric square, are halved.  The depth is padded to whole strips with zeros *in front*:
what is not a whole strip stands where the triangle is short (at depth 256 and 48 columns a strip
19 % more than the triangle is multiplied instead of 42 %).
"""

from __future__ import annotations

from math import lcm
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compiling import compiled
from .micro_f32 import ROWS, SINGLE, UNROLL, VECTORS, accumulate, multiply_add
from .micro_f64 import DOUBLE
from .simd import Vectors, array_data, index

# Depth of T that is multiplied before the sums are multiplied on, the length of a float32 chain.
DEPTH = 256

_PLACES = [(row, v) for row in range(ROWS) for v in range(VECTORS)]


def words_for(size: int) -> Vectors:
    """Return the vectors of elements of that many bytes."""
    return {4: SINGLE, 8: DOUBLE}[size]


def unit_for(size: int) -> int:
    """Return the columns of a strip: whole register blocks, in rows and in columns."""
    return lcm(ROWS, VECTORS * words_for(size).lanes)


def _apart(builder: Any, at: Any, step: Any, count: int) -> list[Any]:
    """Return `count` places `step` apart."""
    return [builder.add(at, builder.mul(step, index(number))) for number in range(count)]


def _emit_products(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    panels, sums = (array_data(context, builder, signature, args, place) for place in (0, 4))
    _, a_at, b_at, depth, _, c_at, c_panel, resume = args
    words = words_for(signature.args[0].dtype.bitwidth // 8)
    lanes = index(words.lanes)
    size = builder.mul(depth, lanes)
    rows = [
        builder.add(a_at, builder.add(builder.mul(size, index(panel)), index(lane)))
        for panel, lane in (divmod(row, words.lanes) for row in range(ROWS))
    ]
    columns = _apart(builder, b_at, size, VECTORS)
    found = accumulate(builder, words, (panels, rows, lanes), (panels, columns, lanes), depth)
    across = _apart(builder, c_at, c_panel, VECTORS)
    places = [builder.add(across[v], index(row * words.lanes)) for row, v in _PLACES]
    for value, at in zip(found, places, strict=True):
        # Not a branch: a block that is added up is read and written once in hundreds of steps.
        before = builder.select(resume, words.load(builder, sums, at), words.zero())
        words.store(builder, builder.fadd(before, value), sums, at)
    return context.get_dummy_value()


def _emit_energies(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    units, triangle, sums = (
        array_data(context, builder, signature, args, place) for place in (0, 4, 8)
    )
    _, a_at, stride, c_at, _, t_at, t_panel, depth, _, s_at = args
    words = words_for(signature.args[0].dtype.bitwidth // 8)
    wide = Vectors(ir.DoubleType(), words.lanes)
    rows = _apart(builder, a_at, stride, ROWS)
    columns = _apart(builder, t_at, t_panel, VECTORS)
    left, right = (units, rows, index(1)), (triangle, columns, index(words.lanes))
    found = accumulate(builder, words, left, right, depth)
    for row, at in enumerate(_apart(builder, c_at, stride, ROWS)):
        total = words.zero()
        for v in range(VECTORS):
            own = words.load(builder, units, builder.add(at, index(v * words.lanes)))
            total = multiply_add(builder, own, found[row * VECTORS + v], total)
        if words.kind != wide.kind:
            total = builder.fpext(total, wide.kind)
        place = builder.add(s_at, index(row * words.lanes))
        before = wide.load(builder, sums, place)
        wide.store(builder, builder.fadd(before, total), sums, place)
    return context.get_dummy_value()


@intrinsic
def multiply_columns(typing, panels, a_at, b_at, depth, sums, c_at, c_panel, resume):
    """Store (resume ? C : 0) + A^T B, A and B panels of columns, C panels c_panel apart."""
    at = types.int64
    return types.void(panels, at, at, at, sums, at, at, types.boolean), _emit_products


@intrinsic
def multiply_rows(typing, units, a_at, stride, c_at, triangle, t_at, t_panel, depth, sums, s_at):
    """Add sum_c U[r, c] (A T)[r, c] to each row's lanes of float64 sums.

    A is rows of units from a_at on, U the same rows from c_at on.
    """
    at = types.int64
    signature = types.void(units, at, at, at, triangle, at, at, at, sums, at)
    return signature, _emit_energies


@intrinsic
def lanes_of(typing, array):
    """Return a register's number of elements of the array's type, a constant."""
    lanes = words_for(array.dtype.bitwidth // 8).lanes
    return types.int64(array), lambda context, builder, signature, args: index(lanes)


@intrinsic
def unit_of(typing, array):
    """Return the columns of a strip, a constant."""
    unit = unit_for(array.dtype.bitwidth // 8)
    return types.int64(array), lambda context, builder, signature, args: index(unit)


@compiled
def add_moment(block, factors, depth, first, last, chunk, line, panels, sums, resume):
    """Add the strips first..last of U^T U to the sums, U the block's rows times their factors.

    The first `depth` entries of a row count; with `resume` False the sums begin here.  `chunk`
    rows, a multiple of UNROLL, are multiplied at a time; `line` and `panels` are scratch, one and
    `chunk` rows of last x unit entries, the line zeros in front.
    """
    unit, lanes = unit_of(sums), lanes_of(sums)
    columns = VECTORS * lanes
    width = last * unit
    front = -depth % unit
    entries = min(depth, width - front)
    for low in range(0, block.shape[0], chunk):
        rows = min(chunk, block.shape[0] - low)
        turns = (rows + UNROLL - 1) // UNROLL * UNROLL
        for i in range(turns):
            if i < rows:
                row, factor = block[low + i], factors[low + i]
                own = line[front : front + entries]
                for k in range(entries):
                    own[k] = row[k] * factor
            else:
                line[:] = 0
            for panel in range(width // lanes):
                at = (panel * turns + i) * lanes
                target, source = panels[at : at + lanes], line[panel * lanes :]
                for lane in range(lanes):
                    target[lane] = source[lane]
        base = 0
        for strip in range(first * unit, width, unit):
            height = strip + unit
            for c in range(strip, height, columns):
                for r in range(front // ROWS * ROWS, height, ROWS):
                    multiply_columns(
                        panels, r // lanes * lanes * turns + r % lanes, c * turns, turns,
                        sums, base + (c - strip) * height + r * lanes, height * lanes,
                        resume or low > 0,
                    )  # fmt: skip
            base += unit * height


@compiled
def add_energies(block, factors, depth, first, last, chunk, stride, units, triangle, sums, out):
    """Add to `out` the share of the strips first..last of T in u T u, u each of the block's rows.

    `chunk` rows, a multiple of ROWS, are multiplied at a time; `units` and `sums` are scratch,
    chunk x stride zeros and chunk x lanes float64.
    """
    unit, lanes = unit_of(units), lanes_of(units)
    columns = VECTORS * lanes
    width = last * unit
    front = -depth % unit
    entries = min(depth, width - front)
    for low in range(0, block.shape[0], chunk):
        rows = min(chunk, block.shape[0] - low)
        for i in range(rows):
            row, factor = block[low + i], factors[low + i]
            line = units[i * stride + front : i * stride + front + entries]
            for k in range(entries):
                line[k] = row[k] * factor
        sums[:] = 0.0
        base = 0
        for strip in range(first * unit, width, unit):
            height = strip + unit
            for c in range(strip, height, columns):
                for k in range(front // ROWS * ROWS, height, DEPTH):
                    t_at = base + (c - strip) * height + k * lanes
                    for r in range(0, rows, ROWS):
                        multiply_rows(
                            units, r * stride + k, stride, r * stride + c,
                            triangle, t_at, height * lanes, min(DEPTH, height - k),
                            sums, r * lanes,
                        )  # fmt: skip
            base += unit * height
        for i in range(rows):
            total = 0.0
            for lane in range(lanes):
                total += sums[i * lanes + lane]
            out[low + i] += total
