"""What backends are compared by: small tables, questions with decided answers, kernels, sums."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import superpos_fast as sf

from . import screening
from .backends import choose_backend
from .kernels import reference
from .kernels.records import EXACT
from .protocols import Kernels
from .second_moment import Precision, moment_bound

Ask = Callable[..., Any]
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
        "Incremental": _grown,
        "neurons": _asked(lambda x, **how: _fields(sf.neurons(x, **how))),
    }


def _asked(ask: Ask, **what: Any) -> Ask:
    return lambda x, **how: ask(x, zero="skip", **what, **how)


def _of_two(ask: Ask, **what: Any) -> Ask:
    return lambda x, **how: ask(x[: len(x) // 3], x[len(x) // 3 :], zero="skip", **what, **how)


def _grown(x: Any, **how: Any) -> tuple[Any, ...]:
    found = sf.Incremental(x.shape[1], k=2, bins=7, zero="skip", **how)
    for part in np.array_split(x, 3):
        found.add(part)
    return found.coherence, found.nearest, *found.histogram


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
    yield from _Kernels(how).checks()
    yield from _sum_checks(how)
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


def _sum_checks(how: dict[str, Any]) -> Iterator[Check]:
    """Compare sums, which hang on the order of additions, within their documented bounds."""
    x = tables()["random"]
    lengths = np.linalg.norm(x[x.any(axis=1)].astype(np.float64), axis=1)
    share = np.full(len(x), np.nan)
    share[x.any(axis=1)] = (lengths**2).sum() / lengths**2
    kept = len(lengths)
    sums: dict[str, tuple[Ask, Any]] = {
        "frame_potential": (sf.frame_potential, 2.0 * kept**2),
        "interference": (sf.interference, kept),
        "rms_cosine, squared": (lambda x, **how: sf.rms_cosine(x, **how) ** 2, 4.0),
        "dimensionality": (sf.dimensionality, share),
    }
    for precision in "float32", "float64":
        bound = moment_bound(kept, x.shape[1], precision)
        for name, (ask, times) in sums.items():
            yield _close(f"{name} in {precision}", ask, x, bound * times, how, precision)
        off = screening.float32_bound(x.shape[1], x.shape[1]) if precision == "float32" else 1e-13
        yield _close(f"mean_cosine in {precision}", sf.mean_cosine, x, off, how, precision)


def _close(
    name: str, ask: Ask, x: Any, bound: Any, how: dict[str, Any], precision: Precision
) -> Check:
    def compare() -> str:
        expected = ask(x, zero="skip", precision="float64", backend="reference")
        found = ask(x, zero="skip", precision=precision, **how)
        if not np.array_equal(np.isnan(found), np.isnan(expected)):
            return "a number where there is none, or none where there is one"
        off = np.nanmax(np.abs(found - expected) / bound)
        return "" if off <= 1.0 else f"off by {off:.3g} of its bound"

    return _checked(name, compare)


class _Kernels:
    """The kernels on their own, with rows of lengths from 1e-90 to 1e90 and one of zeros."""

    def __init__(self, how: dict[str, Any]) -> None:
        devices = how.get("devices")
        self._backend = choose_backend(how["backend"], None if devices is None else tuple(devices))
        rng = np.random.default_rng(2)
        self._sides = []
        for rows in 61, 83:
            scales = np.ldexp(1.0, rng.integers(-300, 300, (rows, 1)))
            block = rng.standard_normal((rows, 150)) * scales
            block[7] = 0.0
            self._sides.append((block, *reference.survey(block)[:2]))
        self._pairs = [part.ravel() for part in np.indices((61, 83))]
        with np.errstate(invalid="ignore"):
            i, j = self._pairs
            self._cosines = reference.listed_cosines(self._sides[0], i, self._sides[1], j)

    def checks(self) -> Iterator[Check]:
        """Compare each with plain NumPy's."""
        with self._backend.at_work():
            kernels = self._backend.kernels
            listed = self._survey, self._listed, self._pieces, self._products, self._long_products
            for check in listed:
                name = check.__name__.strip("_").replace("_", " ")
                yield _checked(f"kernels: {name}", lambda: check(kernels))  # noqa: B023

    def _survey(self, kernels: Kernels) -> str:
        found = kernels.survey(self._sides[0][0])
        return "" if same(found[:2], self._sides[0][1:]) else "other exponents or squares"

    def _listed(self, kernels: Kernels) -> str:
        (i, j), (left, right) = self._pairs, self._sides
        found = kernels.listed_cosines(left, i, right, j)
        return "" if same(found, self._cosines) else "other cosines"

    def _pieces(self, kernels: Kernels) -> str:
        # Lists all pairs there are.
        every = {"thresholds": np.array([-2.0]), "listed": np.array([False, True])}
        fold = kernels.RanksFold(61, 83, 83, 10**4, magnitude=False, **every)
        fold.aim(EXACT)
        left, right = (kernels.piece_side(*side) for side in self._sides)
        found = np.full((61, 83), np.nan)
        decided = kernels.decide_piece(kernels.workspace(61 * 83), left, right, None, [fold])
        for _, rows, columns, cosines in decided:
            found[rows, columns] = cosines
        return "" if same(found.ravel(), self._cosines) else "other cosines"

    def _products(self, kernels: Kernels) -> str:
        screens = kernels.screens
        if screens is None:
            return ""
        left, right = (screens.packed(*side) for side in self._sides)
        off = np.abs(screens.products(left, right).ravel() - self._cosines)
        bound = screening.float32_bound(150, screens.chain(150))
        return "" if np.nanmax(off) <= bound else f"off by {np.nanmax(off):.3g} of {bound:.3g}"

    def _long_products(self, kernels: Kernels) -> str:
        """Of equal entries, whose roundings all go the same way, few rows and many."""
        screens = kernels.screens
        if screens is None:
            return ""
        depth, worst = 4096 + 37, 0.0
        bound = screening.float32_bound(depth, screens.chain(depth, False))
        for rows, columns in (3, 5), (200, 300):
            sides = [np.ones((count, depth), np.float32) for count in (rows, columns)]
            left, right = (screens.packed(side, *reference.survey(side)[:2]) for side in sides)
            worst = max(worst, float(np.abs(screens.products(left, right) - 1.0).max()))
        return "" if worst <= bound else f"off by {worst:.3g} of {bound:.3g}"
