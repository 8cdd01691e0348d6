"""Every public function: seconds and peak memory, and what seconds hang on.

The peak is the whole process's, its data included.  What an older commit lacks, or this machine
has not, is skipped with the reason.
"""

import functools

import numpy as np

import superpos_fast
from bench import calls
from bench.inputs import random_vectors
from bench.roofline import usable_threads
from superpos_fast.backends import choose_backend

THREADS = usable_threads()
TABLE = "the example's rows"


@functools.lru_cache(maxsize=1)
def rows_of(n, d, dtype="float32"):
    if n == TABLE:
        return np.asarray(superpos_fast.data.example(), dtype)
    if dtype == "bfloat16":
        try:
            from ml_dtypes import bfloat16 as dtype
        except ImportError as error:
            raise NotImplementedError("bfloat16 needs ml_dtypes, the extra io") from error
    rows = random_vectors(n, d)
    return (16 * rows if dtype == "int8" else rows).astype(dtype)


def needs(name):
    if not calls.exists(name):
        raise NotImplementedError(f"this version has no {name}")


def needs_backend(name):
    try:
        choose_backend(name)
    except (ValueError, ImportError) as error:
        raise NotImplementedError(str(error)) from error


class _Timed:
    number = 1
    repeat = (2, 8, 2.0)
    warmup_time = 0
    timeout = 120

    def prepare(self, name, rows, **execution):
        needs(name)
        if execution.get("threads", 1) > THREADS:
            raise NotImplementedError(f"this process may use {THREADS} threads")
        if "backend" in execution:
            needs_backend(execution["backend"])
        calls.ready(name, rows[:300], **execution)()  # compiles
        self.call = calls.ready(name, rows, **execution)

    def time_call(self, *parameters):
        self.call()


class _Measured(_Timed):
    def peakmem_call(self, *parameters):
        self.call()


class PairLoops(_Measured):
    params = (list(calls.PAIR_LOOPS), [4096], [64, 768])
    param_names = ("function", "n", "d")

    def setup(self, function, n, d):
        self.prepare(function, rows_of(n, d), threads=THREADS)


class TwoSets(PairLoops):
    params = (list(calls.TWO_SETS), [8192], [64, 768])


class Pages(PairLoops):
    params = (list(calls.PAGES), [4096], [256])


class Sums(PairLoops):
    params = (list(calls.SUMS), [16384], [64, 768])


class Estimates(PairLoops):
    params = (list(calls.ESTIMATES), [16384], [768])


class Experiments(PairLoops):
    params = (list(calls.EXPERIMENTS), [1000], [256])


class Sources(_Measured):
    params = (list(calls.SOURCES), [4096], [256])
    param_names = ("function", "n", "d")

    def setup(self, function, n, d):
        self.prepare(function, rows_of(n, d))


class Theory:
    """Milliseconds and kilobytes: peak memory would be that of the imports."""

    params = (list(calls.THEORY | calls.FRAMES),)
    param_names = ("function",)
    number = 1
    repeat = (2, 8, 0.5)
    warmup_time = 0
    timeout = 60

    def setup(self, function):
        needs(function)
        self.call = calls.ready(function, np.empty((0, 0)))
        self.call()  # imports

    def time_call(self, function):
        self.call()


class RealTable(_Measured):
    params = (list(calls.PAIR_LOOPS | calls.SUMS), [TABLE])
    param_names = ("function", "n")

    def setup(self, function, n):
        self.prepare(function, rows_of(n, None), threads=THREADS)


class ElementTypes(_Timed):
    params = (
        ["coherence", "nearest", "frame_potential"],
        ["int8", "float16", "bfloat16", "float64"],
        [4096],
        [256],
    )
    param_names = ("function", "dtype", "n", "d")

    def setup(self, function, dtype, n, d):
        self.prepare(function, rows_of(n, d, dtype), threads=THREADS)


class Backends(_Timed):
    params = (["coherence", "histogram", "interference"], ["reference", "cpu", "cuda"], [512], [64])
    param_names = ("function", "backend", "n", "d")

    def setup(self, function, backend, n, d):
        self.prepare(function, rows_of(n, d), backend=backend)


class Devices(_Timed):
    """What a device is for: the small ones of `Backends` are over before it has begun."""

    params = (["coherence", "nearest", "histogram"], ["cuda"], [65536], [64, 768])
    param_names = ("function", "backend", "n", "d")

    def setup(self, function, backend, n, d):
        needs_backend(backend)
        self.prepare(function, rows_of(n, d), backend=backend)


class Screens(_Timed):
    params = (
        ["coherence", "nearest", "pairs"],
        ["auto", "deterministic", "off"],
        [8192, TABLE],
        [768],
    )
    param_names = ("function", "screen", "n", "d")

    def setup(self, function, screen, n, d):
        self.prepare(function, rows_of(n, d), screen=screen, threads=THREADS)


class Threads(_Timed):
    params = (["coherence", "histogram", "frame_potential"], [1, 2], [8192], [256])
    param_names = ("function", "threads", "n", "d")

    def setup(self, function, threads, n, d):
        self.prepare(function, rows_of(n, d), threads=threads)


class Growth(_Measured):
    """Twice the rows: about four times the seconds of a pair loop, twice those of a sum."""

    params = (["coherence", "histogram", "interference"], [2048, 4096, 8192, 16384], [128])
    param_names = ("function", "n", "d")

    def setup(self, function, n, d):
        self.prepare(function, rows_of(n, d), threads=THREADS)


if __name__.startswith("benchmarks."):
    # asv forks each measurement off a process that has imported this: kernels are loaded once.
    for _name in calls.PAIR_LOOPS | calls.SUMS:
        if calls.exists(_name):
            calls.ready(_name, rows_of(300, 64))()
