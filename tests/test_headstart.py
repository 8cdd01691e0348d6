"""A head start changes how long lists of each vector's best take, and nothing else."""

import tracemalloc
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import family_oracles as naive
import superpos_fast
from helpers import gaussian
from strategies import executions, tables, two_tables
from superpos_fast import babel, headstart, mmcs, nearest, random_rows
from superpos_fast.ranking import Ranking

SMALL = {"_FIRST": 5, "_SCARCE": 1, "_FEWEST": 24, "_STRETCH": 10, "_ALONE": 2, "_WORTH": 1e9}


@contextmanager
def watched(**constants):
    """Give head starts to small tables too; yields floors, and whose lists were made anew."""
    floors, anew = [], []
    expect, begin = Ranking.expect, Ranking.begin_anew

    def expecting(self, found):
        floors.append(found)
        expect(self, found)

    def beginning(self, side, most):
        parts = [*begin(self, side, most)]
        anew.append(np.concatenate([np.empty(0, int), *parts]))
        return parts

    with pytest.MonkeyPatch.context() as patch:
        for name, value in (SMALL | constants).items():
            patch.setattr(headstart, name, value)
        patch.setattr(Ranking, "expect", expecting)
        patch.setattr(Ranking, "begin_anew", beginning)
        yield floors, anew


def agree(found, expected):
    naive.same(found.cosines, expected[0], np.float64)
    naive.same(found.indices, expected[1], np.int64)


def check(table, other=None, *, k=1, signed=False, zero="raise", execution=None):
    angles = naive.pair_cosines(table, other)
    ask = partial(nearest, table, other, k=k, signed=signed, zero=zero)
    found = naive.answer(ask, execution or {})
    agree(found, naive.nearest(angles, k, signed))
    return found


def mostly_alike(rows, depth, apart=6):
    """Vectors around one direction, but for the last ones, which have a coordinate each."""
    table = np.zeros((rows, depth), np.float32)
    table[:-apart, :-apart] = gaussian(rows - apart, depth - apart) + 2.0
    table[np.arange(rows - apart, rows), np.arange(depth - apart, depth)] = 3.0
    return table


# Whatever the table


@given(
    tables(rows=st.integers(40, 300), depth=st.integers(1, 70)),
    st.integers(1, 6),
    st.booleans(),
    executions(),
    st.integers(0, 99),
)
def test_within_a_table(table, k, signed, execution, seed):
    with watched():
        check(table, k=k, signed=signed, execution=execution | {"screen_seed": seed})


@given(two_tables(), st.integers(1, 5), st.booleans(), executions())
def test_across_two_tables(two, k, signed, execution):
    one, two = two
    k = min(k, len(one), len(two))
    angles = naive.pair_cosines(one, two)
    with watched():
        check(one, two, k=k, signed=signed, execution=execution)
        ask = partial(nearest, one, two, k=k, signed=signed, return_both=True)
        forth, back = naive.answer(ask, execution)
    agree(forth, naive.nearest(angles, k, signed))
    agree(back, naive.nearest(angles.turned(), k, signed))


@given(tables(rows=st.integers(60, 200), depth=st.integers(2, 40)), st.integers(0, 99))
def test_zero_rows_are_left_out(table, seed):
    table = naive.with_zero_rows(table, seed)
    with watched():
        check(table, k=2, zero="skip")


# Lists that fall short of their floor


@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_lists_below_their_floor_are_made_anew(k, signed, dtype):
    table = mostly_alike(900, 40).astype(dtype)
    with watched() as (floors, anew):
        check(table, k=k, signed=signed)
    assert floors[0][0][0] > 0.5
    assert {894, 899} <= set(anew[0].tolist())
    assert len(anew[0]) < 100


def test_lists_that_are_all_ties_are_made_anew():
    """More ties than there is room to list: of the last vectors all partners are orthogonal."""
    table = mostly_alike(700, 60, apart=30)
    with watched() as (_, anew):
        for memory in naive.caps(partial(nearest, table, k=3)):
            check(table, k=3, execution={})
            agree(
                nearest(table, k=3, memory=memory),
                naive.nearest(naive.pair_cosines(table), 3, False),
            )
    assert len(anew[0]) >= 30


