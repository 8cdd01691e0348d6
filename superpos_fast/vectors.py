"""Input: whatever holds one vector a row, checked once; the only room that refuses user data."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from math import isnan
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from .blocks import BlockRows, Rows, Source, row_bytes
from .checks import check_choice, check_integer, shown
from .kernels.cuda.inputs import OnDevice, lies_on_device, on_device
from .maps import ArrayRows, Mapped
from .native import native
from .plan import Tile
from .protocols import Kernels, Side
from .sources import open_table

EXACT_INTEGER = 2**53
_CPU_DEVICES = (1, 3)  # DLPack: kDLCPU, kDLCUDAHost
# Chunks of what is sliced are read so many at a time that a block has about this many bytes.
_BLOCK_BYTES = 2**22
_HASHED_ROWS = 4096


# Does work for every item, on all threads.
Each = Callable[[Callable[[int], None], Iterable[int]], None]
# What a look at some rows finds: exponents, squared lengths, and the first row that is not finite.
Looked = tuple[Any, Any, int | None]
# Looks at all rows of a source, which came in as the argument of that name.
Look = Callable[[Source, str], Looked]


class _DLPack(Protocol):
    def __dlpack__(self) -> object: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...


class _Sliced(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Any: ...
    def __getitem__(self, rows: slice, /) -> Any: ...


Matrix = ArrayLike | _DLPack | os.PathLike[str] | _Sliced | Rows


@dataclass(frozen=True)
class Vectors:
    """A checked matrix, one vector a row, and what is known of each row.

    Attributes
    ----------
    name : str
        The argument it came in as.
    source : Source
        Where the numbers are read.
    exponents : ndarray of int32, shape (n,)
        Power of two in [2^e, 2^(e+1)) of which a row's largest entry lies.
    squares : ndarray of float64, shape (n,)
        Squared length of the scaled row; 0 where a row of zeros is left out.
    """

    name: str
    source: Source
    exponents: Any
    squares: Any

    def __len__(self) -> int:
        return self.source.shape[0]

    @property
    def depth(self) -> int:
        """Entries in a vector."""
        return self.source.shape[1]

    @property
    def dtype(self) -> Any:
        """Type of the numbers as they came."""
        return self.source.dtype

    @property
    def kept(self) -> int:
        """Number of rows that are not left out."""
        return int(np.count_nonzero(self.squares))

    @property
    def is_native(self) -> bool:
        """Whether they lie as kernels read them, or there."""
        if isinstance(self.source, ArrayRows):
            return self.source.is_native
        return bool(getattr(self.source, "is_resident", False))

    def read(self, start: int, stop: int) -> Any:
        """Return rows as C-contiguous float32 or float64: a view where they are that already.

        Of a matrix on devices some rows of it, in whatever type they have.
        """
        return native(self.source.rows(start, stop))

    def side(self, start: int, stop: int) -> Side:
        """Return rows as `read` does, with their exponents and squares."""
        return self.read(start, stop), self.exponents[start:stop], self.squares[start:stop]

    def lines(self, rows: Any) -> tuple[Side, Any]:
        """Return a block that holds the listed rows, its exponents and squares, and where they are.

        The whole matrix where it can be read as it lies, else a copy of those rows.
        """
        if self.is_native:
            return (self.source.rows(0, len(self)), self.exponents, self.squares), rows
        some, places = np.unique(rows, return_inverse=True)
        return self.copies(some), places

    def copies(self, rows: Any) -> Side:
        """Return copies of the listed rows as kernels read them, with exponents and squares."""
        block = native(self.source.take(rows))
        return block, self.exponents[rows], self.squares[rows]


@dataclass(frozen=True)
class Reordered(Vectors):
    """Vectors in another order, taken from where they lie.

    Attributes
    ----------
    whole : Vectors
        In their own order.
    order : ndarray of int64
        Where in that each one is.
    """

    whole: Vectors
    order: Any

    @property
    def is_native(self) -> bool:
        """Whether listed ones can be read as they lie."""
        return self.whole.is_native

    def read(self, start: int, stop: int) -> Any:
        """Return copies."""
        return native(self.source.take(self.order[start:stop]))

    def lines(self, rows: Any) -> tuple[Side, Any]:
        """Return a block that holds the listed rows, and where they are."""
        return self.whole.lines(self.order[rows])

    def copies(self, rows: Any) -> Side:
        """Return copies of the listed rows, with exponents and squares."""
        return self.whole.copies(self.order[rows])


def reordered(vectors: Vectors, order: Any) -> Reordered:
    """Return vectors in another order."""
    numbers = vectors.exponents[order], vectors.squares[order]
    return Reordered(vectors.name, vectors.source, *numbers, vectors, order)


def device_of(*sources: Source) -> int | None:
    """Return the device that the first of some sources lies on that is on any."""
    there = (source.device for source in sources if isinstance(source, OnDevice))
    return next(there, None)


def as_source(data: Any, name: str, tensor: str | None = None) -> Source:
    """Return where to read `data`, two-dimensional and of real numbers; without a copy if it can.

    Raises
    ------
    TypeError
        If it holds what is refused: complex numbers, objects, long doubles, masked entries, or
        lies on a device that is none of NVIDIA's.
    ValueError
        If it is not two-dimensional or its vectors have no entries; or it is a file that cannot be
        opened as a matrix.
    """
    if isinstance(data, Vectors):
        return data.source
    if isinstance(data, ArrayRows | BlockRows | OnDevice):
        return data
    if isinstance(data, Mapped):
        data = data.array()
    if isinstance(data, Rows):
        return _generated(data, name)
    if isinstance(data, str | os.PathLike):
        data = _opened(data, name, tensor)
    if _is_sliced(data):
        _check_matrix(data.shape, np.dtype(data.dtype), name, type(data).__name__)
        return _sliced(data, name)
    if isinstance(data, np.ma.MaskedArray) and np.ma.is_masked(data):
        count = int(np.ma.getmaskarray(data).sum())
        raise TypeError(f"{name}: must have no masked entries, got {count} masked")
    array = as_array(data, name)
    _check_matrix(array.shape, array.dtype, name, type(data).__name__)
    return array if isinstance(array, OnDevice) else ArrayRows(array)


def _check_matrix(shape: tuple[int, ...], dtype: Any, name: str, kind: str) -> None:
    _refuse_type(dtype, name, kind)
    if len(shape) != 2:
        raise ValueError(f"{name}: must be two-dimensional, one vector a row, got shape {shape}")
    if shape[1] == 0:
        raise ValueError(f"{name}: must have at least one column, got shape {shape}")


def _opened(path: str | os.PathLike[str], name: str, tensor: str | None) -> Any:
    """Open a file; complaints about the path name the argument that it came as."""
    try:
        return open_table(path, tensor)
    except (ValueError, OSError) as error:
        argument, colon, rest = str(error).partition("path: ")
        raise type(error)(f"{name}: {rest}" if colon and not argument else str(error)) from None


def _generated(rows: Rows, name: str) -> BlockRows:
    first = rows.read(0, min(rows.block, len(rows)))
    _check_matrix(first.shape, first.dtype, name, "rows")

    def read(start: int, stop: int) -> Any:
        found = rows.read(start, stop)
        if found.dtype != first.dtype:
            raise ValueError(
                f"generate: must always return {first.dtype}, "
                f"got {found.dtype} for rows {start} to {stop}"
            )
        return found

    return BlockRows(
        read, rows.shape, first.dtype, rows.block, parallel=True, origin=rows, key=rows.key
    )


def _is_sliced(data: Any) -> bool:
    """Return whether it is no array, nor exported as one, but gives arrays when it is sliced."""
    exported = (
        "__array_interface__", "__array_struct__", "__cuda_array_interface__", "__dlpack__",
        "detach",
    )  # fmt: skip
    if isinstance(data, np.ndarray) or any(hasattr(data, way) for way in exported):
        return False
    if not all(hasattr(data, part) for part in ("shape", "dtype", "__getitem__")):
        return False
    try:  # a frame may have a column of that name, and a library may have types of its own
        return isinstance(np.dtype(data.dtype), np.dtype)
    except TypeError:
        return False


def _sliced(data: Any, name: str) -> BlockRows:
    if any(isnan(length) for length in data.shape):
        raise ValueError(f"{name}: must be of known shape, got shape {data.shape}")
    count, depth = map(int, data.shape)
    chunk = (getattr(data, "chunks", None) or (1,))[0]
    chunk = max(1, max(chunk) if isinstance(chunk, tuple) else int(chunk))
    together = _BLOCK_BYTES // (chunk * depth * np.dtype(data.dtype).itemsize)

    def read(start: int, stop: int) -> Any:
        found = np.asarray(data[start:stop])
        if found.shape != (stop - start, depth) or found.dtype != data.dtype:
            raise TypeError(
                f"{name}: must give arrays of {data.dtype} when it is sliced, got "
                f"{type(data).__name__} that gives {found.dtype} of shape {found.shape}"
            )
        return found

    block = max(1, together) * chunk
    return BlockRows(read, (count, depth), data.dtype, block, parallel=False, origin=data)


def as_array(data: Any, name: str) -> Any:
    """Return what NumPy or DLPack can show as an array, without a copy if it can."""
    if isinstance(data, np.ndarray):
        return np.asarray(data)
    if callable(getattr(data, "detach", None)):
        data = data.detach()  # a torch parameter: its numbers, without its gradient
    if _lies_on_device(data):
        try:
            return on_device(data)
        except ValueError as error:
            where = f"{name}: must lie in the host's memory without CuPy"
            raise ValueError(f"{where}; {error}") from None
    try:
        if not hasattr(data, "__dlpack_device__"):
            array = np.asarray(data)
            return _frame_numbers(data) if array.dtype == object else array
        device = int(data.__dlpack_device__()[0])
        if device in _CPU_DEVICES:
            return _from_dlpack(data)
    except Exception as error:
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise TypeError(f"{name}: must be readable by NumPy, got {what}") from None
    raise TypeError(
        f"{name}: must lie in the host's memory or on an NVIDIA device, got DLPack device {device}"
    )


def _lies_on_device(data: Any) -> bool:
    with suppress(Exception):  # what cannot say where it lies is refused as it is read
        return lies_on_device(data)
    return False


def _frame_numbers(data: Any) -> Any:
    """Return a frame's numbers where its types may be missing values beside them, as objects."""
    if not (hasattr(data, "dtypes") and hasattr(data, "to_numpy")):
        return np.asarray(data)
    dtype = np.result_type(*(getattr(kind, "numpy_dtype", kind) for kind in data.dtypes))
    missing = {"na_value": np.nan} if dtype.kind == "f" else {}
    return data.to_numpy(dtype=dtype, **missing)


