"""What the CUDA backend is expected to take: a model, of which no figure was measured on it.

    python -m bench.cuda_model [--n 1000000] [--json]

Seconds for all pairs of n vectors by each way that tiles may go:

- *tile*: cuBLAS writes a tile of dot products, a fold reads it,
  max(2 d P / F, b P / B) + b P / B, with P pairs, F the library's rate, b bytes a product and B the
  memory's rate.  Where fp16 is multiplied a product has 2 or 4 bytes.
- *fused*: products stay in registers, 2 d P / M + c P / E, with M the rate of `mma.sync` from a
  kernel of ours, c instructions a pair in the fold and E the rate of these.

Expected survivors of the fp16 screen are the pairs of random directions within two bounds of their
coherence (`superpos_fast.capacity.null`); the bounds' residuals are measured here, on 64 random
rows.

Of the rates only 798 TFLOP/s (bf16) and 3.0 TB/s of the H100 come from a measurement; the others
are scaled from data sheets.
"""

import argparse
import json
from dataclasses import dataclass

import numpy as np

from superpos_fast.capacity import null

# Instructions a pair of a fold in registers: scale, bound, its rounding, two comparisons, a vote.
FOLD_INSTRUCTIONS = 6
FEW, MANY = 1024, 4096  # depths between which cuBLAS's rate rises


@dataclass(frozen=True)
class Rates:
    """Sustained rates of a device, in TB/s and 10^12 operations/s.

    Of a product the rates are those at depths up to 1024 and from 4096 on.
    """

    memory: float
    library: dict[str, tuple[float, float]]
    fused: dict[str, tuple[float, float]]
    instructions: float


DEVICES = {
    "A100": Rates(
        1.75,
        {"float32": (18, 18.5), "float16": (230, 270)},
        {"float16": (215, 240)},
        108 * 64 * 1.3e-3,
    ),
    "H100": Rates(
        3.0,
        {"float32": (48, 52), "float16": (650, 780)},
        {"float16": (450, 500)},
        132 * 128 * 1.6e-3,
    ),
    "B200": Rates(
        6.8,
        {"float32": (60, 65), "float16": (1400, 1650)},
        {"float16": (450, 500)},
        148 * 128 * 1.8e-3,
    ),
}
DEPTHS = (64, 128, 256, 768, 4096, 12288)
WAYS = {  # products' type, bytes of a product, or none where they stay in registers
    "float32 tile": ("float32", 4),
    "float16, float32 tile": ("float16", 4),
    "float16 tile": ("float16", 2),
    "fused": ("float16", 0),
}


def rate(between: tuple[float, float], depth: int) -> float:
    """Return operations per second at a depth."""
    share = min(max((depth - FEW) / (MANY - FEW), 0.0), 1.0)
    return (between[0] + share * (between[1] - between[0])) * 1e12


def seconds(rates: Rates, way: str, n: int, depth: int) -> float:
    """Return the expected time of all pairs of n vectors."""
    pairs = n * (n - 1) / 2
    kind, size = WAYS[way]
    if size == 0:
        multiplying = 2 * depth * pairs / rate(rates.fused[kind], depth)
        return multiplying + FOLD_INSTRUCTIONS * pairs / (rates.instructions * 1e12)
    moving = size * pairs / (rates.memory * 1e12)
    return max(2 * depth * pairs / rate(rates.library[kind], depth), moving) + moving


def crossover(rates: Rates, way: str) -> int | None:
    """Return the least depth, a multiple of 32, at which a way through memory beats the fused."""
    for depth in range(32, 12289, 32):
        if seconds(rates, way, 10**6, depth) <= seconds(rates, "fused", 10**6, depth):
            return depth
    return None


def survivors(n: int, depth: int) -> float:
    """Return the expected pairs of random directions that the fp16 screen cannot rule out."""
    rows = np.random.default_rng(0).standard_normal((64, depth))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    lost = np.linalg.norm(rows - (rows * 16).astype(np.float16).astype(np.float64) / 16, axis=1)
    bound = 2 * lost.max() + depth * 2.0**-22
    chance = null(n, depth)
    return chance.count(cosine=max(chance.coherence.quantile(0.5) - 2 * bound, 0.0)).mean


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=10**6)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    table = {
        name: {d: {way: seconds(rates, way, options.n, d) for way in WAYS} for d in DEPTHS}
        for name, rates in DEVICES.items()
    }
    if options.json:
        print(json.dumps(table, indent=1))
        return
    print(f"seconds, all pairs of {options.n:,} vectors: expected, not measured\n")
    print("| device, d | " + " | ".join(WAYS) + " |")
    print("|---" * (len(WAYS) + 1) + "|")
    for name, rows in table.items():
        for depth, times in rows.items():
            print(f"| {name}, {depth} | " + " | ".join(f"{t:.2f}" for t in times.values()) + " |")
    print()
    for name, rates in DEVICES.items():
        for way in list(WAYS)[1:-1]:
            depth = crossover(rates, way)
            print(f"{name}: {way} beats fused from d = {depth or 'never'}")
    for depth in DEPTHS:
        print(f"d = {depth}: {survivors(options.n, depth):.3g} pairs left by the fp16 screen")


if __name__ == "__main__":
    main()
