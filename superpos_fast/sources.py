"""Matrices in files: .npy and .safetensors are memory-mapped, .npz is read, none is unpickled.

A file is untrusted: whatever its bytes are, the answer is a matrix or an error of one line.
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

# The element types of the safetensors format that hold real numbers, as NumPy stores them.
# NumPy has no bfloat16: its bits are mapped, then seen through ml_dtypes.
SAFETENSORS_TYPES = {
    "BF16": "<u2",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "I8": "<i1",
    "I16": "<i2",
    "I32": "<i4",
    "I64": "<i8",
    "U8": "<u1",
    "U16": "<u2",
    "U32": "<u4",
    "U64": "<u8",
}
SAFETENSORS_HEADER_LIMIT = 100_000_000  # bytes, as in the format's reference implementation
LISTED_AT_MOST = 100


def open_table(path: str | os.PathLike[str], tensor: str | None = None) -> NDArray[Any]:
    """Open a matrix that lies in a file, one vector a row.

    Parameters
    ----------
    path : str or os.PathLike
        A .npy or .safetensors file, which is memory-mapped, or a .npz file, whose matrix is read
        into memory.
    tensor : str, optional
        Which matrix of a .npz or .safetensors file. May be left out where the file holds exactly
        one that is 2-d.

    Returns
    -------
    numpy.ndarray
        2-d; read-only where it is memory-mapped.

    Raises
    ------
    ValueError
        If the file is not what its name says, or `tensor` does not name a matrix of it.
    OSError
        If the file cannot be opened.
    ImportError
        If the matrix is of type bfloat16 and `ml_dtypes` is not installed.
    """
    return open_chosen(path, tensor, lambda file, tables: _choose(file, tables, tensor))[1]


def open_chosen(
    path: str | os.PathLike[str],
    tensor: str | None,
    choose: Callable[[Path, Mapping[str, Table]], str],
) -> tuple[str, NDArray[Any]]:
    """Open one array of a file, and return its name there too; see `open_table`."""
    file = Path(path)
    list_tables = _FORMATS.get(file.suffix.lower())
    if list_tables is None:
        raise ValueError(f"path: must end in {', '.join(_FORMATS)}, got {str(file)!r}")
    if not file.exists():
        raise FileNotFoundError(f"path: must be a file, but there is no {str(file)!r}")
    if not file.is_file():
        raise ValueError(f"path: must be a regular file, got {str(file)!r}")
    if list_tables is _npy_tables and tensor is not None:
        raise ValueError(f"tensor: must be left out for a .npy file, got {tensor!r}")
    with file.open("rb") as stream:
        with _reading(file):
            tables = list_tables(stream)
        name = choose(file, tables)
        with _reading(file):
            return name, tables[name].load()


@dataclass(frozen=True)
class Table:
    """One array of a file, not loaded yet."""

    shape: tuple[int, ...]
    dtype: str
    load: Callable[[], NDArray[Any]]


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Turn what a parser says about broken bytes into one line."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        # Not a list of types: the readers of numpy, zipfile and json let through SyntaxError,
        # KeyError, EOFError, RecursionError, zlib.error and more, and promise none of them.
        reason = _short(" ".join(str(error).split()) or type(error).__name__)
        raise ValueError(
            f"path: must be a readable {file.suffix} file, got {str(file)!r}: {reason}"
        ) from None


def _choose(file: Path, tables: Mapping[str, Table], wanted: str | None) -> str:
    matrices = {name: table for name, table in tables.items() if len(table.shape) == 2}
    if wanted is None and len(matrices) == 1:
        return next(iter(matrices))
    if wanted is not None and wanted in matrices:
        return wanted
    if not matrices:
        raise ValueError(f"path: must hold a 2-d array, got {str(file)!r} with {listing(tables)}")
    raise ValueError(
        f"tensor: must name one of the 2-d arrays of {str(file)!r}, "
        f"got {wanted!r} where there are {listing(matrices)}"
    )


def listing(tables: Mapping[str, Table]) -> str:
    """Return names, shapes and types of arrays as a message lists them."""
    lines = [
        f"{_short(repr(name))} {_short(str(table.shape))} {_short(table.dtype)}"
        for name, table in list(tables.items())[:LISTED_AT_MOST]
    ]
    if len(tables) > LISTED_AT_MOST:
        lines.append(f"{len(tables) - LISTED_AT_MOST} more")
    return ", ".join(lines) or "none"


def _short(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _npy_tables(stream: BinaryIO) -> dict[str, Table]:
    array = np.lib.format.open_memmap(stream.name, mode="r")
    return {"": Table(array.shape, array.dtype.name, lambda: array)}


def _npz_tables(stream: BinaryIO) -> dict[str, Table]:
    archive = zipfile.ZipFile(stream)
    return {
        member.filename.removesuffix(".npy"): _npz_table(archive, member)
        for member in archive.infolist()
        if member.filename.endswith(".npy")
    }


def _npz_table(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Table:
    def load() -> NDArray[Any]:
        with archive.open(member) as stream:
            array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
            return array

    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        shape, _, dtype = _NPY_HEADERS[version](stream)
        size = member.file_size - stream.tell()
    # NumPy reserves what a header asks for before it reads: a small file must not ask for much.
    if not dtype.hasobject and math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{member.filename!r} has {size} bytes for {shape} {dtype}")
    return Table(shape, dtype.name, load)


def _safetensors_tables(stream: BinaryIO) -> dict[str, Table]:
    # Read here and not by the safetensors package, whose get_tensor copies the whole tensor into
    # memory (0.8.0: a tensor of 256 MiB adds 256 MiB of private memory).
    size = os.fstat(stream.fileno()).st_size
    length = int.from_bytes(stream.read(8), "little")
    if not 2 <= length <= min(size - 8, SAFETENSORS_HEADER_LIMIT):
        raise ValueError(f"a header of {length} bytes does not fit into {size} bytes")
    header = json.loads(stream.read(length).decode())
    if not isinstance(header, dict):
        raise ValueError("the header is not a JSON object")
    return {
        name: _safetensors_table(stream, name, entry, 8 + length, size)
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _safetensors_table(stream: BinaryIO, name: str, entry: Any, start: int, size: int) -> Table:
    if not _is_described(entry):
        raise ValueError(f"{name!r} is not described by a dtype, a shape and two offsets")
    code, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not begin <= end <= size - start:
        raise ValueError(f"{name!r} is said to end at byte {end} of {size - start}")
    dtype = np.dtype(SAFETENSORS_TYPES.get(code, "V"))
    if code in SAFETENSORS_TYPES and math.prod(shape) * dtype.itemsize != end - begin:
        raise ValueError(f"{name!r} has {end - begin} bytes for {shape} of {code}")

    def load() -> NDArray[Any]:
        if code not in SAFETENSORS_TYPES:
            raise ValueError(f"{name!r} is of type {code!r}, not {', '.join(SAFETENSORS_TYPES)}")
        array = np.memmap(stream, dtype, mode="r", offset=start + begin, shape=tuple(shape))
        return array.view(_bfloat16_type()) if code == "BF16" else array

    return Table(tuple(shape), code if code in SAFETENSORS_TYPES else repr(code), load)


def _is_described(entry: Any) -> bool:
    match entry:
        case {"dtype": str(), "shape": [*shape], "data_offsets": [begin, end]}:
            numbers = [*shape, begin, end]
            return len(numbers) <= 64 and all(type(n) is int and n >= 0 for n in numbers)
        case _:
            return False


def _bfloat16_type() -> Any:
    try:
        import ml_dtypes
    except ImportError:
        raise ImportError(
            "reading bfloat16 needs ml_dtypes: pip install 'superpos_fast[io]'"
        ) from None
    return ml_dtypes.bfloat16


_NPY_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_FORMATS: dict[str, Callable[[BinaryIO], dict[str, Table]]] = {
    ".npy": _npy_tables,
    ".npz": _npz_tables,
    ".safetensors": _safetensors_tables,
}
