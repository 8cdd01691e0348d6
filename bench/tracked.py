"""The shares of the multiply-add peak that are tracked from commit to commit.

    python -m bench.tracked [--only NAME ...] [--repeat R] [--threads T] [--floors]

A share is useful flops over the peak, which is measured in the same process right before and after
each call; the median of all repeats counts.  So shares compare across machines of one kind, and
across the moods of one machine, where seconds do not.

`--floors` measures what has a floor on this processor, and fails where it is under that.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench import calls
from bench.inputs import mcfarland, random_vectors
from bench.roofline import share_of_peak, table, target, usable_threads, useful_flops
from superpos_fast.kernels.cpu import micro_amx, micro_f32, micro_i8


def moment_flops(n: int, d: int) -> int:
    """The triangle of X^T X."""
    return n * d * (d + 1)


@dataclass(frozen=True)
class Tracked:
    """A call on n rows, random where nothing else is said, and what is counted as useful."""

    function: str
    n: int
    d: int
    execution: dict[str, Any] = field(default_factory=dict)
    flops: Callable[[int, int], int] = useful_flops
    rows: Callable[[int, int], np.ndarray] = random_vectors

    def share(self, threads: int, repeat: int = 5) -> float:
        rows = self.rows(self.n, self.d)
        how = self.execution | {"threads": threads}
        calls.ready(self.function, rows[:300], **how)()  # compiles
        call = calls.ready(self.function, rows, **how)
        return share_of_peak(call, self.flops(*rows.shape), rows.dtype, threads, repeat)


OFF = {"screen": "off"}
FLOAT32, SCREENED, FLOAT64 = "float32", "screened", "float64"
TRACKED = {
    FLOAT32: Tracked("coherence", 8192, 768, OFF),
    SCREENED: Tracked("coherence", 16384, 768),
    # Where float32 decides nothing: of the float64 peak.
    FLOAT64: Tracked("coherence", 4096, 2016, OFF, rows=lambda n, d: mcfarland(n)),
    "float32, d = 128": Tracked("coherence", 16384, 128, OFF),
    "screened, d = 128": Tracked("coherence", 32768, 128),
    "nearest": Tracked("nearest", 8192, 768),
    "count": Tracked("count", 8192, 768),
    "histogram": Tracked("histogram", 8192, 768),
    "describe": Tracked("describe", 8192, 768),
    "mean_cosine": Tracked("mean_cosine", 8192, 768),
    "frame_potential": Tracked("frame_potential", 65536, 256, flops=moment_flops),
}

# A kernel that takes 1.5 times as long is to miss its floor, and nothing else may, on a machine of
# two shared cores.  So a floor lies above the usual share over 1.5; and as what others take of the
# machine lowers a round, but a slower kernel lowers them all, the first round that reaches it is
# enough.  Shares hang on how a processor feeds its multipliers, hence a floor a kind of processor;
# what was never measured has none.
#
#                     float32                      float64                     screened
#                     usual       over 1.5         usual         over 1.5      usual
# Xeon, AVX-512       0.62 - 0.81 0.51 - 0.61 (m)  0.21 - 0.28   0.14 - 0.19   1.9 - 2.9
# Zen 4               0.85        0.57             0.31 - 0.40   0.21 - 0.27   2.2 - 3.0
# EPYC 7003, AVX2     0.86        0.57             0.31 - 0.40   0.21 - 0.27   1.6 - 1.8
# Xeon, tiles (AMX)   1.29 - 1.43 0.86 - 0.95      0.25 - 0.29   0.17 - 0.19   4.9 - 6.0
#
# (m): measured, screens that multiply 1.5 times.  On that Xeon the share of the screened call moves
# by half within minutes, planted slowness included (1.6 to 2.25): its floor sees what halves it,
# asv the rest.  NumPy's matrix product in place of the peak did worse: 0.9 to 1.2 of it as it is,
# 0.7 to 0.94 with the planted slowness.
FLOORS = (
    ("avx512", "znver", {FLOAT32: 0.62, FLOAT64: 0.25, SCREENED: 1.60}),
    ("avx512", "", {FLOAT32: 0.62, FLOAT64: 0.19, SCREENED: 1.40}),
    ("avx2", "", {FLOAT32: 0.62, FLOAT64: 0.25, SCREENED: 1.20}),
)
SCREENED_IN_HALVES = 1.10
IN_TILES = {FLOAT32: 1.0, SCREENED: 3.0}
PATIENCE = 15.0  # seconds of rounds


def floors() -> dict[str, float]:
    """The floors of this processor, as Numba compiles for it."""
    product = micro_i8.PRODUCT
    for registers, processor, found in FLOORS:
        if registers == micro_f32.REGISTERS.name and target().cpu.startswith(processor):
            if product is None:
                return {name: floor for name, floor in found.items() if name != SCREENED}
            if micro_amx.tiles_allowed():
                return found | IN_TILES
            return found | ({SCREENED: SCREENED_IN_HALVES} if product.sums_halves else {})
    return {}


def under_the_floors(threads: int, repeat: int) -> list[str]:
    """Print shares beside their floors; name those that no round reached."""
    lines, missed = [], []
    for name, floor in floors().items():
        shares, begin = [TRACKED[name].share(threads, repeat)], time.perf_counter()
        while not shares[-1] >= floor and time.perf_counter() - begin < PATIENCE:
            shares.append(TRACKED[name].share(threads, repeat))
        if not shares[-1] >= floor:  # not: NaN reaches no floor
            missed.append(name)
        verdict = "UNDER IT" if name in missed else "ok"
        lines.append([name, f"{max(shares):.3f}", len(shares), f"{floor:.2f}", verdict])
    print(f"{target().cpu}, {micro_f32.REGISTERS.name}, {threads} threads")
    if lines:
        print(f"useful flops over the multiply-add peak, the best median of {repeat} calls")
        print(table(["coherence", "of the peak", "rounds", "floor", ""], lines))
    else:
        print("no floor was ever measured on such a processor")
    return missed


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=TRACKED, metavar="NAME", default=list(TRACKED))
    parser.add_argument("--threads", type=int, default=usable_threads())
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--floors", action="store_true", help="fail under the processor's floors")
    args = parser.parse_args(argv)
    if args.floors:
        return bool(under_the_floors(args.threads, args.repeat))
    shares = [[name, f"{TRACKED[name].share(args.threads, args.repeat):.3f}"] for name in args.only]
    print(table(["call", "of the peak"], shares))
    return 0


if __name__ == "__main__":
    sys.exit(main())
