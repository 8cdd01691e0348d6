"""What a device is called, and how fast it multiplies and copies: what other times are held to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import entry

_TIMES = 5


def name(number: int | None) -> str:
    """Return what there is to say of a device."""
    device = entry.module_on(number).device
    runtime = device.arrays.cuda.runtime
    found = "an emulated device"
    if hasattr(runtime, "getDeviceProperties"):
        found = runtime.getDeviceProperties(device.number)["name"].decode()
    version = f"CuPy {device.arrays.__version__}, CUDA {runtime.runtimeGetVersion()}"
    return f"device {device.number}: {found}, compute capability {device.capability}, {version}"


def lines(number: int | None, side: int) -> Iterator[str]:
    """Measure products of square matrices, and copies, and say how fast they were."""
    module = entry.module_on(number)
    arrays = module.device.arrays
    with arrays.cuda.Device(module.device.number):
        for kind, out in (("float16", "float16"), ("float16", "float32"), ("float32", "float32")):
            left = arrays.full((side, side), 0.5, np.dtype(kind))
            product = arrays.empty((side, side), np.dtype(out))
            seconds = _best(arrays, lambda: module.multiply(left, left, product))  # noqa: B023
            rate = 2.0 * side**3 / seconds / 1e12
            yield f"{kind} products to {out}, {side}^3: {rate:.4g} TFLOP/s"
        source = arrays.full(16 * side * side // 4, 1.0, np.float32)
        target = arrays.empty(source.size, np.float32)

        def copy() -> None:
            target[:] = source

        rate = 2.0 * source.nbytes / _best(arrays, copy) / 1e12
        yield f"copies of {source.nbytes >> 20} MiB: {rate:.4g} TB/s read and written"


def _best(arrays: Any, work: Callable[[], None]) -> float:
    """Return the least of some times, the first one apart."""
    seconds = []
    for _ in range(1 + _TIMES):
        arrays.cuda.Device().synchronize()
        begin = time.perf_counter()
        work()
        arrays.cuda.Device().synchronize()
        seconds.append(time.perf_counter() - begin)
    return min(seconds[1:])
