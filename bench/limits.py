"""What it costs to start, and to hold: import, first call cold and warm, memory at N = 200,000."""

import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np

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


def extra_memory(n: int, d: int) -> tuple[int, float]:
    """Bytes beyond the input and the imported libraries that one call holds, and its answer."""
    from superpos_fast import coherence

    vectors = np.random.default_rng(0).standard_normal((n, d), dtype=np.float32)
    coherence(vectors[:256])
    restart_peak_memory()
    before = peak_memory()
    value = coherence(vectors, progress=sys.stderr.isatty())
    return peak_memory() - before, value


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=200_000)
    parser.add_argument("--d", type=int, default=256)
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        cold = seconds(FIRST_CALL, 1, "cold", NUMBA_CACHE_DIR=folder)
        warm = seconds(FIRST_CALL, args.repeat, "warm", NUMBA_CACHE_DIR=folder)
    print(
        f"import, beyond numpy            {1e3 * seconds(IMPORT, args.repeat):7.0f} ms  (bar 100)"
    )
    print(f"first call, nothing compiled    {cold:7.2f} s   (bar 6)")
    print(f"first call, all in the cache    {warm:7.2f} s   (bar 1)")
    extra, value = extra_memory(args.n, args.d)
    what = f"memory at {args.n} x {args.d}"
    print(f"{what:31} {extra / 2**20:7.0f} MiB (bar 256; answer {value!r})")


if __name__ == "__main__":
    main()
