"""What the CUDA backend is expected to take: a model, from rates of devices.

    python -m bench.cuda_model [--n 1000000] [--json]

Seconds for all pairs of n vectors by each way that tiles may go, as
`superpos_fast.kernels.cuda.model` has them.

Expected survivors of the fp16 screen are the pairs of random directions within two bounds of their
coherence (`superpos_fast.capacity.null`); the bounds' residuals are measured here, on 64 random
rows.
"""

import argparse
import json

import numpy as np

from superpos_fast.capacity import null
from superpos_fast.kernels.cuda.model import DEVICES, WAYS, Rates, seconds

DEPTHS = (64, 128, 256, 768, 4096, 12288)


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
