"""The largest cosine of all pairs: `superpos_fast` and those one would otherwise call.

    python -m bench.peers [--n N] [--dims D ...] [--threads T] [--repeat R] [--only P ...] [--json]

A peer is a function (vectors, threads) -> cosine: a whole call, its own normalisation included,
written as its library does it best. It runs in a process of its own, which lives as long as one
table, so that its peak memory is its own; the calls of all peers take turns.
"""

import argparse
import importlib.util
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import patch

import numpy as np

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.inputs import random_vectors
from bench.memory import peak_memory, restart_peak_memory
from bench.roofline import DIMS, best_of, fma_peak, table, usable_threads, useful_flops

AGREEMENT = 1e-5
# Read by OpenBLAS, MKL and OpenMP when they are loaded.
THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PAUSE = 0.2  # seconds; after a call, BLAS and OpenMP threads spin for a while before they sleep
# The best of six shapes for NumPy and for torch, 16384 x 64 and x 768, 2 cores of an EPYC 7003:
# NumPy 131 and 173 GFLOP/s, in strips of 2048 rows 76 and 149; torch 123 and 169, 48 and 118.
STRIP_ROWS = 2048
TILE_ROWS, TILE_COLUMNS = 512, 2048


def ours(vectors, threads):
    from superpos_fast import coherence

    return coherence(vectors, threads=threads)


def ours_signed(vectors, threads):
    from superpos_fast import coherence

    return coherence(vectors, signed=True, threads=threads)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def upper_tiles(n):
    for i in range(0, n, TILE_ROWS):
        for j in range(i, n, TILE_COLUMNS):
            yield slice(i, i + TILE_ROWS), slice(j, j + TILE_COLUMNS)


def numpy_blocked(vectors, threads):
    """The upper triangle in tiles that stay in the cache, in one buffer, without forming |G|."""
    x = unit(vectors)
    buffer = np.empty(TILE_ROWS * TILE_COLUMNS, x.dtype)
    best = 0.0
    for rows, columns in upper_tiles(len(x)):
        left, right = x[rows], x[columns]
        gram = buffer[: len(left) * len(right)].reshape(len(left), len(right))
        np.matmul(left, right.T, out=gram)
        if rows.start == columns.start:
            np.fill_diagonal(gram, 0)
        best = max(best, gram.max(), -gram.min())
    return best


def numpy_strips(vectors, threads):
    """The upper triangle in strips of 2048 rows."""
    x = unit(vectors)
    best = 0.0
    for start in range(0, len(x), STRIP_ROWS):
        gram = x[start : start + STRIP_ROWS] @ x[start:].T
        np.fill_diagonal(gram, 0)
        best = max(best, gram.max(), -gram.min())
    return best


def numpy_gram(vectors, threads):
    """What one writes first: N x N numbers in memory."""
    x = unit(vectors)
    gram = x @ x.T
    np.fill_diagonal(gram, 0)
    return np.abs(gram).max()


def torch_blocked(vectors, threads):
    import torch

    torch.set_num_threads(threads)
    x = torch.nn.functional.normalize(torch.from_numpy(vectors), dim=1)
    best = 0.0
    for rows, columns in upper_tiles(len(x)):
        gram = x[rows] @ x[columns].T
        if rows.start == columns.start:
            gram.fill_diagonal_(0)
        low, high = torch.aminmax(gram)
        best = max(best, high.item(), -low.item())
    return best


def faiss_knn(vectors, threads):
    """Inner products: the nearest by cosine, not by |cosine|. That would take a second search."""
    import faiss

    faiss.omp_set_num_threads(threads)
    x = unit(vectors)
    index = faiss.IndexFlatIP(x.shape[1])
    index.add(x)
    cosines, neighbours = index.search(x, 2)
    itself = neighbours[:, 0] == np.arange(len(x))
    return np.where(itself, cosines[:, 1], cosines[:, 0]).max()


def sklearn_neighbors(vectors, threads):
    """k = 2, one of them the row itself, which kneighbors() leaves out."""
    from sklearn.neighbors import NearestNeighbors

    nearest = NearestNeighbors(n_neighbors=1, algorithm="brute", metric="cosine").fit(vectors)
    distances, _ = nearest.kneighbors()
    return 1 - distances.min()


def sklearn_chunked(vectors, threads):
    from sklearn.metrics import pairwise_distances_chunked

    def largest(distances, start):
        rows = np.arange(len(distances))
        distances[rows, start + rows] = 1
        return np.maximum(1 - distances.min(axis=1), distances.max(axis=1) - 1)

    chunks = pairwise_distances_chunked(vectors, metric="cosine", reduce_func=largest)
    return max(chunk.max() for chunk in chunks)


@dataclass(frozen=True)
class Peer:
    module: str
    solve: Callable[[np.ndarray, int], float]
    question: str = "|cos|"


PEERS = {
    "superpos_fast": Peer("superpos_fast", ours),
    "superpos_fast-signed": Peer("superpos_fast", ours_signed, "cos"),
    "numpy-blocked": Peer("numpy", numpy_blocked),
    "numpy-strips": Peer("numpy", numpy_strips),
    "numpy-gram": Peer("numpy", numpy_gram),
    "torch-blocked": Peer("torch", torch_blocked),
    "faiss-knn": Peer("faiss", faiss_knn, "cos"),
    "sklearn-neighbors": Peer("sklearn", sklearn_neighbors, "cos"),
    "sklearn-chunked": Peer("sklearn", sklearn_chunked),
}


