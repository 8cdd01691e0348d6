"""The room as a whole: its names, its examples, its command."""

import csv
import doctest
import importlib
import json
import pkgutil
import subprocess
import sys

import pytest

from helpers import check_refusal
from superpos_fast import capacity, cli
from superpos_fast.capacity import bounds, coherence_floor

ROOMS = [room.name for room in pkgutil.walk_packages(capacity.__path__, "superpos_fast.capacity.")]


def test_public_names():
    for name in capacity.__all__:
        assert getattr(capacity, name).__doc__


def test_no_room_hides_a_function():
    rooms = {name.rpartition(".")[2] for name in ROOMS if name.count(".") == 2}
    assert rooms & set(capacity.__all__) == {"frames"}
    assert set(capacity.__all__) <= set(dir(capacity))
    with pytest.raises(AttributeError, match="'superpos_fast.capacity' has no attribute 'magic'"):
        _ = capacity.magic


@pytest.mark.parametrize("name", ROOMS)
def test_examples(name):
    importlib.import_module(name)
    found = doctest.testmod(sys.modules[name])
    assert found.failed == 0


def test_import_is_light():
    program = "import sys, superpos_fast, {}; print(*sys.modules)"
    for last, heavy in (
        ("superpos_fast", {"superpos_fast.capacity.bracket"}),
        ("superpos_fast.cli", set()),
    ):
        command = [sys.executable, "-c", program.format(last)]
        modules = set(subprocess.check_output(command, text=True).split())
        assert not (heavy | {"numba", "scipy", "matplotlib", "mpmath", "tqdm"}) & modules


def said(capsys, *arguments):
    assert cli.main(["capacity", *arguments]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def test_the_seed_questions(capsys):
    text = said(capsys, "--dim", "12288", "--angle", "85")
    assert "at most   10^88.965  (levenshtein)" in text
    assert "at least  10^26.820  (Weil sums of degree 7 over F_6143" in text
    assert "random    10^10.867" in text
    assert "In 12,288 dimensions, at 85 degrees or more, at least 10^26.820" in text
    text = said(capsys, "--dim", "100", "--angle", "89")
    assert text.endswith("In 100 dimensions, at 89 degrees or more, exactly 102 lines fit.\n")
    text = said(capsys, "--dim", "100", "--lines", "10000")
    assert "some |cos| >= 0.140028 (81.95 degrees)" in text
    assert "0.530433 +- 0.016664" in text


def test_every_bound(capsys):
    text = said(capsys, "--dim", "100", "--angle", "85", "--all")
    found = bounds(100, angle=85)
    for name, value in found.lowers.items():
        assert f"  {name}" in text
        assert f"{value:.4f}" in text
    text = said(capsys, "--dim", "9", "--lines", "20", "--all", "--complex")
    assert f"{coherence_floor(20, 9, complex=True).cosine:.6f}" in text


def test_json(capsys):
    facts = json.loads(said(capsys, "--dim", "24", "--cosine", "0.5", "--json"))
    assert facts["upper"] == facts["lower"] == 98_280
    assert facts["exact"] is True
    assert facts["uppers"]["relative"] is None
    facts = json.loads(said(capsys, "--dim", "4", "--lines", "6", "--json"))
    assert facts["cosine"] == coherence_floor(6, 4).cosine


def test_sweep(capsys, tmp_path):
    rows = json.loads(said(capsys, "sweep", "--dims", "8,16", "--angles", "80", "--json"))["rows"]
    assert {row["d"] for row in rows} == {8, 16}
    table, plot = tmp_path / "t.csv", tmp_path / "p.png"
    text = said(
        capsys, "sweep", "--dims", "8:64:4", "--angles", "70,80", "--ratios", "2:20:3",
        "--methods", "bounds,greedy", "--attempts", "500", "-o", str(table), "--plot", str(plot),
        "--checkpoint", str(tmp_path / "c"),
    )  # fmt: skip
    assert str(table) in text
    assert plot.stat().st_size > 10_000
    with table.open() as stream:
        read = list(csv.DictReader(stream))
    assert {row["name"] for row in read if row["method"] == "greedy"} == {"500 attempts"}
    assert str(plot) in text


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("capacity", "--d: must be given, got none"),
        ("capacity --dim 5", "cosine, angle: must be given one or the other"),
        ("capacity --dim 5 --angle 99", "angle: must be between 0 and 90, got 99"),
        ("capacity --dim 0 --angle 80", "d: must be between 1 and 1000000, got 0"),
        ("capacity --dim 5 --lines 9 --angle 80", "--n: must come without --angle, got --n 9"),
        ("capacity --dim x", "--dim"),
        ("capacity sweep", "--dims"),
        ("capacity sweep --dims 8;9 --angles 80", "--dims: must be whole numbers like"),
        ("capacity sweep --dims 8:9 --angles 80", "--dims: must be low:high:count like"),
        ("capacity sweep --dims 9:8:3 --angles 80", "--dims: must be low:high:count like"),
        ("capacity sweep --dims 8", "angles, ratios: must have a method"),
        ("capacity sweep --dims 8 --angles 80 --methods magic", "methods: must be one of"),
        ("capacity sweep --dims 8 --angles 80 --plot /nowhere/x.png", "/nowhere/x.png"),
        ("capacity sweep --dims 8 --angles 80 --plot x.what", "--plot: must end in .png"),
    ],
)
def test_a_mistake_is_told_in_one_line(capsys, arguments, reason):
    check_refusal(capsys, arguments, reason)
