"""How near `superpos_fast.coherence` comes to the machine's limits, all measured in one run.

    python -m bench.roofline [--n N] [--dims D ...] [--threads T] [--repeat R] [--json]

Useful flops are N (N - 1) / 2 pairs times 2 d, whatever was computed to get the answer.
"""

import argparse
import functools
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.inputs import hard_inputs, random_vectors

DIMS = (64, 128, 384, 768, 4096)
BARS = {64: 0.60, 128: 0.75, 384: 0.85, 768: 0.85, 4096: 0.85}
HARD_BAR = 0.3
HARD_ROWS = 4096


# The machine


@dataclass(frozen=True)
class Target:
    """What Numba compiles for: NUMBA_CPU_NAME and NUMBA_CPU_FEATURES count, not the chip."""

    cpu: str
    vector_bits: int
    fused: bool
    chains: int
    """Independent accumulators: latency x ports (8 to 16), in 16 or in 32 registers."""


def target() -> Target:
    triple, cpu, features = cpu_target.target_context.codegen().magic_tuple()
    has = set(features.split(","))
    x86 = triple.startswith(("x86_64", "i686"))
    bits = 512 if "+avx512f" in has else 256 if "+avx" in has else 128
    return Target(cpu, bits, not x86 or "+fma" in has, 12 if x86 and bits < 512 else 24)


UNROLL = 4


@intrinsic
def _chains(typing_context, steps, x):
    """Each step: UNROLL times acc <- acc * x + x in every accumulator. One lane of their sum."""

    def emit(context, builder, signature, arguments):
        steps, x = arguments
        machine = target()
        lanes = machine.vector_bits // signature.return_type.bitwidth
        vector = ir.VectorType(x.type, lanes)
        index, first = ir.IntType(64), ir.Constant(ir.IntType(32), 0)
        name = f"llvm.fma.v{lanes}f{signature.return_type.bitwidth}"

        def multiply_add(acc):
            if not machine.fused:
                return builder.fadd(builder.fmul(acc, x), x)
            fma = ir.FunctionType(vector, [vector] * 3)
            return builder.call(
                cgutils.get_or_insert_function(builder.module, fma, name), [acc, x, x]
            )

        entry = builder.block
        loop, done = builder.append_basic_block("loop"), builder.append_basic_block("done")
        undefined, everywhere = ir.Constant(vector, ir.Undefined), ir.VectorType(first.type, lanes)
        x = builder.insert_element(undefined, x, first)
        x = builder.shuffle_vector(x, undefined, ir.Constant(everywhere, None))
        # Equal starts would be equal chains, which a compiler may merge.
        starts = [
            builder.fadd(x, ir.Constant(vector, [float(chain)] * lanes))
            for chain in range(machine.chains)
        ]
        builder.branch(loop)

        builder.position_at_end(loop)
        step = builder.phi(index)
        step.add_incoming(ir.Constant(index, 0), entry)
        accs = [builder.phi(vector) for _ in range(machine.chains)]
        results = accs
        for _ in range(UNROLL):
            results = [multiply_add(acc) for acc in results]
        for acc, start, result in zip(accs, starts, results, strict=True):
            acc.add_incoming(start, entry)
            acc.add_incoming(result, loop)
        following = builder.add(step, ir.Constant(index, 1))
        step.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed("<", following, steps), loop, done)

        builder.position_at_end(done)
        total = results[0]
        for result in results[1:]:
            total = builder.fadd(total, result)
        return builder.extract_element(total, first)

    return x(types.int64, x), emit


@njit(nogil=True)
def _burn(steps, x):
    return _chains(steps, x)


def best_of(repeat: int, function: Callable, *arguments, **keywords) -> tuple[float, object]:
    """The shortest time in seconds, and the last result."""
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        result = function(*arguments, **keywords)
        best = min(best, time.perf_counter() - start)
    return best, result


def fma_peak(dtype, threads: int = 1, seconds: float = 0.05, repeat: int = 5) -> float:
    """FLOP/s of `threads` cores at once that do nothing but multiply and add in registers."""
    x = np.dtype(dtype).type(0.5)  # acc -> 1: neither overflow nor subnormals
    _burn(1, x)
    steps = 1000
    while (elapsed := best_of(1, _burn, steps, x)[0]) < seconds / 10:
        steps *= 4
    steps = round(steps * seconds / elapsed)
    with ThreadPoolExecutor(threads) as pool:
        best, _ = best_of(repeat, lambda: list(pool.map(_burn, [steps] * threads, [x] * threads)))
    machine = target()
    lanes = machine.vector_bits // (8 * x.itemsize)
    return threads * steps * UNROLL * machine.chains * lanes * 2 / best


def copy_bandwidth(threads: int, mebibytes: int = 256, repeat: int = 5) -> float:
    """Bytes per second, read plus written, of `threads` cores that copy at once."""
    source = np.ones(mebibytes << 17)
    parts = np.array_split(source, threads), np.array_split(np.zeros_like(source), threads)
    with ThreadPoolExecutor(threads) as pool:
        best, _ = best_of(repeat, lambda: list(pool.map(np.copyto, parts[1], parts[0])))
    return 2 * source.nbytes / best


