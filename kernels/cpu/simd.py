"""The vector vocabulary: which registers the target has, and a few words of LLVM IR to use them.

LLVM's vector types are portable: one generator serves SSE, AVX2, AVX-512 and NEON, and only the
shape of the register block differs.

What the target can do is asked of Numba (``NUMBA_CPU_NAME`` obeyed), never of cpuid: an
instruction that Numba's target lacks aborts the process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.core.registry import cpu_target

INDEX = ir.IntType(64)
LANE = ir.IntType(32)


@dataclass(frozen=True)
class Registers:
    """The vector registers of an instruction set.

    Attributes
    ----------
    name : str
        Name of the instruction set.
    requires : frozenset of str
        LLVM features that the target must have.
    width : int
        Bytes in a register.
    count : int
        Number of registers.
    fused : bool
        Whether multiply-add is one instruction.
    """

    name: str
    requires: frozenset[str]
    width: int
    count: int
    fused: bool


# Best first; the first whose features the target has is taken.  FMA is asked for by name: without
# the instruction llvm.fma calls libm, 16 times slower than a product and a sum.
INSTRUCTION_SETS = (
    Registers("avx512", frozenset({"avx512f", "fma"}), width=64, count=32, fused=True),
    Registers("avx2", frozenset({"avx2", "fma"}), width=32, count=16, fused=True),
    Registers("neon", frozenset({"neon"}), width=16, count=32, fused=True),
    Registers("portable", frozenset(), width=16, count=16, fused=False),
)


def choose_registers(features: Iterable[str]) -> Registers:
    """Return the best instruction set that `features` (LLVM names) allow."""
    present = frozenset(features)
    return next(entry for entry in INSTRUCTION_SETS if entry.requires <= present)


def target_features() -> list[str]:
    """Return the features of Numba's compilation target, by their LLVM names."""
    triple, _, features = cpu_target.target_context.codegen().magic_tuple()
    enabled = [feature[1:] for feature in features.split(",") if feature.startswith("+")]
    # AArch64 always has NEON; a generic target does not list it.
    if triple.startswith(("aarch64", "arm64")):
        enabled.append("neon")
    return enabled


@dataclass(frozen=True)
class Vectors:
    """Words for vectors of `lanes` elements; each method emits one instruction or so."""

    element: ir.Type
    lanes: int

    @property
    def kind(self) -> ir.VectorType:
        return ir.VectorType(self.element, self.lanes)

    @property
    def _size(self) -> int:
        if isinstance(self.element, ir.IntType):
            return self.element.width // 8
        return 8 if isinstance(self.element, ir.DoubleType) else 4

    def zero(self) -> Any:
        return ir.Constant(self.kind, [0.0] * self.lanes)

    def intrinsic(self, builder: ir.IRBuilder, name: str, arguments: list[Any]) -> Any:
        """Call an LLVM intrinsic of vectors by name (llvmlite cannot declare those itself)."""
        signature = ir.FunctionType(self.kind, [self.kind] * len(arguments))
        name = f"llvm.{name}.v{self.lanes}f{8 * self._size}"
        return builder.call(
            cgutils.get_or_insert_function(builder.module, signature, name), arguments
        )

    def load(self, builder: ir.IRBuilder, base: Any, at: Any) -> Any:
        value = builder.load(builder.bitcast(builder.gep(base, [at]), self.kind.as_pointer()))
        value.align = self._size
        return value

    def store(self, builder: ir.IRBuilder, value: Any, base: Any, at: Any) -> None:
        pointer = builder.bitcast(builder.gep(base, [at]), self.kind.as_pointer())
        builder.store(value, pointer).align = self._size

    def prefetch(self, builder: ir.IRBuilder, base: Any, at: Any) -> None:
        """Ask for the cache line there to be brought into L2."""
        pointer = builder.gep(base, [at])
        signature = ir.FunctionType(ir.VoidType(), [pointer.type, LANE, LANE, LANE])
        ask = builder.module.declare_intrinsic("llvm.prefetch", [pointer.type], signature)
        to_read, locality, data = (ir.Constant(LANE, number) for number in (0, 2, 1))
        builder.call(ask, [pointer, to_read, locality, data])

    def broadcast(self, builder: ir.IRBuilder, scalar: Any) -> Any:
        undefined = ir.Constant(ir.VectorType(scalar.type, self.lanes), ir.Undefined)
        first = builder.insert_element(undefined, scalar, ir.Constant(LANE, 0))
        return self.shuffle(builder, first, undefined, [0] * self.lanes)

    def shuffle(self, builder: ir.IRBuilder, left: Any, right: Any, lanes: list[int]) -> Any:
        mask = ir.Constant(ir.VectorType(LANE, len(lanes)), lanes)
        return builder.shuffle_vector(left, right, mask)

    def add(self, builder: ir.IRBuilder, left: Any, right: Any) -> Any:
        add = builder.add if isinstance(self.element, ir.IntType) else builder.fadd
        return add(left, right)

    def total(self, builder: ir.IRBuilder, value: Any) -> Any:
        """Emit the sum of integer lanes."""
        signature = ir.FunctionType(self.element, [self.kind])
        name = f"llvm.vector.reduce.add.v{self.lanes}i{8 * self._size}"
        return builder.call(
            cgutils.get_or_insert_function(builder.module, signature, name), [value]
        )

    def minimum(self, builder: ir.IRBuilder, left: Any, right: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", left, right), left, right)

    def maximum(self, builder: ir.IRBuilder, left: Any, right: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", left, right), left, right)


def index(value: int) -> Any:
    """Return an integer constant of the width that addresses and counts have."""
    return ir.Constant(INDEX, value)


def element(builder: ir.IRBuilder, vector: Any, lane: int) -> Any:
    """Return one lane of a vector."""
    return builder.extract_element(vector, ir.Constant(LANE, lane))


def array_data(
    context: Any, builder: ir.IRBuilder, signature: Any, args: Any, position: int
) -> Any:
    """Return the data pointer of an array argument."""
    array = context.make_array(signature.args[position])(context, builder, args[position])
    return array.data


@contextlib.contextmanager
def depth_loop(builder: ir.IRBuilder, depth: Any, step: int, start: list[Any]) -> Iterator[Any]:
    """Emit a loop over k = 0, step, ... < depth that carries values in registers.

    Yields (k, values); the body assigns to `values`, which hold the final ones after the loop.
    """
    entry, loop = builder.block, builder.append_basic_block("depth")
    done = builder.append_basic_block("depth.done")
    builder.branch(loop)
    builder.position_at_end(loop)
    k = builder.phi(INDEX)
    carried = [builder.phi(value.type) for value in start]
    values = list(carried)
    yield k, values
    following = builder.add(k, index(step))
    k.add_incoming(index(0), entry)
    k.add_incoming(following, loop)
    for phi, first, value in zip(carried, start, values, strict=True):
        phi.add_incoming(first, entry)
        phi.add_incoming(value, loop)
    builder.cbranch(builder.icmp_signed("<", following, depth), loop, done)
    builder.position_at_end(done)
