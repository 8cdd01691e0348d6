"""Which kernels compute: one table, chosen explicitly, never a silent fallback."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass

from .checks import check_choice
from .protocols import Devices, Kernels


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


def _reference(numbers: tuple[int, ...] | None) -> Backend:
    from .kernels import reference

    _refuse_devices("reference", numbers)
    return Backend("reference", reference)


def _cpu(numbers: tuple[int, ...] | None) -> Backend:
    if _compiler_is_off():
        raise ValueError(
            "backend: 'cpu' must have Numba's compiler, got NUMBA_DISABLE_JIT=1 in the environment "
            "('auto' takes 'reference' then)"
        )
    from .kernels.cpu import entry

    _refuse_devices("cpu", numbers)
    return Backend("cpu", entry)


def _cuda(numbers: tuple[int, ...] | None) -> Backend:
    from .kernels.cuda.entry import Cuda

    kernels = Cuda((None,) if numbers is None else numbers)
    return Backend("cuda", kernels, kernels)


# The reference first.  "auto" is the devices that vectors lie on or that are asked for; else the
# CPU's compiled kernels, or the reference where the user has switched Numba's compiler off; the
# record of the run says which.
ENTRIES: dict[str, Callable[[tuple[int, ...] | None], Backend]] = {
    "reference": _reference,
    "cpu": _cpu,
    "cuda": _cuda,
}


def choose_backend(
    name: str, devices: tuple[int, ...] | None = None, home: int | None = None
) -> Backend:
    """Return the backend of that name.

    `devices` are those asked for, `home` the one that vectors lie on.
    """
    check_choice(name, "backend", "auto", *ENTRIES)
    if name == "auto":
        on_devices = devices is not None or home is not None
        name = "cuda" if on_devices else "reference" if _compiler_is_off() else "cpu"
    if devices is None and home is not None:
        if name != "cuda":
            raise ValueError(
                f"backend: must be 'auto' or 'cuda' for vectors on a device, got {name!r}"
            )
        devices = (home,)
    return ENTRIES[name](devices)


def _refuse_devices(name: str, numbers: tuple[int, ...] | None) -> None:
    if numbers is not None:
        raise ValueError(f"devices: must come with backend='cuda', got backend={name!r}")


def _compiler_is_off() -> bool:
    return os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
