"""The rows of an array: in memory, or mapped from a file that may be larger than the memory."""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .blocks import row_bytes

# Of a memory map, asked for ahead or not yet forgotten.
_AHEAD = 2**26
# Rows taken here and there until all is forgotten: the system may map 2 MiB around each.
_FAR_ROWS = 32


@dataclass(frozen=True)
class Mapped:
    """Rows one after the other in a file."""

    path: str
    dtype: Any
    offset: int
    shape: tuple[int, int]

    def array(self) -> Any:
        """Map the file."""
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape)


class ArrayRows:
    """The rows of an array, in memory or mapped from a file.

    Of a map what was read stays in memory as long as the system likes, and would be counted as this
    process's: so it is told what will be next, and what no longer.
    """

    block = 0

    def __init__(self, array: Any) -> None:
        self.array = array
        self.shape: tuple[int, int] = array.shape
        self.dtype = array.dtype
        self._map = _mapped(array)
        self._behind = self._taken = 0

    @property
    def origin(self) -> Any:
        """The array, or if it lies in a file row after row, where."""
        if self._map is None or self._map.path is None or not self.array.flags.c_contiguous:
            return self.array
        return Mapped(self._map.path, self.dtype, self._map.offset, self.shape)

    @property
    def is_native(self) -> bool:
        """Whether they lie as kernels read them: float32 or float64, row after row."""
        flags = self.array.flags
        return self.dtype in (np.float32, np.float64) and flags.c_contiguous and flags.aligned

    def rows(self, start: int, stop: int) -> Any:
        """Return a view."""
        if self._map is not None:
            self._let_go(self._map, start)
        return self.array[start:stop]

    def take(self, indices: Any) -> Any:
        """Return a copy of the listed rows."""
        size = self.shape[0] * self._stride
        if self._map is None or size <= 2 * _AHEAD:
            return self.array[indices]
        found = np.empty((len(indices), self.shape[1]), self.dtype)
        for start in range(0, len(indices), _FAR_ROWS):
            some = indices[start : start + _FAR_ROWS]
            found[start : start + _FAR_ROWS] = self.array[some]
            self._taken += len(some)
            if self._taken >= _FAR_ROWS:
                self._taken = 0
                self._map.forget(0, size)
        return found

    def expect(self, now: Iterable[range], later: Iterable[range]) -> None:
        """Have the system read what will be next, if it lies in a file."""
        if self._map is None:
            return
        self._map.forget(0, self.shape[0] * self._stride)
        for rows in later:
            size = (rows.stop - rows.start) * self._stride
            self._map.want(rows.start * self._stride, min(size, _AHEAD))

    def close(self) -> None:
        """Do nothing: nothing was kept."""

    @property
    def _stride(self) -> int:
        """Bytes from row to row; 0 where rows lie backwards, or are everywhere as columns lie."""
        stride = int(self.array.strides[0])
        return stride if stride >= row_bytes(self) else 0

    def _let_go(self, mapped: _Map, start: int) -> None:
        """Forget what lies more than 64 MiB behind, each time that it is as much again."""
        place = start * self._stride
        if place < self._behind:
            self._behind = place
        elif place - self._behind >= 2 * _AHEAD:
            behind, self._behind = self._behind, place - _AHEAD
            mapped.forget(behind, self._behind - behind)


class _Map:
    """A memory map that an array is a view of.

    Parameters
    ----------
    array : ndarray
        The view.
    base : numpy.memmap or None
        What NumPy knows of the map, if it was NumPy that made it.
    whole : mmap.mmap
        The map.

    Attributes
    ----------
    path : str or None
        Of the file.
    offset : int
        Where in the file the array begins.
    """

    def __init__(self, array: Any, base: Any, whole: mmap.mmap) -> None:
        self._whole = whole
        self._begin = array.ctypes.data - np.frombuffer(whole, np.uint8).ctypes.data
        # Changes to a private copy of a file are nowhere but in memory.
        self._can_forget = base is not None and base.mode in ("r", "r+", "w+")
        self.path: str | None = None
        if base is not None and base.filename is not None:
            self.path = str(base.filename)
            self.offset = int(base.offset + array.ctypes.data - base.ctypes.data)

    def want(self, place: int, size: int) -> None:
        """Have some bytes of the array read, without waiting for them."""
        self._advise(mmap.MADV_WILLNEED, place, size)

    def forget(self, place: int, size: int) -> None:
        """Have some bytes no longer counted as this process's; they are still in the file."""
        if self._can_forget:
            self._advise(mmap.MADV_DONTNEED, place, size)

    def _advise(self, advice: int, place: int, size: int) -> None:
        first = (self._begin + place) // mmap.PAGESIZE * mmap.PAGESIZE
        length = min(self._begin + place + size - first, len(self._whole) - first)
        if size > 0 and length > 0:
            self._whole.madvise(advice, first, length)


def _mapped(array: Any) -> _Map | None:
    """Return the map that an array is a view of, if there is one and it can be advised."""
    base, known = array, None
    while isinstance(base, np.ndarray):
        known = base if isinstance(base, np.memmap) else known
        base = base.base
    if not isinstance(base, mmap.mmap) or not hasattr(mmap, "MADV_WILLNEED"):
        return None
    return _Map(array, known, base)
