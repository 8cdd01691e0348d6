"""What the commands print and write, in this process: the same numbers as the functions return."""

import csv
import io
import json
import re
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import superpos_fast as sf
from helpers import check_refusal
from superpos_fast import cli
from superpos_fast.capacity import bounds, null

COMMANDS = [
    "coherence", "nearest", "pairs", "compare", "histogram", "quantile", "describe", "report",
    "capacity", "pack", "greedy", "bench", "merge", "demo",
]  # fmt: skip
# Commands that look at a file, and what else they need.
ASKED = {
    "coherence": [],
    "nearest": ["--k", "2"],
    "pairs": ["--top", "5"],
    "histogram": ["--bins", "12"],
    "quantile": ["--q", "0.1,0.9"],
    "describe": [],
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder of small files, and nothing of a terminal."""
    random = np.random.default_rng(1)
    np.save(tmp_path / "a.npy", random.normal(size=(60, 6)))
    np.save(tmp_path / "b.npy", random.normal(size=(25, 6)))
    gaps = random.normal(size=(30, 6))
    gaps[[3, 11]] = 0.0
    np.save(tmp_path / "gaps.npy", gaps)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys, *arguments):
    assert cli.main(list(map(str, arguments))) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def told(capsys, *arguments):
    return json.loads(said(capsys, *arguments, "--json"))


def table(capsys, *arguments):
    return list(csv.DictReader(io.StringIO(said(capsys, *arguments, "--csv"))))


@pytest.mark.parametrize("other", [None, "b.npy"])
def test_nearest(capsys, folder, other):
    sides = [np.load("a.npy"), None if other is None else np.load(other)]
    arguments = ["nearest", "a.npy", "--k", "3", *([] if other is None else ["--other", other])]
    found = sf.nearest(*sides, k=3)
    facts = told(capsys, *arguments, "-o", "n.npz")
    assert facts["indices"] == found.indices.tolist()
    assert facts["cosines"] == found.cosines.tolist()
    with np.load("n.npz") as kept:
        assert np.array_equal(kept["indices"], found.indices)
        assert np.array_equal(kept["cosines"], found.cosines)
    rows = table(capsys, *arguments)
    assert [float(row["cosine"]) for row in rows] == found.cosines.ravel().tolist()
    assert [int(row["neighbour"]) for row in rows] == found.indices.ravel().tolist()
    assert [int(row["rank"]) for row in rows[:4]] == [1, 2, 3, 1]
    # A person sees those with the nearest neighbours first.
    best = np.argsort(-np.abs(found.cosines[:, 0]), kind="stable")[0]
    lines = said(capsys, *arguments).splitlines()
    first = next(line for line in lines if line.strip().startswith(f"{best} "))
    assert f"{found.cosines[best, 0]:+.6f}" in first
    assert sum(bool(re.match(r" *\d+ +\d+ +[+-]0\.", line)) for line in lines) == 20


def test_skipped_rows_have_no_neighbour(capsys):
    facts = told(capsys, "nearest", "gaps.npy", "--zero", "skip")
    assert facts["indices"][3] == [-1]
    assert facts["cosines"][3] == [None]
    shown = said(capsys, "nearest", "gaps.npy", "--zero", "skip")
    assert "nan" not in shown


def test_pairs(capsys):
    found = sf.pairs(np.load("a.npy"), angle=40)
    rows = table(capsys, "pairs", "a.npy", "--angle", "40")
    assert [(int(r["i"]), int(r["j"]), float(r["cosine"])) for r in rows] == list(
        zip(found.i.tolist(), found.j.tolist(), found.cosine.tolist(), strict=True)
    )
    assert told(capsys, "pairs", "a.npy", "--angle", "40")["count"] == len(found)
    assert len(table(capsys, "pairs", "a.npy")) == 20
    assert f"20 of {len(found)} pairs; all with" in said(capsys, "pairs", "a.npy", "--angle", "40")


def test_compare(capsys):
    a, b = np.load("a.npy"), np.load("b.npy")
    facts = told(capsys, "compare", "a.npy", "b.npy", "-o", "c.csv")
    overlap = sf.mmcs(a, b)
    assert facts["mmcs"] == {"a_to_b": overlap.a_to_b, "b_to_a": overlap.b_to_a}
    assert facts["random_mmcs"]["a_to_b"] == null(60, 6, 25).row_maximum.mean
    mutual = sf.mutual_nearest(a, b)
    assert facts["mutual"] == len(mutual)
    assert sorted(zip(facts["i"], facts["j"], strict=True)) == list(map(tuple, mutual.tolist()))
    assert np.all(np.diff(np.abs(facts["cosine"])) <= 0)
    with open("c.csv") as stream:
        assert [int(row["i"]) for row in csv.DictReader(stream)] == facts["i"]
    assert f"{overlap.b_to_a:.6f}" in said(capsys, "compare", "a.npy", "b.npy")


def test_histogram(capsys):
    vectors = np.load("a.npy")
    counts, edges = sf.histogram(vectors, bins=9, range=(0.0, 90.0), of="line_angle")
    arguments = ["histogram", "a.npy", "--bins", 9, "--range", "0,90", "--of", "line_angle"]
    facts = told(capsys, *arguments)
    assert (facts["counts"], facts["edges"]) == (counts.tolist(), edges.tolist())
    expected, _, _ = null(60, 6).histogram(bins=9, of="line_angle")
    assert facts["random"] == expected.tolist()
    assert [int(row["count"]) for row in table(capsys, *arguments)] == counts.tolist()
    lines = said(capsys, *arguments).splitlines()
    most = int(np.argmax(counts))
    row = rf"{10 * most} +{10 * most + 10} +{counts[most]:,} +{expected[most]:,.1f} +█{{30}}$"
    assert any(re.search(row, line) for line in lines)
    edged = told(
        capsys, "histogram", "gaps.npy", "--zero", "skip", "--of", "cosine", "--bins=-1,0,1"
    )
    assert sum(edged["counts"]) == 28 * 27 // 2
    assert edged["random"] == pytest.approx([28 * 27 / 4] * 2)


def test_quantile(capsys):
    facts = told(capsys, "quantile", "a.npy", "--q", "0,0.5", "--of", "abs_cosine")
    found = sf.quantile(np.load("a.npy"), [0.0, 0.5], of="abs_cosine")
    assert facts["value"] == found.tolist()
    assert f"{found[1]:.6f}" in said(
        capsys, "quantile", "a.npy", "--q", "0,0.5", "--of", "abs_cosine"
    )


def test_describe(capsys):
    found = sf.describe(np.load("a.npy"))
    facts = told(capsys, "describe", "a.npy")
    assert {**facts, "run": None} == {**json.loads(found.to_json()), "run": None}
    assert facts["run"]["pairs"] == found.pairs
    shown = said(capsys, "describe", "a.npy")
    assert all(line.rstrip() in shown for line in str(found).splitlines()[1:])


def test_report(capsys):
    shown = said(capsys, "report", "a.npy", "-o", "r.html")
    with open("r.html", encoding="utf-8") as stream:
        page = stream.read()
    assert "<title>a.npy</title>" in page
    assert repr(sf.coherence(np.load("a.npy"))) in shown
    assert cli.main(["report", "a.npy", "-o", "nowhere/r.html"]) == 2
    assert "--output: must be in a folder that is there" in capsys.readouterr().err


def test_pack_and_greedy(capsys):
    facts = told(capsys, "pack", "--n", 6, "--d", 3, "--restarts", 2, "-o", "p.npz")
    with np.load("p.npz") as kept:
        assert sf.coherence(kept["vectors"]) == facts["coherence"] == float(kept["coherence"])
    assert facts["coherence"] == pytest.approx(5**-0.5, abs=1e-6)
    again = told(capsys, "pack", "--n", 6, "--d", 3, "--start", "p.npz", "--tensor", "vectors")
    assert again["coherence"] <= facts["coherence"]
    found = sf.capacity.greedy(8, angle=60, attempts=500, seed=3)
    arguments = ["greedy", "--d", 8, "--angle", 60, "--attempts", 500, "--seed", 3]
    facts = told(capsys, *arguments)
    assert facts["accepted"] == found.accepted.tolist()
    shown = said(capsys, *arguments)
    assert f"{len(found)} of 500 random directions" in shown
    assert str(bounds(8, cosine=found.cosine)) in shown


def test_bench(capsys):
    facts = told(capsys, "bench", "--n", 300, "--d", "8,16", "--repeat", 1)
    assert [row["d"] for row in facts["rows"]] == [8, 16]
    for row in facts["rows"]:
        assert row["gflops"] == pytest.approx(300 * 299 * row["d"] / 1e9 / row["seconds"])
    assert [
        int(row["d"]) for row in table(capsys, "bench", "--n", 300, "--d", "8", "--repeat", 1)
    ] == [8]


def test_shards_are_merged(capsys):
    vectors = np.random.default_rng(0).normal(size=(2500, 4))
    np.save("many.npy", vectors)
    for share in range(2):
        shown = said(
            capsys, "nearest", "many.npy", "--checkpoint", f"{share}.ckpt", "--shard", f"{share}/2"
        )
        assert re.match(r"[\d,]{7,} of 3,123,750 pairs in ", shown)
    merged = told(capsys, "merge", "0.ckpt", "1.ckpt")
    assert merged["indices"] == sf.nearest(vectors).indices.tolist()


def test_records_in_records_are_merged(capsys):
    one, two = np.random.default_rng(0).normal(size=(2, 300, 4))
    for share in range(2):
        sf.nearest(one, two, return_both=True, shard=(share, 2), checkpoint=f"{share}.ckpt")
    merged, found = (
        told(capsys, "merge", "0.ckpt", "1.ckpt"),
        sf.nearest(one, two, return_both=True),
    )
    assert [side["indices"] for side in merged] == [side.indices.tolist() for side in found]


def test_demo(capsys):
    shown = said(capsys, "demo")
    assert "closest: 1930 and 1969" in shown
    assert str(bounds(384, angle=85)) in shown


@pytest.mark.parametrize("name", ASKED)
def test_every_answer_goes_to_every_file(capsys, name):
    facts = told(capsys, name, "a.npy", *ASKED[name])
    said(capsys, name, "a.npy", *ASKED[name], "-o", "x.json")
    with open("x.json") as stream:
        kept = json.load(stream)
    volatile = {"seconds", "startup_seconds", "gflops", "run"}
    assert {key: kept[key] for key in facts.keys() - volatile} == {
        key: facts[key] for key in facts.keys() - volatile
    }
    said(capsys, name, "a.npy", *ASKED[name], "-o", "x.csv")
    with open("x.csv") as stream:
        assert (
            stream.read().splitlines()[0]
            == said(capsys, name, "a.npy", *ASKED[name], "--csv").splitlines()[0]
        )
    said(capsys, name, "a.npy", *ASKED[name], "-o", "x.npz")
    with np.load("x.npz", allow_pickle=False) as kept:
        assert kept.files


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("pairs a.npy --top 3 --angle 5", "top: must come without cosine and angle"),
        ("pairs a.npy --json --csv", "--json, --csv: must be given one or the other"),
        ("pairs a.npy -o pairs.txt", "--output: must end in .npz, .parquet, .csv, .json"),
        ("pairs a.npy -o nowhere/pairs.csv", "--output: must be in a folder that is there"),
        ("nearest a.npy --k 60", "k: must be at most 59"),
        ("nearest a.npy --shard 0/2", "--shard: must come with --checkpoint"),
        ("nearest a.npy --shard half", "--shard: must be like 0/50"),
        ("histogram a.npy --bins many", "--bins: must be whole numbers like"),
        ("histogram a.npy --range 90", "range: must be two finite numbers"),
        ("histogram a.npy --of size", "size"),
        ("quantile a.npy --q 1.5", "q: must be between 0 and 1"),
        ("compare a.npy", "B"),
        ("compare a.npy missing.npy", "missing.npy"),
        ("report a.npy --labels missing.txt", "missing.txt"),
        ("report a.npy --top 0", "top: must be"),
        ("pack --n 5", "--d"),
        ("pack --n 1 --d 3", "n: must be"),
        ("pack --n 5 --d 3 --tensor W", "--tensor: must come with --start"),
        ("greedy --d 8", "cosine, angle: must be given one or the other"),
        ("bench --d 0", "--d: must be at least 1"),
        ("merge missing.ckpt", "missing.ckpt"),
        ("coherence a.npy --screen magic", "magic"),
        ("coherence a.npy --backend magic", "backend: must be"),
        ("coherence a.npy --devices x", "--devices: must be whole numbers like"),
        ("coherence a.npy --devices 0,0", "devices: must be different numbers from 0 on"),
        ("nearest a.npy --devices 0 --backend cpu", "devices: must come with backend='cuda'"),
    ],
)
def test_a_mistake_is_told_in_one_line(capsys, arguments, reason):
    check_refusal(capsys, arguments, reason)


def test_debug_shows_where_it_came_from(capsys):
    assert cli.main(["nearest", "a.npy", "--k", "60", "--debug"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert "closest.py" in err
    assert err.splitlines()[-1].startswith("superpos-fast: k: must be at most 59")


def test_an_interrupt_is_no_mistake(capsys, monkeypatch):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(sf, "describe", stopped)
    assert cli.main(["describe", "a.npy"]) == 130


def test_parquet(capsys, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "pyarrow", None)
        assert cli.main(["pairs", "a.npy", "-o", "x.parquet"]) == 2
    err = capsys.readouterr().err
    assert err == "superpos-fast: writing .parquet needs pyarrow: pip install pyarrow\n"
    from pyarrow import parquet

    said(capsys, "pairs", "a.npy", "-o", "x.parquet")
    found = sf.pairs(np.load("a.npy"), top=20)
    kept = parquet.read_table("x.parquet").to_pydict()
    assert kept == {"i": found.i.tolist(), "j": found.j.tolist(), "cosine": found.cosine.tolist()}


@pytest.mark.parametrize("name", [*COMMANDS, "capacity sweep"])
def test_help_has_examples(name):
    result = CliRunner().invoke(cli.app, [*name.split(), "--help"], env={"COLUMNS": "100"})
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    assert f"superpos-fast {name}" in result.stdout
    assert "--debug" in result.stdout


def test_help_names_every_command():
    result = CliRunner().invoke(cli.app, ["--help"])
    assert result.exit_code == 0
    for name in COMMANDS:
        assert re.search(rf"│ {name} ", result.stdout)


def test_the_same_option_names_as_keywords():
    """Every option of a command that a function answers is one of the function's keywords."""
    from inspect import signature

    machine = {"file", "tensor", "other_tensor", "json", "csv", "output", "debug", "help"}
    how = {
        "threads",
        "memory",
        "backend",
        "progress",
        "screen",
        "screen_seed",
        "devices",
        "checkpoint",
        "shard",
    }
    functions = {name: getattr(sf, name) for name in ASKED} | {
        "report": sf.report, "pack": sf.capacity.pack, "greedy": sf.capacity.greedy,
    }  # fmt: skip
    from typer.main import get_command

    for name, function in functions.items():
        command = get_command(cli.app).commands[name]
        options = {one.name for one in command.params} - machine - how
        options = {option.removesuffix("_") for option in options}
        assert options <= set(signature(function).parameters), name


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_told_what_may_follow(shell, monkeypatch, capsys):
    variables = {
        "_SUPERPOS_FAST_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "superpos-fast hist", "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "superpos-fast hist", "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }  # fmt: skip
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    status = CliRunner().invoke(cli.app, [], prog_name=cli.PROGRAM)
    assert "histogram" in status.output
    assert "quantile" not in status.output
