"""Every public function with arguments that ask for its usual work: what the asv suite calls.

A name is where the function stands below `superpos_fast`, "capacity.pack" for one; what is missing
here is named by `tests/test_suite.py`.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

import superpos_fast
from superpos_fast import coherence


def of_rows(rows: np.ndarray) -> tuple:
    return (rows,)


def halves(rows: np.ndarray) -> tuple:
    return rows[: len(rows) // 2], rows[len(rows) // 2 :]


def at(*sizes: Any) -> Callable[[np.ndarray], tuple]:
    """Arguments that have nothing to do with the rows."""
    return lambda rows: sizes


def closed(axes: Any, rows: np.ndarray) -> None:
    """Close a picture: matplotlib keeps all that are open, and warns of many."""
    from matplotlib import pyplot as plt

    plt.close(axes.figure)


@dataclass(frozen=True)
class Call:
    """What a function is given beside how to execute it."""

    keywords: dict[str, Any] = field(default_factory=dict)
    positional: Callable[[np.ndarray], tuple] = of_rows
    """Made before the clock runs."""
    then: Callable[[Any, np.ndarray], Any] = lambda result, rows: result
    """Asks the result, given the rows, for what it computes when it is asked."""


PAIR_LOOPS = {
    "babel": Call({"k": 10}),
    "coherence": Call(),
    "count": Call({"angle": 80}),
    "describe": Call(),
    "histogram": Call(),
    "mean_cosine": Call(),
    "nearest": Call({"k": 10}),
    "pairs": Call({"top": 1000}),
    "quantile": Call({"q": 0.01}),
    "within_tolerance": Call({"angle": 1}),
}
TWO_SETS = {name: Call(positional=halves) for name in ("mmcs", "mutual_nearest")}
# What takes threads, and is for the host alone or has a page or a picture to make besides.
PAGES = {
    "match": Call(positional=halves),
    "plot.dimensionality": Call(then=closed),
    "plot.histogram": Call(then=closed),
    "plot.interference": Call(then=closed),
    "plot.nearest": Call(then=closed),
    "report": Call(),
}
SUMS = {
    name: Call()
    for name in (
        "basis_alignment",
        "dimensionality",
        "frame_potential",
        "interference",
        "neurons",
        "rms_cosine",
    )
}


def shards(rows: np.ndarray) -> tuple:
    return ([coherence(rows, shard=(part, 4)) for part in range(4)],)


def generated(rows: np.ndarray) -> tuple:
    return (*rows.shape, lambda start, stop: rows[start:stop])


def saved(rows: np.ndarray) -> tuple:
    """The path of a file as SAELens writes it."""
    from safetensors.numpy import save_file

    path = Path(tempfile.mkdtemp()) / "sae_weights.safetensors"
    save_file({"W_dec": rows}, path)
    return (path,)


def packed(rows: np.ndarray) -> tuple:
    return (superpos_fast.capacity.pack(60, 16, restarts=1, max_steps=5),)


# What takes neither threads nor a backend, or passes them on.
SOURCES = {
    "Incremental": Call(
        positional=lambda rows: (rows.shape[1],),
        then=lambda kept, rows: (kept.add(rows), kept.coherence),
    ),
    "data.example": Call(positional=at(), then=lambda table, rows: np.asarray(table).sum()),
    "merge": Call(positional=shards),
    "random_rows": Call(
        positional=lambda rows: rows.shape, then=lambda source, rows: coherence(source)
    ),
    "plot.capacity": Call({"angles": [85, 89]}, at([64, 256]), then=closed),
    "plot.packing": Call(positional=packed, then=closed),
    "rows": Call(positional=generated, then=lambda source, rows: coherence(source)),
    "sae.load": Call(positional=saved, then=lambda table, rows: np.asarray(table).sum()),
}
THEORY = {
    "capacity.bounds": Call({"angle": 85}, at(768)),
    "capacity.coherence_floor": Call(positional=at(50_000, 768)),
    "capacity.null": Call(
        positional=at(50_000, 768), then=lambda chance, rows: chance.coherence.quantile(0.5)
    ),
    "capacity.sweep": Call(positional=at([64, 256, 1024], [85, 89])),
    "welch_bound": Call(positional=at(50_000, 768)),
}
EXPERIMENTS = {
    "capacity.greedy": Call({"angle": 75, "attempts": 20_000}, at(64)),
    "capacity.pack": Call({"restarts": 1, "max_steps": 5}, at(600, 64)),
    "capacity.readout": Call({"trials": 20}, lambda rows: (rows, 8)),
    "capacity.sample_coherence": Call(positional=at(500, 64, 10)),
}
ESTIMATES = {"estimate": Call({"of": "count", "angle": 80, "rows": 256})}
FRAMES = {
    f"capacity.frames.{name}": Call(positional=at(*sizes), then=lambda frame, rows: frame.array())
    for name, sizes in {
        "basis": (1024,),
        "bukh_cox": (),
        "d4": (),
        "dual_bch": (5, 2),
        "e6": (),
        "e7": (),
        "e8": (),
        "gold": (7,),
        "hadamard": (10,),
        "kerdock": (8,),
        "leech": (),
        "lines28": (),
        "mcfarland": (5,),
        "mutually_unbiased": (31,),
        "paley": (1009,),
        "simplex": (1024,),
        "steiner": (20,),
    }.items()
}
CALLS = (
    PAIR_LOOPS | TWO_SETS | PAGES | SUMS | SOURCES | THEORY | EXPERIMENTS | ESTIMATES | FRAMES
)  # fmt: skip


def exists(name: str) -> bool:
    """Whether this version of the package has the function."""
    with suppress(AttributeError):
        attrgetter(name)(superpos_fast)
        return True
    return False


def ready(name: str, rows: np.ndarray, **execution: Any) -> Callable[[], Any]:
    """The call of that name on these rows, everything before it done."""
    call = CALLS[name]
    function = attrgetter(name)(superpos_fast)
    bound = functools.partial(function, *call.positional(rows), **call.keywords, **execution)
    return lambda: call.then(bound(), rows)
