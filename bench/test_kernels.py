"""The kernels one by one, in the groups that `pytest-benchmark` compares them in.

    make bench-kernels        or pytest bench/test_kernels.py --benchmark-enable

Without benchmarks, as in `make test`, each runs once on a few rows.  `extra_info` has what a call
does: pairs or rows, and multiply-adds of what is multiplied.
"""

import numba
import numpy as np
import pytest

from bench.inputs import random_vectors

if numba.config.DISABLE_JIT:
    pytest.skip("about compiled kernels", allow_module_level=True)

from superpos_fast.kernels.cpu import deciding, entry, screening
from superpos_fast.kernels.records import EXACT, Error
from superpos_fast.screening import float32_bound

DEPTHS = [64, 768]
NOTHING = np.inf  # a gate that nothing reaches
FEW = 3.9  # deviations: of random rows one pair in 10,000 is folded


@pytest.fixture
def rows(benchmark):
    """How many: enough for a few milliseconds, or as few as run at all."""
    return 960 if benchmark.enabled else 96


def table(rows, depth, dtype=np.float32, seed=0):
    block = random_vectors(rows, depth, seed).astype(dtype)
    exponents, squares, _ = entry.survey(block)
    return block, exponents, squares


def units(rows, depth):
    return screening.packed(*table(rows, depth))


def codes(rows, depth):
    block, exponents, squares = table(rows, depth)
    sides = []
    for columns in False, True:
        room = screening.coder.room(-(-rows // screening.UNIT) * screening.UNIT, depth)
        side = screening.coder.codes(room, squares, 0, depth, columns, 0)
        side.fill(block, exponents, squares, 0)
        side.bounded(np.full(rows, 1e-3), columns)
        sides.append(side)
    return sides


def measure(benchmark, group, call, pairs, depth=1):
    benchmark.group = group
    benchmark.extra_info.update(pairs=pairs, multiply_adds=pairs * depth)
    return benchmark(call)


def screen(left, right, rows, fold):
    screening.screen(entry.workspace(1), left, right, (0, rows, 0, rows), None, [fold])


# Packing


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kernel", ["survey", "scale"])
def test_rows(benchmark, rows, kernel, dtype, depth):
    block, exponents, squares = table(rows, depth, dtype)
    call = {
        "survey": lambda: entry.survey(block),
        "scale": lambda: entry.scale(block, exponents),
    }[kernel]
    measure(benchmark, f"rows, d = {depth}", call, rows, depth)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pack_units(benchmark, rows, dtype, depth):
    block, exponents, squares = table(rows, depth, dtype)
    packed = screening.packed(block, exponents, squares)
    call = lambda: packed.fill(block, exponents, squares, 0)
    measure(benchmark, f"pack, d = {depth}", call, rows, depth)


@pytest.mark.skipif(screening.coder is None, reason="no int8 products on this processor")
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("stream", [None, 0], ids=["nearest", "random"])
def test_pack_codes(benchmark, rows, stream, depth):
    block, exponents, squares = table(rows, depth)
    room = screening.coder.room(-(-rows // screening.UNIT) * screening.UNIT, depth)
    side = screening.coder.codes(room, squares, 0, depth, True, stream)
    call = lambda: side.fill(block, exponents, squares, 0)
    measure(benchmark, f"pack, d = {depth}", call, rows, depth)


# Micro-kernels, under gates that nothing reaches


def closed(rows):
    fold = entry.BestFold(rows, rows, 1, 1000, per="all", k=1, magnitude=True)
    fold.aim(Error(1e-5, 1e-5), np.full(rows, NOTHING), np.full(rows, NOTHING))
    return fold


@pytest.mark.parametrize("depth", DEPTHS)
def test_micro_f32(benchmark, rows, depth):
    side, fold = units(rows, depth), closed(rows)
    call = lambda: screen(side, side, rows, fold)
    measure(benchmark, f"micro-kernels, d = {depth}", call, rows**2, depth)


@pytest.mark.skipif(screening.coder is None, reason="no int8 products on this processor")
@pytest.mark.parametrize("depth", DEPTHS)
def test_micro_i8(benchmark, rows, depth):
    (left, right), fold = codes(rows, depth), closed(rows)
    call = lambda: screen(left, right, rows, fold)
    measure(benchmark, f"micro-kernels, d = {depth}", call, rows**2, depth)


@pytest.mark.parametrize("depth", DEPTHS)
def test_micro_f64(benchmark, depth):
    """Dots and their cosines: the deciding kernel is never apart from its roots and quotients."""
    rows = min(576, entry.LARGEST_PIECE) if benchmark.enabled else 48
    side = entry.piece_side(*table(rows, depth, np.float64))
    workspace = entry.workspace(1)
    call = lambda: deciding.piece_cosines(workspace, side, side, None)
    measure(benchmark, f"micro-kernels, d = {depth}", call, rows**2, depth)


# Folds of float32 dots, of which one pair in 10,000 or every pair is folded


def best(per, k):
    def make(rows, depth):
        fold = entry.BestFold(rows, rows, rows, rows**2, per=per, k=k, magnitude=True)
        gate = np.full(rows, FEW / depth**0.5)
        # Columns have heaps only where they are asked about.
        return fold, [gate, gate if per == "both" else np.full(rows, NOTHING)]

    return make


def ranks(count):
    def make(rows, depth):
        thresholds = np.linspace(0.0, 4.0 / depth**0.5, count)
        asked = {"thresholds": thresholds, "listed": np.zeros(count + 1, bool), "magnitude": True}
        return entry.RanksFold(rows, rows, rows, rows**2, **asked), []

    return make


FOLDS = {
    "best of all": best("all", 1),
    "best of each row": best("rows", 1),
    "10 best of each row": best("rows", 10),
    "best of rows and columns": best("both", 1),
    "10 thresholds": ranks(10),
    "180 thresholds": ranks(180),
    "total": lambda rows, depth: (entry.TotalFold(rows, rows, rows, 0), []),
}


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("name", FOLDS)
def test_folds(benchmark, rows, name, depth):
    side = units(rows, depth)
    bound = float32_bound(depth, screening.chain(depth))
    fold, gates = FOLDS[name](rows, depth)

    def call():
        fold.aim(Error(bound, bound), *gates)
        screen(side, side, rows, fold)

    measure(benchmark, f"folds, d = {depth}", call, rows**2, depth)


# Deciding


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_decide_listed(benchmark, rows, dtype, depth):
    side = table(rows, depth, dtype)
    rng = np.random.default_rng(0)
    i, j = rng.integers(0, rows, (2, 10 * rows))
    call = lambda: entry.listed_cosines(side, i, side, j)
    measure(benchmark, f"decide, d = {depth}", call, len(i), depth)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("name", ["best of all", "10 thresholds", "total"])
def test_decide_pieces(benchmark, name, depth):
    rows = min(576, entry.LARGEST_PIECE) if benchmark.enabled else 48
    side = entry.piece_side(*table(rows, depth, np.float64))
    workspace = entry.workspace(1)
    fold, gates = FOLDS[name](rows, depth)

    def call():
        fold.aim(EXACT, *gates)
        return list(entry.decide_piece(workspace, side, side, None, [fold]))

    measure(benchmark, f"decide, d = {depth}", call, rows**2, depth)
