"""When and where what is known is written: not too often, and a full disk ends nothing."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from pathlib import Path

from .execution import Checkpoint

# Writing takes at most one part in so many of the time.
_WRITING_SHARE = 10


class Keeper:
    """Writes a checkpoint in its time, or none if there is no `checkpoint`.

    Attributes
    ----------
    path : Path or None
        The file, whose folder is there.
    """

    def __init__(self, checkpoint: Checkpoint | None) -> None:
        self.path = None if checkpoint is None else Path(checkpoint.path)
        self._interval = 0.0 if checkpoint is None else checkpoint.every
        self._due = time.monotonic() + self._interval
        self._error: OSError | None = None
        if self.path is not None and not self.path.absolute().parent.is_dir():
            raise ValueError(
                f"checkpoint: must be in a folder that is there, got {str(self.path)!r}"
            )

    @property
    def is_due(self) -> bool:
        """Whether it is time to write."""
        return self.path is not None and time.monotonic() >= self._due

    def save(self, write: Callable[[Path], None]) -> None:
        """Have it written; if that cannot be done, say so once and go on."""
        if self.path is None:
            return
        begin, before = time.monotonic(), self._error
        try:
            write(self.path)
            self._error = None
        except OSError as error:
            self._error = error
            if before is None:
                warnings.warn(f"{self._lost(error)}, and the run goes on", stacklevel=2)
        end = time.monotonic()
        self._due = end + max(self._interval, _WRITING_SHARE * (end - begin))

    def close(self) -> None:
        """Say at the end if what was found last is nowhere written."""
        if self._error is not None:
            warnings.warn(f"{self._lost(self._error)} to the end", stacklevel=2)

    def _lost(self, error: OSError) -> str:
        return f"checkpoint: {str(self.path)!r} could not be written ({error.strerror})"
