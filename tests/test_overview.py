"""`describe` against the oracle and against the functions that it does the work of."""

import dataclasses
import json
from functools import partial

import numpy as np
import pytest
from hypothesis import given

import family_oracles as naive
from distribution_checks import agree, check_description, large_table
from helpers import few, gaussian
from strategies import FEW, TABLE, executions, tables, two_tables
from superpos_fast import coherence, describe, histogram, mean_cosine, nearest


@given(tables(**FEW), executions())
def test_descriptions_within_a_table(table, execution):
    check_description(table, execution=execution)


@given(two_tables(), executions())
def test_descriptions_across_two_tables(two, execution):
    check_description(*few(two), execution=execution)


def test_a_description():
    found = describe(TABLE)
    text = str(found)
    assert f"{found.coherence:.6f}" in text
    assert all(len(line) <= 100 for line in text.splitlines())
    assert "\n" not in repr(found)
    facts = found.to_dict()
    assert facts["coherence"] == found.coherence
    assert np.array_equal(facts["histogram"], found.histogram)
    read = json.loads(found.to_json())
    assert read.keys() == facts.keys()
    assert read["coherence"] == found.coherence
    assert read["mean_abs_cosine"] == found.mean_abs_cosine
    assert read["pair"] == list(found.pair)
    with pytest.raises((AttributeError, dataclasses.FrozenInstanceError)):
        found.coherence = 0
    assert found.run.threads >= 1
    assert "run" not in [field.name for field in dataclasses.fields(found) if field.compare]


def test_a_description_with_rows_left_out_is_json():
    """JSON has no NaN."""

    def refuse(word):
        raise AssertionError(word)

    table = naive.with_zero_rows(TABLE, 3)
    json.loads(describe(table, zero="skip").to_json(), parse_constant=refuse)


def test_a_description_is_its_parts():
    table = gaussian(500, 20)
    for other in ((), (gaussian(300, 20, seed=1),)):
        found = describe(table, *other)
        assert found.coherence == coherence(table, *other)
        assert np.array_equal(found.nearest_cosines, nearest(table, *other).cosines[:, 0])
        agree((found.histogram, found.edges), histogram(table, *other))
        mean = mean_cosine(table, *other, precision="float64")
        assert abs(found.mean_abs_cosine - mean) <= 1e-6


def test_plans_of_descriptions():
    table = large_table()
    expected = check_description(table)
    for found in naive.answers(partial(describe, table)):
        assert np.array_equal(found.nearest_cosines, expected.nearest_cosines)
        assert np.array_equal(found.nearest_indices, expected.nearest_indices)
        assert np.array_equal(found.histogram, expected.histogram)
        assert (found.coherence, *found.pair) == (expected.coherence, *expected.pair)
