"""What an installed package is: its folders, its wheel, its imports, its speed to import."""

import configparser
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"superpos_fast": ROOT / "superpos_fast", "superpos_fast.kernels": ROOT / "kernels"}
HEAVY = {"numba", "llvmlite", "scipy", "tqdm", "cupy", "matplotlib", "dask", "torch", "typer"}


def packages_on_disk():
    for name, folder in FOLDERS.items():
        for file in folder.rglob("__init__.py"):
            yield ".".join([name, *file.parent.relative_to(folder).parts])


def test_setup_lists_every_folder():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = setup["options"]["packages"].split()
    assert listed == sorted(listed)
    assert set(listed) == set(packages_on_disk())
    for folder in FOLDERS.values():
        for file in folder.rglob("*.py"):
            assert (file.parent / "__init__.py").exists(), f"{file} is in no package"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build the source archive, and the wheel from it."""
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "build", "--outdir", folder, ROOT]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    return folder


def sources(*endings):
    """Files of the packages as their places inside an installation."""
    for name, folder in FOLDERS.items():
        for file in folder.rglob("*"):
            if file.name.endswith(endings):
                yield "/".join([*name.split("."), *file.relative_to(folder).parts])


@pytest.mark.slow
def test_wheel_holds_everything(built):
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    assert (
        set(sources(".py", ".typed", ".safetensors", ".md", ".cu", ".cuh", ".css", ".js")) <= names
    )
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"superpos_fast"}


@pytest.mark.slow
def test_source_archive_holds_everything(built):
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "Makefile",
        "setup.cfg",
        "kernels/__init__.py",
    }
    assert wanted <= names
    assert {f"tests/{file.name}" for file in (ROOT / "tests").glob("*.py")} <= names


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory):
    """The Python of a fresh environment with the wheel, that borrows only the dependencies."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    place = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.check_output([python, "-c", place], text=True).strip())
    # A path in a .pth file comes last, and the .pth files beyond it are not read: an editable
    # install of this checkout stays out of sight.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    wheel = next(built.glob("*.whl"))
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--no-index", wheel], check=True)
    return python


@pytest.mark.slow
def test_wheel_works_elsewhere(installed, tmp_path):
    program = """
import numpy, superpos_fast, superpos_fast.kernels, superpos_fast.data
from importlib.metadata import version
print(superpos_fast.__file__, superpos_fast.kernels.__file__)
print(version("superpos_fast"), superpos_fast.coherence(numpy.array([[1, 0], [3.0, 4.0]])))
"""
    command = [installed, "-c", program]
    lines = subprocess.check_output(command, cwd=tmp_path, text=True).splitlines()
    for file in lines[0].split():
        assert Path(file).is_relative_to(installed.parents[1])
    assert lines[1] == "0.1.0 0.6"


@pytest.mark.slow
def test_installed_command(installed, tmp_path):
    command = [installed.with_name("superpos-fast"), "coherence"]
    out = subprocess.check_output(command, cwd=tmp_path, text=True)
    assert "rows 1930 and 1969" in out


def test_import_is_light():
    program = "import sys, superpos_fast, superpos_fast.data; print(*sys.modules)"
    modules = subprocess.check_output([sys.executable, "-c", program], text=True).split()
    assert not HEAVY & set(modules)


def test_import_is_quick(tmp_path):
    """Of byte code, as an installation has it; the processor's time, of this thread.

    A share of NumPy's, about as long as it: a machine's slow minutes meet both alike.
    """
    program = """
import time
start = time.thread_time()
import numpy
middle = time.thread_time()
import superpos_fast
print((time.thread_time() - middle) / (middle - start))
"""
    command = [sys.executable, "-c", program]
    kept = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    environment = {**os.environ, **kept}
    ratio = min(float(subprocess.check_output(command, env=environment)) for _ in range(5))
    assert ratio < 1.2


def test_public_names():
    import superpos_fast

    assert set(superpos_fast.__all__) <= set(dir(superpos_fast))
    for name in superpos_fast.__all__:
        assert getattr(superpos_fast, name).__doc__
