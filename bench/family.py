"""The statistics of all pairs against the FMA peak, and `nearest` against its peers, in one run.

    python -m bench.family [--n N] [--dims D ...] [--threads T] [--repeat R] [--peers]

Useful flops are N (N - 1) / 2 pairs times 2 d, as in `bench.roofline`; whole calls on random
float32 rows.  A peer answers with both signs' nearest by cosine: half of what `nearest` finds.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

import superpos_fast
from bench.inputs import random_vectors
from bench.roofline import best_of, fma_peak, table, usable_threads, useful_flops

# What a release has to reach, at d = 64 and from d = 768 on.
CALLS: dict[str, tuple[Callable, dict[int, float]]] = {
    "nearest, k = 1": (superpos_fast.nearest, {64: 0.5, 768: 0.75}),
    "nearest, k = 10": (
        lambda rows, **how: superpos_fast.nearest(rows, k=10, **how),
        {64: 0.4, 768: 0.70},
    ),
    "histogram, 180 bins": (superpos_fast.histogram, {64: 0.3, 768: 0.70}),
    "count, 10 thresholds": (
        lambda rows, **how: superpos_fast.count(
            rows, cosine=np.arange(1, 11) / (4 * rows.shape[1] ** 0.5), **how
        ),
        {64: 0.4, 768: 0.75},
    ),
    "describe": (superpos_fast.describe, {64: 0.25, 768: 0.60}),
    "mean_cosine": (superpos_fast.mean_cosine, {}),
}
PEER_BARS = {"faiss": 2.0, "scikit-learn": 4.0}


def fractions(n: int, dims: list[int], threads: int, repeat: int) -> list[list]:
    """One line a call: seconds, the share of the peak, and the bar.

    Calls take turns with each other and with the peak: a machine's slow minute meets all alike.
    """
    lines = []
    for d in dims:
        rows = random_vectors(n, d)
        best, peak = dict.fromkeys(CALLS, np.inf), 0.0
        for call, _ in CALLS.values():
            call(rows[:500], threads=threads)
        for _ in range(repeat):
            peak = max(peak, fma_peak(np.float32, threads))
            for name, (call, _) in CALLS.items():
                best[name] = min(best[name], best_of(1, call, rows, threads=threads)[0])
        for name, (_, bars) in CALLS.items():
            share, bar = useful_flops(n, d) / best[name] / peak, bars.get(d)
            verdict = "" if bar is None else f"{bar:.2f} {'ok' if share >= bar else 'MISSED'}"
            lines.append([name, n, d, f"{best[name]:.4f}", f"{share:.3f}", verdict])
    return lines


def faiss_nearest(rows: np.ndarray, threads: int) -> None:
    import faiss

    faiss.omp_set_num_threads(threads)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    faiss.knn(unit, unit, 2, metric=faiss.METRIC_INNER_PRODUCT)


def sklearn_nearest(rows: np.ndarray, threads: int) -> None:
    from sklearn.neighbors import NearestNeighbors

    nearest = NearestNeighbors(n_neighbors=1, algorithm="brute", metric="cosine").fit(rows)
    nearest.kneighbors()


def against_peers(n: int, dims: list[int], threads: int, repeat: int) -> list[list]:
    """One line a peer: its seconds, ours in turn, and how many times as long it took."""
    peers = {"faiss": faiss_nearest, "scikit-learn": sklearn_nearest}
    lines = []
    for d in dims:
        rows = random_vectors(n, d)
        for name, peer in peers.items():
            best = [np.inf, np.inf]
            for _ in range(repeat):
                for place, call in enumerate((peer, superpos_fast.nearest)):
                    time.sleep(0.2)  # BLAS and OpenMP threads spin for a while after a call
                    best[place] = min(best[place], best_of(1, call, rows, threads=threads)[0])
            ratio, bar = best[0] / best[1], PEER_BARS[name]
            verdict = f"{bar:.1f} {'ok' if ratio >= bar else 'MISSED'}"
            lines.append([name, n, d, f"{best[0]:.4f}", f"{best[1]:.4f}", f"{ratio:.1f}", verdict])
    return lines


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=16384)
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 768])
    parser.add_argument("--threads", type=int, default=usable_threads())
    parser.add_argument("--repeat", type=int, default=5, help="the best of so many calls counts")
    parser.add_argument("--peers", action="store_true", help="nearest against faiss, scikit-learn")
    args = parser.parse_args(argv)
    size = args.n, args.dims, args.threads, args.repeat
    print(table(["call", "N", "d", "seconds", "of peak", "bar"], fractions(*size)))
    if args.peers:
        header = ["peer", "N", "d", "seconds", "nearest", "ratio", "bar"]
        print(table(header, against_peers(*size)))


if __name__ == "__main__":
    main()
