"""The benchmarks run, at sizes too small to measure anything, so that they cannot rot."""

import functools
import importlib.util
import json
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))

from bench import cuda_model, family, inputs, moments, peers, peers_page, rivals, roofline, scaling
from superpos_fast.kernels.cuda import model

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="the FMA peak is compiled code")

quick_peak = functools.partial(roofline.fma_peak, seconds=0.002, repeat=2)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for module in (roofline, peers, family):
        monkeypatch.setattr(module, "fma_peak", quick_peak)
    monkeypatch.setattr(roofline, "copy_bandwidth", lambda threads: 1.0)


def cosines(vectors):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.abs(unit @ unit.T)[np.triu_indices(len(unit), 1)]


def test_the_family_and_the_moments(capsys):
    family.main(["--n", "200", "--dims", "7", "64", "--repeat", "1"])
    moments.main(["--n", "300", "--d", "8", "--repeat", "1"])
    out = capsys.readouterr().out
    assert "describe" in out
    assert "ssyrk" in out


def test_the_model_of_devices(capsys):
    cuda_model.main(["--n", "100000"])
    assert "expected, not measured" in capsys.readouterr().out
    rates = model.DEVICES["H100"]
    for depth in (64, 4096):
        times = [model.seconds(rates, way, 10**5, depth) for way in model.WAYS]
        assert min(times[1:]) < times[0]
        # No way is faster than its products, or than a tile is written and read.
        assert times[3] > depth * 1e10 / model.rate(rates.fused["float16"], depth)
        assert times[2] > 2 * 2 * 0.499e10 / 3e12


def test_peak_is_plausible():
    single, double = quick_peak(np.float32), quick_peak(np.float64)
    assert 1e9 < double < single < 1e12
    assert quick_peak(np.float32, 2) < 3 * single


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("orthogonal, exact", 0),
        ("orthogonal, rounded", 0),
        ("equiangular, McFarland", 1 / 7),
        ("equiangular, Paley", 61**-0.5),
        ("sparse, disjoint", 0),
        ("64 rows, repeated", None),
        ("sparse, two ones", None),
        ("one row, repeated", 1),
        ("equal to 1e-5", 1),
        ("equal to 1e-9", 1),
    ],
)
def test_hard_inputs(name, expected):
    found = cosines(inputs.HARD[name](64))
    if expected is not None:
        np.testing.assert_allclose(found, expected, atol=1e-9)


def test_sparse_rows_have_ties_below_one():
    found = cosines(inputs.HARD["sparse, two ones"](256))
    assert found.max() == pytest.approx(0.5)
    assert np.mean(found == 0) > 0.8


