"""The benchmarks run, at sizes too small to measure anything, so that they cannot rot."""

import functools
import json
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))

from bench import cuda_model, family, inputs, moments, peers, roofline
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


def test_peers_agree(monkeypatch):
    monkeypatch.setattr(peers, "PAUSE", 0)
    absent = peers.Peer("not_a_module", peers.ours)
    monkeypatch.setitem(peers.PEERS, "nobody", absent)
    records = {r["peer"]: r for r in peers.compare(list(peers.PEERS), 40, 6, 1, 1)}
    assert records["nobody"]["failure"] == "absent: not_a_module is not installed"
    failures = {name: r["failure"] for name, r in records.items() if "failure" in r}
    assert all(text.startswith("absent") for text in failures.values()), failures
    assert peers.disagreements(list(records.values())) == []
    expected = cosines(inputs.random_vectors(40, 6)).max()
    assert records["superpos_fast"]["answer"] == pytest.approx(expected, abs=1e-5)
    assert "nobody: absent" in peers.report(list(records.values()))


def test_peers_that_disagree_or_fail_are_named():
    def record(question, answer):
        return {"peer": "p", "question": question, "d": 1, "answer": answer}

    assert peers.disagreements([record("|cos|", 0.5), record("|cos|", 0.6)])
    assert peers.disagreements([record("|cos|", 0.5), record("|cos|", float("nan"))])
    assert peers.disagreements([record("|cos|", 0.5), record("cos", 0.6)])
    assert not peers.disagreements([record("|cos|", 0.6), record("cos", 0.5)])
    child = peers.Child("numpy-gram", -1, 2, 1)
    child.stop()
    assert "ValueError" in child.failure
