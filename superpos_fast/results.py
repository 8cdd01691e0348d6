"""The records that the public functions return."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Run:
    """Facts about a run; no part of the answer.

    Attributes
    ----------
    seconds : float
        Wall time of the whole call.
    startup : float
        Of these, spent importing and compiling kernels; next to nothing after a first call.
    threads : int
        Threads that worked.
    backend : str
        Name of the backend that ran.
    pairs : int
        Pairs that the answer is about.
    survivors : int
        Pairs that the float32 screen left undecided one by one, decided in float64.
    open_pairs : int
        Pairs decided in float64 tile by tile, because too many of a tile were undecided.
    """

    seconds: float = 0.0
    startup: float = 0.0
    threads: int = 0
    backend: str = ""
    pairs: int = 0
    survivors: int = 0
    open_pairs: int = 0


@dataclass(frozen=True)
class Coherence:
    """The largest cosine between two vectors of a set, and who they are.

    Attributes
    ----------
    value : float
        max |cos| (or max cos, where it was asked for with ``signed=True``).
    i, j : int
        The pair that has it; of several such pairs the lowest (i, j).
    run : Run
        Facts about the run, left out of comparisons.
    """

    value: float
    i: int
    j: int
    run: Run = field(default=Run(), compare=False, repr=False)

    @property
    def angle(self) -> float:
        """The angle between the pair's lines (``signed=True``: vectors), in degrees.

        The arc cosine of `value`, good to 4 units in its last place.  A cosine near 1 tells an
        angle apart only to about 1e-6 degrees.
        """
        return math.degrees(math.acos(self.value))

    def __str__(self) -> str:
        where = f"rows {self.i} and {self.j}"
        return f"coherence {self.value:.9g} ({self.angle:.4f} degrees), {where}"