def serve(pipe: Connection, name: str, n: int, d: int, threads: int) -> None:
    """In the child: answer each message with (seconds, answer, extra bytes) or the error's text."""
    try:
        solve = PEERS[name].solve
        vectors = random_vectors(n, d)
        solve(vectors[:256], threads)  # imports, compiles, starts thread pools
        pipe.send("ready")
        while pipe.recv():
            restart_peak_memory()
            before = peak_memory()
            seconds, answer = best_of(1, solve, vectors, threads)
            pipe.send((seconds, float(answer), peak_memory() - before))
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}")


class Child:
    """One peer with its data, ready to be called; `failure` says why it is not."""

    def __init__(self, name: str, n: int, d: int, threads: int):
        context = multiprocessing.get_context("spawn")
        self.name, self.calls, self.failure = name, [], None
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, name, n, d, threads))
        with patch.dict(os.environ, dict.fromkeys(THREAD_LIMITS, str(threads))):
            self.process.start()
        theirs.close()
        self.listen()

    def listen(self) -> None:
        try:
            answer = self.pipe.recv()
        except EOFError:
            answer = "its process died"
        if isinstance(answer, tuple):
            self.calls.append(answer)
        elif answer != "ready":
            self.failure = answer

    def call(self) -> None:
        if not self.failure:
            self.pipe.send(True)
            self.listen()

    def stop(self) -> None:
        if not self.failure:
            self.pipe.send(False)
        self.process.join()
        self.process.close()
        self.pipe.close()


def compare(names: list[str], n: int, d: int, threads: int, repeat: int) -> list[dict]:
    """One record a peer, the absent and the failed included."""
    peak = fma_peak(np.float32, threads)
    with ExitStack() as stack:
        children = {}
        for name in names:
            if importlib.util.find_spec(PEERS[name].module):
                children[name] = Child(name, n, d, threads)
                stack.callback(children[name].stop)
        for _ in range(repeat):
            for child in children.values():
                time.sleep(PAUSE)
                child.call()
    peak = max(peak, fma_peak(np.float32, threads))

    def record(name: str) -> dict:
        found = {"peer": name, "question": PEERS[name].question, "n": n, "d": d}
        if name not in children:
            return found | {"failure": f"absent: {PEERS[name].module} is not installed"}
        if children[name].failure:
            return found | {"failure": children[name].failure}
        seconds, answers, extra = zip(*children[name].calls, strict=True)
        rate = useful_flops(n, d) / min(seconds)
        found |= {"seconds": min(seconds), "rate": rate, "fraction": rate / peak}
        return found | {"extra_bytes": max(extra), "answer": answers[-1]}

    return [record(name) for name in names]


def disagreements(records: list[dict]) -> list[str]:
    """Peers that answer the same question are within AGREEMENT of each other; cos <= |cos|."""
    answers: dict[str, list[float]] = {"|cos|": [], "cos": []}
    for record in records:
        if "answer" in record:
            answers[record["question"]].append(record["answer"])
    found = [
        f"max {question}: answers from {min(values):.9g} to {max(values):.9g}"
        for question, values in answers.items()
        if values and not np.ptp(values) <= AGREEMENT  # not: NaN agrees with nothing
    ]
    if all(answers.values()) and max(answers["cos"]) > max(answers["|cos|"]) + AGREEMENT:
        found.append("a max cos above the max |cos|")
    return found


def report(records: list[dict]) -> str:
    def cells(r: dict) -> list[str]:
        if "failure" in r:
            return [r["peer"], r["question"], r["d"], *"-----"]
        speed = f"{r['seconds']:.3f}", f"{r['rate'] / 1e9:.1f}", f"{r['fraction']:.3f}"
        rest = r["extra_bytes"] >> 20, f"{r['answer']:.7f}"
        return [r["peer"], r["question"], r["d"], *speed, *rest]

    header = ["peer", "of all", "d", "seconds", "GFLOP/s", "of peak", "extra MiB", "answer"]
    failures = [f"{r['peer']}: {r['failure']}" for r in records if "failure" in r]
    return "\n".join([table(header, [cells(record) for record in records]), *failures])


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=16384, help="rows")
    parser.add_argument("--dims", type=int, nargs="+", default=DIMS)
    parser.add_argument("--threads", type=int, default=usable_threads())
    parser.add_argument("--repeat", type=int, default=3, help="the best of so many calls counts")
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS), metavar="PEER")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    everything, wrong = [], []
    for d in args.dims:
        records = compare(args.only, args.n, d, args.threads, args.repeat)
        everything += records
        wrong += [f"d = {d}, {text}" for text in disagreements(records)]
        if not args.json:
            print(f"{args.n} x {d}, {args.threads} threads\n{report(records)}\n", flush=True)
    if args.json:
        print(json.dumps({"records": everything, "disagreements": wrong}, indent=1))
    for text in wrong:
        print(f"DISAGREEMENT: {text}", file=sys.stderr)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
