"""The shares of the multiply-add peak that are tracked from commit to commit.

    python -m bench.tracked [--only NAME ...] [--repeat R] [--threads T] [--floors]

A share is useful flops over the peak, which is measured in the same process right before and after
each call; the median of all repeats counts.  So shares compare across machines of one kind, and
across the moods of one machine, where seconds do not.

`--floors` measures what has a floor on this processor, and fails where it is under that.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench import calls
from bench.inputs import mcfarland, random_vectors
from bench.roofline import share_of_peak, table, target, usable_threads, useful_flops
from superpos_fast.kernels.cpu import micro_f32, micro_i8


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
# two shared cores.  So a floor lies between the usual share over 1.5 and the least that a round of
# five calls has been seen at; and as shares hang on how a processor feeds its multipliers, there
# is one a kind of processor.  What was never measured has none.  (NumPy's matrix product in place
# of the peak would not do: OpenBLAS has 0.5 to 0.9 of it, whichever kernel it picks.)
#                 usual, of one round               over 1.5       floor
# Zen 4           0.85, 2.2 to 3.0, 0.31 to 0.40    0.57 to 0.27   0.60, 1.75, 0.23
# Xeon, AVX-512   0.62 to 0.80, 1.9 to 2.9, 0.22    0.53, 0.15     0.55, 1.60, 0.16
# EPYC, AVX2      0.86, 1.6 to 1.8, 0.31 to 0.40    0.57 to 0.27   0.60, 1.20, 0.23
FLOORS = (
    ("avx512", "znver", {FLOAT32: 0.60, SCREENED: 1.75, FLOAT64: 0.23}),
    ("avx512", "", {FLOAT32: 0.55, SCREENED: 1.60, FLOAT64: 0.16}),
    ("avx2", "", {FLOAT32: 0.60, SCREENED: 1.20, FLOAT64: 0.23}),
)
ROUNDS = 3


def floors() -> dict[str, float]:
    """The floors of this processor, as Numba compiles for it."""
    for registers, processor, found in FLOORS:
        if registers == micro_f32.REGISTERS.name and target().cpu.startswith(processor):
            if micro_i8.PRODUCT is None:
                return {name: floor for name, floor in found.items() if name != SCREENED}
            return found | ({SCREENED: 1.20} if micro_i8.PRODUCT.sums_halves else {})
    return {}


def under_the_floors(threads: int, repeat: int) -> list[str]:
    """Print the shares beside their floors; name those of which every round is under its floor.

    What others take of the machine lowers a round; a slower kernel lowers them all.
    """
    lines, missed = [], []
    for name, floor in floors().items():
        shares = [TRACKED[name].share(threads, repeat) for _ in range(ROUNDS)]
        if not max(shares) >= floor:  # not: NaN is under every floor
            missed.append(name)
        verdict = "UNDER IT" if name in missed else "ok"
        lines.append([name, *(f"{share:.3f}" for share in shares), f"{floor:.2f}", verdict])
    rounds = [f"round {number + 1}" for number in range(ROUNDS)]
    machine = f"{target().cpu}, {micro_f32.REGISTERS.name}, {threads} threads"
    if not lines:
        print(f"{machine}: no floor was ever measured on such a processor")
    else:
        print(f"{machine}, useful flops over the multiply-add peak, medians of {repeat} calls")
        print(table(["coherence", *rounds, "floor", ""], lines))
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
