"""The search for a packing: restarts, shared among threads, of which the best are refined.

A restart's descent hangs on its number alone, and the best are chosen by coherence and number, so
that the result is the same for any number of threads.  Three sizes are told apart by N^2 d:

small    groups of restarts go in step through one function in float64, a group on each thread; the
         best few are then annealed to ten digits, and the smallest refined by linear programs
middling a restart on each thread, in float32
large    one restart after another, each pass on all threads, in float32
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from math import inf
from time import perf_counter
from typing import Any

import numpy as np

from ..crew import Crew
from ..protocols import HostKernels
from .annealing import Annealed, Schedule, anneal
from .checkpoints import Progressed
from .refinement import largest_cosine, refined
from .smooth_maximum import LargeSmoothMaximum, SmoothMaximum
from .starts import random_start, start_nearby, symmetric_start

# N^2 d up to which restarts are descended in groups, and up to which each is on one thread.
SMALL, MIDDLING = 4 * 10**7, 10**9
# Bytes of L-BFGS memory in a group: with its points it stays in L2.
_GROUP_BYTES = 2**20
_LARGEST_GROUP = 64
# Restarts unless told otherwise: so many in all times N^2 d.
_MOST_RESTARTS, _RESTART_WORK = 1024, 3 * 10**7
# Where annealing begins, in units of d where all pairs count, or nearly.
_SOFT, _SHARP, _USUAL = 1.0, 6.0, 3.0
# Where it begins from a start, in units of 1 / max c^2, if that is sharper.
_LOCAL = 20.0
_COARSE = Schedule(factor=4.0, steps=100, gap=1e-3)
_FINE = Schedule(factor=4.0, steps=200, gap=1e-9)
_SINGLE = Schedule(factor=2.0, steps=150, gap=1e-4)
# A small packing is as good as any can be if it is so close to the bound, of which it is a share.
_REACHED = 1e-7
# Packings that are refined, of those found.
_KEPT = 4
# Directions to move in up to which linear programs are solved.
_PROGRAM = 400
# No restart.
_NEVER = 2**62
# Share of the time that is left for refinement.
_REFINING = 0.1
# What the arrays of a restart under way are called in a checkpoint, after this.
_STATE = "under_way_"


@dataclass(frozen=True)
class Milestone:
    """A point in a search at which it had something better than before.

    Attributes
    ----------
    restart : int
        The restart that got there.
    steps : int
        Its group's steps.
    coherence : float
        The largest |cos| reached, as the descent saw it.
    seconds : float
        Since the call began; left out of comparisons.
    """

    restart: int
    steps: int
    coherence: float
    seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class Wanted:
    """What is searched for, checked.

    Attributes
    ----------
    n, d, seed, restarts, max_steps, seconds
        As they are given to `pack`.
    goal : float
        A coherence that no packing is below.
    memory : int
        Steps that L-BFGS remembers.
    start : ndarray or None
        Unit vectors.
    sharpness : float
        Where annealing begins from them.
    """

    n: int
    d: int
    seed: int
    restarts: int | None
    max_steps: int | None
    seconds: float | None
    goal: float
    memory: int
    start: Any = None
    sharpness: float = 0.0

    def beginning(self, start: Any, top: float) -> Wanted:
        """Return the same from unit vectors on whose largest |cos| is `top`."""
        sharpness = max(_USUAL * self.d, _LOCAL / top**2) if top > 0.0 else _USUAL * self.d
        return replace(self, start=start, sharpness=sharpness)

    @property
    def question(self) -> dict[str, Any]:
        """What makes a checkpoint belong to this search."""
        start = None if self.start is None else sha256(self.start.tobytes()).hexdigest()
        return {"pack": [self.n, self.d, self.seed, self.max_steps], "start": start}

    @property
    def work(self) -> int:
        """N^2 d."""
        return self.n * self.n * self.d

    @property
    def count(self) -> int:
        """Number of restarts, if there is time for them."""
        if self.restarts is not None:
            return self.restarts
        if self.start is not None or self.work > MIDDLING:
            return 1
        if self.seconds is not None:
            return 2**62
        return min(_MOST_RESTARTS, max(2, _RESTART_WORK // self.work))

    @property
    def group(self) -> int:
        """Restarts that are descended together."""
        if self.work > SMALL:
            return 1
        return max(1, min(_LARGEST_GROUP, _GROUP_BYTES // (128 * self.n * self.d)))

    @property
    def schedule(self) -> Schedule:
        """How each is annealed."""
        most = 2**62 if self.max_steps is None else self.max_steps
        return replace(_COARSE if self.work <= SMALL else _SINGLE, most=most, memory=self.memory)

    @property
    def most_steps(self) -> int:
        """About the most steps of a descent."""
        last = self.schedule.last(self.n, np.array([max(self.goal, self.d**-0.5)]))
        stages = self.schedule.stages(np.array([_SOFT * self.d]), last)
        return min(self.schedule.most, stages * self.schedule.steps)

    def begin(self, restart: int) -> tuple[Any, float]:
        """Return a restart's unit vectors and its first sharpness."""
        if self.start is not None:
            return start_nearby(self.start, self.seed, restart), self.sharpness
        if self.work > SMALL:
            return random_start(self.n, self.d, self.seed, restart), _USUAL * self.d
        softness = np.random.default_rng([self.seed, restart, 1]).uniform(_SOFT, _SHARP)
        make = symmetric_start if restart % 2 else random_start
        return make(self.n, self.d, self.seed, restart), softness * self.d


