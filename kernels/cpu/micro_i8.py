"""The int8 micro-kernel: a register block of dot products of codes, held against gates, as IR.

    C[r, c] = sum_k A[k, r] B[k, c]            codes, 8 bits and fewer; int32 sums
    U[r, c] = |a[r] C[r, c] b[c]| + slack      what the cosine cannot exceed

The walk, the panels and the register block are `micro_f32`'s, with four codes in the place of a
float32: ``panel[k, lane]`` is an int32 of four consecutive depths, so that a vector instruction
multiplies and sums four at once.  How, and in how many bits the codes must be for it, is a row of
`PRODUCTS`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .micro_f32 import (
    LANES,
    REGISTERS,
    ROWS,
    SINGLE,
    UNROLL,
    VECTORS,
    ask_ahead,
    block_places,
    masked,
    multiply_add,
    panel_places,
    reaches,
    resumed,
)
from .simd import Vectors, array_data, depth_loop, index, target_features

WORD = Vectors(ir.IntType(32), LANES)
# Depths in a panel's word.
TOGETHER = 4


@dataclass(frozen=True)
class Product:
    """An instruction that multiplies codes.

    Attributes
    ----------
    name : str
        Of the LLVM intrinsic, or of the first of two.
    width : int
        Bytes in the registers it works on.
    requires : frozenset of str
        LLVM features that the target must have.
    row_levels, column_levels : int
        The largest magnitude of a code on either side.
    unsigned : {"rows", "columns", ""}
        The side whose codes are stored with an offset, one more than its levels.
    sums_halves : bool
        Whether it sums pairs in int16, `UNROLL` of which are added up before they are widened.
    cost : float
        What a product costs beside a float32 multiply-add, as measured at d = 768.
    """

    name: str
    width: int
    requires: frozenset[str]
    row_levels: int
    column_levels: int
    unsigned: str
    sums_halves: bool = False
    cost: float = 0.26

    def kind(self, bits: int) -> ir.VectorType:
        """Return the type of a register of integers of so many bits."""
        return ir.VectorType(ir.IntType(bits), 8 * self.width // bits)

    @property
    def offset(self) -> int:
        levels = {"rows": self.row_levels, "columns": self.column_levels, "": -1}
        return levels[self.unsigned] + 1


# Best first; the first one of the float32 kernel's width whose features the target has is taken;
# a target without any has no int8 screen.  In int16, 127 x 31 x 2 x 4 = 31496 does not overflow.
PRODUCTS = (
    Product("x86.avx512.vpdpbusd.512", 64, frozenset({"avx512vnni"}), 127, 127, "columns"),
    Product("x86.avx512.pmaddubs.w.512", 64, frozenset({"avx512bw"}), 63, 31, "rows", True, 0.5),
    Product("x86.avx512.vpdpbusd.256", 32, frozenset({"avxvnni"}), 127, 127, "columns"),
    Product("x86.avx2.pmadd.ub.sw", 32, frozenset({"avx2"}), 63, 31, "rows", True, 0.5),
    Product("aarch64.neon.sdot.v4i32.v16i8", 16, frozenset({"dotprod"}), 127, 127, ""),
)
_WIDENING = {
    "x86.avx512.pmaddubs.w.512": "x86.avx512.pmaddw.d.512",
    "x86.avx2.pmadd.ub.sw": "x86.avx2.pmadd.wd",
}


def choose_product(features: Iterable[str], width: int) -> Product | None:
    """Return the best product that `features` (LLVM names) allow at a register width."""
    present = frozenset(features)
    fitting = (entry for entry in PRODUCTS if entry.width == width and entry.requires <= present)
    return next(fitting, None)


PRODUCT = choose_product(target_features(), REGISTERS.width)


def _call(builder: Any, name: str, kind: Any, arguments: list[Any]) -> Any:
    signature = ir.FunctionType(kind, [argument.type for argument in arguments])
    function = cgutils.get_or_insert_function(builder.module, signature, f"llvm.{name}")
    return builder.call(function, arguments)


def add_products(
    builder: Any, product: Product, total: Any, rows: list[Any], columns: list[Any]
) -> Any:
    """Emit total + the products of as many words a lane as the lists have."""
    sides = {"rows": rows, "columns": columns}
    first = sides[product.unsigned or "rows"]
    second = columns if first is rows else rows
    if not product.sums_halves:
        kind = product.kind(32 if product.unsigned else 8)
        for pair in zip(first, second, strict=True):
            codes = [builder.bitcast(part, kind) for part in pair]
            total = _call(builder, product.name, product.kind(32), [total, *codes])
        return total
    halves = None
    for one, other in zip(first, second, strict=True):
        arguments = [builder.bitcast(part, product.kind(8)) for part in (one, other)]
        pairs = _call(builder, product.name, product.kind(16), arguments)
        halves = pairs if halves is None else builder.add(halves, pairs)
    ones = ir.Constant(product.kind(16), [1] * (product.width // 2))
    wide = _call(builder, _WIDENING[product.name], product.kind(32), [halves, ones])
    return builder.add(total, wide)


def _starts(builder: Any, unsigned: str, starts: Any, place: Any, resume: Any) -> list[Any]:
    """Emit the accumulators' start values: 0, or at the first depths what the offset adds.

    sum (u - offset) q = sum u q - offset sum q: `starts` holds the last term of each vector on the
    side without the offset.
    """
    zero = ir.Constant(WORD.kind, [0] * LANES)
    if not unsigned:
        return [zero] * (ROWS * VECTORS)
    fresh = builder.icmp_signed("==", resume, index(0))
    if unsigned == "columns":
        values = [
            builder.load(builder.gep(starts, [builder.add(place, index(row))]))
            for row in range(ROWS)
        ]
        nothing = ir.Constant(ir.IntType(32), 0)
        spread = [WORD.broadcast(builder, builder.select(fresh, v, nothing)) for v in values]
        return [spread[row] for row in range(ROWS) for _ in range(VECTORS)]
    values = [
        WORD.load(builder, starts, builder.add(place, index(v * LANES))) for v in range(VECTORS)
    ]
    values = [builder.select(fresh, v, zero) for v in values]
    return [values[v] for _ in range(ROWS) for v in range(VECTORS)]


def _accumulate(
    builder: Any,
    product: Product,
    a: Any,
    a_at: Any,
    b: Any,
    b_at: Any,
    depth: Any,
    start: list[Any],
    ahead: Any,
) -> list[Any]:
    """Emit main loop; return the block's sums in registers."""
    rows, columns = panel_places(builder, a_at, b_at, depth)
    group = UNROLL if product.sums_halves else 1
    with depth_loop(builder, depth, UNROLL, start) as (k, sums):
        ask_ahead(builder, WORD, k, ahead)
        for first in range(0, UNROLL, group):
            here = [
                builder.mul(builder.add(k, index(first + t)), index(LANES)) for t in range(group)
            ]
            loaded = [[WORD.load(builder, b, builder.add(at, h)) for h in here] for at in columns]
            for row, at in enumerate(rows):
                entries = [builder.load(builder.gep(a, [builder.add(at, h)])) for h in here]
                spread = [WORD.broadcast(builder, entry) for entry in entries]
                for v, column in enumerate(loaded):
                    place = row * VECTORS + v
                    sums[place] = add_products(builder, product, sums[place], spread, column)
    return sums


