"""The plan: every pair in exactly one tile, within the memory it was given, whatever its shape."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import check
from superpos_fast import problem
from superpos_fast.kernels import reference
from superpos_fast.plan import Demand, Plan, Tile, make_plan


class Kernels:
    """Round figures for what a plan asks of kernels."""

    @staticmethod
    def limits(depth, memory):
        return reference.limits(depth, memory)._replace(
            unit=24,
            panel=8,
            tile_rows=192,
            tile_columns=240,
            piece_unit=6,
            scratch=400_000,
            pair=24,
            packed_row=4 * (-(-depth // 4) * 4),
        )


UNIT, PANEL = 24, 8


def plan_of(rows, columns, group_rows, group_columns, tile_rows, tile_columns):
    return Plan(
        rows=rows,
        columns=rows if columns is None else columns,
        triangle=columns is None,
        group_rows=group_rows,
        group_columns=group_rows if columns is None else group_columns,
        tile_rows=tile_rows,
        tile_columns=tile_columns,
        piece=1,
        survivors=1,
        listed=1,
        read_rows=1,
        threads=1,
    )


sizes = st.integers(1, 40)


@pytest.mark.parametrize("shape", [(8192, 8208, 2112), (300, 384, 96), (10**5, 1440, 960)])
def test_rows_meet_all_their_partners_in_the_end(shape):
    columns, group, tile = shape
    cut = Plan(columns, columns, True, group, group, tile, tile, 96, 10**4, 10**4, 96, 2)
    for striped in (True, False):
        found = dataclasses.replace(cut, stripe=96).meetings(striped)
        shares, met, rooms = zip(*found, strict=True)
        assert sum(shares) == pytest.approx(1.0)
        assert list(met) == sorted(met)
        assert met[-1] <= columns
        assert min(rooms) > 0
        # Codes need gates, and all but the first of some groups have them.
        assert sum(share for share, before, _ in found if before > 0) > 0.4 or group > columns


@given(sizes, st.none() | sizes, st.tuples(sizes, sizes, sizes, sizes), st.integers(0, 3))
def test_every_pair_is_in_one_tile(rows, columns, shape, stripe):
    plan = dataclasses.replace(plan_of(rows, columns, *shape), stripe=max(1, stripe))
    seen = np.zeros((plan.rows, plan.columns), int)
    pairs = 0
    for group in plan.passes():
        for tile in plan.tiles(group, striped=stripe > 0):
            assert group.row <= tile.row
            assert tile.row_end <= group.row_end
            seen[tile.row : tile.row_end, tile.column : tile.column_end] += 1
            pairs += tile.pairs(plan.triangle)
    wanted = np.triu(np.ones_like(seen), 1) if plan.triangle else np.ones_like(seen)
    assert (seen[wanted == 1] == 1).all()
    assert seen.max(initial=0) <= 1
    assert pairs == plan.pairs == wanted.sum()


def test_stripes_come_first_and_meet_every_vector():
    plan = dataclasses.replace(plan_of(4000, None, 4000, 4000, 480, 720), stripe=48)
    met, narrow = np.zeros(4000, int), 0
    tiles = list(plan.tiles(plan.whole, striped=True))
    for tile in tiles:
        if 48 not in (tile.row_end - tile.row, tile.column_end - tile.column):
            break
        narrow += 1
        met[tile.row : tile.row_end] += 1
        met[tile.column : tile.column_end] += 1
    assert narrow < len(tiles)
    assert met.min() >= 4
    assert all(tile.row % 48 == tile.column % 48 == 0 for tile in tiles)
    few = dataclasses.replace(plan, rows=700, columns=700)
    assert list(few.tiles(few.whole, striped=True)) == list(few.tiles(few.whole))


@given(st.tuples(sizes, sizes, sizes, sizes))
def test_pairs_of_a_triangle_are_counted(corners):
    row, height, column, width = corners
    tile = Tile(row, row + height, column, column + width)
    count = sum(i < j for i in range(row, tile.row_end) for j in range(column, tile.column_end))
    assert tile.pairs(triangle=True) == count


@given(sizes, st.none() | sizes, st.integers(2, 12), st.integers(2, 12))
def test_a_pass_packs_one_group_at_most(rows, columns, group_rows, group_columns):
    """After the first; a group against itself needs only its one side."""
    plan = plan_of(rows, columns, group_rows, group_columns, 1, 1)
    left = right = None
    for step, group in enumerate(plan.passes()):
        alone = plan.triangle and group.row == group.column
        packed = (left != group.row) + (not alone and right != group.column)
        assert packed <= (1 if step or alone else 2)
        left, right = group.row, right if alone else group.column


@given(
    st.integers(2, 10**7),
    st.none() | st.integers(1, 10**7),
    st.integers(1, 20_000),
    st.integers(1, 64),
    st.floats(1, 10**4),
    st.builds(
        Demand,
        state=st.integers(0, 10**6),
        thread=st.integers(0, 10**5),
        line=st.integers(8, 9000),
        listed=st.integers(0, 64),
    ),
)
def test_a_plan_stays_within_its_memory(rows, columns, depth, threads, generosity, demand):
    with pytest.raises(ValueError, match="at least") as refusal:
        make_plan(rows, columns, depth, threads, 1, Kernels, demand)
    smallest = int(str(refusal.value).split("at least ")[1].split()[0])
    with pytest.raises(ValueError, match=str(smallest)):
        make_plan(rows, columns, depth, threads, smallest - 1, Kernels, demand)
    memory = int(smallest * generosity)
    limits = Kernels.limits(depth, memory)
    plan = make_plan(rows, columns, depth, threads, memory, Kernels, demand)
    assert 1 <= plan.threads <= threads
    assert min(plan.piece, plan.survivors, plan.listed, plan.read_rows) >= 1
    assert plan.group_rows % UNIT == plan.group_columns % UNIT == 0
    assert plan.tile_rows % UNIT == plan.tile_columns % UNIT == 0
    assert plan.read_rows % PANEL == 0
    one = plan.triangle and plan.group_rows >= rows
    packed_rows = plan.group_rows + (0 if one else plan.group_columns)
    scaled = 8 * (-(-depth // 8) * 8)
    work = max(
        plan.piece**2 * 24 + 3 * plan.piece * scaled,
        plan.listed * 4 * scaled,
        plan.read_rows * scaled * 5 // 4 + scaled,
    )
    taken = (
        12 * (rows + (columns or 0))
        + demand.state
        + packed_rows * limits.packed_row
        + plan.threads * (limits.scratch + demand.thread + work)
        + plan.threads * (plan.survivors * 56 + demand.line * (plan.tile_rows + plan.tile_columns))
    )
    assert taken <= memory


@given(
    st.integers(1, 10**7),
    st.integers(1, 20_000),
    st.integers(1, 10**6),
    st.integers(1, 64),
)
def test_tiles_are_as_small_as_kernels_want(rows, depth, pairs, threads):
    class Small:
        @staticmethod
        def limits(depth, memory):
            return Kernels.limits(depth, memory)._replace(most_pairs=pairs)

    plan = make_plan(rows + 1, None, depth, threads, 2**40, Small, Demand())
    assert plan.tile_rows * plan.tile_columns <= max(pairs, 192 * 240)


@pytest.mark.parametrize(("rows", "depth"), [(10, 10**6), (10**8, 1), (1000, 600_000)])
def test_how_far_the_default_memory_goes(rows, depth):
    memory = max(2**28, 64 * rows)
    assert make_plan(rows, None, depth, 64, memory, Kernels, Demand()).threads >= 1


@given(
    rows=st.integers(2, 130),
    columns=st.none() | st.integers(1, 130),
    depth=st.integers(1, 40),
    groups=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    tiles=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    small=st.tuples(*[st.integers(1, 50)] * 4),
    seed=st.integers(0, 5),
    signed=st.booleans(),
)
def test_the_answer_does_not_depend_on_tiles(
    rows, columns, depth, groups, tiles, small, seed, signed
):
    """Few distinct values, so that ties abound; survivors' room of a few, so that tiles open."""
    draw = np.random.default_rng(seed).integers(-2, 3, (rows + (columns or 0), depth))
    draw[:, 0] += draw.any(axis=1) == 0
    table, other = draw[:rows], None if columns is None else draw[rows:]

    def planned(*arguments):
        plan = make_plan(*arguments)
        limits = arguments[5].limits(arguments[2], arguments[4])
        unit = limits.unit
        piece, survivors, listed, read = small
        group_rows, group_columns = (unit * count for count in groups)
        return dataclasses.replace(
            plan,
            group_rows=group_rows,
            group_columns=group_rows if plan.triangle else group_columns,
            tile_rows=unit * tiles[0],
            tile_columns=unit * tiles[1],
            piece=piece,
            survivors=survivors,
            listed=listed,
            read_rows=limits.panel * read,
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(problem, "make_plan", planned)
        for threads in (1, 3):
            check(table, other, signed=signed, threads=threads)
