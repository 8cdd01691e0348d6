"""Folds of tiles in memory, of tiles of cosines and of decided pairs, against plain loops."""

import math

import numpy as np
import pytest

import fake_cupy as cp
from launches import NEAREST, Listing, on_device, tile_grid
from superpos_fast.kernels.cuda import formats
from superpos_fast.kernels.rounding import float32_below

ACROSS = formats.ACROSS
KINDS = ["f32", "f16", "f64"]
# (rows, columns, stride, shift): within a warp's share and beyond a block's.
SHAPES = [(5, 7, 8, ACROSS), (70, 130, 136, 0), (33, 300, 304, -40), (300, 96, 96, 200)]


class Tile:
    """Numbers of a kind, with ties, and a plain account of what they say of their pairs."""

    def __init__(self, kind, shape, magnitude, seed=0):
        self.kind, self.magnitude = kind, magnitude
        self.rows, self.columns, stride, self.shift = shape
        rng = np.random.default_rng(seed)
        stored = rng.standard_normal((self.rows, stride)) / 4
        stored[rng.random(stored.shape) < 0.2] = 0.25  # ties
        stored = stored.astype(NEAREST[kind])
        stored[:, self.columns :] = 99.0
        i, j = np.mgrid[: self.rows, : self.columns]
        pair = j + self.shift > i
        self.arguments = {
            "rows": self.rows, "columns": self.columns, "stride": stride,
            "shift": self.shift, "magnitude": magnitude,
        }  # fmt: skip
        if kind == "f64":
            stored[: self.rows, 1] = np.nan
            pair[:, 1] = False
            self.error = np.zeros((self.rows, self.columns))
            scale = 1.0
        else:
            bounds = [rng.uniform(0, 1e-3, n).astype(np.float32) for n in (self.rows, self.columns)]
            bounds[0][2], bounds[1][3] = np.nan, np.nan
            pair[2], pair[:, 3] = False, False
            scale, relative = 0.5, 2.0**-11
            with np.errstate(invalid="ignore"):
                self.error = bounds[0][:, None].astype(np.float64) + bounds[1]
            self.error += relative * abs(scale * stored[:, : self.columns].astype(np.float64))
            self.arguments |= {
                "scale": scale, "relative": relative,
                "row_bounds": cp.asarray(bounds[0]), "column_bounds": cp.asarray(bounds[1]),
            }  # fmt: skip
        self.arguments["tile"] = cp.asarray(stored)
        self.values = scale * stored[:, : self.columns].astype(np.float64)
        self.size = abs(self.values) if magnitude else self.values
        self.size = np.where(pair, self.size, np.nan)
        self.pair = pair
        self.itemsize = stored.itemsize

    def launch(self, module, name, deep=None, **arguments):
        grid = tile_grid(self.rows, self.columns, self.itemsize, deep)
        shared = arguments.pop("shared", 0)
        module.launch(f"{name}_{self.kind}", grid, shared=shared, **self.arguments, **arguments)

    def unclear(self, edges):
        """Whether a comparison with any of the edges is within float32 rounding of its bound.

        The bound itself is rounded up on the device, here it is not.
        """
        room = 0.0 if self.kind == "f64" else 1e-6
        return np.any(
            [abs(abs(self.size - edge) - self.error) <= room for edge in edges], axis=0
        ) & (self.kind != "f64")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def gates(tile, seed=1):
    """A gate a row and a column, rounded down where they are float32; some infinite."""
    rng = np.random.default_rng(seed)
    both = []
    for count in (tile.rows, tile.columns):
        gate = rng.uniform(0.1, 0.6, count)
        gate[rng.random(count) < 0.3] = 0.125 if tile.kind != "f64" else 0.25  # on a tie
        gate[rng.random(count) < 0.2] = np.inf
        both.append(gate if tile.kind == "f64" else gate.astype(np.float32))
    return both


