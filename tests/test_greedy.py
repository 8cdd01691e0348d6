"""Random sequential adsorption against a plain loop, in any pieces, and over interruptions."""

import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracles
from helpers import listen_to_interrupts
from superpos_fast import store, within_tolerance
from superpos_fast.angles import cosine_of
from superpos_fast.backends import choose_backend
from superpos_fast.capacity import bounds, greedy, tolerated
from superpos_fast.capacity.directions import BLOCK
from superpos_fast.capacity.tolerated import Kept
from superpos_fast.generated import drawn


def magnitudes(rows, others):
    return np.abs(
        oracles.cosines(*(oracles.scaled(oracles.widened(side)) for side in (rows, others)))
    )


def plain(rows, tolerance):
    """Accept each row that is within the tolerance of all accepted before, one by one."""
    close = magnitudes(rows, rows) > tolerance
    accepted = []
    for place in range(len(rows)):
        if not close[place, accepted].any():
            accepted.append(place)
    return accepted


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize(("d", "angle"), [(1, 45), (2, 20), (3, 60), (8, 70), (40, 80), (200, 85)])
def test_it_is_the_plain_loop(d, angle, backend):
    attempts = 700
    found = greedy(d, angle=angle, attempts=attempts, seed=3, backend=backend)
    rows = drawn(d, 3, 0, attempts)
    assert found.accepted.tolist() == plain(rows, cosine_of(angle))
    assert np.array_equal(found.vectors, rows[found.accepted])
    assert found.attempts == attempts
    assert found.angle == pytest.approx(angle)


@given(st.integers(1, 40), st.floats(0, 1), st.integers(0, 2**64 - 1))
@settings(max_examples=20)
def test_any_tolerance(d, cosine, seed):
    found = greedy(d, cosine=cosine, attempts=150, seed=seed)
    assert found.accepted.tolist() == plain(drawn(d, seed, 0, 150), cosine)


def test_ties_are_decided():
    """Rows of frames, exactly at the tolerance, beside it, and equal to each other."""
    rng = np.random.default_rng(0)
    rows = rng.integers(-1, 2, (900, 4)).astype(np.float32)
    rows = rows[rows.any(axis=1)]
    for kernels in (choose_backend("auto").kernels, choose_backend("reference").kernels):
        kernels.prepare(np.float32)
        for tolerance in (0.0, 0.5, np.nextafter(0.5, 0), 1 / 3, np.nextafter(1.0, 0)):
            kept = Kept(kernels, 4, tolerance)
            accepted = []
            for start in range(0, len(rows), 100):
                some = rows[start : start + 100]
                fits = kept.tolerated(some)
                fits = fits[kept.in_turn(some[fits])]
                kept.add(some[fits])
                accepted += (start + fits).tolist()
            assert accepted == plain(rows, tolerance)
            assert np.array_equal(kept.rows(), rows[accepted])
            assert kept.count == len(accepted)


def test_many_kept(monkeypatch):
    """More than a chunk, with rows leaving at every one, in other pieces and on more threads."""
    expected = greedy(24, angle=50, attempts=12_000, threads=1)
    assert len(expected) > 2 * tolerated.CHUNK
    assert within_tolerance(expected.vectors, angle=50)
    assert greedy(24, angle=50, attempts=12_000, threads=3) == expected
    monkeypatch.setattr(tolerated, "CHUNK", 64)
    assert greedy(24, angle=50, attempts=12_000) == expected
    for attempts in (1, BLOCK, BLOCK + 1):
        part = greedy(24, angle=50, attempts=attempts)
        assert part.accepted.tolist() == expected.accepted[expected.accepted < attempts].tolist()
        assert len(part) == expected.curve(attempts)


def test_saturated():
    """A maximal set: nothing that was tried fits in; between the bounds."""
    found = greedy(5, angle=65, attempts=30_000)
    rows = drawn(5, 0, 0, 30_000)
    near = magnitudes(rows, found.vectors).max(axis=1) > cosine_of(65)
    near[found.accepted] = True
    assert near.all()
    assert len(found) <= bounds(5, angle=65).upper


