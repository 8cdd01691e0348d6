"""The workflows parse, and run nothing that can change under them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflow(path):
    text = path.read_text()
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert job["steps"]
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
    pinned = re.findall(r"uses: [\w/-]+@[0-9a-f]{40} # v[\d.]+$", text, re.MULTILINE)
    assert len(pinned) == text.count("uses:")


@pytest.mark.parametrize("path", [*WORKFLOWS, ROOT / ".ci" / "run"], ids=lambda path: path.name)
def test_targets_exist(path):
    commands = re.findall(r"(?:^|run: |&& )make ([a-z -]+)", path.read_text(), re.MULTILINE)
    assert {name for words in commands for name in words.split()} <= TARGETS
    assert commands


def test_the_least_versions():
    lines = subprocess.check_output(
        [sys.executable, ".ci/least.py"], cwd=ROOT, text=True
    ).splitlines()
    assert {line.split("==")[0] for line in lines} > {"numpy", "numba", "scipy", "dask"}
    assert all(re.fullmatch(r"[\w.-]+==[\d.]+", line) for line in lines)
