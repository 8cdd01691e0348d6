"""Moments of N rows against one call of BLAS's `ssyrk` of the same shape, all in one run.

    python -m bench.moments [--n N] [--d D] [--repeat R]

Calls take turns, the best of each counts; ours are whole calls, validation included.
"""

import argparse
import time

import numpy as np
from scipy.linalg.blas import ssyrk

import superpos_fast
from bench.inputs import random_vectors

BAR = 2.0


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--d", type=int, default=256)
    parser.add_argument("--repeat", type=int, default=7)
    args = parser.parse_args(argv)
    vectors = random_vectors(args.n, args.d)
    calls = {
        "ssyrk": lambda: ssyrk(1.0, vectors.T),
        "frame_potential": lambda: superpos_fast.frame_potential(vectors),
        "interference": lambda: superpos_fast.interference(vectors),
        "dimensionality": lambda: superpos_fast.dimensionality(vectors),
    }
    superpos_fast.interference(vectors[: max(2, args.n // 100)])  # imports and compiles
    seconds = dict.fromkeys(calls, np.inf)
    for _ in range(args.repeat):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            seconds[name] = min(seconds[name], time.perf_counter() - begin)
    print(f"{args.n} x {args.d} float32       seconds   of ssyrk   bar")
    for name, best in seconds.items():
        bar = "" if name == "ssyrk" else f"{BAR:5.1f}"
        print(f"{name:26} {best:9.3f} {best / seconds['ssyrk']:9.2f} {bar}")


if __name__ == "__main__":
    main()