@dataclass(frozen=True, order=True)
class Candidate:
    """A packing found: its coherence, or what it is counted as, and its restart."""

    rank: float
    restart: int
    points: Any = field(compare=False)


class Search:
    """A search under way.

    Attributes
    ----------
    history : list of Milestone
        What has been reached.
    """

    def __init__(
        self,
        wanted: Wanted,
        kernels: HostKernels,
        threads: int,
        checkpoint: Progressed,
        report: Callable[[int], bool],
    ) -> None:
        self._wanted, self._kernels, self._threads = wanted, kernels, threads
        self._checkpoint, self._report = checkpoint, report
        self._begin = perf_counter()
        self._end = self._begin + (inf if wanted.seconds is None else wanted.seconds)
        self._deadline = self._end
        if wanted.seconds is not None and wanted.work <= SMALL:
            self._deadline -= _REFINING * wanted.seconds
        self._lock = threading.Lock()
        self._stopped = False
        self._kept: list[Candidate] = []
        self._left: list[Candidate] = []  # where descents were stopped: no part of what is saved
        self._finished: set[int] = set()
        self._reached = _NEVER
        self._under_way: dict[str, Any] = {}
        self.history: list[Milestone] = []
        self._resume(checkpoint.load()[1])

    @property
    def is_stopped(self) -> bool:
        """Whether it was told to stop."""
        return self._stopped

    @property
    def restarts(self) -> int:
        """Restarts that went through all stages."""
        return len(self._finished)

    @property
    def _bound_reached(self) -> bool:
        return self._reached < _NEVER

    def run(self) -> Any:
        """Return the best packing found, shape (n, d)."""
        large = self._wanted.work > MIDDLING
        with Crew(self._threads) as crew:
            if large:
                for group in self._groups():
                    self._descend(group, crew)
            else:
                crew.each(lambda group: self._descend(group, None), self._groups())
            if self._wanted.work <= SMALL and not self._stopped and not self._bound_reached:
                crew.each(self._refine, range(len(self._kept)))
        return min(self._kept + self._left).points

    def _groups(self) -> Iterator[range]:
        """Yield restarts that are to be descended together, until there are enough."""
        first, step, count = 0, self._wanted.group, self._wanted.count
        while first < count and first <= self._reached:
            if self._stopped or (perf_counter() >= self._deadline and self._kept):
                return
            group = range(first, min(first + step, count))
            if not self._finished.issuperset(group):
                yield group
            first += step

    def _descend(self, group: range, crew: Crew | None) -> None:
        """Take some restarts through the stages, and keep what is good."""
        wanted = self._wanted
        sets = self._taken_up(group)
        function = self._function(len(group), crew)

        def note() -> None:
            best = int(sets.tops.argmin())
            self._note(group[best], float(sets.tops[best]), sets.steps)
            if crew is not None:
                state = {name: getattr(sets, name) for name in ("points", "sharpness", "tops")}
                self._under_way = {**state, "steps": sets.steps, "restart": group[0]}
                self._save()

        finished = anneal(
            function,
            sets,
            wanted.schedule,
            deadline=self._deadline,
            advance=self._advance,
            note=note,
        )
        _, _, sets.tops = function(sets.points, np.arange(len(group)))
        reached = self._reaching(group, sets) if finished else None
        found = [
            Candidate(float(top), restart, points.copy())
            for restart, top, points in zip(group, sets.tops, sets.points, strict=True)
        ]
        with self._lock:
            if self._stopped and not finished:
                self._left.append(min(found))
                return
            self._under_way = {}
            if reached is not None:
                self._reached = min(self._reached, reached.restart)
                found[reached.restart - group[0]] = reached
            self._kept = sorted(self._kept + found)[:_KEPT]
            if finished:
                self._finished.update(group)
            self._save()

    def _reaching(self, group: range, sets: Annealed) -> Candidate | None:
        """Return the first of some packings that is as good as any can be, if one is.

        What comes close is annealed on: some of it stays beside the bound.
        """
        goal, gap = self._wanted.goal, self._wanted.schedule.gap
        for restart, top, points in zip(group, sets.tops, sets.points, strict=True):
            if top > goal * (1.0 + 2.0 * gap):
                continue
            if self._wanted.work > SMALL:
                return Candidate(goal, restart, points.copy())
            best, steps = self._annealed_on(points)
            value = largest_cosine(best)
            if value <= goal * (1.0 + _REACHED):
                self._note(restart, value, steps)
                return Candidate(goal, restart, best.copy())
        return None

    def _annealed_on(self, points: Any) -> tuple[Any, int]:
        """Return a small packing to ten digits of its smooth maximum's descent, and its steps."""
        wanted = self._wanted
        function = self._function(1, None)
        _, _, tops = function(points[None], np.arange(1))
        sets = Annealed(points[None].copy(), wanted.schedule.last(wanted.n, tops), tops)
        anneal(function, sets, replace(_FINE, most=wanted.schedule.most), deadline=self._end)
        return min(points, sets.points[0], key=largest_cosine), sets.steps

    def _function(self, sets: int, crew: Crew | None) -> SmoothMaximum:
        n, d = self._wanted.n, self._wanted.d
        if self._wanted.work <= SMALL:
            return SmoothMaximum(sets, n, d, self._kernels)
        return LargeSmoothMaximum(n, d, self._kernels, crew)

    def _taken_up(self, group: range) -> Annealed:
        """Return a group where it stood when it was saved, or at its beginning."""
        if int(self._under_way.get("restart", -1)) == group[0]:
            state = self._under_way
            points, sharpness, tops = (
                np.array(state[name]) for name in ("points", "sharpness", "tops")
            )
            return Annealed(points, sharpness, tops, int(state["steps"]))
        starts = [self._wanted.begin(restart) for restart in group]
        points, sharpness = (np.array(part) for part in zip(*starts, strict=True))
        return Annealed.fresh(points, sharpness)

    def _refine(self, which: int) -> None:
        """Anneal a packing on to ten digits; the rest is for linear programs, if it is small."""
        wanted, candidate = self._wanted, self._kept[which]
        points, steps = self._annealed_on(candidate.points)
        if wanted.n * (wanted.d - 1) <= _PROGRAM:
            points = refined(points, lambda: perf_counter() >= self._end)
        best = min(candidate.points, points, key=largest_cosine)
        self._kept[which] = Candidate(largest_cosine(best), candidate.restart, best)
        self._note(candidate.restart, self._kept[which].rank, steps)

    def _note(self, restart: int, found: float, steps: int) -> None:
        """Add to the history what is better than what is there."""
        with self._lock:
            if not self.history or found < self.history[-1].coherence:
                self.history.append(Milestone(restart, steps, found, perf_counter() - self._begin))

    def _advance(self, steps: int) -> bool:
        with self._lock:
            self._stopped = not self._report(steps) or self._stopped
            return not self._stopped

    def _resume(self, saved: dict[str, Any]) -> None:
        """Take up what a checkpoint holds."""
        if not saved:
            return
        self._finished = set(saved["finished"].tolist())
        parts = (saved[name] for name in ("ranks", "restarts", "packings"))
        self._kept = [Candidate(float(r), int(k), x) for r, k, x in zip(*parts, strict=True)]
        self._reached = int(saved["reached"])
        self._under_way = {
            name[len(_STATE) :]: array for name, array in saved.items() if name.startswith(_STATE)
        }

    def _save(self) -> None:
        self._checkpoint.save(
            {},
            {
                "finished": np.array(sorted(self._finished), np.int64),
                "ranks": np.array([one.rank for one in self._kept]),
                "restarts": np.array([one.restart for one in self._kept], np.int64),
                "packings": np.array([one.points for one in self._kept]),
                "reached": np.array(self._reached),
                **{_STATE + name: np.asarray(part) for name, part in self._under_way.items()},
            },
        )
