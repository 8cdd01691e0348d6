"""How kernels are compiled and where the machine code is kept.

Numba's on-disk cache watches the one source file of a function, so an edit of another kernel file
would leave stale machine code behind.  The cache directory therefore carries a hash of *all*
kernel sources in its name: any edit opens a new one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numba

# Kernels allocate nothing, so that Numba need not count references: each time a record of arrays
# went from function to function, atomic additions to their counters took a fifth of `nearest`.
_UNCOUNTED = {"_nrt": False}

_dispatchers: list[Any] = []


@cache
def _cache_directory() -> Path | None:
    """Return the first writable place for machine code of these sources, or None."""
    here = Path(__file__).parent
    sources = sorted([*here.parent.glob("*.py"), *here.glob("*.py")])
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    for place in _candidates():
        directory = place / f"superpos_fast-{digest}"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=directory).close()
        except OSError:
            continue
        return directory
    warnings.warn(
        "superpos_fast: no writable cache folder (set NUMBA_CACHE_DIR to one): "
        "kernels are compiled anew in every process",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def _candidates() -> Iterator[Path]:
    if numba.config.CACHE_DIR:
        yield Path(numba.config.CACHE_DIR)
    yield Path(__file__).parent / "__pycache__"
    variable, beside_home = (
        ("LOCALAPPDATA", ".") if sys.platform == "win32" else ("XDG_CACHE_HOME", ".cache")
    )
    if folder := os.environ.get(variable):
        yield Path(folder) / "superpos_fast"
    with contextlib.suppress(RuntimeError):  # a user without a home
        yield Path.home() / beside_home / "superpos_fast"


@contextlib.contextmanager
def _caching_in(directory: Path) -> Iterator[None]:
    """Let Numba choose `directory` for the functions decorated inside."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(directory)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before


def compiled(function: Callable[..., Any]) -> Any:
    """Compile `function` at its first call, without the GIL, from the cache where there is one.

    Strict IEEE arithmetic: no fast-math flag, a division by zero gives NaN or infinity.
    """
    options = {"nogil": True, "error_model": "numpy", **_UNCOUNTED}
    directory = _cache_directory()
    if directory is None:
        dispatcher = numba.njit(**options)(function)
    else:
        with _caching_in(directory):
            dispatcher = numba.njit(cache=True, **options)(function)
    _dispatchers.append(dispatcher)
    return dispatcher


def part(function: Callable[..., Any]) -> Any:
    """Compile `function` as a part of compiled ones that call it."""
    return numba.njit(**_UNCOUNTED)(function)


def misses() -> int:
    """Return how many kernels this process had to compile because no cache held them."""
    return sum(sum(dispatcher.stats.cache_misses.values()) for dispatcher in _dispatchers)
