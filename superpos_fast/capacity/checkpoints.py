"""What an experiment has found so far, in a file that it goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

from .. import __version__, store
from ..execution import Checkpoint, as_checkpoint
from ..keeping import Keeper

KeptIn = str | PathLike[str] | Checkpoint | None


class Progressed:
    """The file of one experiment, or none if `checkpoint` is None.

    Parameters
    ----------
    checkpoint : str, os.PathLike, Checkpoint or None
        The file; it need not exist.
    what : str
        What messages call the experiment.
    **key
        What it is about, as JSON has it, beside the package's version: another's file is refused.

    Notes
    -----
    What is found are facts, as JSON has them, and arrays.
    """

    def __init__(self, checkpoint: KeptIn, what: str, **key: Any) -> None:
        self._keeper = Keeper(as_checkpoint(checkpoint))
        self._what, self._key = what, {"version": __version__, **key}

    @property
    def is_due(self) -> bool:
        """Whether it is time to save."""
        return self._keeper.is_due

    def load(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the facts and arrays that were saved last; none if there is no such file."""
        path = self._keeper.path
        if path is None or not path.exists():
            return {}, {}
        header, arrays = store.read(path, "checkpoint")
        about = {name: header.pop(name, None) for name in self._key}
        if about != self._key:
            raise ValueError(
                f"checkpoint: must be of the same {self._what}, {self._key}, got one of {about}"
            )
        return header, arrays

    def save(self, facts: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        """Put this in the place of what is there."""
        self._keeper.save(lambda path: store.write(path, {**self._key, **facts}, arrays))

    def close(self) -> None:
        """Say if what was found last could not be saved."""
        self._keeper.close()
