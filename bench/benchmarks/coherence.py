"""`coherence` on random float32 rows: time, peak memory, and the share of the FMA peak."""

import functools
import sys
from pathlib import Path

import numpy as np

# asv imports this folder alone; the end of the path, so that the installed package comes first.
sys.path.append(str(Path(__file__).resolve().parents[2]))

from bench.inputs import random_vectors
from bench.roofline import best_of, fma_peak, usable_threads, useful_flops

THREADS = usable_threads()

one_set_of_vectors = functools.lru_cache(maxsize=1)(random_vectors)


class Coherence:
    params = ([4096, 16384], [64, 128, 384, 768, 4096])
    param_names = ("n", "d")
    timeout = 300
    number = 1
    repeat = (3, 10, 10.0)
    warmup_time = 0

    def setup(self, n, d):
        from superpos_fast import coherence

        self.vectors = one_set_of_vectors(n, d)
        self.coherence = functools.partial(coherence, threads=THREADS)
        self.coherence(self.vectors[:256])  # compiles

    def time_coherence(self, n, d):
        self.coherence(self.vectors)

    def peakmem_coherence(self, n, d):
        self.coherence(self.vectors)

    def track_fraction_of_peak(self, n, d):
        peak = fma_peak(np.float32, THREADS)
        seconds, _ = best_of(3, self.coherence, self.vectors)
        return useful_flops(n, d) / seconds / max(peak, fma_peak(np.float32, THREADS))

    track_fraction_of_peak.unit = "of FMA peak"


class Start:
    """What a new process pays; asv runs each statement in one, after the setup beside it."""

    timeout = 60
    number = 1
    repeat = 7

    def timeraw_import(self):
        return "import superpos_fast", "import numpy"

    def timeraw_first_call(self):
        return "superpos_fast.coherence(rows)", (
            "import numba, numpy, superpos_fast\n"
            "rows = numpy.random.default_rng(0).standard_normal((500, 64), dtype='f4')"
        )
