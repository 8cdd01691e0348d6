"""`estimate`: exact on all rows, right on a sample, and wrong as seldom as it says."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import family_oracles as naive
from helpers import output_of
from strategies import TABLE, executions, tables
from superpos_fast import Estimate, coherence, estimate, mean_cosine
from superpos_fast.concentration import mean_bounds
from superpos_fast.screening import float32_bound
from superpos_fast.second_moment import moment_bound

FEW = {"rows": st.integers(2, 60), "depth": st.integers(1, 40)}
BOUND = float32_bound(64, 64)
CEILING_SLACK = moment_bound(60, 40)  # about: the difference hardly depends on it
QUESTIONS = [
    {"of": "count", "cosine": 0.5},
    {"of": "count", "angle": [0, 45, 60, 90]},
    {"of": "mean_cosine"},
    {"of": "histogram", "bins": 12},
    {"of": "histogram", "bins": [-1, -0.5, 0, 0.5, 1], "quantity": "cosine"},
    {"of": "histogram", "bins": 7, "range": (0, 90), "quantity": "line_angle"},
    {"of": "row_maximum"},
    {"of": "row_maximum", "q": [[0.0, 1.0]]},
]
each_question = pytest.mark.parametrize(
    "question",
    QUESTIONS,
    ids=lambda q: "-".join(q.values()) if set(q) == {"of"} else "-".join(map(str, q)),
)
questions = st.sampled_from(QUESTIONS)


def clusters(seed=0, rows=60):
    """Near-duplicates, most of them in one crowd, and loners."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((8, 5))[np.minimum(rng.zipf(1.5, rows) - 1, 7)]
    return centres + rng.choice([1e-6, 0.1, 3.0], (rows, 1)) * rng.standard_normal((rows, 5))


def heavy_tails(seed=0, rows=60):
    return np.random.default_rng(seed).standard_t(0.6, (rows, 3))


