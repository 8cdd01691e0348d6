"""Which kernels compute: one table, chosen explicitly, never a silent fallback."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from .checks import check_choice
from .protocols import Kernels


@dataclass(frozen=True)
class Backend:
    """A name and the kernels behind it."""

    name: str
    kernels: Kernels


def _reference() -> Kernels:
    from .kernels import reference

    return reference


def _cpu() -> Kernels:
    if _compiler_is_off():
        raise ValueError(
            "backend: 'cpu' must have Numba's compiler, got NUMBA_DISABLE_JIT=1 in the environment "
            "('auto' takes 'reference' then)"
        )
    from .kernels.cpu import entry

    return entry


# The reference first.  "auto" is the CPU's compiled kernels, or the reference where the user has
# switched Numba's compiler off; the record of the run says which.
ENTRIES: dict[str, Callable[[], Kernels]] = {"reference": _reference, "cpu": _cpu}


def choose_backend(name: str) -> Backend:
    """Return the backend of that name."""
    if name == "auto":
        name = "reference" if _compiler_is_off() else "cpu"
    check_choice(name, "backend", "auto", *ENTRIES)
    return Backend(name, ENTRIES[name]())


def _compiler_is_off() -> bool:
    return os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
