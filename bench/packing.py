"""Packings against the best known ones, and a pass of the search against the multiply-add peak.

    python -m bench.packing [--only D,N ...] [--seconds S] [--threads T] [--seed S] [--no-pass]

Each packing has S seconds (60 by default, 600 for 10,000 lines), validation, refinement and the
decided coherence included; where it is known to be the best it stops before.  A pass is a value and
a gradient of the smooth maximum at random vectors, with a sharpness at which every pair counts:
3 N^2 d flops, N^2 d for the dots of the upper triangle and 2 N^2 d for both gradient products.
"""

import argparse
import math
import time
from collections.abc import Iterator

import numpy as np

from bench.roofline import fma_peak, usable_threads
from superpos_fast.backends import choose_host_kernels
from superpos_fast.capacity import pack
from superpos_fast.capacity.smooth_maximum import LargeSmoothMaximum
from superpos_fast.crew import Crew

CLOSE = 1e-6
# Best known coherences of n lines in R^d, from Sloane's tables of packings in Grassmannian spaces
# (rounded to six digits where they have no closed form), and marks that a search should stay below.
BEST: dict[tuple[int, int], float] = {
    (3, 7): 0.577350,
    (3, 16): 0.794654,
    (4, 20): 0.652986,
    (5, 16): 1 / math.sqrt(5),
    (5, 20): 1 / 2,
    (6, 22): 0.408248,
    (6, 36): 1 / 2,
    (7, 28): 1 / 3,
    (8, 32): 1 / 3,
    (8, 120): 1 / 2,
    (10, 16): 1 / 5,
    (12, 24): 0.213422,
}
MARKS: dict[tuple[int, int], float] = {
    (100, 200): 0.0765,
    (100, 1000): 0.136,
    (100, 2000): 0.162,
    (100, 10000): 0.262,
}
LONG = (100, 10000)
PASS_BAR = 0.5


def packings(
    only: list[tuple[int, int]], seconds: float, threads: int, seed: int
) -> Iterator[tuple[int, int, float, float, bool, float]]:
    """Yield (d, n, coherence, what it should be, whether it is, seconds)."""
    pack(9, 3, restarts=2, seed=seed)  # imports and compiles
    pack(700, 100, restarts=1, max_steps=1, seed=seed)
    for (d, n), aim in (BEST | MARKS).items():
        if only and (d, n) not in only:
            continue
        allowed = 10 * seconds if (d, n) == LONG else seconds
        begin = time.perf_counter()
        found = pack(n, d, seconds=allowed, threads=threads, seed=seed).coherence
        taken = time.perf_counter() - begin
        best = (d, n) in BEST
        yield d, n, found, aim, found <= aim + (CLOSE if best else 0.0), taken


def pass_share(n: int, d: int, threads: int, repeat: int = 5) -> tuple[float, float]:
    """Seconds of a pass, and its share of the multiply-add peak measured beside it."""
    points = np.random.default_rng(0).standard_normal((1, n, d))
    points /= np.linalg.norm(points, axis=2, keepdims=True)
    shares, fastest = [], math.inf
    with Crew(threads) as crew:
        function = LargeSmoothMaximum(n, d, choose_host_kernels("auto"), crew)
        function(points, np.arange(1))
        for _ in range(repeat):
            peak = fma_peak(np.float32, threads)
            begin = time.perf_counter()
            function(points, np.arange(1))
            taken = time.perf_counter() - begin
            fastest = min(fastest, taken)
            shares.append(3.0 * n * n * d / taken / peak)
    return fastest, float(np.median(shares))


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=None, metavar="D,N")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=usable_threads())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--no-pass", action="store_true")
    args = parser.parse_args(argv)
    only = [tuple(map(int, one.split(","))) for one in args.only or []]
    if args.only is None or only:
        print(f"{'d':>4} {'n':>6} {'coherence':>13} {'aim':>10} {'':4} {'seconds':>8}")
        for d, n, found, aim, good, taken in packings(only, args.seconds, args.threads, args.seed):
            verdict = "yes" if good else "NO"
            print(f"{d:4} {n:6} {found:13.9f} {aim:10.6f} {verdict:4} {taken:8.1f}", flush=True)
    if not args.no_pass:
        taken, share = pass_share(args.rows, 128, args.threads)
        print(
            f"a pass over {args.rows} x 128 on {args.threads} threads: {taken:.3f} s, "
            f"{share:.2f} of the float32 multiply-add peak (bar {PASS_BAR})"
        )


if __name__ == "__main__":
    main()
