"""Products on tensor cores, folded in registers."""

import ctypes

import numpy as np
import pytest

import fake_cupy as cp
from launches import Listing, on_device, unit_rows
from superpos_fast.kernels import reference
from superpos_fast.kernels.cuda import formats

ACROSS = formats.ACROSS
SCALE = 16.0


class Problem:
    """Two sides, their packed rows, and bounds that hold for any way of adding up."""

    def __init__(self, module, rows, columns, depth, shift, seed=0):
        rng = np.random.default_rng(seed)
        left, right = (rng.standard_normal((count, depth)) for count in (rows, columns))
        if shift != ACROSS:
            every = rng.standard_normal((max(rows, columns + shift) + 1, depth))
            left = every[:rows]
            right = every[np.clip(np.arange(columns) + shift, 0, None)]
        left[rows // 2] = 0.0
        right[columns // 3] = left[0] + 0.1 * right[columns // 3]
        self.shift, self.sides = shift, (left, right)
        packed = [unit_rows(module, "f16", side, SCALE, padding=32) for side in (left, right)]
        self.halves = [half for half, _ in packed]
        one, two = (half[:count].astype(np.float64) / SCALE for half, count in
                    zip(self.halves, (rows, columns), strict=True))  # fmt: skip
        self.products = one @ two.T
        self.added = depth * 2.0**-22 * 1.01  # |x^| |y^| is 1 and little more
        longest = np.nanmax(packed[1][1])
        bounds = [
            packed[0][1][:rows] * (1 + longest) + self.added + 2.0**-20,
            packed[1][1][:columns] * (1 + 2.0**-20),
        ]
        self.bounds = [np.nextafter(np.float32(bound), np.float32(np.inf)) for bound in bounds]
        self.error = self.bounds[0][:, None].astype(np.float64) + self.bounds[1]
        i, j = np.mgrid[:rows, :columns]
        self.pair = (j + shift > i) & ~np.isnan(self.error)
        left_side, right_side = on_device(*self.halves)
        row_bounds, column_bounds = on_device(*self.bounds)
        self.grid = -(-columns // formats.FUSED_COLUMNS), -(-rows // formats.FUSED_ROWS)
        self.arguments = {
            "left": left_side, "right": right_side, "rows": rows, "columns": columns,
            "depth": self.halves[0].shape[1], "left_stride": self.halves[0].shape[1],
            "right_stride": self.halves[1].shape[1], "scale": SCALE**-2,
            "row_bounds": row_bounds, "column_bounds": column_bounds, "shift": shift,
        }  # fmt: skip

    def cosines(self):
        """The deciding cosines."""
        left, right = ((side, *reference.survey(side)[:2]) for side in self.sides)
        i, j = (part.ravel() for part in np.mgrid[: len(left[0]), : len(right[0])])
        with np.errstate(invalid="ignore"):
            decided = reference.listed_cosines(left, i, right, j)
        return decided.reshape(self.pair.shape)

    def launch(self, module, name, **arguments):
        module.launch(name, self.grid, shared=formats.FUSED_SHARED, **self.arguments, **arguments)


@pytest.fixture
def fused(module, device):
    """The kernels, where the device has these; tensor cores add exactly again afterwards."""
    assert module.fused_depth == 256
    library = device._library("fused.cu")
    yield module, library
    library.emu_set_sum_model(0)


SHAPES = [
    (5, 9, 20, ACROSS),
    (130, 70, 65, ACROSS),
    (150, 140, 40, 0),
    (60, 200, 100, -50),
    (5, 20, 20, -18),
    (130, 256, 20, -126),
]


@pytest.mark.parametrize("magnitude", [0, 1])
@pytest.mark.parametrize("shape", SHAPES)
def test_fused_list(fused, shape, magnitude):
    module, library = fused
    problem = Problem(module, *shape)
    cosines = problem.cosines()
    size = np.where(problem.pair, abs(cosines) if magnitude else cosines, np.nan)
    stored = abs(problem.products) if magnitude else problem.products
    gate = float(np.nanquantile(size, 0.98))
    row_gates = np.full(shape[0], np.float32(gate))
    column_gates = np.full(shape[1], np.float32(np.inf))
    column_gates[1] = np.float32(gate / 2)
    least = np.minimum(row_gates[:, None], column_gates)
    for model in (0, 80, 90):
        library.emu_set_sum_model(model)
        listing = Listing(shape[0] * shape[1], np.float32)
        rows, columns = on_device(row_gates, column_gates)
        problem.launch(
            module, "fused_list_f16", magnitude=magnitude, row_gates=rows, column_gates=columns,
            **listing.arguments,
        )  # fmt: skip
        pairs = listing.pairs()
        assert listing.count() == len(pairs)
        for pair, value in pairs.items():
            assert problem.pair[pair]
            assert abs(value - problem.products[pair]) <= problem.added
        wanted = problem.pair & (size >= least)
        assert {tuple(pair) for pair in np.argwhere(wanted).tolist()} <= pairs.keys()
        perhaps = stored + 2 * problem.error + problem.added >= least
        assert all(perhaps[pair] for pair in pairs)


@pytest.mark.parametrize("copies", [0, 32])
@pytest.mark.parametrize("shape", SHAPES)
def test_fused_ranks(fused, shape, copies):
    module, _ = fused
    problem = Problem(module, *shape, seed=1)
    size = np.where(problem.pair, abs(problem.cosines()), np.nan)
    thresholds = np.linspace(0.0, 0.5, 11)
    counts, listing = cp.zeros(12, np.uint64), Listing(shape[0] * shape[1], np.float32)
    cells = {
        k: cp.asarray(v) if isinstance(v, np.ndarray) else v
        for k, v in formats.rank_cells(thresholds, np.zeros(12), np.float32).items()
    }
    problem.launch(
        module, "fused_ranks_f16", magnitude=1, **cells, listed=cp.zeros(12, np.uint8),
        counts=counts, copies=copies, **listing.arguments,
    )  # fmt: skip
    ranks = np.searchsorted(thresholds, size, "right")
    certain = problem.pair.copy()
    for pair in listing.pairs():
        assert problem.pair[pair]
        certain[pair] = False
    expected = np.bincount(ranks[certain], minlength=12)
    assert counts.get()[1:].tolist() == expected[1:].tolist()
    assert listing.count() < problem.pair.sum() / 5


@pytest.mark.parametrize("model", [80, 90])
def test_sums_that_are_cut_off_stay_within_their_bound(fused, model):
    """The sums of fifty pieces, of like and of unlike sign."""
    module, library = fused
    library.emu_set_sum_model(model)
    problem = Problem(module, 20, 30, 1600, ACROSS, seed=2)
    problem.arguments["left"] = cp.asarray(abs(problem.halves[0]))
    listing = Listing(600, np.float32)
    gates = on_device(np.full(20, -9.0, np.float32), np.full(30, -9.0, np.float32))
    problem.launch(
        module, "fused_list_f16", magnitude=0, row_gates=gates[0], column_gates=gates[1],
        **listing.arguments,
    )  # fmt: skip
    exact = abs(problem.halves[0].astype(np.float64)) @ problem.halves[1].astype(np.float64).T
    exact = exact[:20, :30] / SCALE**2
    errors = [abs(value - exact[pair]) for pair, value in listing.pairs().items()]
    assert len(errors) == problem.pair.sum()
    assert 0 < max(errors) <= problem.added


def test_fragments_lie_in_different_banks(fused):
    module, library = fused
    counts = (ctypes.c_uint64 * 2)()
    library.emu_fragment_counts(counts)
    before = list(counts)
    problem = Problem(module, 128, 128, 64, ACROSS)
    listing = Listing(1, np.float32)
    gates = on_device(np.full(128, 9.0, np.float32), np.full(128, 9.0, np.float32))
    problem.launch(
        module, "fused_list_f16", magnitude=0, row_gates=gates[0], column_gates=gates[1],
        **listing.arguments,
    )  # fmt: skip
    library.emu_fragment_counts(counts)
    # Eight warps, two pieces, two halves of them, four 16 x 16 blocks of rows and two of columns.
    assert [now - old for now, old in zip(counts, before, strict=True)] == [8 * 4 * 6 * 4, 0]


def test_more_shared_memory_than_there_is(module):
    problem = Problem(module, 5, 5, 8, ACROSS)
    listing = Listing(1, np.float32)
    gates = on_device(np.zeros(5, np.float32), np.zeros(5, np.float32))
    with pytest.raises(RuntimeError):
        module.launch(
            "fused_list_f16", (1, 1), shared=formats.FUSED_SHARED + 1, **problem.arguments,
            magnitude=0, row_gates=gates[0], column_gates=gates[1], **listing.arguments,
        )  # fmt: skip
