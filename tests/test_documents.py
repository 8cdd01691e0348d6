"""What README.md shows runs, and prints what it says."""

import doctest
import importlib
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from matplotlib import pyplot as plt
from safetensors.numpy import save_file

import superpos_fast
from superpos_fast import cli

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CAPACITY = (ROOT / "superpos_fast" / "capacity" / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README + CAPACITY, re.DOTALL)
COMMANDS = re.findall(r"^    (superpos-fast .*)$", README + CAPACITY, re.MULTILINE)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the files that examples name."""
    random = np.random.default_rng(0)
    for name in ("a", "b", "decoder"):
        np.save(tmp_path / f"{name}.npy", random.normal(size=(40, 8)))
    save_file({"W_dec": np.load(tmp_path / "a.npy")}, tmp_path / "decoder.safetensors")
    monkeypatch.chdir(tmp_path)


def examined(snippet):
    """The doctest of a snippet: what has a prompt; or expressions whose comment has numbers."""
    if ">>>" in snippet:
        return snippet, True
    return "".join(f">>> {line}\n" for line in snippet.splitlines() if line.strip()), False


def numbers(text):
    return re.findall(r"\d+(?:\.\d+)?", text)


@pytest.mark.parametrize("snippet", PYTHON)
def test_snippets(folder, snippet):
    source, is_doctest = examined(snippet)
    names = {"superpos_fast": superpos_fast}
    test = doctest.DocTestParser().get_doctest(source, names, "README", None, None)
    assert test.examples
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    if is_doctest:
        assert doctest.DocTestRunner(optionflags=flags).run(test).failed == 0
        return
    for example in test.examples:
        code, _, comment = example.source.partition("  # ")
        try:
            value = eval(code, names)
        except SyntaxError:  # a statement
            exec(code, names)
            continue
        shown = numbers(repr(value) if not hasattr(value, "angle") else f"{value!r} {value.angle}")
        for number in numbers(comment):
            assert any(one.startswith(number) for one in shown), example.source


@pytest.mark.parametrize("line", COMMANDS)
def test_commands(folder, capsys, line):
    words = shlex.split(line, comments=True)[1:]
    assert cli.main(words) == 0
    out, err = capsys.readouterr()
    assert out
    assert err == ""


@pytest.mark.parametrize("room", ["plot", "reports"])
def test_examples(room):
    found = doctest.testmod(importlib.import_module(f"superpos_fast.{room}"))
    plt.close("all")
    assert found.attempted
    assert found.failed == 0


def test_there_are_some():
    assert len(PYTHON) >= 3
    assert len(COMMANDS) >= 6
