"""Checkpoint files: text that says what is in them, arrays, and a checksum over both.

A file is written beside its place and put there once it is whole, so that whoever looks finds the
old one or the new one.  It is a .npz archive, of which nothing is unpickled; whatever its bytes
are, reading it gives what was written or an error of one line.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = "superpos_fast checkpoint 1"


def write(path: Path, header: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Write a file that takes the place of another only when all of it is on the disk."""
    text = json.dumps({"format": FORMAT, **header}, sort_keys=True)
    beside = path.with_name(path.name + ".part")
    try:
        with beside.open("wb") as stream:
            np.savez(
                stream,
                allow_pickle=False,
                header=np.frombuffer(text.encode(), np.uint8),
                checksum=np.frombuffer(_checksum(text, arrays), np.uint8),
                **arrays,
            )
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    _sync_folder(path.parent)


def read(path: Path, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the header and the arrays of a file that came as the argument `name`.

    Raises
    ------
    ValueError
        If it is not, to the bit, what was written.
    OSError
        If it cannot be opened.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{name}: must be a file, but there is no {str(path)!r}")
    with path.open("rb") as stream:
        try:
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("no archive of arrays")
            arrays = dict(archive)
            text = arrays.pop("header").tobytes().decode()
            whole = arrays.pop("checksum").tobytes() == _checksum(text, arrays)
            header = json.loads(text)
            known = header.pop("format") == FORMAT
        except Exception as error:
            # Readers of archives and of JSON promise no list of types for broken bytes.
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(
                f"{name}: must be a checkpoint, got {str(path)!r}: {reason:.200}"
            ) from None
    if not known or not whole:
        what = "of another format" if whole else "that is damaged"
        raise ValueError(f"{name}: must be a whole {FORMAT}, got {str(path)!r} {what}")
    return header, arrays


def _checksum(text: str, arrays: Mapping[str, Any]) -> bytes:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.digest()


def _sync_folder(folder: Path) -> None:
    """Have a new name in a folder survive a crash of the machine, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