def _from_dlpack(data: Any) -> Any:
    try:
        return np.from_dlpack(data)
    except (BufferError, RuntimeError, TypeError, ValueError):
        if str(getattr(data, "dtype", None)) == "torch.bfloat16":
            # NumPy has no such type for DLPack: the same bits as 16-bit integers, named anew.
            from ml_dtypes import bfloat16

            return np.from_dlpack(data.view(sys.modules["torch"].int16)).view(bfloat16)
        if hasattr(data, "__array__"):
            return np.asarray(data)
        raise


def _refuse_type(dtype: np.dtype[Any], name: str, kind: str) -> None:
    if dtype.kind == "f" and dtype.itemsize > 8:
        reason = "the answer is decided in float64"
    elif dtype.kind in "biuf" or dtype.name == "bfloat16":
        return
    elif dtype.kind == "c":
        reason = "complex vectors have no real angle"
    else:
        reason = "floats, integers or bfloat16"
    raise TypeError(
        f"{name}: must be real numbers of at most 64 bits ({reason}), got {kind} of dtype {dtype}"
    )


def check_flag(value: object, name: str) -> bool:
    """Return a truth value that came as one."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name}: must be True or False, got {shown(value)}")
    return bool(value)


def check_count(value: object, name: str, least: int, most: int | None = None) -> int:
    """Return a whole number that came as one, within limits."""
    number = check_integer(value, name)
    if number < least or (most is not None and number > most):
        limits = f"at least {least}" if most is None else f"between {least} and {most}"
        raise ValueError(f"{name}: must be {limits}, got {number}")
    return number


def check_zero(zero: str) -> None:
    """Check what is to be done with rows of zeros."""
    check_choice(zero, "zero", "raise", "skip")


def check_pair(left: Source, right: Source | None, names: tuple[str, str]) -> None:
    """Check that the shapes of two matrices, or of one, make at least one pair."""
    if right is None:
        if left.shape[0] < 2:
            raise ValueError(f"{names[0]}: must have at least two rows, got shape {left.shape}")
        return
    for source, name in zip((left, right), names, strict=True):
        if not source.shape[0]:
            raise ValueError(f"{name}: must have at least one row, got shape {source.shape}")
    if left.shape[1] != right.shape[1]:
        raise ValueError(
            f"{names[1]}: must have {left.shape[1]} columns like {names[0]}, "
            f"got shape {right.shape}"
        )


def looked_at(
    source: Source, name: str, rows: range, step: int, kernels: Kernels, each: Each
) -> Looked:
    """Look at some rows once, `step` at a time, in blocks that `each` deals to threads.

    Rows that come in blocks are looked at backwards, as those that are looked at last are kept, and
    the first are needed first.
    """
    exponents, squares = np.zeros(len(rows), np.int32), np.zeros(len(rows), np.float64)
    bad: list[int] = []

    def look(start: int) -> None:
        stop = min(start + step, rows.stop)
        block = source.rows(start, stop)
        _check_integers(block, name, start)
        some = slice(start - rows.start, stop - rows.start)
        exponents[some], squares[some], first_bad = kernels.survey(native(block))
        if first_bad >= 0:
            bad.append(start + first_bad)

    way = -1 if source.block else 1
    source.expect((), [rows[::way]])
    each(look, rows[::step][::way])
    return exponents, squares, min(bad, default=None)


def survey(source: Source, name: str, zero: str, least: int, look: Look) -> Vectors:
    """Have every row looked at once, and refuse bad ones.

    `least` is the number of non-zero rows that the question needs.
    """
    count = source.shape[0]
    exponents, squares, row = look(source, name)
    vectors = Vectors(name, source, exponents, squares)
    if row is not None:
        (entries,) = np.asarray(source.rows(row, row + 1))
        _check_integers(entries[None], name, row)
        entries = entries.astype(np.float64)
        value = entries[~np.isfinite(entries)][0]
        raise ValueError(f"{name}: entries must be finite, got {value} in row {row}")
    if vectors.kept < count and zero == "raise":
        raise ValueError(
            f"{name}: rows must not be zero (zero='skip' leaves them out), "
            f"got zeros in row {int(np.argmin(squares))}"
        )
    if vectors.kept < least:
        raise ValueError(f"{name}: must have at least {least} non-zero rows, got {vectors.kept}")
    return vectors


def count_directed(source: Source) -> int:
    """Return how many rows are not zero, reading a few at a time."""
    step = max(1, _BLOCK_BYTES // max(1, row_bytes(source)))
    count = source.shape[0]
    blocks = (source.rows(start, min(start + step, count)) for start in range(0, count, step))
    return sum(int(np.any(np.asarray(block) != 0, axis=1).sum()) for block in blocks)


def kept_pairs(rows: Vectors, columns: Vectors, triangle: bool, tile: Tile) -> int:
    """Return how many pairs of a tile have no row that is left out."""
    across = np.count_nonzero(columns.squares[tile.column : tile.column_end])
    if not triangle or tile.column >= tile.row_end:
        return int(np.count_nonzero(rows.squares[tile.row : tile.row_end]) * across)
    before = np.cumsum(columns.squares[tile.row : tile.column_end] != 0.0)
    here = np.flatnonzero(rows.squares[tile.row : tile.row_end])
    first = np.maximum(here[here < len(before)], tile.column - tile.row - 1)
    return int((before[-1] - before[first]).sum())


def content(vectors: Vectors, step: int, each: Each) -> str:
    """Return what tells these numbers from others: their checksum, or their generator's key.

    However they lie, and whatever is read at a time: rows are hashed a fixed number at a time.
    """
    source = vectors.source
    if isinstance(source, BlockRows) and source.key is not None:
        return f"key {source.key}"
    digests: dict[int, bytes] = {}

    def look(start: int) -> None:
        digest = hashlib.sha256()
        end = min(start + _HASHED_ROWS, len(vectors))
        for low in range(start, end, step):
            rows = native(np.asarray(vectors.read(low, min(low + step, end))))
            digest.update(rows.reshape(-1).view(np.uint8).data)
        digests[start] = digest.digest()

    source.expect((), [range(len(vectors))])
    each(look, range(0, len(vectors), _HASHED_ROWS))
    whole = b"".join(digests[start] for start in sorted(digests))
    return f"sha256 {hashlib.sha256(whole).hexdigest()}"


def _check_integers(block: Any, name: str, start: int) -> None:
    if (
        not isinstance(block, np.ndarray)
        or block.dtype.kind not in "iu"
        or block.dtype.itemsize < 8
    ):
        return
    beyond = block > EXACT_INTEGER
    if block.dtype.kind == "i":
        beyond |= block < -EXACT_INTEGER
    if beyond.any():
        row, column = (int(axis[0]) for axis in np.nonzero(beyond))
        raise ValueError(
            f"{name}: integers must be within 2**53 of zero, which float64 holds exactly, "
            f"got {block[row, column]} in row {start + row}"
        )
