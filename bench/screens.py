"""The int8 screen: whole calls against the FMA peak, NumPy in blocks, and no such screen.

    python -m bench.screens [--random N D ... --calls CALL ...] [--table FILE [TENSOR]]
                            [--adverse N D] [--peers] [--costs]

Calls take turns in one process, and the best of each counts; "by round", which is steadier, is the
median of what no such screen takes of what the call takes in the same round.  A table is a .npy or
.safetensors file; a good one is the word embeddings of a language model.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

import superpos_fast
from bench.family import faiss_nearest
from bench.inputs import random_vectors
from bench.rivals import numpy_blocked, numpy_strips
from bench.roofline import best_of, fma_peak, table, usable_threads, useful_flops
from superpos_fast.sources import open_table

CALLS: dict[str, Callable] = {
    "coherence": lambda rows, **how: superpos_fast.coherence(rows, return_pair=True, **how),
    "pairs, 0.9": lambda rows, **how: superpos_fast.pairs(rows, cosine=0.9, limit=10**8, **how),
    "nearest": superpos_fast.nearest,
    "nearest, k = 10": lambda rows, **how: superpos_fast.nearest(rows, k=10, **how),
    "top 1000": lambda rows, **how: superpos_fast.pairs(rows, top=1000, **how),
}
# What coherence of random rows has to reach, of the peak.
BARS = {(32768, 768): 1.6, (32768, 128): 1.4, (16384, 4096): 1.5}


def in_turn(repeat: int, calls: dict[str, Callable]) -> tuple[dict[str, list[float]], dict]:
    """Return each call's times, round by round, and its last answer.

    Every round begins with the next one: what comes after BLAS's threads, which spin for a while,
    and after memory that these gave back, is slower for it.
    """
    times, answers = {name: [] for name in calls}, {}
    names = list(calls)
    for turn in range(repeat):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            time.sleep(0.1)
            begin = time.perf_counter()
            answers[name] = calls[name]()
            times[name].append(time.perf_counter() - begin)
    return times, answers


OTHERS = {"numpy": numpy_blocked, "strips": numpy_strips, "faiss": faiss_nearest}


def screened(
    label: str,
    rows: np.ndarray,
    names: list[str],
    threads: int,
    repeat: int,
    others: tuple[str, ...] = (),
) -> list[list]:
    """One line a call: its time, the share of the peak, how many times as long others take."""
    lines = []
    for name in names:
        calls = {
            mode: lambda mode=mode, call=CALLS[name]: call(rows, threads=threads, screen=mode)
            for mode in ("auto", "deterministic", "off")
        }
        for other in others:
            calls[other] = lambda other=other: OTHERS[other](rows, threads)
        superpos_fast.nearest(rows[:3000], threads=threads)
        before = fma_peak(np.float32, threads)
        times, answers = in_turn(repeat, calls)
        best = {name: min(some) for name, some in times.items()}
        peak = max(before, fma_peak(np.float32, threads))
        assert answers["auto"] == answers["deterministic"] == answers["off"], (label, name)
        run, seconds = answers["auto"].run, best["auto"]
        lines.append(
            [
                label,
                name,
                f"{seconds:.4f}",
                f"{useful_flops(*rows.shape) / seconds / peak:.2f}",
                f"{BARS.get(rows.shape, '') if name == 'coherence' else ''}",
                *(f"{best[mode] / seconds:.2f}" for mode in ("deterministic", "off")),
                f"{np.median(np.divide(times['off'], times['auto'])):.2f}",
                *(f"{best[other] / seconds:.2f}" if other in best else "" for other in OTHERS),
                run.dimensions,
                f"{run.coded_pairs / run.pairs:.2f}",
                run.survivors,
            ]
        )
    return lines


def listed_cost(dims: list[int], threads: int, n: int = 16384) -> list[list]:
    """One line a depth: what a pair costs that codes leave open, in float32 multiply-adds.

    The slope of the time to count over the pairs left open, from a threshold of 3.6 standard
    deviations of random vectors' cosines to one of 3.2: `superpos_fast.projection` weighs by it.
    """
    lines = []
    for d in dims:
        rows = random_vectors(n, d)

        runs, best = [], []
        for deviations in (3.6, 3.2):
            asked = {"cosine": deviations / d**0.5, "threads": threads}
            runs.append(superpos_fast.pairs(rows, limit=10**6, **asked).run)
            best.append(best_of(10, superpos_fast.count, rows, **asked)[0])
        cost = (best[1] - best[0]) / (runs[1].survivors - runs[0].survivors)
        products = cost * fma_peak(np.float32, threads) / 2
        lines.append([d, runs[0].dimensions, *(run.survivors for run in runs)])
        lines[-1] += [f"{1e9 * cost:.0f}", f"{products:.0f}"]
    return lines


def adverse(n: int, d: int) -> dict[str, np.ndarray]:
    """Rows of which codes rule out few pairs, or none, or that are coded badly."""
    rng = np.random.default_rng(0)
    base = random_vectors(n, d)
    last_bit = np.tile(base[0], (n, 1))
    last_bit[np.arange(n), rng.integers(0, d, n)] *= np.float32(1.0 + 2.0**-23)
    spikes = 0.01 * base
    spikes[np.arange(n), rng.integers(0, d, n)] = 1.0
    return {
        "random": base,
        "signs": np.sign(base),
        "last bit": last_bit,
        "spikes": spikes,
        "crowds": base[rng.integers(0, 20, n)] + np.float32(1e-4) * random_vectors(n, d, seed=1),
        "equal": np.ones((n, d), np.float32),
        "heavy tails": rng.standard_cauchy((n, d)).astype(np.float32),
        "common mean": base + 2.0,
        "20 directions": base[:, :20] @ random_vectors(20, d) + np.float32(0.05) * base,
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--random", type=int, nargs="*", default=[32768, 768, 32768, 128])
    parser.add_argument(
        "--calls", nargs="+", default=["coherence"], choices=CALLS, help="what to ask of these"
    )
    parser.add_argument("--table", nargs="+", metavar=("FILE", "TENSOR"))
    parser.add_argument("--adverse", type=int, nargs=2, metavar=("N", "D"))
    parser.add_argument("--peers", action="store_true", help="beside faiss's nearest ones")
    parser.add_argument("--costs", action="store_true", help="what a pair left open costs")
    parser.add_argument("--threads", type=int, default=usable_threads())
    parser.add_argument("--repeat", type=int, default=5, help="the best of so many calls counts")
    args = parser.parse_args(argv)
    how = args.threads, args.repeat
    if args.costs:
        header = ["d", "codes of", "left open", "and", "ns a pair", "multiply-adds"]
        print(table(header, listed_cost([64, 128, 384, 768], args.threads)))
        return
    others = ("numpy", "strips", *(["faiss"] if args.peers else []))
    lines = []
    for n, d in zip(args.random[::2], args.random[1::2], strict=True):
        lines += screened(f"random {n} x {d}", random_vectors(n, d), args.calls, *how, others)
    if args.table:
        rows = np.ascontiguousarray(open_table(*args.table), np.float32)
        names = ["coherence", "pairs, 0.9", "nearest"]
        lines += screened("{} x {}".format(*rows.shape), rows, names, *how, others)
    if args.adverse:
        for label, rows in adverse(*args.adverse).items():
            lines += screened(label, rows, [name for name in CALLS if "0.9" not in name], *how)
    header = ["rows", "call", "seconds", "of peak", "bar", "certain", "off", "by round", *OTHERS]
    print(table([*header, "codes of", "settled", "survivors"], lines))


if __name__ == "__main__":
    main()
