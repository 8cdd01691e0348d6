"""Whole calls on a CUDA device beside plain CuPy: tiles of float32 products and their maxima.

    python -m bench.device [--repeat 3] [--small]

Random rows that lie on the device.  Useful operations are 2 d for each pair, whatever is done.
"""

import argparse

import numpy as np

import superpos_fast as sf
from bench.roofline import best_of, useful_flops

SHAPES = (65536, 64), (65536, 768), (32768, 4096), (262144, 64), (262144, 768), (10**6, 768)
CALLS = {
    "coherence": lambda x: sf.coherence(x),
    "nearest": lambda x: sf.nearest(x),
    "nearest, k = 10": lambda x: sf.nearest(x, k=10),
    "count above 0.1": lambda x: sf.count(x, cosine=0.1),
    "histogram": lambda x: sf.histogram(x),
}
# Of the larger shapes not all, as histograms take float32 products.
_MOST_OPERATIONS = {"histogram": 10**13, "nearest, k = 10": 10**14}
_TILE = 8192


def plain_coherence(cupy, x):
    """What one would write: unit rows, their products tile by tile, the largest magnitude."""
    units = x / cupy.linalg.norm(x, axis=1, keepdims=True)
    most = cupy.zeros((), np.float32)
    for i in range(0, len(x), _TILE):
        for j in range(i, len(x), _TILE):
            products = units[i : i + _TILE] @ units[j : j + _TILE].T
            if i == j:
                cupy.fill_diagonal(products, 0)
            most = cupy.maximum(most, cupy.abs(products, out=products).max())
    return float(most)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="the first shapes only")
    options = parser.parse_args(arguments)
    import cupy

    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    print(f"{name}, superpos_fast {sf.__version__}, CuPy {cupy.__version__}\n")
    print("| call | rows | seconds | useful TFLOP/s | plain CuPy takes |\n|---|---|---|---|---|")
    for n, d in SHAPES[: 2 if options.small else None]:
        x = cupy.random.default_rng(0).standard_normal((n, d), dtype=np.float32)
        plain_coherence(cupy, x)
        plain, _ = best_of(1, plain_coherence, cupy, x)
        for call, ask in CALLS.items():
            operations = useful_flops(n, d)
            if operations > _MOST_OPERATIONS.get(call, np.inf):
                continue
            ask(x)  # compiles, or loads
            seconds, _ = best_of(options.repeat, ask, x)
            beside = f"{plain:.4g} s, {plain / seconds:.1f} x" if call == "coherence" else ""
            rate = operations / seconds / 1e12
            print(f"| {call} | {n} x {d} | {seconds:.4g} | {rate:.4g} | {beside} |", flush=True)


if __name__ == "__main__":
    main()
