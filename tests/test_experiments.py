"""Sampled coherences, read-outs and sweeps: against definitions, laws and each other."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from superpos_fast import coherence, nearest, rms_cosine, store
from superpos_fast.capacity import (
    Sweep,
    bounds,
    checkpoints,
    coherence_floor,
    frames,
    greedy,
    null,
    pack,
    readout,
    sample_coherence,
    sweep,
)
from superpos_fast.capacity.directions import trial_seed
from superpos_fast.data import example
from superpos_fast.generated import drawn

# Sampled coherences


def test_values_are_coherences():
    found = sample_coherence(300, 12, trials=4, seed=9)
    for trial in range(4):
        table = drawn(12, trial_seed(9, trial), 0, 300)
        assert found.values[trial] == coherence(table)
        assert found.row_maxima[trial] == abs(nearest(table).cosines[0, 0])
    assert sample_coherence(300, 12, trials=2, seed=9).values.tolist() == found.values[:2].tolist()
    assert found == sample_coherence(300, 12, trials=4, seed=9, threads=3)


def test_tables_that_do_not_fit():
    """Drawn in two parts, and anew: the same answers."""
    small = 2**21
    assert sample_coherence(9000, 16, 2, memory=small) == sample_coherence(9000, 16, 2)
    assert sample_coherence(8193, 16, 1, memory=small) == sample_coherence(8193, 16, 1)


@pytest.mark.parametrize(("n", "d"), [(1000, 100), (2000, 30)])
def test_the_law_of_the_coherence(n, d):
    """Kolmogorov and Smirnov at 1 %, of the coherence and of one row's maximum a table."""
    found = sample_coherence(n, d, trials=150, seed=5)
    for of in ("coherence", "row_maximum"):
        distance, critical = found.ks(of)
        assert distance < critical
    assert found.ks("row_maximum")[1] == pytest.approx(1.6276 / math.sqrt(150), rel=1e-4)
    assert found.ks("coherence")[1] > found.ks("row_maximum")[1]
    shifted = type(found)(n, d, 0, found.values + 0.02, found.row_maxima + 0.05)
    for of in ("coherence", "row_maximum"):
        distance, critical = shifted.ks(of)
        assert distance > critical
    text = str(found)
    assert f"{found.values.mean():.6f}" in text
    assert f"{null(n, d).coherence.mean:.6f}" in text


def test_trials_are_kept(tmp_path):
    file = tmp_path / "trials"
    expected = sample_coherence(50, 5, trials=30)
    for trials in (7, 30, 12):
        found = sample_coherence(50, 5, trials=trials, checkpoint=file)
        assert found.values.tolist() == expected.values[:trials].tolist()
    assert len(store.read(file, "checkpoint")[1]["results"]) == 30
    with pytest.raises(ValueError, match="^checkpoint: must be of the same run"):
        sample_coherence(51, 5, checkpoint=file)


def test_progress_may_stop_experiments():
    found = sample_coherence(50, 5, trials=30, progress=lambda done, total: done < 4)
    assert found.values.tolist() == sample_coherence(50, 5, trials=4).values.tolist()
    table = sweep([8, 9, 10], [80], progress=lambda done, total: done < 2)
    assert {row.d for row in table.rows} == {8, 9}


EXPERIMENTS = {
    "greedy": lambda **k: greedy(8, angle=60, attempts=2000, **k),
    "sample_coherence": lambda **k: sample_coherence(50, 5, trials=3, **k),
    "sweep": lambda **k: sweep([8], [80], **k),
    "pack": lambda **k: pack(7, 3, restarts=4, **k),
}


def numbers(found):
    return [row.log10_n for row in found.rows] if isinstance(found, Sweep) else found


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder that nobody can write to")
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_file_that_cannot_be_written_ends_no_experiment(name):
    ask = EXPERIMENTS[name]
    with pytest.warns(UserWarning, match="^checkpoint: '/proc/kept' could not be written") as told:
        found = ask(checkpoint="/proc/kept")
    assert [str(one.message).rpartition(", ")[2] for one in told][:1] == ["and the run goes on"]
    assert str(told[-1].message).endswith(" to the end")
    assert len(told) == 2
    expected = ask()
    if name == "pack":
        assert np.array_equal(found.vectors, expected.vectors)
    else:
        assert numbers(found) == numbers(expected)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_file_of_another_version_is_refused(name, tmp_path, monkeypatch):
    ask, file = EXPERIMENTS[name], tmp_path / "kept"
    ask(checkpoint=file)
    monkeypatch.setattr(checkpoints, "__version__", "9.9")
    with pytest.raises(ValueError, match="^checkpoint: must be of the same .*9.9"):
        ask(checkpoint=file)


