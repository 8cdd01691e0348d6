"""The floating-point mode that the deciding arithmetic is defined in.

A host program may have switched its threads to flush-to-zero (torch and some C libraries do) or to
another rounding direction, and threads inherit that mode.  Every thread that computes does so
inside `ieee_mode`.
"""

from __future__ import annotations

import contextlib
import ctypes
import platform
import struct
import sys
from collections.abc import Iterator
from functools import cache

import numpy as np

# From its bits: 2.0**-1074 would be folded at compilation, under flush-to-zero to 0, and cached.
_SMALLEST: float = struct.unpack("<d", (1).to_bytes(8, "little"))[0]
_SMALLEST_NORMAL = 2.0**-1022
# Where glibc and musl have FE_DFL_ENV = (const fenv_t *) -1.
_MACHINES = ("x86_64", "i686", "aarch64")
_ENVIRONMENT_BYTES = 256  # fenv_t is 32 bytes or fewer on every platform


def _is_ieee(half: float = 0.5, huge: float = 2.0**1000, ulp: float = 2.0**-52) -> bool:
    """Test the current thread's mode; the arguments keep the interpreter from folding constants."""
    keeps_subnormals = _SMALLEST * huge > 0.0 and _SMALLEST_NORMAL * half * huge > 0.0
    rounds_to_nearest = 1.0 + half * ulp == 1.0 and 1.0 + 0.75 * ulp > 1.0
    return keeps_subnormals and rounds_to_nearest


@contextlib.contextmanager
def ieee_mode() -> Iterator[None]:
    """Compute in the default mode; give the thread its own back afterwards.

    That is round-to-nearest, with subnormal numbers, and no exception trapped.

    Raises
    ------
    RuntimeError
        If the thread is in another mode and the C library cannot change that.
    """
    with np.errstate(all="ignore"):
        saved = ctypes.create_string_buffer(_ENVIRONMENT_BYTES)
        library = _c_library()
        if library is not None:
            library.fegetenv(saved)
            library.fesetenv(ctypes.c_void_p(-1))
        try:
            if not _is_ieee():
                raise RuntimeError(
                    "floating-point mode: must round to nearest and keep subnormal numbers, "
                    "got a thread with flush-to-zero or another rounding that cannot be reset here"
                )
            yield
        finally:
            if library is not None:
                library.fesetenv(saved)


@cache
def _c_library() -> ctypes.PyDLL | None:
    if not sys.platform.startswith("linux") or platform.machine() not in _MACHINES:
        return None
    # PyDLL keeps the GIL: to get it back takes a third of a millisecond where threads compete.
    library = ctypes.PyDLL(None)
    return library if hasattr(library, "fesetenv") else ctypes.PyDLL("libm.so.6")
