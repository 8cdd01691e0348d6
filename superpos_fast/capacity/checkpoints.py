"""Checkpoints: what a search has found so far, in a file that is whole at any time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .. import store


class Checkpoint:
    """A file of arrays that belongs to one search, or none if `path` is None.

    Parameters
    ----------
    path : str, os.PathLike or None
        The file; it need not exist.
    question : str
        What is being searched for; another search's file is refused.
    """

    def __init__(self, path: str | os.PathLike[str] | None, question: str) -> None:
        if path is not None and not isinstance(path, str | os.PathLike):
            raise TypeError(f"checkpoint: must be a path or None, got {path!r}")
        self._path = None if path is None else Path(path)
        self._question = question
        if self._path is not None and not self._path.absolute().parent.is_dir():
            raise ValueError(f"checkpoint: must be in a folder that exists, got {str(path)!r}")

    def load(self) -> dict[str, Any]:
        """Return the arrays that were saved last; none if there is no such file."""
        if self._path is None or not self._path.exists():
            return {}
        header, arrays = store.read(self._path, "checkpoint")
        if header != {"search": self._question}:
            raise ValueError(
                f"checkpoint: must be of this search ({self._question}), got one of {header}"
            )
        return arrays

    def save(self, arrays: dict[str, Any]) -> None:
        """Put arrays in the place of what is there."""
        if self._path is not None:
            store.write(self._path, {"search": self._question}, arrays)
