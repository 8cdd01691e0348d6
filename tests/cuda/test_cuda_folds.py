"""The folds as the engine holds them, on an emulated device, with little room: all that matters."""

import numpy as np
import pytest

from driver import emulated_devices
from superpos_fast.kernels import reference
from superpos_fast.kernels.cuda import entry
from superpos_fast.kernels.cuda.packed import float32_above
from superpos_fast.kernels.records import EXACT, Error
from superpos_fast.kernels.rounding import float32_below
from superpos_fast.screening import float32_bound

ROWS, COLUMNS, DEPTH = 57, 83, 21


@pytest.fixture(scope="module")
def kernels(emulator):
    with emulated_devices(1), entry.Cuda((0,)) as held:
        yield held


@pytest.fixture(scope="module")
def sides():
    rng = np.random.default_rng(0)
    tables = rng.integers(-1, 2, (ROWS, DEPTH)), rng.integers(-1, 2, (COLUMNS, DEPTH))
    wide = [table.astype(np.float64) for table in tables]
    wide[0][3] = wide[1][5] = 0.0
    return [(table, *reference.survey(table)[:2]) for table in wide]


def cosines_of(sides, shift):
    with np.errstate(invalid="ignore"):
        left, right = (reference.piece_side(*side) for side in sides)
        return reference.piece_cosines(None, left, right, shift)


def ranks(kernels, room):
    thresholds, listed = np.array([-0.2, 0.1, 0.3]), np.array([False, False, True, False])
    what = dict(thresholds=thresholds, listed=listed, magnitude=False)
    return kernels.RanksFold(ROWS, COLUMNS, 1, room, **what), reference.RanksFold(
        0, 0, 0, 0, **what
    )


@pytest.mark.parametrize("shift", [None, 0, 20])
@pytest.mark.parametrize("room", [COLUMNS, 200, 10**4])
def test_ranks_of_a_piece(kernels, sides, room, shift):
    ours, theirs = ranks(kernels, room)
    for _ in range(2):  # a fold is used again
        ours.aim(EXACT)
        theirs.fold(cosines_of(sides, shift))
        found = pairs_of(decided(kernels, sides, ours, shift))
        assert found == pairs_of([(*theirs.take()[:2], None)])
        assert ours.counts[1:].tolist() == theirs.counts[1:].tolist()


@pytest.mark.parametrize("shift", [None, 0, 20])
@pytest.mark.parametrize("room", [COLUMNS, 10**4])
def test_best_of_a_piece(kernels, sides, room, shift):
    fold = kernels.BestFold(ROWS, COLUMNS, 1, room, per="both", k=1, magnitude=True)
    gates = np.full(ROWS, 0.3), np.full(COLUMNS, np.inf)
    fold.aim(EXACT, *gates)
    cosines = cosines_of(sides, shift)
    with np.errstate(invalid="ignore"):
        wanted = np.nonzero(np.abs(cosines) >= 0.3)
    assert pairs_of(decided(kernels, sides, fold, shift)) == pairs_of([(*wanted, None)])


def test_total_of_a_piece(kernels, sides):
    fold = kernels.TotalFold(ROWS, COLUMNS, 1, 0)
    fold.aim(EXACT)
    assert list(decided(kernels, sides, fold, 0)) == []
    assert fold.total == pytest.approx(np.nansum(np.abs(cosines_of(sides, 0))), rel=1e-14)


def decided(kernels, sides, fold, shift):
    left, right = (kernels.piece_side(*side) for side in sides)
    cosines = cosines_of(sides, shift)
    for number, i, j, found in kernels.decide_piece(None, left, right, shift, [fold]):
        assert number == 0
        assert np.array_equal(found, cosines[i, j])
        yield i, j, found


def pairs_of(parts):
    """Listed pairs as a sorted list: none is listed twice."""
    return sorted(pair for i, j, _ in parts for pair in zip(i.tolist(), j.tolist(), strict=True))


# Tiles


def screened(kernels, sides, fold, shift, resident=False):
    screens = kernels.screens
    held = [kernels.adopt(side[0])[:] if resident else side[0] for side in sides]
    if resident:
        for block in held:
            kernels.survey(block)
    packed = []
    for block, side in zip(held, sides, strict=True):
        rows = screens.units(screens.room(96, DEPTH), side[2], 0, DEPTH)
        rows.fill(block, *side[1:], 0)
        packed.append(rows)
    work = kernels.workspace(96 * 96)
    screens.screen(work, *packed, (0, ROWS, 0, COLUMNS), shift, [fold])


BOUND = float32_bound(DEPTH, 33)


