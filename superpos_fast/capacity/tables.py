"""Many dimensions, tolerances and methods at once: a tidy table, a record a row."""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, fields
from os import PathLike
from pathlib import Path
from typing import Any, SupportsIndex, Unpack

from ..angles import cosine_of, real_numbers
from ..checks import check_choice
from ..progress import reporting
from ..vectors import check_count
from .adsorption import greedy
from .bracket import bounds
from .chance import null
from .checkpoints import KeptIn, Progressed
from .directions import trial_seed
from .effort import Effort, resources_of
from .floors import coherence_floor
from .packing import pack
from .sampling import sample_coherence
from .upper import MOST_DIMENSIONS

# Random directions before the first that is too close are rarely more than so many times sqrt(2/p):
# with a probability of exp(-36).
_SURELY = 6.0


@dataclass(frozen=True)
class Measurement:
    """One row of a table: so many lines in so many dimensions, with such a coherence.

    Attributes
    ----------
    d : int
        Dimensions.
    given : {"angle", "n"}
        What was asked for: how many lines fit at a tolerance, or how nearly perpendicular so many
        lines are.
    method : str
        "bounds", "greedy", "random", "sample" ...
    role : {"upper bound", "lower bound", "theory", "measured"}
        Bounds are rigorous, of the number of lines or of the coherence; "theory" is expected.
    name : str
        Of the bound, the construction or the statistic.
    log10_n : float
        Logarithm of the number of lines.
    n : int or None
        The number itself, where below 2^53.
    cosine, angle : float
        Tolerance or coherence, the latter in degrees.
    seed : int or None
        Of what is random.
    seconds : float
        That it took.
    """

    d: int
    given: str
    method: str
    role: str
    name: str
    log10_n: float
    n: int | None
    cosine: float
    angle: float
    seed: int | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Sweep:
    """A table of measurements.

    Attributes
    ----------
    rows : tuple of Measurement
        In the order of dimensions, then tolerances, then methods.
    """

    rows: tuple[Measurement, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    def records(self) -> list[dict[str, Any]]:
        """Return the rows as dictionaries of plain values, ready for a data frame."""
        return [asdict(row) for row in self.rows]

    def to_csv(self, path: str | PathLike[str]) -> None:
        """Write the table as a .csv file."""
        with Path(path).open("w", newline="") as stream:
            writer = csv.DictWriter(stream, [entry.name for entry in fields(Measurement)])
            writer.writeheader()
            writer.writerows(self.records())

    def plot(self, path: str | PathLike[str] | None = None) -> Any:
        """Draw log10 of the number of lines against d, and coherence against n/d.

        Whichever the table has rows for.  With a `path` the picture is written there.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        ImportError
            Without matplotlib.
        """
        from .plots import draw

        return draw(self.rows, path)


Rows = Iterator[Measurement]


@dataclass(frozen=True)
class _Settings:
    """What the experiments of a sweep share."""

    attempts: int
    trials: int
    seed: int
    effort: Effort


def _row(
    d: int,
    given: str,
    method: str,
    role: str,
    name: str,
    log10_n: float,
    cosine: float,
    **more: Any,
) -> Measurement:
    n = more.pop("n", None)
    angle = math.degrees(math.acos(min(1.0, cosine)))
    return Measurement(d, given, method, role, name, log10_n, n, cosine, angle, **more)


def _bounds_at(d: int, cosine: float, settings: _Settings) -> Rows:
    found = bounds(d, cosine=cosine)
    common = d, "angle", "bounds"
    yield _row(*common, "upper bound", found.upper_name, found.log10_upper, cosine, n=found.upper)
    yield _row(*common, "lower bound", found.lower_name, found.log10_lower, cosine, n=found.lower)
    for name in ("greedy", "random set"):
        if name in found.lowers:
            yield _row(*common, "theory", name, found.lowers[name], cosine)


def _greedy_at(d: int, cosine: float, settings: _Settings) -> Rows:
    found = greedy(
        d, cosine=cosine, attempts=settings.attempts, seed=settings.seed, **settings.effort
    )
    yield _row(
        d, "angle", "greedy", "measured", f"{settings.attempts} attempts",
        math.log10(len(found)), cosine, n=len(found), seed=settings.seed,
    )  # fmt: skip


def _random_at(d: int, cosine: float, settings: _Settings) -> Rows:
    """Random directions before the first that is too close to one of them: the median."""
    likely = bounds(d, cosine=cosine).lowers.get("random set", 0.0)
    if cosine == 0.0 or d == 1 or 10.0**likely * _SURELY > settings.attempts:
        return
    attempts = math.ceil(10.0**likely * _SURELY) + 8
    counts = sorted(
        greedy(
            d, cosine=cosine, attempts=attempts, seed=trial_seed(settings.seed, trial),
            **settings.effort,
        ).before_first_refusal
        for trial in range(settings.trials)
    )  # fmt: skip
    count = counts[len(counts) // 2]
    yield _row(
        d, "angle", "random", "measured", f"median of {settings.trials}",
        math.log10(count), cosine, n=count, seed=settings.seed,
    )  # fmt: skip


def _floor_of(d: int, n: int, settings: _Settings) -> Rows:
    floor = coherence_floor(n, d)
    yield _row(d, "n", "bounds", "lower bound", floor.name, math.log10(n), floor.cosine, n=n)
    law = null(n, d).coherence
    values = {"mean": law.mean, "5 %": law.quantile(0.05), "95 %": law.quantile(0.95)}
    for name, value in values.items():
        yield _row(d, "n", "bounds", "theory", f"random {name}", math.log10(n), value, n=n)


def _sample_of(d: int, n: int, settings: _Settings) -> Rows:
    found = sample_coherence(n, d, settings.trials, seed=settings.seed, **settings.effort)
    yield _row(
        d, "n", "sample", "measured", f"mean of {settings.trials}", math.log10(n),
        float(found.values.mean()), n=n, seed=settings.seed,
    )  # fmt: skip


def _pack_of(d: int, n: int, settings: _Settings) -> Rows:
    found = pack(n, d, restarts=settings.trials, seed=settings.seed, **settings.effort)
    yield _row(
        d, "n", "pack", "measured", f"best of {settings.trials}", math.log10(n), found.coherence,
        n=n, seed=settings.seed,
    )  # fmt: skip


# What each method does at a tolerance, and for a number of lines.
_AT_ANGLES: dict[str, Callable[[int, float, _Settings], Rows]] = {
    "bounds": _bounds_at,
    "random": _random_at,
    "greedy": _greedy_at,
}
_OF_COUNTS: dict[str, Callable[[int, int, _Settings], Rows]] = {
    "bounds": _floor_of,
    "sample": _sample_of,
    "pack": _pack_of,
}
METHODS = tuple(dict.fromkeys([*_AT_ANGLES, *_OF_COUNTS]))


def sweep(
    dims: Iterable[SupportsIndex],
    angles: Iterable[float] = (),
    methods: Sequence[str] = ("bounds",),
    *,
    ratios: Iterable[float] = (),
    attempts: SupportsIndex = 100_000,
    trials: SupportsIndex = 10,
    seed: SupportsIndex = 0,
    checkpoint: KeptIn = None,
    **effort: Unpack[Effort],
) -> Sweep:
    """Return bounds and experiments for many dimensions and tolerances, as a tidy table.

    Parameters
    ----------
    dims : iterable of int
        Dimensions.
    angles : iterable of float
        Tolerances in degrees, 1 to 90: how many lines fit?
    methods : sequence of {"bounds", "random", "greedy", "sample", "pack"}
        At a tolerance: rigorous bounds with what random directions promise; the number of random
        directions before the first that is too close; `greedy`.  For a number of lines: the floor
        of the coherence with what random directions have; `sample_coherence`; `pack`.
    ratios : iterable of float
        Numbers of lines as multiples of the dimensions, more than 1: how small can the coherence
        be?
    attempts : int
        Of `greedy`.
    trials : int
        Of "random" and of "sample", and the restarts of "pack".
    seed : int
        Of everything random.
    checkpoint : str, os.PathLike or Checkpoint, optional
        A file to keep the finished rows in; where there is one of a sweep with the same attempts,
        trials and seed, what it has is not done again.
    **effort
        How to compute (see `superpos_fast.capacity.Effort`); ``progress`` is of cells, and
        one that returns False stops the sweep: the table then has fewer rows.

    Returns
    -------
    Sweep
        ``records()`` for a data frame, ``to_csv(path)``, ``plot(path)``.

    Raises
    ------
    TypeError, ValueError
        For an argument out of range, or a checkpoint of another sweep.

    Examples
    --------
    >>> from superpos_fast.capacity import sweep
    >>> table = sweep([64, 100], angles=[85], ratios=[2])
    >>> upper = [row for row in table.rows if row.role == "upper bound"]
    >>> [(row.d, row.name, row.n) for row in upper]
    [(64, 'relative', 123), (100, 'relative', 412)]
    """
    options: Effort = {**effort, "progress": False}
    settings = _Settings(
        check_count(attempts, "attempts", 1),
        check_count(trials, "trials", 1),
        check_count(seed, "seed", 0, 2**64 - 1),
        options,
    )
    cells = list(_cells(dims, angles, ratios, methods))
    if not cells:
        raise ValueError("angles, ratios: must have a method for some of them, got none")
    file = Progressed(
        checkpoint, "sweep", sweep=[settings.attempts, settings.trials, settings.seed]
    )
    done: dict[str, list[dict[str, Any]]] = file.load()[0].get("rows", {})
    with reporting(resources_of(effort).progress, len(cells)) as advance, closing(file):
        for method, d, value, work in cells:
            key = json.dumps([method, d, value])
            if key not in done:
                begin = time.perf_counter()
                rows = list(work(d, value, settings))
                seconds = (time.perf_counter() - begin) / max(1, len(rows))
                done[key] = [{**asdict(row), "seconds": seconds} for row in rows]
                file.save({"rows": done}, {})
            if not advance(1):
                break
    return Sweep(
        tuple(
            Measurement(**row)
            for method, d, value, _ in cells
            for row in done.get(json.dumps([method, d, value]), [])
        )
    )


def _cells(
    dims: Iterable[Any], angles: Iterable[Any], ratios: Iterable[Any], methods: Sequence[str]
) -> Iterator[tuple[str, int, Any, Any]]:
    """Yield method, dimensions, tolerance or number of lines, and who does it."""
    chosen = [check_choice(method, "methods", *METHODS) for method in methods]
    tolerances = [float(one) for one in real_numbers(list(angles), "angles", 1.0, 90.0)]
    multiples = [float(one) for one in real_numbers(list(ratios), "ratios", 1.0, 1e12)]
    for depth in dims:
        d = check_count(depth, "dims", 1, MOST_DIMENSIONS)
        for angle in tolerances:
            for method in chosen:
                if method in _AT_ANGLES:
                    yield method, d, cosine_of(angle), _AT_ANGLES[method]
        for ratio in multiples:
            for method in chosen:
                if method in _OF_COUNTS:
                    yield method, d, max(2, round(ratio * d)), _OF_COUNTS[method]
