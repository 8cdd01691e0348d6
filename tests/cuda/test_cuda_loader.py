"""What a launch refuses, and what a user is told who lacks a part."""

import ctypes
import itertools
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import fake_cupy as cp
import nvrtc
from conftest import lacking
from superpos_fast.kernels.cuda import arguments as arguments_of
from superpos_fast.kernels.cuda import formats, loader, packed, sources

SIGNATURES = sources.signatures()


class Recorder:
    """A device that keeps what it is asked to launch."""

    arrays, number, capability = cp, 0, 75

    def __init__(self):
        self.launched, self.multiplied = [], []

    def is_current(self):
        return cp.cuda.runtime.getDevice() == 0

    def function(self, file, kernel):
        def launch(grid, block, arguments, shared_mem):
            self.launched.append((file, kernel, grid, block, arguments, shared_mem))

        return launch

    def multiply(self, left, right, out, add, tf32):
        self.multiplied.append(out)


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def module(recorder):
    return loader.Module(recorder)


def arguments(**changes):
    given = {
        "peaks": cp.zeros(12, np.uint64), "lines": 3, "groups": 4, "line_stride": 4,
        "group_stride": 1, "k": 2, "gates": cp.zeros(3),
        "narrow": cp.zeros(3, np.float32),
    }  # fmt: skip
    return given | changes


def test_signatures_are_those_of_the_sources():
    assert set(SIGNATURES) == {
        "survey", "scale", "unit_rows_f32", "unit_rows_f16", "cosines_listed", "cosines_tile",
        "list_f32", "list_f16", "list_f64", "sift_list", "ranks_f32", "ranks_f16", "ranks_f64",
        "sift_ranks", "total_f32", "total_f64", "peaks_f32", "peaks_f16", "peaks_f64",
        "raise_gates", "narrow_gates", "fused_list_f16", "fused_ranks_f16",
    }  # fmt: skip
    pages = (sources.FOLDER.parent / "README.md").read_text()
    assert all(f"`{name}`" in pages for name in SIGNATURES)
    assert SIGNATURES["raise_gates"].parameters == (
        sources.Parameter("peaks", np.uint64, True, True),
        sources.Parameter("lines", np.int32, False, False),
        sources.Parameter("groups", np.int32, False, False),
        sources.Parameter("line_stride", np.int64, False, False),
        sources.Parameter("group_stride", np.int64, False, False),
        sources.Parameter("k", np.int32, False, False),
        sources.Parameter("gates", np.float64, True, False),
        sources.Parameter("narrow", np.float32, True, False),
    )
    for signature in SIGNATURES.values():
        names = [parameter.name for parameter in signature.parameters]
        assert len(set(names)) == len(names)
        assert signature.threads == 256


@pytest.mark.parametrize("text", ["int* const x", "short x", "float x[3]", "Tile<float> tile", ""])
def test_a_parameter_that_is_not_understood(text):
    macro = '#define KERNEL(NAME) extern "C" __global__ void __launch_bounds__(256, 2) NAME\n'
    with pytest.raises(ValueError, match="not a parameter"):
        list(sources.parse(f"{macro}KERNEL(some)({text}) {{}}\n", "some.cu"))


def test_inline_assembly_stands_in_one_file():
    for file in sources.FOLDER.glob("*.cu*"):
        assert ("asm" in file.read_text()) == (file.name == "primitives.cuh")
        assert "#include <" not in file.read_text()


