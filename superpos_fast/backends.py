"""Which kernels compute: one table, chosen explicitly, never a silent fallback."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass

from .checks import check_choice
from .protocols import Devices, HostKernels, Kernels


@dataclass(frozen=True)
class Backend:
    """A name, the kernels behind it, and the devices that they work on if these are not the host.

    For one call.
    """

    name: str
    kernels: Kernels
    devices: Devices | None = None

    def at_work(self) -> contextlib.AbstractContextManager[object]:
        """Work on the devices, if there are any, for the time of a ``with``."""
        return contextlib.nullcontext() if self.devices is None else self.devices


def _reference() -> HostKernels:
    from .kernels import reference

    return reference


def _cpu() -> HostKernels:
    if _compiler_is_off():
        raise ValueError(
            "backend: 'cpu' must have Numba's compiler, got NUMBA_DISABLE_JIT=1 in the environment "
            "(backend='reference' is plain NumPy)"
        )
    from .kernels.cpu import entry

    return entry


def _cuda(numbers: tuple[int, ...] | None) -> Backend:
    from .kernels.cuda.entry import Cuda

    kernels = Cuda((None,) if numbers is None else numbers)
    return Backend("cuda", kernels, kernels)


# The reference first.  "auto" is the devices that vectors lie on or that are asked for; else the
# CPU's compiled kernels, or the reference where the user has switched Numba's compiler off; the
# record of the run says which.
HOST_ENTRIES: dict[str, Callable[[], HostKernels]] = {"reference": _reference, "cpu": _cpu}
NAMES = ("auto", *HOST_ENTRIES, "cuda")


def choose_backend(
    name: str, devices: tuple[int, ...] | None = None, home: int | None = None
) -> Backend:
    """Return the backend of that name.

    `devices` are those asked for, `home` the one that vectors lie on.
    """
    check_choice(name, "backend", *NAMES)
    if name == "auto" and (devices is not None or home is not None):
        name = "cuda"
    if name == "cuda":
        return _cuda(devices if devices is not None or home is None else (home,))
    if devices is not None:
        raise ValueError(f"devices: must come with backend='cuda', got backend={name!r}")
    if home is not None:
        raise ValueError(f"backend: must be 'auto' or 'cuda' for vectors on a device, got {name!r}")
    name = _host_name(name)
    return Backend(name, HOST_ENTRIES[name]())


def choose_host_kernels(name: str) -> HostKernels:
    """Return the kernels of that name, of those that work on the host."""
    check_choice(name, "backend", "auto", *HOST_ENTRIES)
    return HOST_ENTRIES[_host_name(name)]()


def _host_name(name: str) -> str:
    if name != "auto":
        return name
    return "reference" if _compiler_is_off() else "cpu"


def _compiler_is_off() -> bool:
    return os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
