"""The whole package on emulated devices, as its callers have it on real ones."""

import contextlib
import weakref

import numpy as np
import pytest

import emulation
import fake_cupy
from superpos_fast.kernels.cuda import entry, loader


@contextlib.contextmanager
def emulated_devices(count=2, capability=80):
    """Let `backend="cuda"` work on emulated devices, through what stands for CuPy."""
    modules = {
        number: loader.Module(
            emulation.EmulatedDevice(emulation.from_source, capability=capability, number=number)
        )
        for number in range(count)
    }
    for module in modules.values():
        module.device.seed = 0
    with pytest.MonkeyPatch.context() as patch, fake_cupy.devices(count):
        patch.setattr(loader, "import_cupy", lambda: fake_cupy)
        patch.setattr(entry, "_module", modules.__getitem__)
        yield patch


def small_tiles(patch, side=64):
    """Cut work so that a few hundred rows are many tiles."""
    patch.setattr(entry, "_SMALLEST_SIDE", side)
    patch.setattr(entry, "_LARGEST_SIDE", 2 * side)


def on_device(array, number=0):
    """Return a copy that lies on a device."""
    with fake_cupy.cuda.Device(number):
        return fake_cupy.asarray(array)


class Exporter:
    """A matrix of another library's on a device, which speaks DLPack and nothing else."""

    def __init__(self, array, number=0):
        self.array, self._number = np.asarray(array), number

    def __dlpack_device__(self):
        return 2, self._number

    def __dlpack__(self, **_):
        raise AssertionError("read by `from_dlpack`")


@contextlib.contextmanager
def counted_bytes():
    """Yield a list whose last number is the most bytes of arrays that were on a device at once."""
    live, most = [0], [0]
    made = fake_cupy.ndarray.__init__

    def count(self, values):
        made(self, values)
        if values.base is None:
            live[0] += values.nbytes
            most.append(max(most[-1], live[0]))
            weakref.finalize(self._host, gone, values.nbytes)

    def gone(size):
        live[0] -= size

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake_cupy.ndarray, "__init__", count)
        yield most
