"""Four questions about all pairs: `superpos_fast` and those one would otherwise call.

    python -m bench.peers [--n N] [--d D] [--threads T] [--repeat R] [--questions Q ...]
                          [--only PEER ...] [--json FILE] [--records FILE ...] [--write]

Every rival (`bench.rivals`) runs in a process of its own, which lives as long as one question, so
that its peak memory is its own; the calls of all take turns.  An answer is held against the exact
one before its time counts: see `wrong`.  `--json` keeps what was measured; `--records` adds such
files to the report instead of measuring; `--write` makes bench/peers.md and bench/peers.png of all
of it, and the table in README.md.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import multiprocessing
import os
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from multiprocessing.connection import Connection
from pathlib import Path
from unittest.mock import patch

import numpy as np

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import superpos_fast
from bench.inputs import random_vectors
from bench.memory import peak_memory, restart_peak_memory
from bench.rivals import OURS, OURS_SIGNED, QUESTIONS, RIVALS, Asked
from bench.roofline import best_of, fma_peak, table, target, usable_threads, useful_flops

AGREEMENT = 1e-5
CLOSE_PAIRS = 1000
# Read by OpenBLAS, MKL and OpenMP when they are loaded.
THREAD_LIMITS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PAUSE = 0.2  # seconds; after a call, BLAS and OpenMP threads spin for a while before they sleep


# The exact answers


def exact(question: str, asked: Asked, signed: bool) -> object:
    return RIVALS[OURS_SIGNED if signed else OURS].answers[question](asked)


def threshold(vectors: np.ndarray, signed: bool) -> float:
    """Between the cosines of the last pair that is close and the next one."""
    n = len(vectors)
    close = max(1, min(CLOSE_PAIRS, n * (n - 1) // 100))
    closest = abs(superpos_fast.pairs(vectors, top=close + 1, signed=signed).cosine)
    return float(closest[-2:].mean())


def wrong(question: str, asked: Asked, signed: bool, answer: object, truth: object) -> str:
    """Say where an answer is off by more than float32 explains, or "".

    A cosine may be off by `AGREEMENT`.  So pairs may differ that lie so near the threshold, and a
    histogram's bins may have exchanged the pairs that lie so near their edges.
    """
    if question in ("maximum", "nearest"):
        off = np.max(np.abs(np.asarray(answer, float) - np.asarray(truth, float)))
        return "" if off <= AGREEMENT else f"off by {off:.3g}"  # NaN is off
    if question == "pairs":
        ours, theirs = (set(map(tuple, np.asarray(found).tolist())) for found in (truth, answer))
        if len(theirs) != len(np.asarray(answer)):
            return "pairs listed twice"
        cosines = [cosine(asked.vectors, *pair) for pair in ours ^ theirs]
        values = np.array(cosines if signed else np.abs(cosines))
        clear = int(np.sum(~(abs(values - asked.threshold) <= AGREEMENT)))
        return f"{clear} of {len(ours)} pairs differ" if clear else ""
    return wrong_histogram(asked, np.asarray(answer), np.asarray(truth))


def cosine(vectors: np.ndarray, i: int, j: int) -> float:
    x, y = vectors[i].astype(float), vectors[j].astype(float)
    return float(x @ y / np.sqrt((x @ x) * (y @ y)))


def wrong_histogram(asked: Asked, counts: np.ndarray, truth: np.ndarray) -> str:
    if counts.sum() != truth.sum():
        return f"{truth.sum() - counts.sum()} of {truth.sum()} pairs are missing"
    edges = np.cos(np.radians(np.arange(1, len(truth))))
    ordered = np.sort(np.clip(np.concatenate([edges - AGREEMENT, edges + AGREEMENT]), -1, 1))
    reached = superpos_fast.count(asked.vectors, cosine=ordered, signed=True)
    reaching = dict(zip(ordered.tolist(), np.asarray(reached).tolist(), strict=True))
    for edge, below in zip(edges, np.cumsum(counts)[:-1], strict=True):
        low, high = np.clip([edge - AGREEMENT, edge + AGREEMENT], -1, 1)
        if not reaching[high] <= below <= reaching[low]:
            return f"{below} angles below {np.degrees(np.arccos(edge)):.0f} degrees"
    return ""


# Processes


def serve(pipe: Connection, name: str, question: str, asked: Asked) -> None:
    """In the child: answer each message with (seconds, answer, extra bytes) or the error's text."""
    try:
        solve = RIVALS[name].answers[question]
        solve(replace(asked, vectors=asked.vectors[:256]))  # imports, compiles, starts threads
        pipe.send("ready")
        while pipe.recv():
            restart_peak_memory()
            before = peak_memory()
            seconds, answer = best_of(1, solve, asked)
            extra = peak_memory() - before
            pipe.send((seconds, np.asarray(answer), extra))
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {error}".splitlines()[0])


class Child:
    """One rival with its data, ready to be called; `failure` says why it is not."""

    def __init__(self, name: str, question: str, asked: Asked):
        context = multiprocessing.get_context("spawn")
        self.name, self.calls, self.failure = name, [], None
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, name, question, asked))
        with patch.dict(os.environ, dict.fromkeys(THREAD_LIMITS, str(asked.threads))):
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


