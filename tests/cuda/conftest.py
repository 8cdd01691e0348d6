"""Devices on which kernels are tested, and what is to be had for them."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

import driver
import emulation
import nvrtc
import ptx_translation
import stream_order
from superpos_fast.kernels.cuda import loader, sources

# Where mutants.py has put kernels with a bug.
MUTANT = os.environ.get("SUPERPOS_FAST_KERNELS")
sources.FOLDER = Path(MUTANT or sources.FOLDER)
PTX_VERSION, PTX_ARCHITECTURE = "13.0", os.environ.get("SUPERPOS_FAST_PTX", "compute_80")


def lacking(what):
    """Skip, but not where all must be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what}: in CI it must be there (make test-cuda)")
    pytest.skip(f"{what} (make test-cuda installs it)")


def need_compiler():
    if emulation.compiler() is None:
        lacking("no C++ compiler")


def need_nvrtc(version):
    if nvrtc.library(version) is None:
        lacking(f"no NVRTC {version} in .venv/cuda")


@pytest.fixture(autouse=True)
def streams_in_order():
    """No two streams use the same memory at the same time."""
    stream_order.races.clear()
    yield
    assert stream_order.races == []


@pytest.fixture(scope="session")
def emulator():
    """What is needed to have sources run on the CPU."""
    need_compiler()


@pytest.fixture(scope="module")
def emulated(emulator):
    """Two emulated devices."""
    with driver.emulated_devices():
        yield


@pytest.fixture
def devices(emulated, monkeypatch):
    """The same, with work cut into many small tiles."""
    driver.small_tiles(monkeypatch)
    return monkeypatch


@cache
def from_ptx(file):
    """The library of a file's kernels as NVRTC compiles them."""
    job = [sources.source(file), file, PTX_ARCHITECTURE]
    (made,) = nvrtc.compile_all(PTX_VERSION, [job], [*loader.OPTIONS, *nvrtc.CUPY_OPTIONS])
    return emulation.compiled(ptx_translation.translate(made.code.rstrip(b"\0").decode()), "-w")


@pytest.fixture(scope="session", params=["source", "ptx"])
def device(request):
    """A device that runs the sources, or what NVRTC made of them."""
    need_compiler()
    if request.param == "ptx":
        need_nvrtc(PTX_VERSION)
        if not MUTANT:  # which needs one of them
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(from_ptx, reversed(sources.FILES)))
    library = emulation.from_source if request.param == "source" else from_ptx
    return emulation.EmulatedDevice(library)


@pytest.fixture(params=[0, 6, 7])
def module(device, request):
    """The kernels on that device, threads taking turns in order, at random, and warp by warp."""
    device.seed = request.param
    return loader.Module(device)