def test_sources_are_formatted():
    tool = Path(sys.executable).with_name("clang-format")
    if not tool.exists():
        lacking("no clang-format")
    emulator = Path(__file__).parent / "emulator"
    files = [*sources.FOLDER.glob("*.cu*"), *emulator.glob("*.h"), *emulator.glob("*.cuh")]
    command = [str(tool), "--dry-run", "-Werror", *map(str, files)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


def test_element_types_are_those_of_the_switch():
    text = sources.source("rows.cu")
    names = {
        "Half": "float16", "BFloat16": "bfloat16", "float": "float32", "double": "float64",
        "i8": "int8", "u8": "uint8", "short": "int16", "u16": "uint16", "int": "int32",
        "u32": "uint32", "i64": "int64", "u64": "uint64",
    }  # fmt: skip
    for name, number in formats.ELEMENT_TYPES.items():
        if name != "bool":
            kind = next(c for c, python in names.items() if python == name)
            where = "default" if number == 11 else f"case {number}"
            assert re.search(rf"{where}:\s+return read<{kind}>\(at\);", text)


def test_what_is_launched(module, recorder):
    module.launch("raise_gates", (1,), shared=16, **arguments())
    ((file, kernel, grid, block, values, shared),) = recorder.launched
    assert (file, kernel, grid, block, shared) == ("tiles.cu", "raise_gates", (1,), (256,), 16)
    kinds = [type(value) for value in values]
    assert kinds[1:6] == [np.int32, np.int32, np.int64, np.int64, np.int32]
    assert [int(value) for value in values[1:6]] == [3, 4, 4, 1, 2]


def test_a_grid_of_none(module, recorder):
    module.launch("raise_gates", (0,), **arguments())
    assert not recorder.launched
    with pytest.raises(ValueError, match="grid"):
        module.launch("raise_gates", (1, 1 << 16), **arguments())
    with pytest.raises(ValueError, match="grid"):
        module.launch("raise_gates", (-1,), **arguments())


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"peaks": np.zeros(12, np.uint64)}, "peaks must be an array on the device, got ndarray"),
        ({"gates": np.zeros(1, np.float32)}, "gates must be an array on the device"),
        ({"gates": 1.0}, "gates must be an array on the device, got float"),
        ({"narrow": cp.zeros(3)}, "narrow must be of float32, got float64"),
        ({"peaks": cp.zeros((6, 4), np.uint64)[::2]}, "peaks must be C-contiguous"),
        ({"lines": 2**31}, "lines must be of int32, got 2147483648"),
        ({"lines": 3.0}, "float"),
        ({"wrong": 1}, "not so: wrong"),
    ],
)
def test_refused_arguments(module, recorder, changes, problem):
    with pytest.raises((TypeError, ValueError), match=problem):
        module.launch("raise_gates", (1,), **arguments(**changes))
    missing = arguments()
    del missing["k"]
    with pytest.raises(TypeError, match=r"not so: k$"):
        module.launch("raise_gates", (1,), **missing)
    assert not recorder.launched


@pytest.mark.parametrize("value", [0.1, 2.0**-150, 1e300, 1 + 2.0**-25, "1", None])
def test_numbers_that_a_type_does_not_hold(value):
    with pytest.raises(TypeError, match="some: number must be a"):
        arguments_of.scalar("some: number", value, np.float32)
    assert arguments_of.scalar("some: number", 0.5, np.float32) == np.float32(0.5)
    assert arguments_of.scalar("some: number", np.float32(0.1), np.float32) == np.float32(0.1)


def test_rows_of_any_type(module, recorder):
    table = cp.ndarray(np.zeros((9, 8), np.int16))
    rest = {
        "type": 6, "rows": 3, "depth": 2, "exponents": cp.zeros(3, np.int32),
        "squares": cp.zeros(3), "first": cp.zeros(2, np.int32),
    }  # fmt: skip
    module.launch("survey", (1,), data=table[::3, 3:5], stride=24, **rest)
    assert len(recorder.launched) == 1
    for part, stride in ((table[::3, 3:5], 8), (table[:3, ::4], 8), (table.T[:3], 9)):
        with pytest.raises(ValueError, match="survey: data must"):
            module.launch("survey", (1,), data=part, stride=stride, **rest)


def test_another_device(module, recorder):
    with cp.cuda.Device(1):
        there = cp.zeros(3, np.float32)
        with pytest.raises(ValueError, match="device 0 must be the current one"):
            module.launch("raise_gates", (1,), **arguments_on(0))
    with pytest.raises(ValueError, match="gates must lie on device 0, got device 1"):
        module.launch("raise_gates", (1,), **arguments(gates=there))


def arguments_on(number):
    with cp.cuda.Device(number):
        return arguments()


def test_products(module, recorder):
    half, single = cp.zeros((3, 4), np.float16), cp.zeros((3, 4), np.float32)
    for left, kind in ((half, np.float16), (half, np.float32), (single, np.float32)):
        module.multiply(left, left, cp.zeros((3, 3), kind))
    assert len(recorder.multiplied) == 3
    module.multiply(half[:0], half, cp.zeros((0, 3), np.float16))
    assert len(recorder.multiplied) == 3
    for left, out, error in (
        (single, cp.zeros((3, 3), np.float16), TypeError),
        (cp.zeros((3, 4)), cp.zeros((3, 3)), TypeError),
        (half, cp.zeros((3, 4), np.float16), ValueError),
        (half, cp.zeros((3, 6), np.float16)[:, ::2], ValueError),
        (cp.zeros((4, 3), np.float16).T, cp.zeros((3, 3), np.float16), ValueError),
        (np.zeros((3, 4), np.float16), cp.zeros((3, 3), np.float16), TypeError),
    ):
        with pytest.raises(error, match="multiply: "):
            module.multiply(left, left, out)