# Read-outs


def plain_readout(rows, k, trials, seed):
    """By definition, from one matrix of all read-outs."""
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    rng = np.random.default_rng([seed, k])
    inactive, active, right, wrong = [], [], 0, np.zeros(2)
    for _ in range(trials):
        chosen = rng.choice(len(rows), k, replace=False)
        reads = units @ units[chosen].sum(axis=0)
        on = np.zeros(len(rows), bool)
        on[chosen] = True
        active += (reads[on] - 1).tolist()
        inactive += reads[~on].tolist()
        errors = (reads >= 0.5) != on
        wrong += errors[on].sum(), errors[~on].sum()
        right += not errors.any()
    rms = [math.sqrt(np.mean(np.square(part))) for part in (inactive, active)]
    return *rms, wrong[0] / len(active), wrong[1] / len(inactive), right / trials


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_readouts_are_what_they_say(dtype):
    rows = np.random.default_rng(0).standard_normal((700, 40)).astype(dtype)
    found = readout(rows, [1, 3, 11], trials=20, seed=4)
    for at, k in enumerate([1, 3, 11]):
        expected = plain_readout(rows.astype(float), k, 20, 4)
        columns = (
            found.noise, found.signal_noise, found.misses, found.false_alarms, found.all_right,
        )  # fmt: skip
        assert [column[at] for column in columns] == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert found.coherence == coherence(rows)
    assert found.rms_cosine == rms_cosine(rows)
    wrong = found.misses * found.k + found.false_alarms * (found.n - found.k)
    assert found.error_rate == pytest.approx(wrong / 700)
    assert len(found.records()) == 3
    assert json.loads(json.dumps(found.records()))[1]["k"] == 3
    assert str(found).count("\n") == 4


def test_random_features_read_as_predicted():
    """Noise sqrt(k/d) within five standard errors, and the normal error rate."""
    n, d = 3000, 400
    rows = np.random.default_rng(1).standard_normal((n, d))
    found = readout(rows, [2, 8, 32], trials=40)
    assert found.noise == pytest.approx(found.predicted_noise, rel=0.02)
    assert found.noise_of_cosines == pytest.approx(found.predicted_noise, rel=0.01)
    assert found.error_rate[2] == pytest.approx(found.predicted_error_rate[2], rel=0.1)
    likely = found.likely(0.01)
    assert likely == pytest.approx(400 / (8 * math.log(3000 / 0.02)))
    assert readout(rows, int(likely), trials=100).all_right[0] >= 0.99 - 0.03


def test_guarantees():
    kerdock = frames.kerdock(6)
    found = readout(kerdock, [1, 2, 3, 4], trials=60)
    assert found.coherence == 1 / 8
    assert found.guaranteed == 4
    assert (found.all_right[:3] == 1.0).all()  # 3/8 of interference at most
    assert readout(frames.basis(20), 20, trials=3).all_right[0] == 1.0
    assert readout(frames.basis(20), 1).guaranteed == 20
    # A dictionary that was trained has duplicates nearly: hardly anything is guaranteed.
    trained = readout(example(), [1, 8], trials=10)
    assert trained.guaranteed == 1
    assert (trained.noise > trained.predicted_noise).all()


@pytest.mark.parametrize(
    ("k", "error", "message"),
    [
        (0, ValueError, "k: must be between 1 and 20, got 0"),
        (21, ValueError, "k: must be between 1 and 20, got 21"),
        (1.5, TypeError, "k: must be a whole number, got 1.5"),
        ([], ValueError, "k: must be at least one number, got none"),
    ],
)
def test_refused_numbers_of_features(k, error, message):
    with pytest.raises(error) as refusal:
        readout(frames.basis(20), k)
    assert str(refusal.value) == message


# Sweeps


@pytest.fixture(scope="module")
def table():
    return sweep(
        [8, 24], [60, 80], ["bounds", "random", "greedy", "sample"],
        ratios=[2, 5], attempts=3000, trials=3,
    )  # fmt: skip


def rows_of(table, **wanted):
    return [row for row in table.rows if all(getattr(row, k) == v for k, v in wanted.items())]


