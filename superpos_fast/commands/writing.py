"""Tables of columns as files: .npz, .parquet, .csv, .json."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

import numpy as np

Arrays = Mapping[str, Any]
_PICTURES = ".png", ".svg", ".pdf"


def plain(value: Any) -> Any:
    """Return what JSON holds: arrays as lists, no infinity and no NaN."""
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_csv(columns: Arrays, stream: TextIO) -> None:
    """Write columns of one length as comma-separated values, numbers to the last digit."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(
        zip(*(np.asarray(column).tolist() for column in columns.values()), strict=True)
    )


def save(path: Path, facts: Arrays, arrays: Arrays, columns: Arrays) -> None:
    """Write an answer to a file, in the format that its name ends in.

    Raises
    ------
    ValueError
        For another ending.
    ImportError
        For .parquet without pyarrow.
    """
    check(path)
    _FORMATS[path.suffix.lower()](path, facts, arrays, columns)


def check(path: Path) -> None:
    """Refuse a file that cannot be written, before the work."""
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise ValueError(f"--output: must end in {', '.join(_FORMATS)}, got {str(path)!r}")
    if suffix == ".parquet":
        _pyarrow()
    check_folder(path)


def check_picture(path: Path, option: str) -> None:
    """Refuse a picture that cannot be drawn, before the work."""
    if path.suffix.lower() not in _PICTURES:
        raise ValueError(f"{option}: must end in {', '.join(_PICTURES)}, got {str(path)!r}")
    check_folder(path, option)
    if find_spec("matplotlib") is None:
        raise ImportError(f"{option} needs matplotlib: pip install matplotlib")


def check_folder(path: Path, option: str = "--output") -> None:
    """Refuse a file in a folder that is not there, before the work."""
    if not path.parent.is_dir():
        raise ValueError(f"{option}: must be in a folder that is there, got {str(path)!r}")


def _save_npz(path: Path, facts: Arrays, arrays: Arrays, columns: Arrays) -> None:
    scalars = {name: value for name, value in facts.items() if isinstance(value, int | float)}
    with path.open("wb") as stream:
        np.savez(stream, **{**scalars, **arrays})


def _save_parquet(path: Path, facts: Arrays, arrays: Arrays, columns: Arrays) -> None:
    pa = _pyarrow()
    from pyarrow import parquet

    parquet.write_table(pa.table({name: np.asarray(part) for name, part in columns.items()}), path)


def _save_csv(path: Path, facts: Arrays, arrays: Arrays, columns: Arrays) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        write_csv(columns, stream)


def _save_json(path: Path, facts: Arrays, arrays: Arrays, columns: Arrays) -> None:
    path.write_text(json.dumps(plain({**facts, **arrays})) + "\n", encoding="utf-8")


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
    except ImportError:
        raise ImportError("writing .parquet needs pyarrow: pip install pyarrow") from None
    return pa


_FORMATS: dict[str, Callable[[Path, Arrays, Arrays, Arrays], None]] = {
    ".npz": _save_npz,
    ".parquet": _save_parquet,
    ".csv": _save_csv,
    ".json": _save_json,
}
