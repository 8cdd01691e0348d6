"""What it costs to start, and to hold: import, first call cold and warm, memory at N = 200,000."""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable

import numpy as np

import superpos_fast
from bench import calls
from bench.inputs import random_vectors
from bench.memory import peak_memory, restart_peak_memory
from bench.roofline import best_of

IMPORT = """
import time, numpy
begin = time.perf_counter()
import superpos_fast
print(time.perf_counter() - begin)
"""
FIRST_CALL = """
import sys, time, numpy
table = numpy.random.default_rng(0).standard_normal((2000, 64), dtype=numpy.float32)
if sys.argv[1] == "warm":
    import numba
begin = time.perf_counter()
import superpos_fast
superpos_fast.coherence(table)
print(time.perf_counter() - begin)
"""


def seconds(program: str, repeat: int, argument: str = "", **environment: str) -> float:
    """The least that the program says, of several processes."""
    runs = (
        subprocess.run(
            [sys.executable, "-c", program, argument],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=True,
        )
        for _ in range(repeat)
    )
    return min(float(run.stdout) for run in runs)


NAMES = [*calls.PAIR_LOOPS, *calls.SUMS]


def extra_memory(name: str, vectors: np.ndarray) -> int:
    """Bytes beyond the input and the imported libraries that one call holds, its result too."""
    calls.ready(name, vectors[:256])()
    call = calls.ready(name, vectors, progress=sys.stderr.isatty())
    restart_peak_memory()
    before = peak_memory()
    call()
    return peak_memory() - before


# What once took seconds or minutes at the smallest cap: rows, entries, and the call.
LEAST: dict[str, tuple[int, int, Callable]] = {
    "the 10 nearest": (6000, 32, lambda rows, **how: superpos_fast.nearest(rows, k=10, **how)),
    "a million bins": (
        1500,
        64,
        lambda rows, **how: superpos_fast.histogram(rows, bins=10**6, **how),
    ),
}


def at_the_least(name: str, repeat: int) -> tuple[int, int, int, float, float]:
    """Rows, entries, the smallest cap that a call works in, its seconds there and without one."""
    n, d, call = LEAST[name]
    rows = random_vectors(n, d)
    try:
        call(rows, memory=1)
    except ValueError as refusal:
        least = int(re.findall(r"at least (\d+) bytes", str(refusal))[0])
    call(rows[:300])
    times = [best_of(repeat, call, rows, **how)[0] for how in ({"memory": least}, {})]
    return n, d, least, times[0], times[1]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=200_000)
    parser.add_argument("--d", type=int, default=256)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--calls", nargs="*", choices=NAMES, default=["coherence"])
    parser.add_argument("--all", dest="calls", action="store_const", const=NAMES)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        cold = seconds(FIRST_CALL, 1, "cold", NUMBA_CACHE_DIR=folder)
        warm = seconds(FIRST_CALL, args.repeat, "warm", NUMBA_CACHE_DIR=folder)
    print(
        f"import, beyond numpy            {1e3 * seconds(IMPORT, args.repeat):7.0f} ms  (bar 100)"
    )
    print(f"first call, nothing compiled    {cold:7.2f} s   (bar 6)")
    print(f"first call, all in the cache    {warm:7.2f} s   (bar 1)")
    for name in LEAST:
        n, d, least, tight, free = at_the_least(name, args.repeat)
        what = f"{name}, {n} x {d}, in {least} bytes"
        print(f"{what:45} {tight:7.2f} s   ({free:.2f} without a cap)")
    vectors = np.random.default_rng(0).standard_normal((args.n, args.d), dtype=np.float32)
    for name in args.calls:
        extra = extra_memory(name, vectors) / 2**20
        what = f"memory, {name}, {args.n} x {args.d}"
        print(f"{what:45} {extra:7.0f} MiB (bar 256, and the result)", flush=True)


if __name__ == "__main__":
    main()
