"""Pictures show the numbers that functions return, beside the null model's."""

import sys

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

import superpos_fast as sf
from helpers import gaussian
from superpos_fast import plot
from superpos_fast.capacity import coherence_floor, null, pack, sweep


@pytest.fixture(autouse=True)
def settings():
    """matplotlib's settings, which stay as they are; and no figure is left open."""
    before = dict(plt.rcParams)
    yield
    assert dict(plt.rcParams) == before
    plt.close("all")


@pytest.fixture(scope="module")
def vectors():
    return gaussian(150, 12)


@pytest.fixture(scope="module")
def found():
    return pack(6, 3, restarts=2)


def steps(axes):
    """The values and edges of the steps that are drawn, those that are filled left out."""
    return [
        one.get_data() for one in axes.patches if hasattr(one, "get_data") and not one.get_fill()
    ]


def test_histogram(vectors):
    stats = sf.describe(vectors)
    axes = plot.histogram(stats)
    measured, chance = steps(axes)
    assert np.array_equal(measured.values, stats.histogram)
    assert np.array_equal(measured.edges, stats.edges)
    means, _, _ = null(150, 12).histogram()
    assert np.array_equal(chance.values, means)
    assert axes.get_yscale() == "log"
    again = steps(plot.histogram(vectors))
    assert np.array_equal(again[0].values, stats.histogram)
    assert "degrees" in axes.get_xlabel()


def test_nearest(vectors):
    axes = plot.nearest(vectors)
    measured, chance = steps(axes)
    sizes = np.abs(sf.nearest(vectors).cosines[:, 0])
    assert np.array_equal(measured.values, np.histogram(sizes, measured.edges)[0])
    assert measured.values.sum() == 150
    law = null(150, 12).row_maximum
    expected = [150 * law.below(edge) for edge in measured.edges]
    np.testing.assert_allclose(chance.values, np.diff(expected))
    assert chance.values.sum() == pytest.approx(150, abs=1e-2)


def test_interference_and_dimensionality(vectors):
    (measured,) = steps(plot.interference(vectors))
    values = sf.interference(vectors)
    assert np.array_equal(measured.values, np.histogram(values, measured.edges)[0])
    axes = plot.dimensionality(vectors)
    (measured,) = steps(axes)
    assert measured.values.sum() == 150
    assert axes.lines[0].get_xdata()[0] == 12 / 150


def test_two_sets(vectors):
    other = gaussian(40, 12, seed=1)
    measured, chance = steps(plot.histogram(vectors, other))
    assert measured.values.sum() == 150 * 40
    assert chance.values.sum() == pytest.approx(150 * 40)
    (measured,) = steps(plot.interference(vectors, other))
    assert measured.values.sum() == 150
    with pytest.raises(ValueError, match="^other: must come with vectors"):
        plot.nearest(sf.describe(vectors), other)


def test_rows_left_out(vectors):
    gaps = vectors.copy()
    gaps[5] = 0.0
    for draw in (plot.histogram, plot.nearest, plot.interference, plot.dimensionality):
        assert steps(draw(gaps, zero="skip"))[0].values.sum() in (149, 149 * 148 // 2)


def test_rows_left_out_of_the_other_set(vectors):
    other = gaussian(20, 12, seed=1)
    gaps = np.concatenate([other, np.zeros((20, 12))])
    drawn = [plot.interference(vectors, one, zero="skip") for one in (other, gaps)]
    one, two = ([line.get_xydata() for line in axes.lines] for axes in drawn)
    assert len(one)
    assert all(map(np.array_equal, one, two))


def test_a_mistake_leaves_no_figure(vectors):
    for draw in (plot.histogram, plot.nearest, plot.interference, plot.dimensionality):
        with pytest.raises(ValueError, match="^zero: must be"):
            draw(vectors, zero="bogus")
    with pytest.raises(ValueError, match="^zero: must be"):
        plot.histogram(sf.describe(vectors), zero="bogus")
    with pytest.raises(TypeError, match="^found: must be"):
        plot.packing(3)
    assert not plt.get_fignums()


def test_capacity():
    table = sweep([8, 16, 32], [70, 80], ratios=[2])
    axes = plot.capacity(table)
    drawn = {tuple(point) for line in axes.lines for point in line.get_xydata().tolist()}
    rows = [row for row in table.rows if row.role == "upper bound"]
    assert {(row.d, row.log10_n) for row in rows} <= drawn
    assert len(plot.capacity([8, 16], [85]).collections) == 1
    with pytest.raises(ValueError, match="^table: must have rows for tolerances"):
        plot.capacity(sweep([8], ratios=[2]))


def test_packing(found):
    axes = plot.packing(found)
    (floor,) = (line for line in axes.lines if len(set(line.get_ydata())) == 1)
    assert floor.get_ydata()[0] == coherence_floor(6, 3).cosine
    best = axes.lines[-1].get_ydata()
    assert best[-1] == found.coherence
    assert np.all(np.diff(best[:-1]) <= 0)
    with pytest.raises(TypeError, match="^found: must be a Packing, got ndarray"):
        plot.packing(found.vectors)


def test_axes_that_are_given(vectors, found):
    axes = Figure().subplots()
    assert plot.histogram(vectors, ax=axes) is axes
    assert not plt.get_fignums()
    with pytest.raises(TypeError, match="^ax: must be axes of matplotlib, got str"):
        plot.packing(found, ax="here")


@pytest.mark.parametrize(
    "vectors",
    [[[1.0, 0.0], [0.0, 1.0]], [[1.0], [-2.0], [3.0]], np.ones((5, 3)), np.eye(4)],
    ids=["two", "one dimension", "equal", "orthogonal"],
)
def test_extremes_can_be_drawn(vectors):
    for draw in (plot.histogram, plot.nearest, plot.interference, plot.dimensionality):
        axes = draw(vectors)
        axes.figure.canvas.draw()
        assert steps(axes)[0].values.sum() in (len(vectors), len(vectors) * (len(vectors) - 1) // 2)


def test_without_matplotlib(monkeypatch, vectors):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for call in (plot.histogram, plot.interference, sf.report):
        with pytest.raises(ImportError) as refusal:
            call(vectors)
        assert str(refusal.value) == "plots need matplotlib: pip install 'superpos_fast[plot]'"
