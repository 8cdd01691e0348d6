"""The tile micro-kernels: products of digits and of codes, by AMX's tile registers, as IR.

    sum_k A[k, r] B[k, c],   A = D1 + D2 / 256 + D3 / 65536,  B likewise       r, c < 16

A tile register holds 16 x 64 digits of 8 bits, and one instruction adds the products of two of them
to a third, 16 x 16 sums in int32, which are exact.  Of the nine products of digits the smallest, of
the two last, is left out; the others are four sums, by their weights 1, 2^-8, 2^-16 and 2^-24:

    D1 D1     D1 D2 + D2 D1     D1 D3 + D2 D2 + D3 D1     D2 D3 + D3 D2

Codes (see `micro_i8`) are rows of one digit.

Linux lends a process these registers when it is asked to (`tiles_allowed`).
"""

from __future__ import annotations

import ctypes
import platform
import sys
from functools import cache
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .micro_f32 import LANES, SINGLE, UNIT, masked, multiply_add
from .micro_i8 import WORD, Product, code_bound
from .simd import array_data, depth_loop, index, target_features

# A tile register: so many rows of so many bytes.  A depth step has three on either side,
# of which a row has ROW_BYTES.
TILE, TILE_BYTES, DIGITS = 16, 64, 3
ROW_BYTES = DIGITS * TILE_BYTES
STEP_BYTES = TILE * ROW_BYTES
WEIGHTS = 4
# Words that the sums of a block take.
SUMS = WEIGHTS * TILE * TILE
# So many times TILE rows of codes are multiplied at once.
ABREAST = UNIT // TILE
# Its cost is an estimate, from the instruction's rate beside that of multiply-adds.
CODES = Product("", TILE_BYTES, frozenset({"amx-tile", "amx-int8"}), 127, 127, "", cost=0.05)
# Bytes a step that are brought into L2 meanwhile, on either side: so a cache block of 192 rows asks
# for all of its next columns.
AHEAD = 256
# Digits of a step are multiplied row digit by row digit, so that one register has room for these;
# of one sum products lie apart, as each waits for the one before (52 cycles by Intel's optimization
# manual).
_PRODUCTS = (((0, 0), (1, 1), (2, 2)), ((0, 1), (1, 2), (2, 3)), ((0, 2), (1, 3)))
_ROW, _COLUMNS = WEIGHTS, (WEIGHTS + 1, WEIGHTS + 2, WEIGHTS + 3)

_LINE = 64
_BYTE = ir.IntType(8)
_POINTER = _BYTE.as_pointer()
# Linux, x86-64: the call that sets what belongs to the processor, the request and the registers.
_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA = 158, 0x1023, 18


@cache
def tiles_allowed() -> bool:
    """Return whether kernels may use tile registers, which the system is asked for the first time.

    Numba's target must have them too.
    """
    linux = sys.platform == "linux" and platform.machine() == "x86_64"
    if not linux or LANES != TILE or not {"amx-tile", "amx-int8"} <= set(target_features()):
        return False
    call = ctypes.CDLL(None, use_errno=True).syscall
    return int(call(_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA)) == 0


def _call(builder: Any, name: str, *arguments: Any) -> None:
    """Emit an instruction on tile registers; of the arguments, numbers are registers'."""
    values = [ir.Constant(_BYTE, one) if isinstance(one, int) else one for one in arguments]
    signature = ir.FunctionType(ir.VoidType(), [value.type for value in values])
    function = cgutils.get_or_insert_function(builder.module, signature, f"llvm.x86.{name}")
    builder.call(function, values)


@intrinsic
def begin_tiles(typing):
    """Set all tile registers to TILE rows of TILE_BYTES, until `end_tiles`."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        palette, registers = 1, 8
        setting = bytearray(64)
        setting[0] = palette
        for register in range(registers):
            setting[16 + 2 * register] = TILE_BYTES
            setting[48 + register] = TILE
        kind = ir.ArrayType(_BYTE, len(setting))
        place = cgutils.alloca_once(builder, kind)
        builder.store(ir.Constant(kind, setting), place)
        _call(builder, "ldtilecfg", builder.bitcast(place, _POINTER))
        return context.get_dummy_value()

    return types.void(), emit


@intrinsic
def end_tiles(typing):
    """Give the tile registers up, so that the system need not keep them when it switches."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _call(builder, "tilerelease")
        return context.get_dummy_value()

    return types.void(), emit


