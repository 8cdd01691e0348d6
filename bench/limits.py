"""What it costs to start, and to hold: import, first call cold and warm, memory at N = 200,000."""

import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np

from bench import calls
from bench.memory import peak_memory, restart_peak_memory

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
    vectors = np.random.default_rng(0).standard_normal((args.n, args.d), dtype=np.float32)
    for name in args.calls:
        extra = extra_memory(name, vectors) / 2**20
        what = f"memory, {name}, {args.n} x {args.d}"
        print(f"{what:45} {extra:7.0f} MiB (bar 256, and the result)", flush=True)


if __name__ == "__main__":
    main()