class FakeCublas:
    """cuBLAS as far as it is called: column-major, on the arrays whose addresses it knows."""

    CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_POINTER_MODE_HOST = 0, 1, 0

    def __init__(self, arrays):
        self.by_address = {array.data.ptr: array for array in arrays}
        self.modes = {"math": 3, "pointer": 1}
        self.calls = []

    def getMathMode(self, handle):  # noqa: N802
        return self.modes["math"]

    def setMathMode(self, handle, mode):  # noqa: N802
        self.modes["math"] = mode

    def getPointerMode(self, handle):  # noqa: N802
        return self.modes["pointer"]

    def setPointerMode(self, handle, mode):  # noqa: N802
        self.modes["pointer"] = mode

    def gemmEx(  # noqa: N802
               self, handle, one_op, other_op, m, n, k, alpha, a, a_type, lda, b, b_type, ldb,
               beta, c, c_type, ldc, compute, algorithm):  # fmt: skip
        kinds = {0: np.float32, 2: np.float16}

        def matrix(address, kind, rows, columns, leading):
            array = cp.host(self.by_address[address])
            assert array.dtype == kinds[kind]
            steps = array.itemsize, leading * array.itemsize
            return np.lib.stride_tricks.as_strided(array, (rows, columns), steps)

        assert (one_op, other_op) == (1, 0)
        left, right = matrix(a, a_type, k, m, lda).T, matrix(b, b_type, k, n, ldb)
        out, wide = matrix(c, c_type, m, n, ldc), left.astype(np.float32) @ right.astype(np.float32)
        one, factor = (np.ctypeslib.as_array((ctypes.c_float * 1).from_address(at))[0]
                       for at in (alpha, beta))  # fmt: skip
        assert one == 1.0
        out[...] = wide + (factor * out if factor else 0.0)
        self.calls.append((compute, algorithm, dict(self.modes)))


@pytest.fixture
def cublas(monkeypatch):
    """Put one that knows some arrays in the place of the real one."""

    def put(arrays):
        library = FakeCublas(arrays)
        for name in ("cupy_backends", "cupy_backends.cuda"):
            monkeypatch.setitem(sys.modules, name, SimpleNamespace())
        libraries = SimpleNamespace(cublas=library)
        monkeypatch.setitem(sys.modules, "cupy_backends.cuda.libs", libraries)
        handles = SimpleNamespace(get_cublas_handle=lambda: 1)
        monkeypatch.setattr(cp.cuda, "device", handles, raising=False)
        return library

    return put


@pytest.mark.parametrize(
    ("kind", "out_kind", "tf32", "compute"),
    [
        (np.float16, np.float16, False, 68), (np.float16, np.float32, False, 68),
        (np.float32, np.float32, False, 69), (np.float32, np.float32, True, 77),
    ],
)  # fmt: skip
def test_compute_types_are_pinned(cublas, kind, out_kind, tf32, compute):
    rng = np.random.default_rng(0)
    left, right = (cp.asarray(rng.standard_normal((n, 7)).astype(kind)) for n in (5, 3))
    out = cp.zeros((5, 3), out_kind)
    cublas = cublas([left, right, out])
    loader.Module(loader.CudaDevice(cp, 0)).multiply(left, right, out, tf32=tf32)
    expected = left.get().astype(np.float32) @ right.get().astype(np.float32).T
    np.testing.assert_allclose(out.get(), expected, rtol=2e-3, atol=2e-3)
    # Whole sums, which is 16, and the modes that were there before.
    assert cublas.calls == [(compute, -1, {"math": 16, "pointer": 0})]
    assert cublas.modes == {"math": 3, "pointer": 1}


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_products_of_parts_are_added(cublas, kind):
    """Of float32 rows, so that no sum is long; into the middle of an array, and nowhere else."""
    rng = np.random.default_rng(1)
    left, right = (cp.asarray(rng.standard_normal((n, 1120)).astype(kind)) for n in (5, 3))
    out = cp.full((7, 9), np.nan, kind)
    parts = [side[:, start:] for side in (left, right) for start in range(0, 1120, 32)]
    calls = cublas([*parts, out[1:6, 4:7]]).calls
    packed.products(loader.Module(loader.CudaDevice(cp, 0)), left, right, out[1:6, 4:7])
    assert len(calls) == (1 if kind == np.float16 else 3)
    expected = left.get().astype(np.float32) @ right.get().astype(np.float32).T
    np.testing.assert_allclose(out.get()[1:6, 4:7], expected, rtol=2e-3, atol=1e-3)
    assert np.isnan(out.get()).sum() == 7 * 9 - 15