def _ask_ahead(builder: Any, ahead: Any, k: Any) -> None:
    """Emit, at step k: ask for AHEAD bytes of what is next; `ahead` are (data, where it begins)."""
    for data, at in ahead:
        start = builder.add(at, builder.mul(k, index(AHEAD)))
        for line in range(0, AHEAD, _LINE):
            WORD.prefetch(builder, data, builder.add(start, index(line)))


def _load(builder: Any, register: int, data: Any, at: Any) -> None:
    """Emit: load a tile register."""
    _call(builder, "tileloadd64", register, builder.gep(data, [at]), index(TILE_BYTES))


def _store_all(builder: Any, registers: int, sums: Any) -> None:
    """Emit: store the first registers, one by one."""
    for register in range(registers):
        place = builder.gep(sums, [index(register * TILE * TILE)])
        data = builder.bitcast(place, _POINTER)
        _call(builder, "tilestored64", register, data, index(TILE_BYTES))


@intrinsic
def multiply_digits(typing, a, a_at, b, b_at, steps, sums, a_ahead, b_ahead):
    """Write the four sums of TILE rows' and TILE columns' digits to `sums`, int32, one by one.

    `a` and `b` are int8 (see `digits`); a row's digits lie together, a column's four by four.
    Meanwhile AHEAD bytes a step of A from a_ahead on, and of B from b_ahead on, are brought into
    L2.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b, sums = (array_data(context, builder, signature, args, n) for n in (0, 2, 5))

        def place(at: Any, k: Any, digit: int) -> Any:
            step = builder.add(at, builder.mul(k, index(STEP_BYTES)))
            return builder.add(step, index(digit * TILE * TILE_BYTES))

        for weight in range(WEIGHTS):
            _call(builder, "tilezero", weight)
        with depth_loop(builder, args[4], 1, []) as (k, _):
            _ask_ahead(builder, ((a, args[6]), (b, args[7])), k)
            for digit, register in enumerate(_COLUMNS):
                _load(builder, register, b, place(args[3], k, digit))
            for digit, products in enumerate(_PRODUCTS):
                _load(builder, _ROW, a, place(args[1], k, digit))
                for other, weight in products:
                    _call(builder, "tdpbssd", weight, _ROW, _COLUMNS[other])
        _store_all(builder, WEIGHTS, sums)
        return context.get_dummy_value()

    at = types.int64
    return types.void(a, at, b, at, at, sums, at, at), emit


@intrinsic
def multiply_codes(typing, a, a_at, b, b_at, steps, sums, a_ahead, b_ahead):
    """Write the products of ABREAST times TILE rows' codes and TILE columns' to `sums`, one by one.

    TILE rows' steps lie together.  All else is as for digits, of which there is one.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a, b, sums = (array_data(context, builder, signature, args, n) for n in (0, 2, 5))
        column, row = ABREAST, ABREAST + 1
        for number in range(ABREAST):
            _call(builder, "tilezero", number)
        with depth_loop(builder, args[4], 1, []) as (k, _):
            _ask_ahead(builder, ((a, args[6]), (b, args[7])), k)

            def place(at: Any, step: Any) -> Any:
                return builder.add(at, builder.mul(step, index(TILE * TILE_BYTES)))

            _load(builder, column, b, place(args[3], k))
            for number in range(ABREAST):
                step = builder.add(builder.mul(args[4], index(number)), k)
                at = place(args[1], step)
                _load(builder, row + number, a, at)
                _call(builder, "tdpbssd", number, row + number, column)
        _store_all(builder, ABREAST, sums)
        return context.get_dummy_value()

    at = types.int64
    return types.void(a, at, b, at, at, sums, at, at), emit


