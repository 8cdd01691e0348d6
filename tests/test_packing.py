"""Packings: best known ones are found; searches repeat, resume, and never worsen a start."""

import math

import numpy as np
import pytest

from helpers import needs_compiled
from superpos_fast import coherence
from superpos_fast.backends import choose_host_kernels
from superpos_fast.capacity import pack, search
from superpos_fast.capacity.lbfgs import normalised
from superpos_fast.capacity.refinement import largest_cosine, refined
from superpos_fast.capacity.smooth_maximum import LargeSmoothMaximum, SmoothMaximum, rounds
from superpos_fast.capacity.starts import symmetric_start
from superpos_fast.crew import Crew

ONE = np.arange(1)


def random_points(n, d, seed=0):
    return normalised(np.random.default_rng(seed).standard_normal((1, n, d)))


def plain(points, sharpness):
    """The smooth maximum and its gradient, from the matrix of cosines."""
    cosines = points @ points.T
    np.fill_diagonal(cosines, 0.0)
    top = (cosines**2).max()
    shares = np.exp(sharpness * (cosines**2 - top))
    np.fill_diagonal(shares, 0.0)
    total = shares.sum() / 2
    gradient = (2.0 / total) * (cosines * shares) @ points
    gradient -= (gradient * points).sum(axis=1, keepdims=True) * points
    return top + math.log(total) / sharpness, gradient, math.sqrt(top)


@pytest.mark.parametrize("backend", ["reference", pytest.param("cpu", marks=needs_compiled)])
@pytest.mark.parametrize("shape", [(2, 2), (7, 3), (33, 9), (150, 40), (130, 200)], ids=str)
@pytest.mark.parametrize("sharpness", [0.3, 30.0, 3000.0])
def test_both_smooth_maxima(backend, shape, sharpness):
    kernels = choose_host_kernels(backend)
    points = random_points(*shape)
    value, gradient, top = plain(points[0], sharpness)
    steep = np.abs(gradient).max() + 1e-12
    with Crew(2) as crew:
        for function, close in [
            (SmoothMaximum(1, *shape, kernels), 1e-11),
            (LargeSmoothMaximum(*shape, kernels, crew), 1e-3),
            (LargeSmoothMaximum(*shape, kernels, None), 1e-3),
        ]:
            if function.noise > 1e-12 and shape[0] < 100:
                continue  # padding would be most of a float32 sum
            function.sharpness[:] = sharpness
            found = function(points, ONE)
            assert abs(found[0][0] - value) <= min(close, 1e-6) * max(1.0, value)
            assert np.abs(found[1][0] - gradient).max() <= close * steep
            assert abs(found[2][0] - top) <= min(close, 1e-6)


