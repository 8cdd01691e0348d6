"""Kernels on the CPU: sources compiled as C++, or the PTX that NVRTC made of them, translated.

`EmulatedDevice` is a device as `superpos_fast.kernels.cuda.loader` wants one, so that a module of
kernels launches on it what it would launch on another.
"""

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path

import numpy as np

import fake_cupy
from superpos_fast.kernels.cuda import sources

HERE = Path(__file__).parent / "emulator"
BUILT = Path(__file__).parents[2] / "build" / "emulated"
FLAGS = ["-std=c++17", "-O1", "-shared", "-fPIC", "-ffp-contract=off", "-frounding-math"]
HEADERS = ("runtime.h", "tensor.h", "numbers.h", "source.h", "exports.h", "ptx.h")


@cache
def compiler():
    """The command of a C++ compiler, or None: $CXX, the system's, or a Python package's."""
    if os.environ.get("CXX"):
        return os.environ["CXX"].split()
    for name in ("g++", "clang++", "c++"):
        if shutil.which(name):
            return [name]
    try:
        import ziglang  # noqa: F401
    except ImportError:
        return None
    return [sys.executable, "-m", "ziglang", "c++"]


def compiled(code, *flags):
    """Compile C++ into a library, unless that was done before, and load it."""
    command = [*compiler(), *FLAGS, *flags, f"-I{HERE}"]
    facts = [code, *command, *((HERE / name).read_text() for name in HEADERS)]
    name = hashlib.sha256("\0".join(facts).encode()).hexdigest()[:20]
    library = BUILT / f"{name}.so"
    if not library.exists():
        BUILT.mkdir(parents=True, exist_ok=True)
        text = BUILT / f"{name}.{os.getpid()}.cpp"
        text.write_text(code)
        made = text.with_suffix(".so")
        process = subprocess.run(
            [*command, "-x", "c++", str(text), "-o", str(made)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if process.returncode:
            raise CompilationError(process.stderr[:5000])
        made.replace(library)
        text.unlink()
    loaded = ctypes.CDLL(str(library))
    loaded.emu_error.restype = ctypes.c_char_p
    return loaded


@cache
def from_source(file, changed=None):
    """The library of a file's kernels, `changed` a text to take for one of the sources."""
    texts = {"primitives.cuh": (HERE / "primitives.cuh").read_text()}
    texts.update([changed] if changed else [])
    kernels = [s.name for s in sources.signatures().values() if s.file == file]
    exported = "\n".join(f"EMU_KERNEL({kernel})" for kernel in kernels)
    code = f'#include "source.h"\n#include "exports.h"\n{sources.source(file, texts)}\n{exported}\n'
    return compiled(code)


_one_at_a_time = threading.Lock()


class CompilationError(RuntimeError):
    """What the C++ compiler refuses."""


class LaunchError(RuntimeError):
    """What would be wrong on a device, too: a race, a deadlock, a place out of bounds."""


class EmulatedDevice:
    """A device whose kernels are functions of libraries, by file.

    Attributes
    ----------
    seed : int
        Of the order in which threads take turns.
    """

    arrays = fake_cupy

    def __init__(self, library, capability=80, number=0):
        self._library, self.capability, self.number = library, capability, number
        self.seed = 7

    def is_current(self):
        return fake_cupy.cuda.runtime.getDevice() == self.number

    def function(self, file, kernel):
        library = self._library(file)
        signature = sources.signatures()[kernel]

        def launch(grid, block, arguments, *, shared_mem=0):
            with _one_at_a_time:
                self._launch(library, signature, grid, block, arguments, shared_mem)

        return launch

    def _launch(self, library, signature, grid, block, arguments, shared):
        name = signature.name
        if shared > 49152:
            raise LaunchError(f"{name}: {shared} bytes of shared memory, more than not asked for")
        values, ranges = [], []
        for parameter, argument in zip(signature.parameters, arguments, strict=True):
            if parameter.pointer:
                host = fake_cupy.host(argument)
                fake_cupy.note(argument, name, writes=not parameter.constant)
                low = host.ctypes.data
                values.append(ctypes.c_void_p(low))
                ranges.append((low, low + extent(host), int(not parameter.constant)))
            else:
                values.append((ctypes.c_char * argument.itemsize).from_buffer_copy(argument))
        if hasattr(library, "emu_set_ranges"):
            flat = [number for part in ranges for number in part]
            library.emu_set_ranges(len(ranges), (ctypes.c_uint64 * len(flat))(*flat))
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        shape = (ctypes.c_uint * 6)(*((*tuple(grid), 1, 1))[:3], *((*tuple(block), 1, 1))[:3])
        function = library[f"{name}__launch"]
        if function(shape, ctypes.c_size_t(shared), ctypes.c_uint(self.seed), pointers):
            raise LaunchError(f"{name}: {library.emu_error().decode()}")

    def multiply(self, left, right, out, add, tf32):
        fake_cupy.note([left, right], "multiply")
        fake_cupy.note(out, "multiply", writes=True)
        left, right = (fake_cupy.host(side).astype(np.float32) for side in (left, right))
        fake_cupy.host(out)[...] = left @ right.T + (fake_cupy.host(out) if add else 0)


def extent(array):
    """Bytes from an array's first to behind its last."""
    if not array.size:
        return 0
    steps = zip(array.shape, array.strides, strict=True)
    return sum((count - 1) * step for count, step in steps) + array.itemsize
