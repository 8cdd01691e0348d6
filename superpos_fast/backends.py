"""Which kernels compute: one table, chosen explicitly, never a silent fallback."""

from __future__ import annotations

import importlib
import os
from typing import Any

# The reference first.  "auto" is "cpu"; "cpu" is Numba's kernels, or the reference where Numba's
# compiler is switched off (NUMBA_DISABLE_JIT=1), which the record of the run then says.
ENTRIES = {
    "reference": "superpos_fast.kernels.reference",
    "cpu": "superpos_fast.kernels.cpu.entry",
}


class Backend:
    """A name and the module of kernels behind it (see `superpos_fast.kernels.reference`)."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.kernels: Any = importlib.import_module(ENTRIES[name])


def choose_backend(name: str) -> Backend:
    """Return the backend of that name."""
    if name not in ("auto", *ENTRIES):
        known = ", ".join(repr(entry) for entry in ("auto", *ENTRIES))
        raise ValueError(f"backend: must be one of {known}, got {name!r}")
    if name == "auto":
        name = "cpu"
    if name == "cpu" and os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        name = "reference"
    return Backend(name)