def one_crowd(seed=0, rows=60):
    """Orthogonal rows, but for a twentieth that are one row."""
    return np.vstack([np.eye(rows)[: rows - rows // 20], np.tile(np.eye(rows)[0], (rows // 20, 1))])


def rate(matrix, question):
    """Per row of cosines what is averaged: degrees, shares of bins, mean |cos|."""
    kind, options = question["of"], {k: v for k, v in question.items() if k != "of"}
    if kind == "mean_cosine":
        return np.nanmean(np.abs(matrix), axis=1)
    rows = [naive.Angles(row[None], False) for row in matrix]
    if kind == "count":
        return np.array([naive.count(row, **options) for row in rows])
    options["of"] = options.pop("quantity", "angle")
    return np.array([naive.histogram(row, **options)[0] for row in rows])


def of_rows(angles, rows, question):
    """What is expected of `value` if these rows are drawn."""
    matrix = angles.matrix[rows]
    if question["of"] == "row_maximum":
        maxima = np.nanmax(np.abs(matrix), axis=1)
        return np.quantile(maxima, question.get("q", (0.5, 0.9, 0.99)), method="inverted_cdf")
    mean = rate(matrix, question).sum(axis=0) / len(rows)
    if question["of"] != "mean_cosine":
        return mean * len(angles.kept) / 2
    ceiling = np.sqrt(np.nanmean(angles.matrix[angles.kept] ** 2, axis=1) + CEILING_SLACK)
    return mean + ceiling.mean() - ceiling[np.searchsorted(angles.kept, rows)].mean()


def agree(found, expected, question, tolerance=1.1 * BOUND):
    if question["of"] == "mean_cosine":
        assert abs(found - expected) <= tolerance
    elif question["of"] == "row_maximum":
        naive.same(found, expected)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-14)


def holds(found, truth) -> bool:
    return bool(np.all((found.lower <= truth) & (truth <= found.upper)))


def drawn(angles, rows, seed):
    return np.sort(np.random.default_rng(seed).choice(angles.kept, rows, replace=False))


# All rows


@given(tables(**FEW), questions, executions())
@settings(max_examples=50)
def test_all_rows_give_the_exact_answer(table, question, execution):
    angles = naive.pair_cosines(table)
    found = naive.answer(partial(estimate, table, **question), execution)
    agree(found.value, of_rows(angles, angles.kept, question), question)
    assert (found.rows, found.population) == (len(table), len(table))
    if question["of"] == "mean_cosine":
        assert found.lower <= found.value <= found.upper <= found.lower + 2 * BOUND
    else:
        naive.same(found.lower, found.value)
        naive.same(found.upper, found.value)


def test_all_rows_give_what_the_exact_functions_give():
    table = clusters()
    expected = naive.pair_cosines(table)
    counts, edges = naive.histogram(expected)
    found = estimate(table, of="histogram", rows=60)
    naive.same(found.value, counts.astype(float))
    naive.same(found.at, edges)
    found = estimate(table, of="count", angle=30)
    assert type(found.value) is type(found.lower) is type(found.upper) is float
    assert found.value == naive.count(expected, angle=30)
    assert estimate(table).value == mean_cosine(table)
    assert estimate(table, of="row_maximum").largest == coherence(table, return_pair=True)


# A sample


@given(tables(**FEW), questions, st.data(), executions())
def test_a_sample_says_what_its_rows_say(table, question, data, execution):
    table = naive.with_zero_rows(table, seed=data.draw(st.integers(0, 99)))
    angles = naive.pair_cosines(table)
    rows = data.draw(st.integers(1, len(angles.kept)))
    ask = partial(estimate, table, rows=rows, seed=5, zero="skip", **question)
    found = naive.answer(ask, execution)
    some = angles.kept if rows == len(angles.kept) else drawn(angles, rows, 5)
    agree(found.value, of_rows(angles, some, question), question, tolerance=1e-3)
    assert (found.rows, found.population) == (rows, len(angles.kept))
    slack = BOUND if question["of"] == "mean_cosine" else 1e-9 * len(table) ** 2
    assert np.all(found.lower <= found.value + slack)
    assert np.all(found.upper >= found.value - slack)
    if found.largest is not None:
        check_witness(found.largest, angles, some)


def check_witness(largest, angles, some):
    among = np.full(angles.matrix.shape, -1.0)
    among[some] = np.nan_to_num(np.abs(angles.matrix[some]), nan=-1.0)
    among = np.triu(np.maximum(among, among.T), 1)
    i, j = np.unravel_index(np.argmax(np.triu(among + 1.0, 1)), among.shape)
    assert (largest.value, largest.i, largest.j) == (among[i, j], i, j)


def test_every_duplicate_but_the_row_itself_is_a_neighbour():
    table = np.ones((9, 3))
    found = estimate(table, of="row_maximum", rows=4)
    assert found.largest.value == 1.0
    assert found.largest.i == 0 != found.largest.j
    found = estimate(table, of="count", cosine=1.0, rows=4)
    assert found.value == 36


@each_question
def test_the_answer_does_not_depend_on_how_it_is_computed(question):
    table = np.random.default_rng(3).standard_normal((300, 20), dtype=np.float32)
    ask = partial(estimate, table, rows=37, seed=8, **question)
    expected = ask(backend="reference")
    for found in naive.answers(ask, threads=(1, 3)):
        if question["of"] == "mean_cosine":
            assert abs(found.value - expected.value) <= BOUND
        else:
            assert found == expected
    other = estimate(table, rows=37, seed=9, **question)
    assert not np.array_equal(other.value, expected.value)


def test_records_are_equal_where_their_numbers_are():
    one, two = (estimate(TABLE, of="histogram", rows=10) for _ in range(2))
    assert one == two
    assert one != estimate(TABLE, of="histogram", rows=10, confidence=0.9)
    assert one != one.value.tolist()
    assert isinstance(one, Estimate)


# Intervals


@each_question
@pytest.mark.parametrize("family", [clusters, heavy_tails, one_crowd])
def test_intervals_are_wrong_no_more_often_than_they_say(family, question):
    table = family()
    truth = estimate(table, **question).value
    ask = partial(estimate, table, confidence=0.8, threads=1, **question)
    for rows, seeds in ((6, 20), (25, 20), (55, 10)):
        missed = sum(not holds(ask(rows=rows, seed=seed), truth) for seed in range(seeds))
        assert missed <= 0.2 * seeds


@pytest.mark.parametrize("rows", [12])
def test_three_hundred_draws_at_ninety_percent(rows):
    table = one_crowd()
    for question in ({"of": "count", "cosine": 0.5}, {"of": "row_maximum", "q": 0.9}):
        truth = estimate(table, **question).value
        ask = partial(estimate, table, rows=rows, confidence=0.9, threads=1, **question)
        assert sum(not holds(ask(seed=seed), truth) for seed in range(300)) <= 30


@pytest.mark.parametrize("rows", [100, 400])
def test_the_ceilings_narrow_a_mean(rows):
    table = np.random.default_rng(1).standard_normal((500, 64), dtype=np.float32)
    found = estimate(table, rows=rows)
    lower, upper = mean_bounds(np.array(found.value), rows, 500, 0.005)
    assert found.upper - found.lower < (upper - lower) / 4
    assert holds(found, mean_cosine(table))


# Refusals


def test_refuses_what_all_refuse():
    for rows in (10, 1000):
        naive.refuses_what_all_refuse(partial(estimate, rows=rows), names=("vectors",))


@pytest.mark.parametrize(
    ("about", "options"),
    [
        ("of", {"of": "median"}),
        ("of", {"of": ["count"]}),
        ("rows", {"rows": 0}),
        ("rows", {"rows": 2.5}),
        ("seed", {"seed": -1}),
        ("confidence", {"confidence": 1.0}),
        ("confidence", {"confidence": 0}),
        ("confidence", {"confidence": [0.9, 0.8]}),
        ("cosine, angle", {"of": "count"}),
        ("angle", {"of": "count", "angle": 91}),
        ("angle", {"angle": 60}),
        ("bins", {"of": "row_maximum", "bins": 3}),
        ("bins", {"of": "histogram", "bins": 0}),
        ("quantity", {"of": "histogram", "quantity": "x"}),
        ("quantity", {"of": "count", "cosine": 0.5, "quantity": "cosine"}),
        ("q", {"of": "row_maximum", "q": 1.5}),
        ("q", {"of": "count", "cosine": 0.5, "q": 0.5}),
    ],
)
def test_refuses(about, options):
    naive.complaint(about, estimate, TABLE, **options)


def test_a_refused_row_is_named_by_its_own_number():
    table = np.ones((50, 2))
    table[41, 0] = np.inf
    for seed in range(8):
        assert "row 41" in naive.complaint("vectors", estimate, table, rows=20, seed=seed)


def test_at_least_two_rows_must_be_left():
    table = np.zeros((5, 2))
    table[3] = 1
    naive.complaint("vectors", estimate, table, rows=2, zero="skip")
    naive.complaint("vectors", estimate, np.zeros((0, 2)), zero="skip")


def test_import_is_light():
    program = "import sys, superpos_fast.estimation; print({'scipy', 'numba'} & sys.modules.keys())"
    assert output_of(program) == ["set()"]
