"""Annealing: descent on the smooth maximum, which is made sharper stage by stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, inf, log
from time import perf_counter
from typing import Any

import numpy as np

from .lbfgs import MEMORY, descend
from .smooth_maximum import SmoothMaximum

# A stage ends when a step lowers the value by less than this over the sharpness, or than so many
# times its own error.
_TOLERANCE = 1e-4
_NOISE = 4.0


@dataclass(frozen=True)
class Schedule:
    """How sets are annealed.

    Attributes
    ----------
    factor : float
        What the sharpness is multiplied by from stage to stage.
    steps : int
        Most steps in a stage.
    gap : float
        The end: what is between the smooth maximum and the largest |cos|, relative to it.
    most : int
        Most steps in all stages together.
    memory : int
        Steps that L-BFGS remembers.
    """

    factor: float
    steps: int
    gap: float
    most: int = 2**62
    memory: int = MEMORY

    def last(self, count: int, tops: Any) -> Any:
        """Return the sharpness at which `count` vectors' gap is as small as it should be."""
        return log(count * (count - 1) / 2 + 1) / (2.0 * self.gap * np.maximum(tops, 1e-9) ** 2)

    def stages(self, sharpness: Any, last: Any) -> int:
        """Return how many stages there are from a sharpness to the last, of the slowest set."""
        return 1 + max(0, ceil(log(float((last / sharpness).max())) / log(self.factor)))


@dataclass
class Annealed:
    """Sets of unit vectors on their way through the stages.

    Attributes
    ----------
    points : ndarray, shape (sets, n, d)
        The vectors.
    sharpness : ndarray, shape (sets,)
        Of the next stage.
    tops : ndarray, shape (sets,)
        The largest |cos|; at first a guess.
    steps : int
        Steps taken.
    """

    points: Any
    sharpness: Any
    tops: Any
    steps: int = 0

    @classmethod
    def fresh(cls, points: Any, sharpness: Any) -> Annealed:
        """Return sets before the first stage."""
        return cls(points, sharpness, np.full(len(points), points.shape[2] ** -0.5))


def anneal(
    function: SmoothMaximum,
    sets: Annealed,
    schedule: Schedule,
    *,
    deadline: float = inf,
    advance: Callable[[int], bool] = lambda sets: True,
    note: Callable[[], object] = lambda: None,
) -> bool:
    """Take sets through all stages; return whether it came to that.

    `deadline` is one of `time.perf_counter`; the steps left are shared out so that the last stage
    is reached by then.  `advance` is called after each step with the number of sets that took it,
    and says whether to go on; `note` after each stage.
    """
    going = True

    def goes_on(number: int) -> bool:
        nonlocal going
        going = advance(number) and going
        return going

    count = sets.points.shape[1]
    alive = np.arange(len(sets.points))
    pace = 0.0
    while len(alive) and sets.steps < schedule.most:
        begin = perf_counter()
        if begin >= deadline or not going:
            return False
        sharpness = sets.sharpness[alive]
        left = schedule.stages(sharpness, schedule.last(count, sets.tops[alive]))
        steps = min(schedule.steps, ceil((schedule.most - sets.steps) / left))
        if pace > 0.0 and deadline < inf:
            steps = max(1, min(steps, int((deadline - begin) / (left * pace))))
        taken = _stage(function, sets, alive, schedule, steps, deadline, goes_on)
        sets.steps += taken
        pace = (perf_counter() - begin) / max(1, taken)
        sets.sharpness[alive] *= schedule.factor
        alive = alive[sharpness < schedule.last(count, sets.tops[alive])]
        note()
    return True


def _stage(
    function: SmoothMaximum,
    sets: Annealed,
    alive: Any,
    schedule: Schedule,
    steps: int,
    deadline: float,
    advance: Callable[[int], bool],
) -> int:
    """Descend at one sharpness; return the number of steps."""
    taken = 0

    def stop(number: int) -> bool:
        nonlocal taken
        taken += 1
        return not advance(number) or perf_counter() >= deadline

    function.sharpness[alive] = sets.sharpness[alive]
    points = sets.points[alive]
    least = _NOISE * function.noise * sets.tops[alive] ** 2
    _, tops = descend(
        lambda points, which: function(points, alive[which]),
        points,
        steps=steps,
        tolerance=np.maximum(_TOLERANCE / sets.sharpness[alive], least),
        memory=schedule.memory,
        stop=stop,
        each=function.each,
    )
    sets.points[alive], sets.tops[alive] = points, tops
    return taken