@pytest.mark.parametrize("resident", [False, True])
@pytest.mark.parametrize("shift", [None, 0])
def test_ranks_of_a_tile(kernels, sides, shift, resident):
    ours, theirs = ranks(kernels, 10**4)
    theirs.fold(cosines_of(sides, shift))
    for _ in range(2):
        ours.aim(Error(BOUND, BOUND))
        screened(kernels, sides, ours, shift, resident)
        assert not ours.open
        found = ours.take()
        wanted = set(pairs_of([(*theirs.take()[:2], None)]))
        pairs = set(pairs_of([(found.rows, found.columns, None)]))
        if resident:
            # What is on a threshold was decided and counted where it was found.
            assert pairs == wanted
            assert np.array_equal(
                found.cosines, cosines_of(sides, shift)[found.rows, found.columns]
            )
            assert ours.counts[1:].tolist() == theirs.counts[1:].tolist()
            assert found.decided > len(pairs)
        else:
            assert found.cosines is None
            assert pairs > wanted


@pytest.mark.parametrize("resident", [False, True])
@pytest.mark.parametrize("per", ["rows", "both", "all"])
@pytest.mark.parametrize("k", [1, 3])
def test_best_of_a_tile(kernels, sides, k, per, resident):
    """With room for less than all pairs, gates that rise keep every pair that is among the best."""
    fold = kernels.BestFold(ROWS, COLUMNS, 1, 2500, per=per, k=k, magnitude=True)
    nothing = np.full(COLUMNS, -np.inf if per == "both" else np.inf)
    for start in -np.inf, 0.0:
        fold.aim(Error(BOUND, BOUND), np.full(ROWS, start), np.maximum(nothing, start))
        screened(kernels, sides, fold, None, resident)
        assert not fold.open
        found = fold.take()
        assert (found.cosines is not None) == resident
        pairs = set(pairs_of([(found.rows, found.columns, None)]))
        assert best_pairs(cosines_of(sides, None), per, k) <= pairs
        assert len(pairs) < ROWS * COLUMNS / 2


def best_pairs(cosines, per, k):
    """The k best pairs of each line, ties included that are surely among them."""
    strengths = np.where(np.isnan(cosines), -1.0, np.abs(cosines))
    pairs = set()
    if per == "all":
        above = np.sort(strengths, axis=None)[-k]
        return set(zip(*(part.tolist() for part in np.nonzero(strengths > above)), strict=True))
    for axis in (0, 1) if per == "both" else (1,):
        above = np.sort(strengths, axis=axis).take([-k], axis=axis)
        which = (strengths >= above) & (strengths >= 0.0)
        pairs |= set(zip(*(part.tolist() for part in np.nonzero(which)), strict=True))
    return pairs


def test_a_tile_with_too_many_pairs_is_open(kernels, sides):
    fold = kernels.RanksFold(
        ROWS, COLUMNS, 1, 100, thresholds=np.array([0.0]), listed=np.array([True, True]),
        magnitude=True,
    )  # fmt: skip
    fold.aim(Error(BOUND, BOUND))
    screened(kernels, sides, fold, None)
    assert fold.open
    equal = [(np.ones((ROWS, DEPTH)), *reference.survey(np.ones((ROWS, DEPTH)))[:2])] * 2
    fold = kernels.BestFold(ROWS, COLUMNS, 1, 100, per="all", k=1, magnitude=True)
    fold.aim(Error(BOUND, BOUND), np.full(ROWS, -np.inf), np.full(ROWS, np.inf))
    screens = kernels.screens
    rows = screens.packed(*equal[0])
    screens.screen(kernels.workspace(96 * 96), rows, rows, (0, ROWS, 0, ROWS), 0, [fold])
    assert fold.open


def test_products_of_small_sets(kernels, sides):
    screens = kernels.screens
    left, right = (screens.packed(*side) for side in sides)
    cosines = cosines_of(sides, None)
    assert np.nanmax(np.abs(screens.products(left, right) - cosines)) <= BOUND
    found, sums = screens.projected(right, *sides[0])
    assert np.array_equal(found, screens.products(left, right))
    assert np.allclose(sums, (found.astype(np.float64) ** 2).sum(axis=1), rtol=1e-13)


def test_gates_are_rounded_down_and_bounds_up():
    values = np.random.default_rng(1).standard_normal(500) * 2.0 ** np.arange(-250, 250)
    values = np.concatenate([values[200:350], [0.0, 0.5, np.inf, -np.inf]])
    below = float32_below(values)
    assert below.dtype == np.float32
    assert (below <= values).all()
    assert (np.nextafter(below, np.float32(np.inf))[:-2] > values[:-2]).all()
    bounds = np.abs(values[:-2])
    assert (float32_above(bounds) > bounds + 2.0**-125).all()
    assert (float32_above(bounds) <= bounds * (1 + 2.0**-22) + 2.0**-123).all()