def test_the_longest_chain_of_roundings():
    """Of parts as they are multiplied, each added to the sum; or of all, whatever their order."""
    depths = 1, 32, 512, 513, 768, 1120, 4096
    by_parts = [packed.chain(depth, False) for depth in depths]
    assert by_parts == [34, 34, 514, 291, 387, 388, 521]
    assert [packed.chain(depth, True) for depth in depths] == [33, 33, 513, 545, 769, 1121, 4097]


def test_without_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(ValueError, match=r"^backend: .*CuPy \(pip install .*\[cuda13\]"):
        loader.load()


def test_with_an_old_cupy_or_device(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", cp)
    monkeypatch.setattr(cp, "__version__", "13.5.1")
    with pytest.raises(ValueError, match=r"^backend: .*CuPy 13\.6 or later .*got 13\.5\.1$"):
        loader.load()
    monkeypatch.setattr(cp, "__version__", "14.0.0rc1")
    assert loader.load().device.number == 0
    assert loader.load(1).device.number == 1
    with pytest.raises(ValueError, match=r"^devices: must be among the 2 there are, got 2$"):
        loader.load(2)
    old = type("Old", (cp.cuda.Device,), {"compute_capability": "61"})
    monkeypatch.setattr(cp.cuda, "Device", old)
    with pytest.raises(ValueError, match=r"capability 7\.5 or later, got 6\.1 on device 0$"):
        loader.load()


def test_real_cupy_without_a_driver():
    """One line, from the real package, on a machine without a device."""
    folder = nvrtc.WHEELS / nvrtc.VERSIONS[-1]
    if not (folder / "cupy").exists():
        lacking("no CuPy in .venv/cuda")
    program = (
        "import sys\n"
        f"sys.path.insert(0, {str(folder)!r})\n"
        "from superpos_fast.kernels.cuda import loader\n"
        "import cupy\n"
        "try:\n"
        "    cupy.cuda.runtime.getDeviceCount()\n"
        "except cupy.cuda.runtime.CUDARuntimeError:\n"
        "    try:\n"
        "        loader.load()\n"
        "    except ValueError as error:\n"
        "        print(error)\n"
        "else:\n"
        "    print('a device')\n"
    )
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True
    )
    said = process.stdout.strip()
    if said == "a device":
        pytest.skip("there is a device")
    assert said.startswith("backend: 'cuda' must have an NVIDIA device, and a driver for CUDA 13")
    assert "superpos_fast[cuda12]" in said
    assert "\n" not in said


def test_cells_are_where_the_device_looks():
    """A search in a cell, or a look at two thresholds, finds what one through all of them finds."""
    rng = np.random.default_rng(0)
    for count, kind in itertools.product((1, 2, 40, 5000), (np.float32, np.float64)):
        thresholds = np.sort(rng.uniform(-1, 1, count).round(3))
        listed = rng.random(count + 1) < 0.1
        made = formats.rank_cells(thresholds, listed, kind)
        rounded, origin = made["thresholds"], np.float32(made["origin"])
        assert (rounded >= thresholds).all()
        assert made["cells"][-1, 1] == count
        values = np.concatenate([rng.uniform(-1.2, 1.2, 2000), thresholds]).astype(kind)
        place = (values.astype(np.float32) - origin) * np.float32(made["cells_in_1"])
        cell = np.clip(place, 0, made["cell_count"] - 1).astype(np.int64)
        ranks = np.searchsorted(rounded, values, "right")
        before, upto = made["cells"][cell, :2].T
        assert (before <= ranks).all()
        assert (ranks <= upto).all()
        following, second = made["cells"].view(np.float32)[cell, 2:].T
        plain = ~np.isnan(following)
        assert plain.any() or listed.any()
        if kind == np.float32:
            passed = following <= values
            assert np.array_equal((before + passed)[plain], ranks[plain])
            beyond = np.append(rounded, np.inf)[ranks]
            assert np.array_equal(np.where(passed, second, following)[plain], beyond[plain])
            assert not listed[ranks[plain]].any()


def test_counts_have_copies_while_there_is_room():
    """One for each lane of a warp up to 256 ranks; none from where a single one has no room."""
    assert [formats.rank_copies(ranks) for ranks in (2, 256, 257, 8192, 8193)] == [32, 32, 16, 1, 0]
