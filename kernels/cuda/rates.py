"""What a device is called, how fast it multiplies and copies, and how fast ours is beside that."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import reference
from ..records import Error
from . import entry, model
from .loader import Module
from .screening import Screens
from .team import Team
from .tile_folds import BestFold
from .values import FUSED_DEPTH, Values

_TIMES = 5
# Of products: what is multiplied, what is kept of it, and whether by TF32.
_PRODUCTS = {
    "float16": ("float16", "float16", False),
    "float16, kept as float32": ("float16", "float32", False),
    "float32": ("float32", "float32", False),
    "tf32": ("float32", "float32", True),
}
_ERROR = Error(1e-3, 1e-3)


class Measured(NamedTuple):
    """Rates of a device: products by name and the fused kernel in TFLOP/s, copies in TB/s."""

    products: dict[str, float]
    copies: float
    fused: float | None

    def expected(self, depth: int, codes: bool, rows: int) -> float:
        """Return the seconds that the model has for all pairs of that many rows."""
        library = {kind: (self.products[kind],) * 2 for kind in ("float32", "float16")}
        fuses = self.fused is not None and depth <= FUSED_DEPTH
        # The rate of the fused kernel is that with its fold.
        fused = {"float16": (self.fused or 1.0,) * 2}
        rates = model.Rates(self.copies, library, fused, instructions=float("inf"))
        way = ("fused" if fuses else "float16 tile") if codes else "float32 tile"
        return model.seconds(rates, way, rows, depth)


def name(number: int | None) -> str:
    """Return what there is to say of a device."""
    device = entry.module_on(number).device
    runtime = device.arrays.cuda.runtime
    found = "an emulated device"
    if hasattr(runtime, "getDeviceProperties"):
        found = runtime.getDeviceProperties(device.number)["name"].decode()
    version = f"CuPy {device.arrays.__version__}, CUDA {runtime.runtimeGetVersion()}"
    return f"device {device.number}: {found}, compute capability {device.capability}, {version}"


def measure(number: int | None, side: int, say: Callable[[str], None]) -> Measured:
    """Measure products of square matrices, copies, and kernels on tiles of that side."""
    module = entry.module_on(number)
    arrays, products = module.device.arrays, {}
    with arrays.cuda.Device(module.device.number):
        for name, what in _PRODUCTS.items():
            products[name] = _product(module, side, *what)
            say(f"cuBLAS, {name}, {side}^3: {products[name]:.4g} TFLOP/s")
        source = arrays.full(4 * side * side, 1.0, np.float32)
        target = arrays.empty(source.size, np.float32)

        def copy() -> None:
            target[:] = source

        copies = 2.0 * source.nbytes / _best(arrays, copy)
        say(f"copies of {source.nbytes >> 20} MiB: {copies / 1e12:.4g} TB/s read and written")
    folded, fused = _folded(module, side, 4 * FUSED_DEPTH), None
    folded *= 2.0 * side**2
    say(f"ours, fold of a tile: {folded / 1e12:.4g} TB/s read, {folded / copies:.2f} of a copy's")
    if module.fuses:
        fused = _folded(module, side, FUSED_DEPTH) * 2e-12 * FUSED_DEPTH * side**2
        share = fused / products["float16"]
        say(f"ours, fused, d = {FUSED_DEPTH}: {fused:.4g} TFLOP/s, {share:.2f} of cuBLAS's")
    return Measured(products, copies / 1e12, fused)


def _product(module: Module, side: int, kind: str, kept: str, tf32: bool) -> float:
    """Return the TFLOP/s of a product of square matrices."""
    arrays = module.device.arrays
    left = arrays.full((side, side), 0.5, np.dtype(kind))
    out = arrays.empty((side, side), np.dtype(kept))
    return 2e-12 * side**3 / _best(arrays, lambda: module.multiply(left, left, out, tf32=tf32))


def _folded(module: Module, side: int, depth: int) -> float:
    """Return how often a second a tile of float16 rows is folded: multiplied before, or fused."""
    rows = np.random.default_rng(0).standard_normal((side, depth), dtype=np.float32)
    surveyed = rows, *reference.survey(rows)[:2]
    with Team([module]) as team:
        place, coder = team.here(), Screens(team).coder
        halves = coder.codes(coder.room(side, depth), surveyed[2], 0, depth, False, None)
        halves.fill(*surveyed, 0)
        fold = BestFold(team, side, side, 1, 1024, per="all", k=1, magnitude=True)
        fold.aim(_ERROR, np.full(side, 2.0), np.full(side, np.inf))
        buffer = team.arrays.empty(side * side, np.float32)
        values = Values(place, buffer, (halves, halves), (0, side, 0, side), None, _ERROR)
        return 1.0 / _best(team.arrays, lambda: fold.screen(values, None))


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
