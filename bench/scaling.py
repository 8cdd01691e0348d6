"""Seconds of `coherence` as a function of N, d and threads: measured, fitted, and carried on.

    python -m bench.scaling [--rows N ...] [--dims D ...] [--repeat R] [--write]

The model of a backend, a screen and a number of threads is

    seconds = start + N d entry + N (N - 1) / 2 (pair + d product),

whose four costs are the least squares of relative errors, none negative.  `--write` makes
bench/scaling.md of it, with predictions for more rows, more cores and GPUs (`bench.cuda_model`).
"""

import argparse
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

import superpos_fast
from bench import cuda_model
from bench.inputs import random_vectors
from bench.peers import processor
from bench.peers_page import grid
from bench.roofline import best_of, fma_peak, usable_threads, useful_flops

PAGE = Path(__file__).resolve().parent / "scaling.md"
# Of `reference`, which is slow, so few rows that they take a second.
REFERENCE_SHARE = 16
AHEAD = [(10**6, 768), (10**7, 768)]
CORES = (2, 16, 64)
DEVICES = ("A100", "H100", "H200")


@dataclass(frozen=True)
class Way:
    """How a call is executed."""

    backend: str
    screen: str
    threads: int

    def call(self, vectors: np.ndarray) -> float:
        how = {"backend": self.backend, "screen": self.screen, "threads": self.threads}
        return superpos_fast.coherence(vectors, **how)


@dataclass(frozen=True)
class Point:
    way: Way
    n: int
    d: int
    seconds: float
    share: float


def ways(threads: int) -> Iterator[Way]:
    yield Way("reference", "off", 1)
    for screen, some in itertools.product(("off", "auto"), sorted({1, threads})):
        yield Way("cpu", screen, some)


def measured(sizes: list[int], dims: list[int], threads: int, repeat: int) -> list[Point]:
    """The best of so many calls at each size; the ways take turns."""
    points = []
    for d, n in itertools.product(dims, sizes):
        vectors = random_vectors(n, d)
        for way in ways(threads):
            rows = vectors[: n // REFERENCE_SHARE] if way.backend == "reference" else vectors
            way.call(rows[:300])
            before = fma_peak(np.float32, way.threads)
            seconds, _ = best_of(repeat, way.call, rows)
            peak = max(before, fma_peak(np.float32, way.threads))
            share = useful_flops(*rows.shape) / seconds / peak
            points.append(Point(way, *rows.shape, seconds, share))
    return points


def terms(n: int, d: int) -> list[float]:
    pairs = n * (n - 1) / 2
    return [1.0, n * d, pairs, pairs * d]


@dataclass(frozen=True)
class Model:
    """The four costs in seconds, and by how much it misses what it was fitted to, at most."""

    costs: tuple[float, ...]
    error: float

    def seconds(self, n: int, d: int) -> float:
        return float(np.dot(self.costs, terms(n, d)))


def fitted(points: list[Point]) -> Model:
    matrix = np.array([terms(p.n, p.d) for p in points]) / [[p.seconds] for p in points]
    scale = matrix.max(axis=0)
    costs, _ = nnls(matrix / scale, np.ones(len(points)))
    costs = costs / scale
    return Model(tuple(costs), float(np.max(np.abs(matrix @ costs - 1))))


def shown(seconds: float) -> str:
    """Two digits of whatever unit fits."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{float(f'{seconds / length:.2g}'):g} {unit}"
    return f"{float(f'{seconds:.2g}'):g} s"


def growth(points: list[Point], point: Point) -> str:
    """Seconds over those of half the rows."""
    half = [p for p in points if (p.way, p.d, 2 * p.n) == (point.way, point.d, point.n)]
    return f"{point.seconds / half[0].seconds:.1f}" if half else ""


def efficiency(models: dict[Way, Model], screen: str, threads: int, n: int, d: int) -> float:
    """The share of a doubling of cores that is had, from one core to as many as were measured."""
    one, all_ = (models[Way("cpu", screen, some)].seconds(n, d) for some in (1, threads))
    return min(1.0, (one / all_ / threads) ** (1 / max(1.0, math.log2(threads))))


def predictions(models: dict[Way, Model], threads: int) -> list[list[str]]:
    """A line a size and a screen; a range from the measured loss a doubling of cores to none."""
    lines = []
    for (n, d), screen in itertools.product(AHEAD, ("off", "auto")):
        base = models[Way("cpu", screen, threads)].seconds(n, d)
        kept = efficiency(models, screen, threads, n, d)
        cells = []
        for cores in CORES:
            ideal = base * threads / cores
            lossy = ideal / kept ** max(0.0, math.log2(cores / threads))
            both = dict.fromkeys([shown(ideal), shown(lossy)])
            cells.append(" to ".join(both))
        lines.append([f"{n:,} x {d}", f"`{screen}`", *cells])
    return lines


def devices() -> list[list[str]]:
    return [
        [f"{n:,} x {d}", *(shown(fastest(cuda_model.DEVICES[name], n, d)) for name in DEVICES)]
        for n, d in AHEAD
    ]


def fastest(rates: cuda_model.Rates, n: int, d: int) -> float:
    return min(cuda_model.seconds(rates, way, n, d) for way in ("fused", "float16 tile"))


def page(points: list[Point], models: dict[Way, Model], threads: int) -> str:
    measurements = [
        [
            p.way.backend, f"`{p.way.screen}`", p.way.threads, p.n, p.d, f"{p.seconds:.4f}",
            growth(points, p), f"{p.share:.3f}",
        ]
        for way in models
        for p in points
        if p.way == way
    ]  # fmt: skip
    costs = [
        [
            way.backend, f"`{way.screen}`", way.threads, *(f"{cost:.2g}" for cost in model.costs),
            f"{100 * model.error:.0f} %",
        ]
        for way, model in models.items()
    ]  # fmt: skip
    named = ["backend", "screen", "threads"]
    return f"""# How long it takes

Made by `make scaling`, {date.today().isoformat()}, on {processor()}. `coherence` of random float32
rows, whole calls, the best of several.

## Measured

{grid([*named, "N", "d", "seconds", "over half N", "of the float32 peak"], measurements)}

## The model

    seconds = start + N d entry + N (N - 1) / 2 (pair + d product)

Costs in seconds, least squares of relative errors; *off* is the most by which the model misses a
measurement. An answer that hangs on few pairs is what this is about: where very many are too close
to call, tiles are decided in float64 (README).

{grid([*named, "start", "entry", "pair", "product", "off"], costs)}

## Predictions: none of this was measured

Cores like this machine's. The first figure takes the pair loop to be shared evenly: its tiles are
independent. The second, where it differs, loses at every doubling of cores what was lost from 1 to
{threads} here, which is this machine's clock and neighbours more than anything of the package.

{grid(["rows", "screen", *(f"{cores} cores" for cores in CORES)], predictions(models, threads))}

GPUs, by the model of `bench/cuda_model.py`: the fp16 screen, every pair multiplied. Those of the
H200 are measured rates (`bench/cuda.md`, where the host takes half as long again); the others are
scaled from data sheets.

{grid(["rows", *DEVICES], devices())}
"""


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[4096, 8192, 16384])
    parser.add_argument("--dims", type=int, nargs="+", default=[64, 256, 768])
    parser.add_argument("--threads", type=int, default=usable_threads())
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="bench/scaling.md")
    args = parser.parse_args(argv)
    points = measured(args.rows, args.dims, args.threads, args.repeat)
    models = {way: fitted([p for p in points if p.way == way]) for way in ways(args.threads)}
    text = page(points, models, args.threads)
    if args.write:
        PAGE.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()
