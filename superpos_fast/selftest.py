"""Whether this machine computes what others do, and how fast.

    python -m superpos_fast.selftest [--backend cuda] [--devices 0,1] [--quick] [--report FILE]

Every public question is asked on small tables (ties, rows of zeros, crowds, all element types) of
the chosen backend, which must answer as plain NumPy does, to the bit where answers are decided.
Then come rates of products and copies, and of whole calls.  All is printed, and written to a file
that can be sent on.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import superpos_fast as sf

from . import screening
from .backends import choose_backend
from .kernels import reference
from .kernels.records import EXACT

Ask = Callable[..., Any]
REPORT = "superpos_fast-selftest.txt"
_TYPES = ("float16", "float32", "float64", "int8", "uint8", "int32", "int64", "bool")


@dataclass(frozen=True)
class Check:
    """One comparison and how it went."""

    name: str
    ok: bool
    seconds: float
    said: str = ""

    def __str__(self) -> str:
        verdict = "ok    " if self.ok else "FAILED"
        return f"{verdict} {self.seconds:8.2f} s  {self.name}{': ' * bool(self.said)}{self.said}"


# Tables and questions


def tables() -> dict[str, Any]:
    """Return small tables of vectors by what they are about."""
    rng = np.random.default_rng(0)
    random = rng.standard_normal((333, 45)).astype(np.float32)
    long = rng.standard_normal((512, 300)).astype(np.float32)
    ties = rng.integers(-1, 2, (190, 7))
    crowd = rng.standard_normal(19) * (1.0 + 1e-9 * rng.standard_normal((150, 19)))
    for table in random, long, ties:
        table[rng.integers(0, len(table), 9)] = 0
        table[len(table) // 2] = table[len(table) // 3]
    return {"random": random, "long": long, "ties": ties, "crowd": crowd}


def questions() -> dict[str, Ask]:
    """Return what is asked of a table, by name: everything whose answer is decided."""
    return {
        "coherence": _asked(sf.coherence, return_pair=True),
        "coherence, signed, of two": _of_two(sf.coherence, return_pair=True, signed=True),
        "nearest": _asked(sf.nearest, k=3),
        "nearest, both ways": _of_two(sf.nearest, k=2, return_both=True),
        "pairs": _asked(sf.pairs, cosine=0.7, limit=10**6),
        "pairs, top": _asked(sf.pairs, top=40, signed=True),
        "count": _asked(sf.count, cosine=[0.1, 0.5, 0.5, 1.0]),
        "histogram": _asked(sf.histogram),
        "histogram, few bins": _asked(sf.histogram, bins=[0, 0.25, 0.5, 1.0], of="abs_cosine"),
        "quantile": _asked(sf.quantile, q=[0.0, 0.3, 0.5, 1.0]),
        "within_tolerance": _asked(lambda x, **how: bool(sf.within_tolerance(x, **how)), angle=30),
        "babel": _asked(sf.babel, k=3),
        "mmcs": _of_two(sf.mmcs),
        "mutual_nearest": _of_two(sf.mutual_nearest),
        "row maxima": _asked(sf.estimate, of="row_maximum", rows=40),
        "estimated count": _asked(sf.estimate, of="count", angle=60, rows=50),
        "describe": _asked(lambda x, **how: _decided_part(sf.describe(x, **how))),
        "basis_alignment": _asked(lambda x, **how: _fields(sf.basis_alignment(x, **how))),
        "neurons": _asked(lambda x, **how: _fields(sf.neurons(x, **how))),
    }


def _asked(ask: Ask, **what: Any) -> Ask:
    return lambda x, **how: ask(x, zero="skip", **what, **how)


def _of_two(ask: Ask, **what: Any) -> Ask:
    return lambda x, **how: ask(x[: len(x) // 3], x[len(x) // 3 :], zero="skip", **what, **how)


def _decided_part(found: sf.AngleStatistics) -> tuple[Any, ...]:
    return found.pair, found.coherence, found.nearest_cosines, found.histogram


def _fields(record: Any) -> tuple[Any, ...]:
    return tuple(value for name, value in vars(record).items() if name != "run")


def same(one: Any, two: Any) -> bool:
    """Return whether two answers are the same, to the bit; NaN is NaN."""
    if isinstance(one, tuple):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, np.ndarray):
        return np.array_equal(one, two, equal_nan=one.dtype.kind == "f")
    return bool(one == two)


# Checks


def checks(how: dict[str, Any], quick: bool = False) -> Iterator[Check]:
    """Ask everything of a backend, given by keywords, and of plain NumPy."""
    yield from _kernel_checks(how)
    for name, table in tables().items():
        if quick and name == "long":
            continue
        for question, ask in questions().items():
            yield _checked(f"{question} of {name} rows", lambda: _same(ask, table, how))  # noqa: B023
    rng = np.random.default_rng(1)
    for kind in _TYPES:
        table = np.asarray(np.rint(60 * rng.random((70, 13)) + 1) % 50 + 1).astype(kind)
        yield _checked(
            f"nearest of {kind} rows",
            lambda: _same(lambda x, **how: sf.nearest(x, k=2, **how), table, how),  # noqa: B023
        )


def _checked(name: str, check: Callable[[], str]) -> Check:
    begin = time.perf_counter()
    try:
        said = check()
    except Exception as error:
        said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return Check(name, not said, time.perf_counter() - begin, said)


def _same(ask: Ask, table: Any, how: dict[str, Any]) -> str:
    expected, found = ask(table, backend="reference"), ask(table, **how)
    return "" if same(expected, found) else "another answer than plain NumPy's"


def _kernel_checks(how: dict[str, Any]) -> Iterator[Check]:
    devices = how.get("devices")
    backend = choose_backend(how["backend"], None if devices is None else tuple(devices), None)
    rng = np.random.default_rng(2)
    sides = []
    for rows in 61, 83:
        block = rng.standard_normal((rows, 150)) * np.ldexp(1.0, rng.integers(-300, 300, (rows, 1)))
        block[7] = 0.0
        sides.append((block, *reference.survey(block)[:2]))
    i, j = (part.ravel() for part in np.indices((61, 83)))
    with np.errstate(invalid="ignore"):
        expected = reference.listed_cosines(sides[0], i, sides[1], j)
    kernels = backend.kernels

    def surveyed() -> str:
        found = kernels.survey(sides[0][0])
        return "" if same(found[:2], sides[0][1:]) else "other exponents or squares"

    def listed() -> str:
        found = kernels.listed_cosines(sides[0], i, sides[1], j)
        return "" if same(found, expected) else "other cosines"

    def pieces() -> str:
        # Lists all pairs there are.
        every = {"thresholds": np.array([-2.0]), "listed": np.array([False, True])}
        fold = kernels.RanksFold(61, 83, 83, 10**4, magnitude=False, **every)
        fold.aim(EXACT)
        left, right = (kernels.piece_side(*side) for side in sides)
        found = np.full((61, 83), np.nan)
        decided = kernels.decide_piece(kernels.workspace(61 * 83), left, right, None, [fold])
        for _, rows, columns, cosines in decided:
            found[rows, columns] = cosines
        return "" if same(found.ravel(), expected) else "other cosines"

    def products() -> str:
        screens = kernels.screens
        if screens is None:
            return ""
        left, right = (screens.packed(*side) for side in sides)
        off = np.abs(screens.products(left, right).ravel() - expected)
        bound = screening.float32_bound(150, screens.chain(150))
        return "" if np.nanmax(off) <= bound else f"off by {np.nanmax(off):.3g} of {bound:.3g}"

    checks = {
        "survey": surveyed,
        "cosines of listed pairs": listed,
        "cosines of a piece": pieces,
        "float32 products": products,
    }
    with backend.at_work():
        for name, check in checks.items():
            yield _checked(f"kernels: {name}", check)


# Rates


def rates(how: dict[str, Any], quick: bool = False) -> Iterator[str]:
    """Measure a device's products and copies, and whole calls on the backend."""
    if how["backend"] == "cuda":
        from .kernels.cuda import rates as device

        for number in how.get("devices") or (None,):
            yield from device.lines(number, 512 if quick else 8192)
    rng = np.random.default_rng(3)
    for rows, depth in ((500, 64),) if quick else ((65536, 64), (65536, 768), (32768, 4096)):
        x = rng.standard_normal((rows, depth), dtype=np.float32)
        for name, ask in _TIMED.items():
            ask(x[:200], **how)
            seconds = min(_seconds(ask, x, how) for _ in range(1 if quick else 3))
            tera = rows * (rows - 1) * depth / seconds / 1e12
            yield f"{name} of {rows} x {depth}: {seconds:.4g} s, {tera:.4g} TFLOP/s of use"


_TIMED: dict[str, Ask] = {
    "coherence": sf.coherence,
    "nearest": sf.nearest,
    "histogram": sf.histogram,
}


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
                for line in rates(how, given.quick):
                    say(line)
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
