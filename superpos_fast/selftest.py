"""Whether this machine computes what others do, and how fast.

    python -m superpos_fast.selftest [--backend cuda] [--devices 0,1] [--quick] [--report FILE]

Every public question is asked on small tables (ties, rows of zeros, crowds, all element types) of
the chosen backend, which must answer as plain NumPy does, to the bit where answers are decided.
Sums must be within their bounds.  Then come rates of products and copies, of kernels beside these,
and of whole calls beside what `superpos_fast.kernels.cuda.model` has for them.  All is printed, and
written to a file that can be sent on.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import superpos_fast as sf

from .comparisons import Ask, checks

REPORT = "superpos_fast-selftest.txt"
Say = Callable[[str], None]
# What is timed, and whether it is screened by codes where there are some.
_TIMED: dict[str, tuple[Ask, bool]] = {
    "coherence": (sf.coherence, True),
    "nearest": (sf.nearest, True),
    "histogram": (sf.histogram, False),
}
_SHAPES = (65536, 64), (65536, 768), (32768, 4096)


def rates(how: dict[str, Any], quick: bool, say: Say) -> None:
    """Measure a device's products, copies and kernels, and whole calls on the backend."""
    numbers, measured = how.get("devices") or (None,), None
    if how["backend"] == "cuda":
        from .kernels.cuda import rates as device

        side = 128 if quick else 8192
        measured, *_ = [device.measure(number, side, say) for number in numbers]
    rng = np.random.default_rng(3)
    for rows, depth in ((500, 64),) if quick else _SHAPES:
        x = rng.standard_normal((rows, depth), dtype=np.float32)
        for name, (ask, codes) in _TIMED.items():
            ask(x[:200], **how)
            seconds = min(_seconds(ask, x, how) for _ in range(1 if quick else 3))
            tera = rows * (rows - 1) * depth / seconds / 1e12
            said = f"{name} of {rows} x {depth}: {seconds:.4g} s, {tera:.4g} TFLOP/s of use"
            if measured is not None:
                expected = measured.expected(depth, codes, rows) / len(numbers)
                said += f"; the model, by the rates above: {expected:.4g} s"
            say(said)


def _seconds(ask: Ask, x: Any, how: dict[str, Any]) -> float:
    begin = time.perf_counter()
    ask(x, **how)
    return time.perf_counter() - begin


# The command


def main(arguments: list[str] | None = None) -> int:
    """Run the self-test; return 0 if all was well, 1 if not, 2 after a mistake."""
    parser = argparse.ArgumentParser(
        "python -m superpos_fast.selftest", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--devices", help="numbers with commas, of cuda's")
    parser.add_argument("--quick", action="store_true", help="smaller tables, and one time each")
    parser.add_argument("--report", type=Path, default=Path(REPORT), help="file to write")
    given = parser.parse_args(arguments)
    how: dict[str, Any] = {"backend": given.backend}
    failed = 0
    try:
        if given.devices is not None:
            how["devices"] = _numbers(given.devices)
        with given.report.open("w", encoding="utf-8") as report:

            def say(line: str) -> None:
                print(line, flush=True)
                print(line, file=report, flush=True)

            for line in _machine(how):
                say(line)
            for check in checks(how, given.quick):
                say(str(check))
                failed += not check.ok
            if not failed:
                rates(how, given.quick, say)
            say(f"{failed} checks FAILED" if failed else "all as plain NumPy has it")
    except (ValueError, OSError) as error:
        print(f"superpos_fast.selftest: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 1 if failed else 0


def _numbers(text: str) -> list[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise ValueError(f"devices: must be numbers with commas, got {text!r}") from None


def _machine(how: dict[str, Any]) -> Iterator[str]:
    """Say what ran, and where."""
    yield f"superpos_fast {sf.__version__}, backend {how['backend']}"
    yield f"{platform.platform()}, Python {platform.python_version()}, NumPy {np.__version__}"
    if how["backend"] == "cuda":
        from .kernels.cuda import rates as device

        for number in how.get("devices") or (None,):
            yield device.name(number)


if __name__ == "__main__":
    sys.exit(main())
