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
from .values import Values

_TIMES = 5
# Launches follow one another without a wait until so many seconds, or so many times.
_LEAST_TIME, _MOST_AT_ONCE = 2e-3, 20
# Of products: what is multiplied, what is kept of it, and whether by TF32.
_PRODUCTS = {
    "float16": ("float16", "float16", False),
    "float16, kept as float32": ("float16", "float32", False),
    "float32": ("float32", "float32", False),
    "tf32": ("float32", "float32", True),
}
_ERROR = Error(1e-3, 1e-3)
# Entries of rows whose products are stored, and of the shortest that are not.
_STORED_DEPTH, _LEAST_DEPTH = 1024, 32


class Measured(NamedTuple):
    """Rates of a device: products by name in TFLOP/s, folds of stored tiles in TB/s they read.

    `fused` has what the fused kernel takes, in ps: of a pair, and besides of each of its entries.
    """

    products: dict[str, float]
    folds: float
    fused: tuple[float, float]
    fused_depth: int

    def expected(self, depth: int, codes: bool, rows: int) -> float:
        """Return the seconds that the model has for all pairs of that many rows."""
        library = {kind: (self.products[kind],) * 2 for kind in ("float32", "float16")}
        fold, each = self.fused
        fused = {"float16": (2.0 / each,) * 2}
        rates = model.Rates(self.folds, library, fused, model.FOLD_INSTRUCTIONS / fold)
        fuses = depth <= self.fused_depth
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
    folded = 2.0 * side**2 / _folding(module, side, _STORED_DEPTH)
    say(f"ours, fold of a tile: {folded / 1e12:.4g} TB/s read, {folded / copies:.2f} of a copy's")
    fused, most = (1.0, 1.0), module.fused_depth
    if most:
        least, long = (_folding(module, side, depth) for depth in (_LEAST_DEPTH, most))
        each = max(1e-3, (long - least) / (most - _LEAST_DEPTH) / side**2 * 1e12)
        fused = max(1e-3, least / side**2 * 1e12 - _LEAST_DEPTH * each), each
        rate = 2e-12 * most * side**2 / long
        say(f"ours, fused, d = {most}: {rate:.4g} TFLOP/s, {rate / products['float16']:.2f} of "
            f"cuBLAS's; {fused[0]:.3g} ps a pair and {each:.3g} an entry")  # fmt: skip
    return Measured(products, folded / 1e12, fused, most)


def _product(module: Module, side: int, kind: str, kept: str, tf32: bool) -> float:
    """Return the TFLOP/s of a product of square matrices."""
    arrays = module.device.arrays
    left = arrays.full((side, side), 0.5, np.dtype(kind))
    out = arrays.empty((side, side), np.dtype(kept))
    return 2e-12 * side**3 / _best(arrays, lambda: module.multiply(left, left, out, tf32=tf32))


def _folding(module: Module, side: int, depth: int) -> float:
    """Return the seconds that a fold of a tile of float16 rows takes, stored before or fused."""
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
        return _best(team.arrays, lambda: fold.list_near(values))


def _best(arrays: Any, work: Callable[[], None]) -> float:
    """Return the least of some times, the first one apart; what is short several times at once."""
    seconds, count = [], 1
    for _ in range(2 + _TIMES):
        arrays.cuda.Device().synchronize()
        begin = time.perf_counter()
        for _ in range(count):
            work()
        arrays.cuda.Device().synchronize()
        seconds.append((time.perf_counter() - begin) / count)
        count = max(1, min(_MOST_AT_ONCE, round(_LEAST_TIME / seconds[-1])))
    return min(seconds[1:])
