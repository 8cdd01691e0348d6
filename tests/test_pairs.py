"""`pairs` against the oracle: over thresholds that are cosines, and the best."""

import dataclasses
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import family_oracles as naive
from helpers import few
from selection_checks import CHOICES, EVERY, LINE_ANGLES, agree, check_pairs
from strategies import FEW, TABLE, TIES, executions, seeds, tables, two_tables
from superpos_fast import coherence, count, pairs, within_tolerance
from superpos_fast.capacity import frames

# Pairs over a threshold


@given(tables(**FEW), st.booleans(), executions(), seeds)
def test_pairs_within_a_table(table, signed, execution, seed):
    angles = naive.pair_cosines(table)
    for least in naive.sharp_thresholds(angles.values(signed), seed)[:2].tolist():
        question = {"cosine": least, "signed": signed}
        check_pairs(angles, table, execution=execution, **question)


@given(two_tables(), st.booleans(), executions(), seeds)
def test_pairs_across_two_tables(two, signed, execution, seed):
    two = few(two)
    angles = naive.pair_cosines(*two)
    least = float(naive.sharp_thresholds(angles.values(signed), seed)[0])
    check_pairs(angles, *two, cosine=least, signed=signed, execution=execution)


@given(tables(**FEW, **TIES), st.sampled_from(LINE_ANGLES), st.booleans(), executions())
def test_pairs_by_angle(table, angle, signed, execution):
    angles = naive.pair_cosines(table)
    check_pairs(angles, table, angle=angle, signed=signed, execution=execution)
    if signed:
        check_pairs(angles, table, angle=180 - angle, signed=True, execution=execution)


# The best pairs


@given(tables(**FEW), st.floats(0, 1), st.booleans(), executions())
def test_best_pairs_within_a_table(table, share, signed, execution):
    angles = naive.pair_cosines(table)
    top = max(1, round(share**3 * len(angles.values())))
    check_pairs(angles, table, top=top, signed=signed, execution=execution)


@given(two_tables(), st.floats(0, 1), st.booleans(), executions())
def test_best_pairs_across_two_tables(two, share, signed, execution):
    two = few(two)
    angles = naive.pair_cosines(*two)
    top = max(1, round(share**3 * len(angles.values())))
    check_pairs(angles, *two, top=top, signed=signed, execution=execution)


@given(tables(**FEW, **TIES), seeds, st.booleans(), executions())
def test_ties_are_cut_at_the_lowest_pairs(table, seed, signed, execution):
    angles = naive.pair_cosines(table)
    values = np.sort(angles.values(signed))[::-1]
    change = np.flatnonzero(np.diff(values)) + 1
    wanted = np.concatenate([change - 1, change, change + 1, [1, len(values) // 2, len(values)]])
    wanted = wanted[(wanted >= 1) & (wanted <= len(values))]
    for top in np.random.default_rng(seed).choice(wanted, 3).tolist():
        check_pairs(angles, table, top=top, signed=signed, execution=execution)


def test_all_pairs():
    for table in (TABLE, np.ones((30, 4)), frames.e8().array()):
        angles = naive.pair_cosines(table)
        everything = len(angles.values())
        found = check_pairs(angles, table, top=everything)
        agree(pairs(table, cosine=0.0), (found.i, found.j, found.cosine))
        agree(pairs(table, angle=90), (found.i, found.j, found.cosine))
        check_pairs(angles, table, top=everything, signed=True)
        check_pairs(angles, table, cosine=-1, signed=True)
        check_pairs(angles, table, top=everything - 1)


def test_the_best_pair_is_the_coherence():
    best = coherence(TABLE, return_pair=True)
    found = pairs(TABLE, top=1)
    assert (abs(found.cosine[0]), found.i[0], found.j[0]) == (best.value, best.i, best.j)


def test_no_pairs():
    one = np.eye(20)
    for question in ({"cosine": 0.1}, {"angle": 89}, {"cosine": 0.5, "signed": True}):
        found = check_pairs(naive.pair_cosines(one), one, **question)
        assert found.i.shape == found.j.shape == found.cosine.shape == (0,)
        rest = naive.pair_cosines(one[:5], one[5:])
        assert check_pairs(rest, one[:5], one[5:], **question).i.shape == (0,)


def test_plans_with_ties_everywhere():
    table = frames.kerdock(4).array()[np.random.default_rng(9).permutation(144)].repeat(5, axis=0)
    angles = naive.pair_cosines(table)
    for top in (1440, 1441, 50_000):
        expected = naive.pairs(angles, top=top)
        for found in naive.answers(partial(pairs, table, top=top, limit=EVERY), threads=(2,)):
            agree(found, expected)


# What comes back


def test_the_record():
    found = pairs(TABLE, cosine=0.5)
    assert "\n" not in repr(found)
    assert found.run.threads >= 1
    assert (found.i < found.j).all()
    for name in ("i", "j", "cosine", "run"):
        with pytest.raises((AttributeError, dataclasses.FrozenInstanceError)):
            setattr(found, name, 0)
    compared = [field.name for field in dataclasses.fields(found) if field.compare]
    assert compared == ["i", "j", "cosine"]


# Refusals


def test_two_kinds_of_selection():
    naive.complaint(CHOICES, pairs, TABLE, cosine=0.5, top=3)
    naive.complaint(CHOICES, pairs, TABLE, angle=60, top=3)
    naive.complaint(CHOICES, pairs, TABLE, cosine=0.5, angle=60, top=3)
    for ask in (count, within_tolerance):
        with pytest.raises(TypeError):
            ask(TABLE, top=3)


@pytest.mark.parametrize("top", [-1, 1.5, "3", True, [3], 781, 10**12])
def test_bad_top(top):
    naive.complaint("top", pairs, TABLE, top=top)


def test_top_above_the_number_of_pairs():
    assert len(pairs(TABLE, top=780).i) == 780
    naive.complaint("top", pairs, TABLE, TABLE[:3], top=121)
    some = naive.with_zero_rows(TABLE, 0)
    kept = np.count_nonzero(some.any(axis=1))
    assert len(pairs(some, top=kept * (kept - 1) // 2, zero="skip").i) == kept * (kept - 1) // 2
    naive.complaint("top", pairs, some, top=kept * (kept - 1) // 2 + 1, zero="skip")


def test_more_pairs_than_the_limit():
    number = count(TABLE, cosine=0.5)
    assert len(pairs(TABLE, cosine=0.5, limit=number).i) == number
    for limit in (1, 10, number - 1):
        message = naive.complaint("limit", pairs, TABLE, cosine=0.5, limit=limit)
        assert str(number) in message
        assert str(limit) in message
    assert "780" in naive.complaint("limit", pairs, TABLE, angle=90, limit=779)
    assert len(pairs(TABLE, angle=90, limit=780).i) == 780


@pytest.mark.parametrize("limit", [-1, 1.5, "3", True, [3], float("nan")])
def test_bad_limit(limit):
    naive.complaint("limit", pairs, TABLE, cosine=0.5, limit=limit)


def test_what_all_refuse_with_top():
    naive.refuses_what_all_refuse(partial(pairs, top=3))
