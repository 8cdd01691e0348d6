"""Matrices that lie on a device already: of CuPy, torch, JAX or whoever speaks DLPack.

Imported with the package, so that nothing more is at first than what tells such a matrix.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from .formats import ELEMENT_TYPES

CUDA_DEVICES = (2, 13)  # DLPack: kDLCUDA, kDLCUDAManaged


class OnDevice:
    """A matrix on a device, seen as NumPy would see it; `numpy.asarray` copies it to the host.

    Attributes
    ----------
    array : cupy.ndarray
        Its numbers, or the bits of bfloat16 ones.
    type : str
        What they are.
    dtype : dtype
        The same, or a type that is as wide, where NumPy has none of that name.
    """

    def __init__(self, array: Any, kind: str) -> None:
        self.array, self.type = array, kind
        self.shape, self.ndim, self.nbytes = array.shape, array.ndim, array.nbytes
        self.dtype = np.dtype(np.float16) if kind == "bfloat16" else array.dtype

    block = 0

    @property
    def origin(self) -> Any:
        """What another process would make it of: nothing that it could."""
        return self

    @property
    def device(self) -> int:
        """The device that it lies on."""
        return int(self.array.device.id)

    def rows(self, start: int, stop: int) -> OnDevice:
        """Return a view of rows."""
        return self[start:stop]

    def take(self, indices: Any) -> OnDevice:
        """Return a copy of the listed rows."""
        return self[indices]

    def expect(self, now: Any, later: Any) -> None:
        """Do nothing: all rows are there."""

    def close(self) -> None:
        """Do nothing: nothing was kept."""

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, some: Any) -> OnDevice:
        if not isinstance(some, np.ndarray):
            return OnDevice(self.array[some], self.type)
        cupy = _cupy()
        with cupy.cuda.Device(self.array.device.id):
            return OnDevice(self.array[cupy.asarray(some)], self.type)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        del copy
        host = from_bits(self.array.get(), ELEMENT_TYPES[self.type])
        return host if dtype is None else host.astype(dtype)


def from_bits(host: Any, kind: int) -> Any:
    """Return numbers of a type as NumPy has them: bfloat16, of which there are bits, as float32."""
    if kind == ELEMENT_TYPES["bfloat16"]:
        return (host.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return host


def lies_on_device(data: Any) -> bool:
    """Return whether an object's numbers lie on a CUDA device."""
    if hasattr(data, "__dlpack_device__"):
        return int(data.__dlpack_device__()[0]) in CUDA_DEVICES
    return hasattr(data, "__cuda_array_interface__")


def on_device(data: Any) -> OnDevice:
    """Return what an object holds on a device, without a copy.

    Raises
    ------
    ValueError
        If CuPy is missing.
    """
    cupy = _cupy()
    if isinstance(data, cupy.ndarray):
        return OnDevice(data, _name(data))
    if str(getattr(data, "dtype", None)) == "torch.bfloat16":
        bits = cupy.from_dlpack(data.view(sys.modules["torch"].int16))
        return OnDevice(bits.view(np.uint16), "bfloat16")
    array = cupy.from_dlpack(data) if hasattr(data, "__dlpack__") else cupy.asarray(data)
    return OnDevice(array, _name(array))


def _name(array: Any) -> str:
    return str(array.dtype.name)


def _cupy() -> Any:
    from . import loader

    return loader.import_cupy()