def compare(
    names: list[str], question: str, vectors: np.ndarray, threads: int, repeat: int
) -> list[dict]:
    """One record a rival that answers the question, the absent and the failed included."""
    asked = {
        signed: Asked(vectors, threads, threshold(vectors, signed)) for signed in (False, True)
    }
    names = [name for name in names if question in RIVALS[name].answers]
    peak = fma_peak(np.float32, threads)
    with ExitStack() as stack:
        children = {}
        for name in names:
            if importlib.util.find_spec(RIVALS[name].module):
                children[name] = Child(name, question, asked[RIVALS[name].signed])
                stack.callback(children[name].stop)
        for _ in range(repeat):
            for child in children.values():
                time.sleep(PAUSE)
                child.call()
    peak = max(peak, fma_peak(np.float32, threads))
    n, d = vectors.shape
    truth = {
        signed: exact(question, asked[signed], signed)
        for signed in {RIVALS[name].signed for name in children}
    }

    def record(name: str) -> dict:
        rival = RIVALS[name]
        found = {"peer": name, "question": question, "of": "cos" if rival.signed else "|cos|"}
        found |= {"n": n, "d": d, "threads": threads}
        if name not in children:
            return found | {"failure": f"absent: {rival.package} {rival.absent}"}
        found["version"] = importlib.metadata.version(rival.package)
        if children[name].failure:
            return found | {"failure": children[name].failure}
        seconds, answers, extra = zip(*children[name].calls, strict=True)
        for answer in answers:
            if text := wrong(
                question, asked[rival.signed], rival.signed, answer, truth[rival.signed]
            ):
                return found | {"failure": f"WRONG: {text}"}
        share = useful_flops(n, d) / min(seconds) / peak
        return found | {"seconds": min(seconds), "share": share, "extra_bytes": max(extra)}

    return with_ratios([record(name) for name in names])


def with_ratios(records: list[dict]) -> list[dict]:
    """How many times our seconds each takes, ours of the same sign."""
    own = {r["of"]: r.get("seconds") for r in records if r["peer"] in (OURS, OURS_SIGNED)}
    for record in records:
        if "seconds" in record and own.get(record["of"]):
            record["ratio"] = record["seconds"] / own[record["of"]]
    return records


# The report


def report(records: list[dict]) -> str:
    def cells(r: dict) -> list[str]:
        if "failure" in r:
            return [r["peer"], r["of"], *"----"]
        ratio = f"{r['ratio']:.1f}" if "ratio" in r else "-"
        return [
            r["peer"], r["of"], f"{r['seconds']:.3f}", ratio, f"{r['share']:.3f}",
            r["extra_bytes"] >> 20,
        ]  # fmt: skip

    header = ["peer", "of", "seconds", "times ours", "of peak", "extra MiB"]
    failures = [f"{r['peer']}: {r['failure']}" for r in records if "failure" in r]
    return "\n".join([table(header, [cells(record) for record in records]), *failures])


def processor() -> str:
    """The processor as the system names it, else as Numba does."""
    try:
        text = Path("/proc/cpuinfo").read_text()
        name = next(line for line in text.splitlines() if line.startswith("model name"))
        return f"{name.partition(':')[2].strip()} ({target().cpu})"
    except (OSError, StopIteration):
        return target().cpu


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=16384, help="rows")
    parser.add_argument("--d", type=int, default=768)
    parser.add_argument("--threads", type=int, default=usable_threads())
    parser.add_argument("--repeat", type=int, default=3, help="the best of so many calls counts")
    parser.add_argument("--questions", nargs="+", choices=QUESTIONS, default=list(QUESTIONS))
    parser.add_argument("--only", nargs="+", choices=RIVALS, default=list(RIVALS), metavar="PEER")
    parser.add_argument("--json", type=Path, help="keep the records in this file")
    parser.add_argument("--records", type=Path, nargs="+", help="report these, measure nothing")
    parser.add_argument("--write", action="store_true", help="bench/peers.md, .png, README.md")
    return parser.parse_args(argv)


def measured(args: argparse.Namespace) -> dict:
    vectors, records = random_vectors(args.n, args.d), []
    for question in args.questions:
        found = compare(args.only, question, vectors, args.threads, args.repeat)
        print(
            f"{question}, {args.n} x {args.d}, {args.threads} threads\n{report(found)}\n",
            flush=True,
        )
        records += found
    return {"machine": processor(), "date": date.today().isoformat(), "records": records}


def main(argv: list[str] | None = None) -> int:
    args = arguments(argv)
    runs = [json.loads(path.read_text()) for path in args.records or ()] or [measured(args)]
    records = [record for run in runs for record in run["records"]]
    if args.json:
        args.json.write_text(json.dumps(runs[0], indent=1))
    if args.write:
        from bench.peers_page import write

        write(runs[-1]["machine"], runs[-1]["date"], records)
    wrongs = [r for r in records if not r.get("failure", "absent").startswith("absent")]
    for r in wrongs:
        print(f"{r['question']}, {r['peer']}: {r['failure']}", file=sys.stderr)
    return bool(wrongs)


if __name__ == "__main__":
    sys.exit(main())