def usable_threads() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def machine_facts(threads: int) -> dict:
    machine = target()
    return asdict(machine) | {
        "threads": threads,
        "float32_core": fma_peak(np.float32),
        "float32_all": fma_peak(np.float32, threads),
        "float64_core": fma_peak(np.float64),
        "float64_all": fma_peak(np.float64, threads),
        "copy": copy_bandwidth(threads),
    }


# Whole calls


def useful_flops(n: int, d: int) -> int:
    return n * (n - 1) // 2 * 2 * d


def share_of_peak(call: Callable, flops: int, dtype, threads: int, repeat: int = 5) -> float:
    """The median share of the FMA peak, which is measured right before and after each call.

    One burst a time, not the best of some: what others take of the machine lowers both alike.
    """
    burst = functools.partial(fma_peak, dtype, threads, repeat=1)
    shares, before = [], burst()
    for _ in range(repeat):
        seconds, _ = best_of(1, call)
        after = burst()
        shares.append(2 * flops / seconds / (before + after))
        before = after
    return float(np.median(shares))


def whole_calls(
    inputs: Iterable[tuple[str, np.ndarray]], dtype, threads: int, repeat: int
) -> list[dict]:
    """One record an input; the FMA peak of `dtype` is the larger of before and after its calls.

    Before and after each input, because the speed of a shared machine drifts within a minute.
    """
    from superpos_fast import coherence

    records = []
    for name, vectors in inputs:
        n, d = vectors.shape
        coherence(vectors[:256], threads=threads)  # compiles
        before = fma_peak(dtype, threads)
        seconds, value = best_of(repeat, coherence, vectors, threads=threads)
        peak = max(before, fma_peak(dtype, threads))
        rate = useful_flops(n, d) / seconds
        facts = {"rate": rate, "peak": peak, "fraction": rate / peak, "value": value}
        records.append({"input": name, "n": n, "d": d, "seconds": seconds} | facts)
        print(f"{name}, {n} x {d}: {seconds:.3f} s", file=sys.stderr)
    return records


def random_inputs(n: int, dims: Iterable[int]) -> Iterator[tuple[str, np.ndarray]]:
    for d in dims:
        yield "random", random_vectors(n, d)


# The report


def table(header: list[str], rows: list[list]) -> str:
    """Columns aligned: text to the left, numbers to the right."""
    columns = list(zip(header, *([str(cell) for cell in row] for row in rows), strict=True))
    widths = [max(map(len, column)) for column in columns]
    lines = zip(*columns, strict=True)
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def report_machine(facts: dict) -> str:
    arithmetic = "FMA" if facts["fused"] else "multiply, then add (no FMA in the target)"
    rows = [
        [kind, f"{facts[f'{kind}_core'] / 1e9:.1f}", f"{facts[f'{kind}_all'] / 1e9:.1f}"]
        for kind in ("float32", "float64")
    ]
    return "\n".join(
        [
            f"{facts['cpu']}, {facts['vector_bits']}-bit vectors, {arithmetic}",
            table(["peak, GFLOP/s", "one core", f"{facts['threads']} threads"], rows),
            f"memory copy {facts['copy'] / 1e9:.1f} GB/s, read plus written",
        ]
    )


def report_calls(records: list[dict], bar: Callable[[int], float | None]) -> str:
    def cells(r: dict) -> list[str]:
        rates = f"{r['seconds']:.4f}", f"{r['rate'] / 1e9:.1f}", f"{r['fraction']:.3f}"
        least = bar(r["d"])
        verdict = "ok" if least is None or r["fraction"] >= least else "MISSED"
        reached = "" if least is None else f"{least:.2f} {verdict}"
        peak = f"{r['peak'] / 1e9:.1f}"
        return [r["input"], r["n"], r["d"], *rates, peak, reached, f"{r['value']:.9g}"]

    header = ["input", "N", "d", "seconds", "GFLOP/s", "of peak", "peak", "bar", "answer"]
    return table(header, [cells(record) for record in records])


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=16384, help="rows (hard inputs: 4096 at most)")
    parser.add_argument("--dims", type=int, nargs="+", default=DIMS)
    parser.add_argument("--threads", type=int, default=usable_threads())
    parser.add_argument("--repeat", type=int, default=5, help="the best of so many calls counts")
    parser.add_argument("--only", choices=["machine", "random", "hard"], help="one section")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = arguments(argv)
    wanted = [args.only] if args.only else ["machine", "random", "hard"]
    found: dict = {}
    if "machine" in wanted:
        found["machine"] = machine_facts(args.threads)
    if "random" in wanted:
        inputs = random_inputs(args.n, args.dims)
        found["random"] = whole_calls(inputs, np.float32, args.threads, args.repeat)
    if "hard" in wanted:
        rows = min(HARD_ROWS, 4 ** ((args.n.bit_length() - 1) // 2))
        found["hard"] = whole_calls(hard_inputs(rows), np.float64, args.threads, args.repeat)
    if args.json:
        print(json.dumps(found, indent=1))
        return
    if "machine" in found:
        print(report_machine(found["machine"]))
    if "random" in found:
        print("\nrandom float32 rows, of the float32 peak")
        print(report_calls(found["random"], BARS.get))
    if "hard" in found:
        print("\nhard inputs, of the float64 peak")
        print(report_calls(found["hard"], lambda d: HARD_BAR))


if __name__ == "__main__":
    main()
