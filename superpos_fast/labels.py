"""Names of vectors, given one by one or in a file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .checks import shown

# A name for each row, or for some of them.
Labels = Sequence[str] | Mapping[int, str] | str | os.PathLike[str]


def labels_of(labels: Labels | None, count: int) -> dict[int, str]:
    """Return the names that rows have.

    Parameters
    ----------
    labels : sequence of str, mapping of int to str, path or None
        One for each of `count` rows, or by row; or a file of these: a line a row, or in a .json
        file a list or an object.
    count : int
        Rows.

    Returns
    -------
    dict of int to str

    Raises
    ------
    TypeError, ValueError, OSError
        If they are not as many, or the file cannot be read.
    """
    if labels is None:
        return {}
    given: Any = _read(Path(labels)) if isinstance(labels, str | os.PathLike) else labels
    if isinstance(given, Mapping):
        return dict(_named(row, label, count) for row, label in given.items())
    if not isinstance(given, Sequence) and not hasattr(given, "tolist"):
        raise TypeError(
            f"labels: must be a name for each row, or a file of them, got {shown(labels)}"
        )
    if len(given) != count:
        raise ValueError(f"labels: must be {count}, one for each row, got {len(given)}")
    return {row: str(label) for row, label in enumerate(given)}


def _named(row: Any, label: Any, count: int) -> tuple[int, str]:
    try:
        place = int(row)  # the keys of JSON are strings
    except (TypeError, ValueError):
        place = -1
    if not 0 <= place < count:
        raise ValueError(f"labels: must be of rows 0 to {count - 1}, got one of {shown(row)}")
    return place, str(label)


def _read(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() != ".json":
            return text.splitlines()
        found = json.loads(text)
    except ValueError as error:  # no UTF-8, or no JSON
        reason = " ".join(str(error).split())
        raise ValueError(f"labels: must be a readable file, got {str(path)!r}: {reason}") from None
    if not isinstance(found, list | dict):
        raise ValueError(f"labels: must be a list or an object, got {str(path)!r} of another kind")
    return found