def code_bound(builder: Any, value: Any, row: list[Any], column: list[Any]) -> Any:
    """Emit U of a sum, of which `value` is the magnitude, by a row's terms and columns'."""
    value = builder.fmul(value, column[0])
    value = multiply_add(builder, value, row[0], builder.fadd(column[1], row[1]))
    return multiply_add(builder, row[2], column[2], value)


def _bounds(builder: Any, sums: list[Any], mask: Any, rows: Any, columns: Any) -> list[Any]:
    """Emit U of each sum: |C| a b + (slack of row + slack of column + residuals' product).

    A side's terms are (data, place, stride): scales, slacks and residual lengths, a stride apart.
    """
    values = masked(builder, [builder.sitofp(total, SINGLE.kind) for total in sums], mask)

    def term(side: Any, number: int, offset: int) -> Any:
        data, place, stride = side
        at = builder.add(place, index(offset))
        return data, builder.add(at, builder.mul(stride, index(number)))

    def single(number: int, row: int) -> Any:
        data, at = term(rows, number, row)
        return SINGLE.broadcast(builder, builder.load(builder.gep(data, [at])))

    beside = [
        [SINGLE.load(builder, *term(columns, number, v * LANES)) for number in range(3)]
        for v in range(VECTORS)
    ]
    bounds = []
    for row in range(ROWS):
        own = [single(number, row) for number in range(3)]
        for v in range(VECTORS):
            bounds.append(code_bound(builder, values[row * VECTORS + v], own, beside[v]))
    return bounds


