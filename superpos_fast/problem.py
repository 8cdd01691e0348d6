"""From a user's call to a problem that the engine can walk: validate, choose, plan, survey."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .backends import choose_backend
from .crew import Crew
from .execution import Execution, Progress, resources
from .floating import ieee_mode
from .plan import Demand, Plan, make_plan
from .protocols import Kernels
from .results import Run
from .vectors import Vectors, as_matrix, check_pair, check_zero, survey, working_type


@dataclass(frozen=True)
class Problem:
    """Surveyed vectors on both sides, the plan for them, and those who carry it out."""

    rows: Vectors
    columns: Vectors
    plan: Plan
    kernels: Kernels
    crew: Crew
    progress: Progress
    backend: str
    begin: float
    memory: int
    screen: str
    seed: int
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _facts: dict[str, Any] = field(default_factory=dict)
    _startup: list[float] = field(default_factory=list)

    @property
    def depth(self) -> int:
        """Entries in a vector."""
        return int(self.rows.array.shape[1])

    @property
    def pairs(self) -> int:
        """Pairs of vectors that are not left out."""
        if self.plan.triangle:
            return self.rows.kept * (self.rows.kept - 1) // 2
        return self.rows.kept * self.columns.kept

    def tally(self, **pairs: int) -> None:
        """Add to the numbers of pairs in the record of the run, by their names there."""
        with self._lock:
            for name, count in pairs.items():
                self._facts[name] = self._facts.get(name, 0) + count

    def coded(self, dimensions: int, failure: float) -> None:
        """Note that codes of so many dimensions are screened."""
        failure += self._facts.get("failure", 0.0)
        self._facts.update(screen=self.screen, dimensions=dimensions, failure=failure)

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """Note how long kernels take to compile or to load."""
        begin = time.perf_counter()
        yield
        self._startup.append(time.perf_counter() - begin)

    def facts(self) -> Run:
        """Return the record of the run so far."""
        return Run(
            seconds=time.perf_counter() - self.begin,
            startup=sum(self._startup),
            threads=self.plan.threads,
            backend=self.backend,
            pairs=self.pairs,
            **self._facts,
        )


@contextlib.contextmanager
def posed(
    vectors: Any,
    other: Any,
    zero: str,
    execution: Execution,
    demand: Callable[[int, int], Demand] = lambda rows, columns: Demand(),
    names: tuple[str, str] = ("vectors", "other"),
) -> Iterator[Problem]:
    """Pose the problem of all pairs; its threads are gone at the end of the ``with``.

    `demand` is what the statistic needs of memory, given the number of vectors on both sides.
    """
    begin = time.perf_counter()
    allowed = resources(execution)
    check_zero(zero)
    with ieee_mode():
        left = as_matrix(vectors, names[0])
        right = None if other is None else as_matrix(other, names[1])
        check_pair(left, right, names)
        sides = [left] if right is None else [left, right]
        loading = time.perf_counter()
        backend = choose_backend(allowed.backend)
        for dtype in {working_type(side.dtype) for side in sides}:
            backend.kernels.prepare(dtype)
        startup = time.perf_counter() - loading
        memory = allowed.memory_for(sum(map(len, sides)))
        plan = make_plan(
            len(left),
            None if right is None else len(right),
            left.shape[1],
            allowed.threads,
            memory,
            backend.kernels,
            demand(len(left), len(sides[-1])),
            allowed.screen != "off",
        )
        with Crew(plan.threads) as crew:
            rows, columns = surveyed(left, right, names, zero, plan, backend.kernels, crew)
            yield Problem(
                rows,
                columns,
                plan,
                backend.kernels,
                crew,
                allowed.progress,
                backend.name,
                begin,
                memory,
                allowed.screen,
                allowed.screen_seed,
                _startup=[startup],
            )


def surveyed(
    left: Any,
    right: Any,
    names: tuple[str, str],
    zero: str,
    plan: Plan,
    kernels: Kernels,
    crew: Crew,
) -> tuple[Vectors, Vectors]:
    """Survey one side or both; of one side both are the same."""

    def look(array: Any, name: str, least: int) -> Vectors:
        return survey(array, name, zero, least, plan.read_rows, kernels, crew.each)

    if right is None:
        rows = look(left, names[0], 2)
        return rows, rows
    return look(left, names[0], 1), look(right, names[1], 1)