def test_roofline(capsys):
    options = ["--n", "64", "--dims", "5", "--repeat", "1", "--threads", "1"]
    roofline.main(options)
    assert "hard inputs" in capsys.readouterr().out
    roofline.main([*options, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert found["random"][0]["rate"] > 0
    assert {record["input"] for record in found["hard"]} == set(inputs.HARD)


@pytest.fixture(scope="module")
def asked():
    vectors = inputs.random_vectors(60, 6)
    return {
        signed: rivals.Asked(vectors, 1, peers.threshold(vectors, signed))
        for signed in (False, True)
    }


INSTALLED = [name for name, one in rivals.RIVALS.items() if importlib.util.find_spec(one.module)]


ANSWERED = [(name, question) for name in INSTALLED for question in rivals.RIVALS[name].answers]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # theirs, of one another
@pytest.mark.parametrize(("name", "question"), ANSWERED)
def test_rivals(name, question, asked):
    rival = rivals.RIVALS[name]
    mine = asked[rival.signed]
    truth = peers.exact(question, mine, rival.signed)
    assert not peers.wrong(question, mine, rival.signed, rival.answers[question](mine), truth)


def test_wrong_answers_are_seen(asked):
    mine, signed = asked[False], False
    truth = {question: peers.exact(question, mine, signed) for question in rivals.QUESTIONS}
    maximum, nearest, pairs, histogram = (truth[question] for question in rivals.QUESTIONS)
    shifted, moved = histogram.copy(), histogram.copy()
    shifted[90] += 1
    moved[[80, 90]] += [-1, 1]
    for question, answers in {
        "maximum": [maximum + 2e-5, np.nan],
        "nearest": [np.roll(nearest, 1), nearest[::-1], np.full(60, np.nan)],
        "pairs": [pairs[1:], np.concatenate([pairs, pairs[:1]]), pairs[:0]],
        "histogram": [shifted, moved, np.zeros(180, np.int64)],
    }.items():
        for answer in answers:
            assert peers.wrong(question, mine, signed, answer, truth[question]), question
    assert not peers.wrong("maximum", mine, signed, maximum + 5e-6, maximum)
    assert not peers.wrong("pairs", mine, signed, pairs[::-1], pairs)


def test_peers(monkeypatch, tmp_path, capsys):
    """In processes, one absent and one that fails; and the page of it."""
    monkeypatch.setattr(peers, "PAUSE", 0)
    nobody = rivals.Rival("not_a_module", "nobody", {"maximum": max})
    monkeypatch.setitem(rivals.RIVALS, "nobody", nobody)
    names = [rivals.OURS, "NumPy, tuned tiles", "nobody"]
    vectors = inputs.random_vectors(60, 6)
    records = peers.compare(names, "maximum", vectors, 1, 1)
    assert records[0]["ratio"] == 1
    assert records[1]["ratio"] > 0
    assert records[2]["failure"] == "absent: nobody is not installed"
    out = peers.report(records)
    assert "nobody: absent" in out
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{peers_page.BEGIN}\nold\n{peers_page.END}\nafter\n")
    monkeypatch.setattr(peers_page, "README", readme)
    monkeypatch.setattr(peers_page, "HERE", tmp_path)
    for _ in range(2):
        peers_page.write("a machine", "2026-01-01", records)
    lines = readme.read_text().splitlines()
    assert lines[0] == "before"
    assert lines[-1] == "after"
    assert "old" not in lines
    assert sum(line.startswith("| superpos_fast 0") for line in lines) == 1
    page = (tmp_path / "peers.md").read_text()
    assert "nobody: absent: nobody is not installed" in page
    assert (tmp_path / "peers.png").stat().st_size > 1000


def test_a_process_that_fails_is_named(asked):
    child = peers.Child("NumPy, whole Gram", "nearest", asked[False])
    child.stop()
    assert "KeyError" in child.failure


def test_the_cost_model(monkeypatch, tmp_path):
    way = scaling.Way("cpu", "off", 1)
    costs = 1e-3, 1e-9, 2e-10, 3e-12

    def seconds(n, d):
        return costs[0] + costs[1] * n * d + n * (n - 1) / 2 * (costs[2] + costs[3] * d)

    points = [
        scaling.Point(way, n, d, seconds(n, d), 0.5) for n in (500, 1000, 9000) for d in (8, 700)
    ]
    model = scaling.fitted(points)
    assert model.error < 1e-6
    assert model.seconds(10**6, 768) == pytest.approx(seconds(10**6, 768), rel=1e-5)
    assert scaling.growth(points, points[2]) == f"{seconds(1000, 8) / seconds(500, 8):.1f}"
    assert [scaling.shown(s) for s in (0.0123, 119, 180, 8640, 1e6)] == [
        "0.012 s", "120 s", "3 min", "2.4 h", "12 days",
    ]  # fmt: skip
    monkeypatch.setattr(scaling, "PAGE", tmp_path / "scaling.md")
    monkeypatch.setattr(scaling, "fma_peak", quick_peak)
    sizes = ["--rows", "32", "64", "--dims", "5", "9"]
    scaling.main([*sizes, "--repeat", "1", "--threads", "2", "--write"])
    text = scaling.PAGE.read_text()
    assert "none of this was measured" in text
    assert "10,000,000 x 768" in text