@pytest.mark.parametrize(("d", "angle", "attempts"), [(8, 75, 40), (20, 75, 200), (50, 80, 500)])
def test_the_expected_count(d, angle, attempts):
    """The mean over seeds is not below the bound, within four standard errors."""
    runs = [greedy(d, angle=angle, attempts=attempts, seed=seed) for seed in range(60)]
    counts = np.array([len(run) for run in runs])
    p = 10.0 ** -bounds(d, angle=angle).lowers["greedy"]
    assert runs[0].expected_at_least == pytest.approx((1 - (1 - p) ** attempts) / p)
    error = counts.std() / math.sqrt(len(counts))
    assert counts.mean() + 4 * error >= runs[0].expected_at_least


def test_before_the_first_refusal():
    found = greedy(30, angle=75, attempts=500)
    first = found.before_first_refusal
    assert found.accepted[:first].tolist() == list(range(first))
    assert first not in found.accepted
    assert greedy(30, angle=1, attempts=20).before_first_refusal == 20


def test_a_million_attempts():
    found = greedy(32, angle=70, attempts=1_000_000)
    assert found.seconds < 60
    assert len(found) >= found.expected_at_least > 19
    assert within_tolerance(found.vectors, angle=70)
    assert found.curve([10, 1000, 1_000_000]).tolist() == [7, 67, len(found)]


# Checkpoints


def test_a_checkpoint_is_gone_on_with(tmp_path):
    file, seen = tmp_path / "run", []

    def note(*now):
        seen.append(now)

    expected = greedy(16, angle=70, attempts=20_000)
    for attempts in (3000, 9999, 20_000):
        found = greedy(16, angle=70, attempts=attempts, checkpoint=file, progress=note)
        assert seen[-1] == (attempts, attempts)
    seen.clear()
    assert greedy(16, angle=70, attempts=20_000, checkpoint=file, progress=note) == expected
    assert not seen  # there was nothing to do
    assert found == expected
    assert store.read(file, "checkpoint")[0]["attempts"] == 20_000
    fewer = greedy(16, angle=70, attempts=500, checkpoint=file)
    assert fewer == greedy(16, angle=70, attempts=500)
    assert store.read(file, "checkpoint")[0]["attempts"] == 20_000
    for change in ({"seed": 1}, {"angle": 71}):
        with pytest.raises(ValueError, match="^checkpoint: must be of the same run"):
            greedy(**{"d": 16, "angle": 70, "checkpoint": file, **change})
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ValueError, match="^checkpoint: must be a "):
        greedy(16, angle=70, attempts=50, checkpoint=file)


def test_progress_may_stop_a_run():
    found = greedy(16, angle=70, attempts=20_000, progress=lambda done, total: done < 3000)
    assert 3000 <= found.attempts < 20_000
    assert found == greedy(16, angle=70, attempts=found.attempts)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_interrupted_run_goes_on(tmp_path):
    file = tmp_path / "run"
    program = (
        "import sys; from superpos_fast.capacity import greedy\n"
        "greedy(60, angle=70, attempts=10**9, checkpoint=sys.argv[1])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, file],
        stderr=subprocess.PIPE,
        preexec_fn=listen_to_interrupts,
    )
    time.sleep(5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert b"KeyboardInterrupt" in err
    done = store.read(file, "checkpoint")[0]["attempts"]
    assert 0 < done < 10**9
    more = done + 5000
    found = greedy(60, angle=70, attempts=more, checkpoint=file)
    assert found.attempts == more
    assert within_tolerance(found.vectors, angle=70)
    few = greedy(60, angle=70, attempts=2000)
    assert few.accepted.tolist() == found.accepted[found.accepted < 2000].tolist()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"d": 0, "angle": 80}, ValueError, "d: must be between 1 and 1048576, got 0"),
        ({"d": 3}, ValueError, "cosine, angle: must be given one or the other, got neither"),
        ({"d": 3, "angle": 100}, ValueError, "angle: must be between 0 and 90, got 100"),
        ({"d": 3, "angle": 80, "attempts": 0}, ValueError, "attempts: must be between 1 and"),
        ({"d": 3, "angle": 80, "seed": -1}, ValueError, "seed: must be between 0 and"),
        ({"d": 3, "angle": 80, "speed": 1}, TypeError, "speed: must be a keyword"),
    ],
)
def test_refusals(arguments, error, message):
    with pytest.raises(error) as refusal:
        greedy(**arguments)
    assert str(refusal.value).startswith(message)
