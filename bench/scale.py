"""Data beyond memory, jobs beyond a day, many machines: what they hold and how fast they go.

`generated` and `mapped` run in a process of their own, with as much address space as it says beyond
what the interpreter and the kernels take.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np

from bench.memory import peak_memory, restart_peak_memory


def status(name: str) -> int:
    """Bytes of the process that the system counts under a name."""
    text = Path("/proc/self/status").read_text()
    return int(text.partition(f"{name}:")[2].split()[0]) * 1024


class Watch:
    """The most anonymous memory, which is what a process has allocated, seen every 10 ms."""

    def __enter__(self):
        self.most, self._over = status("RssAnon"), threading.Event()
        self.before = self.most
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def _look(self):
        while not self._over.wait(0.01):
            self.most = max(self.most, status("RssAnon"))

    def __exit__(self, *error):
        self._over.set()
        self._thread.join()


def limited(extra: int) -> None:
    """Allow so many bytes of address space beyond what is taken now."""
    limit = status("VmSize") + extra
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def megabytes(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def shown(what: str, seconds: float, pairs: int, depth: int, watch: Watch) -> None:
    flops = 2 * pairs * depth / seconds
    print(
        f"{what}: {pairs:.3g} pairs in {seconds:.1f} s, {flops / 1e9:.0f} useful GFLOP/s, "
        f"allocated {megabytes(watch.most - watch.before)} at most, "
        f"resident {megabytes(peak_memory())} with the interpreter and files",
        flush=True,
    )


def generated(n: int, d: int, shares: int, seconds: float) -> None:
    """Rows that are stored nowhere, within 2 GiB of address space."""
    import superpos_fast as sf

    sf.coherence(sf.random_rows(20_000, d))
    sf.within_tolerance(sf.random_rows(20_000, d), angle=20)
    limited(2**31)
    rows = sf.random_rows(n, d)
    restart_peak_memory()
    begin = time.perf_counter()
    with Watch() as watch:
        part = sf.coherence(rows, shard=(0, shares))
    took = time.perf_counter() - begin
    shown(f"coherence, shard 0 of {shares}, {n} x {d} generated", took, part.pairs, d, watch)
    begin = time.perf_counter()
    done = [0, 0.0]

    def progress(pairs: int, total: int) -> bool:
        done[1] = done[1] or time.perf_counter()
        done[0] = pairs
        return time.perf_counter() - begin < seconds

    with Watch() as watch:
        try:
            answer: object = sf.within_tolerance(rows, angle=20, progress=progress)
        except sf.Interrupted as stopped:
            answer = stopped.part.result()
    took = time.perf_counter() - begin
    shown(f"within_tolerance(angle=20), {answer!r:.21}", took, done[0], d, watch)


def mapped(n: int, d: int, shares: int, memory: str, folder: str) -> None:
    """A file of float16 larger than the cap."""
    import superpos_fast as sf

    path = Path(folder) / "rows.npy"
    table = np.lib.format.open_memmap(path, "w+", np.float16, (n, d))
    rng = np.random.default_rng(0)
    for start in range(0, n, 2**16):
        block = table[start : start + 2**16]
        block[:] = rng.standard_normal(block.shape, np.float32)
    del table, block
    sf.coherence(sf.random_rows(20_000, d))
    restart_peak_memory()
    begin = time.perf_counter()
    with Watch() as watch:
        part = sf.coherence(str(path), shard=(0, shares), memory=memory)
    took = time.perf_counter() - begin
    what = f"coherence, shard 0 of {shares}, {n} x {d} float16 in a file, memory={memory}"
    shown(what, took, part.pairs, d, watch)


def speed(n: int, d: int, repeat: int, folder: str) -> None:
    """A mapped file against the same array in memory, in turns; cold: not in the page cache."""
    import superpos_fast as sf

    array = np.random.default_rng(0).standard_normal((n, d), dtype=np.float32)
    path = Path(folder) / "rows.npy"
    np.save(path, array)
    sf.coherence(array[:5000])
    times: dict[str, list[float]] = {"memory": [], "file": [], "file, cold": []}
    for _ in range(repeat):
        for kind, took in times.items():
            if kind == "file, cold":
                with path.open("rb") as file:
                    os.fsync(file.fileno())
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            begin = time.perf_counter()
            sf.coherence(array if kind == "memory" else str(path))
            took.append(time.perf_counter() - begin)
    best = {kind: min(took) for kind, took in times.items()}
    for kind, took in best.items():
        print(
            f"coherence of {n} x {d}, {kind:10} {took:6.2f} s, "
            f"{best['memory'] / took:.2f} of the speed in memory",
            flush=True,
        )


def drawn(n: int, d: int, repeat: int) -> None:
    """Random rows and NumPy's, from the same kind of generator: a block, and a call, in turns."""
    import superpos_fast as sf

    block = 4096

    def numpy_rows(start: int, stop: int, dtype: str = "float32") -> np.ndarray:
        stream = np.random.Philox(key=0, counter=[0, 0, 0, start // block])
        return np.random.Generator(stream).standard_normal((stop - start, d), dtype)

    rows, others = sf.random_rows(n, d), sf.rows(n, d, numpy_rows, block=block)
    wide = sf.random_rows(block, d, dtype="float64")
    sf.coherence(sf.random_rows(5000, d))
    for what, here, numpy in (
        ("a block of float32", partial(rows.read, 0, block), partial(numpy_rows, 0, block)),
        ("of float64", partial(wide.read, 0, block), partial(numpy_rows, 0, block, "float64")),
        (f"coherence of {n} x {d}", partial(sf.coherence, rows), partial(sf.coherence, others)),
    ):
        best = [np.inf, np.inf]
        for _ in range(repeat):
            for place, way in enumerate((here, numpy)):
                begin = time.perf_counter()
                way()
                best[place] = min(best[place], time.perf_counter() - begin)
        print(f"{what}: {1e3 * best[0]:.2f} ms, with NumPy's {1e3 * best[1]:.2f}", flush=True)


def dask(n: int, d: int, rounds: int, calls: int) -> None:
    """Two workers of one thread against one: clusters in turns, the best call of each."""
    from distributed import Client, LocalCluster

    import superpos_fast as sf

    rows = sf.random_rows(n, d)
    took: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for workers, times in took.items():
            with (
                LocalCluster(
                    n_workers=workers, threads_per_worker=1, dashboard_address=":0"
                ) as cluster,
                Client(cluster) as client,
            ):
                sf.coherence(sf.random_rows(20_000, d), backend=client, screen="off")
                for _ in range(calls):
                    begin = time.perf_counter()
                    sf.coherence(rows, backend=client, screen="off")
                    times.append(time.perf_counter() - begin)
    for workers, times in took.items():
        every = ", ".join(f"{seconds:.1f}" for seconds in times)
        what = f"coherence of {n} x {d} generated, {workers} workers"
        print(f"{what}: {min(times):.2f} s (of {every})", flush=True)
    print(f"{min(took[1]) / min(took[2]):.2f} times as fast", flush=True)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    jobs = parser.add_subparsers(dest="job", required=True)
    sizes: dict[str, dict[str, object]] = {
        "generated": {"n": 2_000_000, "d": 64, "shares": 50, "seconds": 60.0},
        "mapped": {"n": 4_000_000, "d": 256, "shares": 400, "memory": "512MiB"},
        "speed": {"n": 65_536, "d": 768, "repeat": 3},
        "drawn": {"n": 200_000, "d": 256, "repeat": 5},
        "dask": {"n": 100_000, "d": 256, "rounds": 3, "calls": 2},
    }
    for name, options in sizes.items():
        job = jobs.add_parser(name, help=globals()[name].__doc__)
        for option, value in options.items():
            job.add_argument(f"--{option}", type=type(value), default=value)
        job.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = vars(parser.parse_args(argv))
    job, here = args.pop("job"), args.pop("here")
    if job in ("generated", "mapped") and not here:
        command = [sys.executable, "-m", "bench.scale", job, "--here"]
        for option, value in args.items():
            command += [f"--{option}", str(value)]
        subprocess.run(command, check=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        where = {"folder": folder} if job in ("mapped", "speed") else {}
        globals()[job](**args, **where)


if __name__ == "__main__":
    main()