def _settle(builder: Any, value_of: Any, c: Any, c_at: Any, c_stride: Any, gates: Any) -> Any:
    """Emit: store a block row by row; return whether a value reaches a gate, its row's or column's.

    `gates` are (mask, row gates, place, column gates, place), as for `micro_f32.multiply_block`.
    """
    mask, row_gates, i, column_gates, j = gates
    beside = SINGLE.load(builder, column_gates, j)
    none = ir.Constant(ir.IntType(TILE), 0)
    with depth_loop(builder, index(TILE), 1, [none]) as (r, reached):
        out = builder.add(c_at, builder.mul(r, c_stride))
        value = value_of(r, out)
        SINGLE.store(builder, value, c, out)
        gate = builder.load(builder.gep(row_gates, [builder.add(i, r)]))
        least = SINGLE.minimum(builder, SINGLE.broadcast(builder, gate), beside)
        (strength,) = masked(builder, [value], mask)
        lanes = builder.fcmp_ordered(">=", strength, least)
        reached[0] = builder.or_(reached[0], builder.bitcast(lanes, none.type))
    return builder.icmp_unsigned("!=", reached[0], none)


@intrinsic
def combine_digits(
    typing, sums, row_scales, row, column_scales, column, resume,
    c, c_at, c_stride, mask, row_gates, i, column_gates, j,
):  # fmt: skip
    """Write TILE x TILE products to C: the sums by their weights, times both scales.

    Where `resume` is not 0, what is there is added.  Returns whether a product reaches a gate.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        positions = 0, 1, 3, 6, 10, 12
        data = [array_data(context, builder, signature, args, n) for n in positions]
        sums, rows, columns, c, row_gates, column_gates = data
        beside = SINGLE.load(builder, columns, args[4])
        weight = SINGLE.broadcast(builder, ir.Constant(SINGLE.element, 2.0**-8))
        again = builder.icmp_signed("!=", args[5], index(0))

        def value_of(r: Any, out: Any) -> Any:
            at, value = builder.mul(r, index(TILE)), None
            for number in reversed(range(WEIGHTS)):
                words = WORD.load(builder, sums, builder.add(at, index(number * TILE * TILE)))
                part = builder.sitofp(words, SINGLE.kind)
                value = part if value is None else multiply_add(builder, value, weight, part)
            scale = builder.load(builder.gep(rows, [builder.add(args[2], r)]))
            value = builder.fmul(builder.fmul(value, beside), SINGLE.broadcast(builder, scale))
            before = builder.select(again, SINGLE.load(builder, c, out), SINGLE.zero())
            return builder.fadd(value, before)

        gates = args[9], row_gates, args[11], column_gates, args[13]
        return _settle(builder, value_of, c, args[7], args[8], gates)

    at = types.int64
    return types.boolean(
        sums, row_scales, at, column_scales, at, at,
        c, at, at, types.int32, row_gates, at, column_gates, at,
    ), emit  # fmt: skip


@intrinsic
def bound_codes(
    typing, sums, sums_at, row_terms, row, row_stride, column_terms, column, column_stride,
    c, c_at, c_stride, mask, row_gates, i, column_gates, j,
):  # fmt: skip
    """Write what TILE x TILE cosines cannot exceed to C, by their codes' products.

    As `micro_i8.bound_block` does.  Returns whether a bound reaches a gate.
    """

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        positions = 0, 2, 5, 8, 12, 14
        data = [array_data(context, builder, signature, args, n) for n in positions]
        sums, rows, columns, c, row_gates, column_gates = data

        def term(place: Any, stride: Any, number: int) -> Any:
            return builder.add(place, builder.mul(stride, index(number)))

        beside = [SINGLE.load(builder, columns, term(args[6], args[7], n)) for n in range(3)]

        def value_of(r: Any, out: Any) -> Any:
            at = builder.add(args[1], builder.mul(r, index(TILE)))
            (value,) = masked(
                builder, [builder.sitofp(WORD.load(builder, sums, at), SINGLE.kind)], args[11]
            )
            place = builder.add(args[3], r)
            terms = [builder.gep(rows, [term(place, args[4], n)]) for n in range(3)]
            own = [SINGLE.broadcast(builder, builder.load(at)) for at in terms]
            return code_bound(builder, value, own, beside)

        gates = args[11], row_gates, args[13], column_gates, args[15]
        return _settle(builder, value_of, c, args[9], args[10], gates)

    at = types.int64
    return types.boolean(
        sums, at, row_terms, at, at, column_terms, at, at,
        c, at, at, types.int32, row_gates, at, column_gates, at,
    ), emit  # fmt: skip
