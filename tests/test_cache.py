"""Compiled kernels are kept between processes, follow the source, and may do without a folder."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from helpers import output_of

PROGRAM = """
import warnings
import numpy as np
import superpos_fast
from superpos_fast import coherence
table = np.random.default_rng(0).standard_normal((300, 40))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    values = {
        coherence(table.astype(kind), signed=signed, **other)
        for kind in (np.float16, np.float32, np.float64)
        for signed in (False, True)
        for other in ({}, {"other": table[:2]})
    }
from superpos_fast.kernels.cpu import compiling
print(compiling.misses(), len(caught), superpos_fast.__file__, *sorted(map(float.hex, values)))
"""


def run(**options):
    misses, warned, file, *values = output_of(PROGRAM, **options)
    return int(misses), int(warned), Path(file), values


@pytest.fixture
def package(tmp_path):
    """A copy of the installed package, kernels included, that may be edited."""
    copy = tmp_path / "site" / "superpos_fast"
    for name, place in (("superpos_fast", copy), ("superpos_fast.kernels", copy / "kernels")):
        (source,) = importlib.util.find_spec(name).submodule_search_locations
        shutil.copytree(
            source, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    return copy


@pytest.fixture
def environment(tmp_path, package):
    elsewhere = os.environ.get("PYTHONPATH")
    path = [str(package.parent), *([elsewhere] if elsewhere else [])]
    return {"PYTHONPATH": os.pathsep.join(path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}


def test_second_process_compiles_nothing_until_a_source_changes(package, environment):
    misses, warned, file, values = run(environment=environment)
    assert misses > 0
    assert warned == 0
    assert file.parent == package
    assert run(environment=environment) == (0, 0, file, values)
    sources = sorted((package / "kernels" / "cpu").glob("*.py"))
    for source in (sources[0], sources[-1], package / "kernels" / "normals.py"):
        with source.open("a") as text:
            text.write("\n# edited\n")
        misses, *same = run(environment=environment)
        assert misses > 0, source
        assert same == [0, file, values]
        assert run(environment=environment)[0] == 0


def test_cache_beside_the_sources(package, environment):
    """Where no folder is named, the package's own is used, or the user's."""
    environment |= {"NUMBA_CACHE_DIR": None, "HOME": str(package.parent), "XDG_CACHE_HOME": None}
    misses, warned, *same = run(environment=environment)
    assert misses > 0
    assert warned == 0
    assert run(environment=environment) == (0, 0, *same)


def test_no_folder_to_write_to(package, environment):
    """A plain file where each folder would be made stops even a superuser."""
    expected = run(environment=environment)
    for folder in (package, *package.rglob("*/")):
        if folder.name != "__pycache__":
            shutil.rmtree(folder / "__pycache__", ignore_errors=True)
            (folder / "__pycache__").write_text("not a folder")
    nowhere = dict.fromkeys(("NUMBA_CACHE_DIR", "HOME", "XDG_CACHE_HOME"), f"{os.devnull}/none")
    _, warned, *same = run(environment=environment | nowhere)
    assert warned == 1
    assert tuple(same) == expected[2:]