@needs_compiled
def test_passes_do_not_hang_on_threads():
    points = random_points(2600, 20)
    found = []
    for threads in 1, 3:
        with Crew(threads) as crew:
            function = LargeSmoothMaximum(2600, 20, choose_host_kernels("cpu"), crew)
            function.sharpness[:] = 60.0
            found.append(function(points, ONE))
    for one, other in zip(*found, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("blocks", range(1, 10))
def test_rounds_pair_all_blocks_once(blocks):
    seen = []
    for pairs in rounds(blocks):
        busy = [block for pair in pairs for block in set(pair)]
        assert len(busy) == len(set(busy))
        seen += pairs
    assert sorted(seen) == [(i, j) for i in range(blocks) for j in range(i, blocks)]


@needs_compiled
@pytest.mark.parametrize(
    ("n", "d", "best", "restarts"),
    [
        (7, 3, 1 / math.sqrt(3), 64),
        (16, 3, 0.794654, 64),
        (16, 5, 1 / math.sqrt(5), 64),
        (20, 5, 1 / 2, 64),
        (28, 7, 1 / 3, 64),
        (16, 10, 1 / 5, 64),
        (5, 2, math.cos(math.pi / 5), 4),
    ],
)
def test_best_known_packings(n, d, best, restarts):
    found = pack(n, d, restarts=restarts)
    assert found.coherence <= best + 1e-6
    assert found.coherence == coherence(found.vectors)
    assert found.vectors.shape == (n, d)


@needs_compiled
def test_the_result_hangs_on_the_seed_alone():
    first, again, other = (
        pack(60, 8, restarts=6, seed=seed, threads=threads, max_steps=30)
        for seed, threads in ((1, 1), (1, 3), (2, 1))
    )
    assert np.array_equal(first.vectors, again.vectors)
    assert not np.array_equal(first.vectors, other.vectors)


@needs_compiled
def test_a_search_is_taken_up_again(tmp_path):
    path = tmp_path / "search.npz"
    whole = pack(60, 8, restarts=34, max_steps=20)
    pack(60, 8, restarts=17, max_steps=20, checkpoint=path)
    resumed = pack(60, 8, restarts=34, max_steps=20, checkpoint=path)
    assert np.array_equal(whole.vectors, resumed.vectors)
    with pytest.raises(ValueError, match=r"^checkpoint: must be of the same search"):
        pack(25, 6, restarts=1, checkpoint=path)


@needs_compiled
def test_a_start_is_never_made_worse():
    start = pack(28, 7, restarts=64).vectors
    assert pack(28, 7, start=start, max_steps=3).coherence <= coherence(start) + 1e-15
    twins = np.random.default_rng(0).standard_normal((20, 6))
    twins[3] = -2.0 * twins[7]
    assert pack(20, 6, start=twins).coherence < 0.6


def test_no_more_lines_than_dimensions():
    assert pack(4, 6).coherence == 0.0
    start = np.random.default_rng(0).standard_normal((4, 6))
    assert pack(4, 6, start=start).coherence < 1e-15
    assert pack(3, 1, restarts=1).coherence == 1.0


@needs_compiled
def test_progress_and_time(capsys):
    calls = []
    pack(9, 3, restarts=2, progress=lambda done, total: calls.append((done, total)))
    assert calls[-1][0] == calls[-1][1]
    assert pack(40, 8, seconds=0.5).coherence < 0.5


@needs_compiled
@pytest.mark.parametrize("limits", [(search.SMALL, search.MIDDLING), (0, 10**9), (0, 0)])
@pytest.mark.parametrize("most", [3, 300])
def test_progress_may_stop_it(limits, most, tmp_path, monkeypatch):
    """At once, with what there is by then; and the search goes on as if it had not been stopped."""
    monkeypatch.setattr(search, "SMALL", limits[0])
    monkeypatch.setattr(search, "MIDDLING", limits[1])
    how = {"restarts": 3, "seed": 1, "threads": 1}
    calls = []

    def some(done, total):
        calls.append(done)
        return len(calls) < most

    whole = pack(40, 9, **how)
    kept = tmp_path / "search"
    found = pack(40, 9, **how, progress=some, checkpoint=kept)
    assert len(calls) == most
    assert found.vectors.shape == (40, 9)
    assert found.coherence == coherence(found.vectors)
    assert found.restarts < 3
    again = pack(40, 9, **how, checkpoint=kept)
    assert np.array_equal(again.vectors, whole.vectors)
    assert again.restarts == whole.restarts == 3


def test_starts_are_orbits():
    points = symmetric_start(24, 6, 0, 1)
    assert points.shape == (24, 6)
    cosines = np.sort(np.abs(points @ points.T), axis=1).round(9)
    assert len(np.unique(cosines, axis=0)) < 24


def test_refinement_finds_the_pentagon():
    angles = np.pi * np.arange(5) / 5 + 1e-4 * np.random.default_rng(0).standard_normal(5)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert abs(largest_cosine(refined(points)) - math.cos(math.pi / 5)) < 1e-14


@pytest.mark.parametrize(
    ("error", "message", "options"),
    [
        (ValueError, "seconds: must be positive and finite, got 0", {"seconds": 0}),
        (TypeError, "seconds: must be a number, got 'x'", {"seconds": "x"}),
        (ValueError, "restarts: must be between 1", {"restarts": 0}),
        (ValueError, r"start: must have shape \(7, 3\)", {"start": np.ones((7, 2))}),
        (ValueError, "start: rows must not be zero", {"start": np.zeros((7, 3))}),
        (ValueError, "start: entries must be finite", {"start": np.full((7, 3), np.nan)}),
        (TypeError, "checkpoint: must be a path", {"checkpoint": 3}),
        (ValueError, "memory: must be at least", {"memory": 100}),
    ],
)
def test_mistakes(error, message, options):
    with pytest.raises(error, match=f"^{message}"):
        pack(7, 3, **options)