def test_a_sweep_is_its_parts(table):
    for d in (8, 24):
        for angle in (60, 80):
            found = bounds(d, angle=angle)
            cosine = found.cosine
            here = {"d": d, "cosine": cosine, "given": "angle"}
            (upper,) = rows_of(table, role="upper bound", **here)
            (lower,) = rows_of(table, role="lower bound", **here)
            assert (upper.n, upper.log10_n) == (found.upper, found.log10_upper)
            assert (lower.n, lower.name) == (found.lower, found.lower_name)
            (kept,) = rows_of(table, method="greedy", role="measured", **here)
            assert kept.n == len(greedy(d, angle=angle, attempts=3000))
            assert kept.n <= upper.n
            (random,) = rows_of(table, method="random", **here)
            assert 1 <= random.n <= kept.n
            assert upper.angle == pytest.approx(angle)
        for n in (2 * d, 5 * d):
            here = {"d": d, "n": n, "given": "n"}
            (floor,) = rows_of(table, role="lower bound", **here)
            assert floor.cosine == coherence_floor(n, d).cosine
            (mean,) = rows_of(table, name="random mean", **here)
            assert mean.cosine == null(n, d).coherence.mean
            (measured,) = rows_of(table, method="sample", **here)
            assert measured.cosine == sample_coherence(n, d, 3).values.mean()
            assert measured.cosine > floor.cosine


def test_tables_are_written(table, tmp_path):
    table.to_csv(tmp_path / "table.csv")
    with (tmp_path / "table.csv").open() as stream:
        read = list(csv.DictReader(stream))
    assert len(read) == len(table) == len(table.records())
    for one, row in zip(read, table.records(), strict=True):
        assert int(one["d"]) == row["d"]
        assert float(one["log10_n"]) == row["log10_n"]
        assert one["n"] == ("" if row["n"] is None else str(row["n"]))
    json.dumps(table.records())


def test_sweeps_are_kept(table, tmp_path):
    file = tmp_path / "sweep"
    common = {"ratios": [2, 5], "attempts": 3000, "trials": 3, "checkpoint": file}
    methods = ["bounds", "random", "greedy", "sample"]
    first = sweep([8], [60, 80], methods, **common)
    again = sweep([8, 24], [60, 80], methods, **common)
    assert again.rows[: len(first)] == first.rows
    assert [row.n for row in again.rows] == [row.n for row in table.rows]
    with pytest.raises(ValueError, match="^checkpoint: must be of the same sweep"):
        sweep([8], [60], attempts=4, checkpoint=file)


def test_packings_are_beside_random_ones():
    """Better than the mean of random vectors, and no better than can be; drawn as points."""
    found = sweep([5], methods=["bounds", "sample", "pack"], ratios=[2, 4], trials=4, seed=3)
    for n in (10, 20):
        values = {row.name: row.cosine for row in found.rows if row.n == n}
        floor = next(row.cosine for row in found.rows if row.n == n and row.role == "lower bound")
        assert floor - 1e-12 <= values["best of 4"] < values["mean of 4"]
        assert values["best of 4"] == pack(n, 5, restarts=4, seed=3).coherence
    drawn = {tuple(point) for line in found.plot().axes[0].lines for point in line.get_xydata()}
    packed = [row for row in found.rows if row.method == "pack"]
    assert {(10.0**row.log10_n / row.d, row.cosine) for row in packed} <= drawn


def test_pictures(table, tmp_path):
    figure = table.plot(tmp_path / "both.png")
    assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")
    capacity, coherences = figure.axes
    assert capacity.get_xlabel() == "dimensions"
    assert coherences.get_xlabel() == "lines / dimensions"
    # Two tolerances, each with a shaded gap; two dimensions, each with a band.
    assert [len(axes.collections) for axes in figure.axes] == [2, 2]
    upper = {(row.d, row.log10_n) for row in rows_of(table, role="upper bound")}
    drawn = {tuple(point) for line in capacity.lines for point in line.get_xydata().tolist()}
    assert upper <= drawn
    measured = {(row.d, row.log10_n) for row in rows_of(table, method="greedy")}
    assert measured <= drawn
    assert len(sweep([8, 9], [80]).plot().axes) == 1


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: sweep([8]), ValueError, "angles, ratios: must have a method for some"),
        (lambda: sweep([8], [80], ["sample"]), ValueError, "angles, ratios: must have a method"),
        (lambda: sweep([8], [80], ["magic"]), ValueError, "methods: must be one of 'bounds'"),
        (lambda: sweep([8], [0.5]), ValueError, "angles: must be between 1 and 90, got 0.5"),
        (lambda: sweep([0], [80]), ValueError, "dims: must be between 1 and 1000000, got 0"),
        (lambda: sweep([8], ratios=[0.5]), ValueError, "ratios: must be between 1 and"),
    ],
)
def test_refused_sweeps(call, error, message):
    with pytest.raises(error) as refusal:
        call()
    assert str(refusal.value).startswith(message)