def test_both_sides_have_floors_of_their_own():
    one, two = mostly_alike(500, 40), mostly_alike(450, 40)[::-1] + np.float32(0.25)
    angles = naive.pair_cosines(one, two)
    with watched() as (floors, anew):
        forth, back = nearest(one, two, k=2, return_both=True)
    assert len(floors[0]) == 2
    assert floors[0][0] != floors[0][1]
    assert min(map(len, anew)) > 0
    agree(forth, naive.nearest(angles, 2, False))
    agree(back, naive.nearest(angles.turned(), 2, False))


def test_other_statistics_of_lists():
    table, other = mostly_alike(500, 40), gaussian(400, 40)
    expected = babel(table, 5), mmcs(table, other)
    with watched() as (floors, _):
        assert babel(table, 5).tolist() == expected[0].tolist()
        assert mmcs(table, other) == expected[1]
    assert len(floors) == 2


# Where there is one


def listed(table, **how):
    return nearest(table, k=10, screen="off", **how).run.survivors


def test_random_vectors_are_listed_less():
    table = gaussian(4096, 32)
    with watched(**{name: getattr(headstart, name) for name in SMALL}) as (floors, anew):
        with_it = listed(table)
    assert floors
    assert len(anew[0]) < 40
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(headstart, "_WORTH", 0.0)
        assert with_it < 0.75 * listed(table)


def test_a_floor_that_leaves_most_open_is_none():
    """Of vectors around one direction, beside few that are not."""
    table = mostly_alike(4096, 100, apart=40)
    with watched(**{name: getattr(headstart, name) for name in SMALL}) as (floors, _):
        nearest(table)
    assert not floors


def test_what_is_kept_or_may_be_stopped_has_none(tmp_path):
    """What is known of some tiles must be about their pairs, with lists that lack nothing."""
    table = gaussian(500, 16)
    with watched() as (floors, _):
        nearest(table, shard=(0, 2))
        nearest(table, checkpoint=tmp_path / "run.ckpt")
        nearest(table, progress=lambda done, total: True)
        superpos_fast.coherence(table)
    assert not floors


def test_generated_vectors_have_one():
    rows = random_rows(3000, 16, block=512)
    with watched() as (floors, _):
        found = nearest(rows, k=3)
    assert floors
    expected = nearest(
        np.concatenate([rows.read(at, min(at + 512, 3000)) for at in range(0, 3000, 512)]), k=3
    )
    agree(found, (expected.cosines, expected.indices))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("threads", [1, 4])
def test_the_memory_cap_holds_where_lists_are_made_anew(share, threads):
    """Even where all that they meet are ties: the last vectors are orthogonal to all others."""
    others = np.zeros((4000, 16), np.float32)
    others[:, :8] = gaussian(4000, 8)
    table = others.copy()
    table[-480:, :8], table[-480:, 8:] = 0.0, gaussian(480, 8)
    ask = partial(nearest, table, others, screen="off", threads=threads)
    least, *_ = naive.caps(partial(nearest, table, others, screen="off", threads=1), (0.0,))
    cap = int(2 * least + share * (2**25 - 2 * least))
    ask(memory=cap)
    small = {"_FIRST": 48, "_FEWEST": 300, "_MOST": 300, "_STRETCH": 100}
    with watched(**small) as (floors, anew), pytest.MonkeyPatch.context() as patch:
        patch.setattr(headstart.HeadStart, "_first", lambda *_: np.arange(48))
        tracemalloc.start()
        found = ask(memory=cap)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert floors
    assert len(anew[0]) >= 480
    assert peak - found.cosines.nbytes - found.indices.nbytes <= cap
    assert (found.cosines[-480:] == 0.0).all()
    assert (found.indices[-480:] == 0).all()