def _emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    assert PRODUCT is not None
    data = {
        n: array_data(context, builder, signature, args, n) for n in (0, 2, 5, 11, 13, 15, 18, 21)
    }
    _, a_at, _, b_at, depth, _, c_at, c_stride, resume, keep, mask = args[:11]
    c = data[5]
    words = builder.bitcast(c, ir.IntType(32).as_pointer())
    places = block_places(builder, c_at, c_stride)
    starts = _starts(builder, PRODUCT.unsigned, data[21], args[22], resume)
    ahead = (data[0], args[23]), (data[2], args[24])
    sums = _accumulate(builder, PRODUCT, data[0], a_at, data[2], b_at, depth, starts, ahead)
    totals = resumed(builder, WORD, sums, words, places, resume)
    store, compare, matters, done = (
        builder.append_basic_block(name) for name in ("store", "compare", "matters", "done")
    )
    builder.cbranch(keep, store, compare)
    builder.position_at_end(store)
    for value, at in zip(totals, places, strict=True):
        WORD.store(builder, value, words, at)
    builder.branch(done)
    builder.position_at_end(compare)
    row_terms, column_terms = (data[15], *args[16:18]), (data[18], *args[19:21])
    bounds = _bounds(builder, totals, mask, row_terms, column_terms)
    reached = reaches(builder, bounds, (data[11], args[12]), (data[13], args[14]))
    builder.cbranch(reached, matters, done)
    builder.position_at_end(matters)
    for value, at in zip(bounds, places, strict=True):
        SINGLE.store(builder, value, c, at)
    builder.branch(done)
    builder.position_at_end(done)
    result = builder.phi(reached.type)
    for value, block in ((1, store), (0, compare), (1, matters)):
        result.add_incoming(ir.Constant(reached.type, value), block)
    return result


@intrinsic
def bound_block(
    typing, a, a_at, b, b_at, depth, c, c_at, c_stride, resume, keep, mask,
    row_gates, row_at, column_gates, column_at,
    row_terms, row, row_stride, column_terms, column, column_stride, starts, start_at,
    a_ahead, b_ahead,
):  # fmt: skip
    """Compute the block C of codes' products; with `keep` store its sums in C, int32 as float32.

    Otherwise bound the cosines, and store the bounds in C if one reaches a gate, as in
    `micro_f32.multiply_block`; return whether anything was stored.  `a`, `b` and `starts` are
    int32, the terms float32.
    """
    at = types.int64
    signature = types.boolean(
        a, at, b, at, at, c, at, at, at, types.boolean, types.int32,
        row_gates, at, column_gates, at,
        row_terms, at, at, column_terms, at, at, starts, at, at, at,
    )  # fmt: skip
    return signature, _emit
