"""The command line, in this process and as a program of its own."""

import json
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import safetensors.numpy
from typer.testing import CliRunner

from helpers import check_refusal, listen_to_interrupts
from superpos_fast import cli, coherence
from superpos_fast.data import example

PROGRAM = [sys.executable, "-m", "superpos_fast"]


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A folder of small files to name on the command line."""
    random = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", random.normal(size=(50, 7)))
    np.save(tmp_path / "b.npy", random.normal(size=(20, 7)).astype(np.float32))
    np.save(tmp_path / "narrow.npy", np.ones((4, 3)))
    np.save(tmp_path / "zero.npy", np.array([[1.0, 0], [0, 0], [1, 1]]))
    two = {"W": random.normal(size=(9, 5)), "V": random.normal(size=(8, 5))}
    safetensors.numpy.save_file(two, tmp_path / "two.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"\xff" * 40)
    monkeypatch.chdir(tmp_path)


def answer(capsys, *arguments):
    """What --json prints."""
    assert cli.main(["coherence", *arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out)


def run(*arguments, **options):
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=240, check=False, **options
    )


def test_json(files, capsys):
    facts = answer(capsys, "a.npy")
    vectors = np.load("a.npy")
    expected = coherence(vectors, return_pair=True)
    assert (facts["value"], facts["i"], facts["j"]) == (expected.value, expected.i, expected.j)
    assert facts["angle"] == expected.angle
    assert facts["vectors"] == {"file": "a.npy", "shape": [50, 7], "dtype": "float64"}
    assert facts["other"] is None
    assert facts["signed"] is False
    assert facts["pairs"] == 50 * 49 // 2
    assert facts["threads"] >= 1
    assert facts["seconds"] > 0
    assert math.isclose(facts["gflops"], 50 * 49 / 2 * 2 * 7 / facts["seconds"] / 1e9)


def test_every_option(files, capsys):
    facts = answer(capsys, "a.npy", "--other", "b.npy", "--signed", "--threads", "1")
    expected = coherence(np.load("a.npy"), np.load("b.npy"), signed=True, return_pair=True)
    assert (facts["value"], facts["i"], facts["j"]) == (expected.value, expected.i, expected.j)
    assert facts["other"] == {"file": "b.npy", "shape": [20, 7], "dtype": "float32"}
    assert facts["signed"] is True
    assert facts["threads"] == 1
    for memory in ("256MiB", "1GiB"):
        same = answer(capsys, "a.npy", "--memory", memory)
        assert same["value"] == coherence(np.load("a.npy"))
    facts = answer(capsys, "zero.npy", "--zero", "skip")
    assert (facts["i"], facts["j"]) == (0, 2)
    pair = ("--tensor", "W", "--other", "two.safetensors", "--other-tensor", "V")
    facts = answer(capsys, "two.safetensors", *pair)
    tensors = safetensors.numpy.load_file("two.safetensors")
    assert facts["value"] == coherence(tensors["W"], tensors["V"])


def test_table(files, capsys):
    assert cli.main(["coherence", "a.npy", "--other", "b.npy"]) == 0
    out, _ = capsys.readouterr()
    found = coherence(np.load("a.npy"), np.load("b.npy"), return_pair=True)
    assert f"max |cos|   {found.value!r}\n" in out
    assert f"row {found.i} of vectors, row {found.j} of other\n" in out
    assert "50 x 7 float64\n" in out
    assert "20 x 7 float32\n" in out
    assert all(line == line.rstrip() for line in out.splitlines())


def test_embedded_example(capsys):
    assert cli.main(["coherence"]) == 0
    out, _ = capsys.readouterr()
    assert "the embedded example" in out
    assert "rows 1930 and 1969" in out
    assert repr(coherence(example())) in out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("", "Missing command"),
        ("nonsense", "nonsense"),
        ("coherence --nonsense", "--nonsense"),
        ("coherence a.npy b.npy", "b.npy"),
        ("coherence a.npy --zero ignore", "ignore"),
        ("coherence a.npy --threads many", "--threads"),
        ("coherence a.npy --threads -1", "threads"),
        ("coherence a.npy --memory much", "memory"),
        ("coherence a.npy --memory 1B", "memory"),
        ("coherence missing.npy", "missing.npy"),
        ("coherence .", "must end in"),
        ("coherence a.npy --tensor W", "tensor: must be left out"),
        ("coherence --tensor W", "--tensor: must come with FILE, got only 'W'"),
        (
            "coherence a.npy --other-tensor W",
            "--other-tensor: must come with --other, got only 'W'",
        ),
        ("coherence a.npy --other narrow.npy", "other"),
        ("coherence zero.npy", "1"),
        ("coherence two.safetensors", "'W' (9, 5) F64"),
        ("coherence broken.safetensors", "must be a readable .safetensors file"),
    ],
)
def test_a_mistake_is_told_in_one_line(files, capsys, arguments, reason):
    check_refusal(capsys, arguments, reason)


def test_typer_sees_the_same_program(files):
    result = CliRunner().invoke(cli.app, ["coherence", "a.npy", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["value"] == coherence(np.load("a.npy"))
    result = CliRunner().invoke(cli.app, ["coherence", "--help"])
    assert result.exit_code == 0
    for option in ("tensor", "other", "other-tensor", "signed", "threads", "memory", "zero"):
        assert f"--{option}" in result.stdout


def test_as_a_program(files):
    process = run("coherence", "a.npy", "--json")
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    assert json.loads(process.stdout)["value"] == coherence(np.load("a.npy"))
    process = run("coherence", "missing.npy")
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr.count("\n") == 1
    assert run("--version").stdout.startswith("superpos-fast 0.")


def test_a_narrow_output_encoding(files):
    os.rename("a.npy", "\N{GREEK SMALL LETTER ALPHA}.npy")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    process = run("coherence", "\N{GREEK SMALL LETTER ALPHA}.npy", env=environment)
    assert process.returncode == 0, process.stderr
    assert r"\u03b1.npy" in process.stdout


@pytest.mark.parametrize("missing", ["typer", "rich"])
def test_without_its_extra(missing):
    program = f"import sys; sys.modules[{missing!r}] = None; import superpos_fast.__main__ as m"
    process = subprocess.run(
        [sys.executable, "-c", f"{program}; sys.exit(m.main())"], capture_output=True, text=True
    )
    assert process.returncode == 2
    assert process.stderr.count("\n") == 1
    assert "pip install 'superpos_fast[cli]'" in process.stderr


def test_nothing_heavy_is_imported_before_the_work():
    program = "import sys, superpos_fast.cli; print(*sys.modules)"
    modules = subprocess.check_output([sys.executable, "-c", program], text=True).split()
    assert not {"numba", "scipy", "tqdm", "cupy", "torch"} & set(modules)


@pytest.mark.skipif(os.name == "nt", reason="signals and pipes of POSIX")
def test_interrupt(tmp_path):
    random = np.random.default_rng(0)
    large = random.standard_normal((200_000, 256), np.float32).astype(np.float16)
    np.save(tmp_path / "large.npy", large)  # a minute of work
    process = subprocess.Popen(
        [*PROGRAM, "coherence", tmp_path / "large.npy", "--threads", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=listen_to_interrupts,
    )
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err


@pytest.mark.skipif(os.name == "nt", reason="signals and pipes of POSIX")
@pytest.mark.parametrize("arguments", [["coherence"], ["coherence", "--json"], ["--help"]])
def test_nobody_reads(arguments):
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run(
        [*PROGRAM, *arguments], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert process.stderr == ""
    assert process.returncode == 1


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals of POSIX")
@pytest.mark.parametrize("columns", [80, 50, 30])
def test_on_a_terminal(files, columns):
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "1"}
    command = [*PROGRAM, "coherence", "a.npy"]
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    with subprocess.Popen(command, env=environment, **streams) as process:
        os.close(theirs)
        output = b""
        try:
            while chunk := os.read(ours, 4096):
                output += chunk
        except OSError:  # how Linux says that the other end is closed
            pass
    os.close(ours)
    assert process.returncode == 0
    value = repr(coherence(np.load("a.npy"))).encode()
    assert value in output