@pytest.mark.parametrize("magnitude", [0, 1])
@pytest.mark.parametrize("shape", SHAPES)
def test_list(module, kind, shape, magnitude):
    tile = Tile(kind, shape, magnitude)
    row_gates, column_gates = gates(tile)
    listing = Listing(shape[0] * shape[1] + 5, np.float64 if kind == "f64" else np.float32)
    arguments = dict(
        zip(("row_gates", "column_gates"), on_device(row_gates, column_gates), strict=True)
    )
    tile.launch(module, "list", deep=1, **arguments, **listing.arguments)
    pairs = listing.pairs()
    assert listing.count() == len(pairs)
    least = np.minimum(row_gates[:, None], column_gates)
    surely = tile.size + tile.error >= least
    perhaps = tile.size + tile.error * (1 + 1e-6) + 1e-6 * (kind != "f64") >= least
    listed = np.zeros(tile.pair.shape, bool)
    for pair, value in pairs.items():
        listed[pair] = True
        assert value == tile.values[pair]
    assert listed[surely].all()
    assert not listed[~perhaps].any()

    small = Listing(max(1, len(pairs) // 2), listing.values.dtype)
    tile.launch(module, "list", **arguments, **small.arguments)
    assert small.count() == len(pairs)
    assert small.pairs().items() <= pairs.items()


def ranked(module, tile, thresholds, listed, *, copies, room=None, deep=None):
    """Counts by rank and listed pairs."""
    dtype = np.float64 if tile.kind == "f64" else np.float32
    cells = formats.rank_cells(thresholds, listed, dtype)
    counts = cp.zeros(cells["ranks"], np.uint64)
    listing = Listing(tile.rows * tile.columns if room is None else room, dtype)
    cells = {k: cp.asarray(v) if isinstance(v, np.ndarray) else v for k, v in cells.items()}
    tile.launch(
        module, "ranks", deep, **cells, listed=cp.asarray(listed), counts=counts,
        copies=copies, shared=4 * cells["ranks"] * copies, **listing.arguments,
    )  # fmt: skip
    return counts.get().astype(np.int64), listing


@pytest.mark.parametrize("copies", [0, 32])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [1, 3, 90])
def test_ranks(module, kind, shape, count, copies):
    tile = Tile(kind, shape, magnitude=count != 3)
    low = 0.0 if tile.magnitude else -0.8
    thresholds = np.sort(np.random.default_rng(count).uniform(low, 0.7, count))
    thresholds[count // 2 :] = np.maximum(thresholds[count // 2 :], 0.25)  # on a tie, and equal
    listed = np.zeros(count + 1, np.uint8)
    listed[count // 2] = count > 1
    counts, listing = ranked(module, tile, thresholds, listed, copies=copies, deep=1)
    pairs = listing.pairs()
    assert listing.count() == len(pairs)
    here = np.zeros(tile.pair.shape, bool)
    for pair, value in pairs.items():
        here[pair] = True
        assert value == tile.values[pair]
    ranks = np.searchsorted(thresholds, tile.size, "right")
    least = np.searchsorted(thresholds, tile.size - tile.error, "right")
    most = np.searchsorted(thresholds, tile.size + tile.error, "right")
    wanted = tile.pair & ((least < most) | (listed[least] > 0))
    doubtful = tile.unclear(thresholds)
    assert np.array_equal(here[~doubtful], wanted[~doubtful])
    assert not here[~tile.pair].any()
    certain = np.bincount(ranks[tile.pair & ~here], minlength=count + 1)
    assert np.array_equal(counts[1:], certain[1:])

    small = max(1, len(pairs) // 3)
    again, part = ranked(module, tile, thresholds, listed, copies=copies, room=small)
    assert part.count() == len(pairs)
    assert np.array_equal(again, counts)
    assert part.pairs().items() <= pairs.items()


@pytest.mark.parametrize("kind", ["f32", "f16"])
def test_edges_that_a_bound_just_reaches(module, kind):
    """Values 1/4 within 1/4 may be 1/2, and 0 or more: none of it is certain, all exact."""
    tile = Tile(kind, (9, 11, 16, ACROSS), magnitude=1)
    bounds = [cp.full(n, 0.125, np.float32) for n in (9, 11)]
    tile.arguments |= {"relative": 0.0, "row_bounds": bounds[0], "column_bounds": bounds[1]}
    tile.arguments["tile"] = cp.full((9, 16), 0.5, NEAREST[kind])
    for threshold, unclear in ((0.5, True), (0.5000001, False), (0.0, False), (1e-9, True)):
        for times in (1, 3):  # a look at the next threshold, a search
            listed = np.zeros(times + 1, np.uint8)
            counts, listing = ranked(module, tile, [threshold] * times, listed, copies=1)
            assert listing.count() == (99 if unclear else 0)
            assert counts[times] == (99 if threshold == 0.0 else 0)
    for gate, reached in ((0.5, 99), (0.50000006, 0)):
        rows, columns = cp.full(9, gate, np.float32), cp.full(11, np.inf, np.float32)
        listing = Listing(99, np.float32)
        tile.launch(module, "list", row_gates=rows, column_gates=columns, **listing.arguments)
        assert listing.count() == reached


@pytest.mark.parametrize("kind", ["f32", "f16"])
@pytest.mark.parametrize("magnitude", [0, 1])
@pytest.mark.parametrize("sign", [1, -1])
def test_one_value_among_many_that_do_not_matter(module, kind, magnitude, sign):
    """Wherever it is: rows of which nothing reaches its gate are passed over as a whole."""
    for first in range(0, 40, 9):
        tile = Tile(kind, (9, 40, 40, ACROSS), magnitude)
        bounds = [cp.zeros(n, np.float32) for n in (9, 40)]
        tile.arguments |= {"relative": 0.0, "row_bounds": bounds[0], "column_bounds": bounds[1]}
        stored = np.full((9, 40), -0.01, NEAREST[kind])
        places = {(row, (first + 2 * row) % 40) for row in range(9)}
        for place in places:
            stored[place] = sign * 0.8
        tile.arguments["tile"] = cp.asarray(stored)
        value = 0.5 * abs(float(stored[next(iter(places))]))
        for gate in (0.2, value):
            rows, columns = cp.full(9, gate, np.float32), cp.full(40, np.inf, np.float32)
            listing = Listing(99, np.float32)
            tile.launch(module, "list", row_gates=rows, column_gates=columns, **listing.arguments)
            assert set(listing.pairs()) == (places if magnitude or sign > 0 else set())


@pytest.mark.parametrize("kind", ["f32", "f64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_total(module, kind, shape):
    tile = Tile(kind, shape, magnitude=1)
    for deep in (1, 2):
        grid = tile_grid(*shape[:2], tile.itemsize, deep)
        parts = cp.full(math.prod(grid), np.nan)
        tile.launch(module, "total", deep, parts=parts)
        total = math.fsum(parts.get())
        assert total == pytest.approx(math.fsum(tile.size[tile.pair]), rel=1e-14)
        again = cp.full(math.prod(grid), np.nan)
        tile.launch(module, "total", deep, parts=again)
        assert np.array_equal(again.get(), parts.get())


@pytest.mark.parametrize("magnitude", [0, 1])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("width", "height"), [(8, 1), (16, 4), (64, 64), (512, 512)])
def test_peaks(module, kind, shape, magnitude, width, height):
    tile = Tile(kind, shape, magnitude)
    across, down = -(-tile.columns // width), -(-tile.rows // height)
    rows = cp.zeros((tile.rows, across), np.uint64)
    columns = cp.zeros((down, tile.columns), np.uint64)
    tile.launch(
        module, "peaks", width=width, height=height, row_peaks=rows, row_groups=across,
        column_peaks=columns,
    )  # fmt: skip
    low = lower_bounds(tile)
    check_peaks(rows.get(), low, width)
    check_peaks(columns.get().T, low.T, height)


def lower_bounds(tile):
    """The device's float32 lower bounds, exactly: each step rounded the way it says."""
    if tile.kind == "f64":
        return down(tile.size)
    row_bounds, column_bounds = (
        tile.arguments[name].get().astype(np.float64) for name in ("row_bounds", "column_bounds")
    )
    with np.errstate(invalid="ignore"):
        bound = up(row_bounds[:, None] + column_bounds).astype(np.float64)
        bound = up(tile.arguments["relative"] * abs(tile.values) + bound).astype(np.float64)
        return down(tile.size - bound)


def down(exact):
    nearest = exact.astype(np.float32)
    return np.where(nearest > exact, np.nextafter(nearest, np.float32(-np.inf)), nearest)


def up(exact):
    return -down(-exact)


def check_peaks(peaks, values, width):
    """Of each line's groups of `width` values, the largest and the first place that has it."""
    groups = peaks.shape[1]
    padded = np.full((len(values), groups * width), -np.inf, np.float32)
    padded[:, : values.shape[1]] = np.where(np.isnan(values), -np.inf, values)
    padded = padded.reshape(len(values), groups, width)
    best = padded.max(axis=2)
    assert np.array_equal(formats.peak_values(peaks), best)
    place = padded.argmax(axis=2) + np.arange(groups) * width
    assert np.array_equal(formats.peak_indices(peaks), np.where(np.isneginf(best), -1, place))


@pytest.mark.parametrize("k", [1, 2, 7, 40, 41])
@pytest.mark.parametrize("by_line", [True, False])
def test_raise_gates(module, k, by_line):
    rng = np.random.default_rng(k)
    lines, groups = 19, 40
    values = rng.standard_normal((lines, groups)).astype(np.float32)
    values[:, :9] = np.float32(0.5)
    values[3] = -abs(values[3])
    order = values.view(np.uint32)
    order = np.where(order >> 31, ~order, order | np.uint32(1 << 31)).astype(np.uint64)
    peaks = order << np.uint64(32) | rng.integers(0, 2**32, order.shape, np.uint64)
    peaks[5, 4:] = 0
    peaks[6] = 0
    stored = np.ascontiguousarray(peaks if by_line else peaks.T)
    strides = (groups, 1) if by_line else (1, lines)
    before = rng.standard_normal(lines).astype(np.float32)
    before[7] = np.inf
    exact = before.astype(np.float64) * (1 + 1e-9)
    gates, narrow = on_device(exact, before)
    module.launch(
        "raise_gates", (2,), peaks=cp.asarray(stored), lines=lines, groups=groups,
        line_stride=strides[0], group_stride=strides[1], k=k, gates=gates, narrow=narrow,
    )  # fmt: skip
    for line in range(lines):
        best = np.sort(formats.peak_values(peaks[line])[peaks[line] > 0])[::-1]
        kth = best[k - 1] if len(best) >= k else -np.inf
        assert narrow.get()[line] == max(before[line], kth)
        assert gates.get()[line] == max(exact[line], kth)


def test_narrow_gates(module):
    values = np.random.default_rng(0).standard_normal(700) * 2.0 ** np.arange(-100, 40, 0.2)
    values = np.concatenate([values, [0.0, 0.5, np.inf, -np.inf]])
    gates, narrow = on_device(values, np.full(len(values), np.nan, np.float32))
    module.launch("narrow_gates", (2,), gates=gates, count=len(values), narrow=narrow)
    assert np.array_equal(narrow.get(), float32_below(values))


@pytest.mark.parametrize("magnitude", [0, 1])
@pytest.mark.parametrize("pairs", [0, 1, 700])
def test_sift(module, pairs, magnitude):
    rng = np.random.default_rng(pairs)
    rows, columns = rng.integers(0, 20, pairs + 9), rng.integers(0, 30, pairs + 9)
    order = np.unique(rows * 30 + columns, return_index=True)[1]
    rows, columns = rows[order].astype(np.int32), columns[order].astype(np.int32)
    count = max(0, len(rows) - 9) if pairs else 0
    cosines = np.round(rng.uniform(-1, 1, len(rows)), 1)
    cosines[::7] = np.nan
    row_gates, column_gates = np.full(20, 0.5), np.full(30, 0.9)
    row_gates[3], column_gates[5] = np.inf, -1.0
    size = abs(cosines) if magnitude else cosines
    here = (np.arange(len(rows)) < count) & ~np.isnan(cosines)
    given = {
        "cosines": cp.asarray(cosines), "pair_rows": cp.asarray(rows),
        "pair_columns": cp.asarray(columns), "pairs": cp.asarray(np.array([count], np.uint32)),
        "pair_room": len(rows), "magnitude": magnitude,
    }  # fmt: skip

    listing = Listing(len(rows), np.float64)
    gate, other = on_device(row_gates, column_gates)
    module.launch(
        "sift_list", (2,), **given, row_gates=gate, column_gates=other, **listing.arguments
    )
    kept = here & ((size >= row_gates[rows]) | (size >= column_gates[columns]))
    named = zip(rows[kept].tolist(), columns[kept].tolist(), strict=True)
    assert listing.pairs() == dict(zip(named, cosines[kept].tolist(), strict=True))

    thresholds = np.array([-0.5, 0.2, 0.2, 0.7])
    listed = np.array([0, 0, 0, 1, 0], np.uint8)
    cells = {
        k: cp.asarray(v) if isinstance(v, np.ndarray) else v
        for k, v in formats.rank_cells(thresholds, listed, np.float64).items()
    }
    counts, listing = cp.zeros(5, np.uint64), Listing(len(rows), np.float64)
    module.launch(
        "sift_ranks", (2,), shared=40, **given, **cells, listed=cp.asarray(listed), counts=counts,
        copies=2, **listing.arguments,
    )  # fmt: skip
    ranks = np.searchsorted(thresholds, size, "right")
    expected = np.bincount(ranks[here], minlength=5)
    kept = here & (ranks == 3)
    named = zip(rows[kept].tolist(), columns[kept].tolist(), strict=True)
    assert listing.pairs() == dict(zip(named, cosines[kept].tolist(), strict=True))
    expected[[0, 3]] = 0
    assert counts.get().tolist() == expected.tolist()
