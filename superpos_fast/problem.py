"""From a user's call to a problem that the engine can walk: validate, choose, plan, survey."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from .backends import choose_backend
from .blocks import BlockRows, Source, row_bytes
from .crew import Crew
from .execution import Execution, Progress, resources
from .floating import ieee_mode
from .plan import Demand, Plan, Tile, make_plan
from .protocols import Kernels
from .results import Run
from .vectors import Vectors, as_source, check_pair, check_zero, survey, working_type

_log = logging.getLogger("superpos_fast")
# Blocks of a source beside those that a group of rows is made of.
_EDGES = 2


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
    demand: Demand
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _facts: dict[str, Any] = field(default_factory=dict)
    _startup: list[float] = field(default_factory=list)

    @property
    def depth(self) -> int:
        """Entries in a vector."""
        return self.rows.depth

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

    def passes(self) -> Iterator[Tile]:
        """Yield the pairs of groups; the sources know which rows are read now, and which next."""
        passes = list(self.plan.passes())
        left, right = row_bytes(self.rows.source), row_bytes(self.columns.source)
        rows, columns = self.plan.rows_read(passes)
        read = rows * left + columns * right
        self.tally(bytes_read=read)
        _log.info("%d x %d pairs in %d passes over groups of %d x %d, %d bytes to read", *(
            self.plan.rows, self.plan.columns, len(passes),
            self.plan.group_rows, self.plan.group_columns, read,
        ))  # fmt: skip
        for group, following in zip_longest(passes, passes[1:]):
            self._reads(group, following)
            yield group

    def _reads(self, group: Tile, following: Tile | None) -> None:
        sides: list[tuple[Source, list[range], list[range]]] = []
        for vectors, edges in ((self.rows, Tile.row_range), (self.columns, Tile.column_range)):
            later = [] if following is None else [edges(following)]
            if sides and vectors.source is sides[0][0]:
                sides[0][1].append(edges(group))
                sides[0][2].extend(later)
            else:
                sides.append((vectors.source, [edges(group)], later))
        for source, now, later in sides:
            source.expect(now, later)

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
        left = as_source(vectors, names[0], allowed.tensor)
        right = None if other is None else as_source(other, names[1], allowed.tensor)
        check_pair(left, right, names)
        sides = [left] if right is None else [left, right]
        count, others = left.shape[0], sides[-1].shape[0]
        loading = time.perf_counter()
        backend = choose_backend(allowed.backend)
        for dtype in {working_type(side.dtype) for side in sides}:
            backend.kernels.prepare(dtype)
        startup = time.perf_counter() - loading
        memory = allowed.memory_for(sum(side.shape[0] for side in sides))
        wanted = demand(count, others) + _blocks_of(sides)
        plan = make_plan(
            count,
            None if right is None else others,
            left.shape[1],
            allowed.threads,
            memory,
            backend.kernels,
            wanted,
            allowed.screen != "off",
        )
        with Crew(plan.threads) as crew, _kept(sides, plan):
            rows, columns = surveyed(left, right, names, zero, plan, backend.kernels, crew)
            read = sum(side.shape[0] * row_bytes(side) for side in sides)
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
                wanted,
                _facts={"bytes_read": read},
                _startup=[startup],
            )


def _blocks_of(sides: list[Source]) -> Demand:
    """Return what it takes to keep blocks of rows that are in use.

    Those of two groups, half as much to read ahead, and what is at the edges.
    """
    blocked = [side for side in sides if isinstance(side, BlockRows)]
    return Demand(
        state=sum(_EDGES * side.block_bytes for side in blocked),
        line=0,
        row=max((row_bytes(side) * 3 // 2 for side in blocked), default=0),
        selective=True,
    )


@contextlib.contextmanager
def _kept(sides: list[Source], plan: Plan) -> Iterator[None]:
    """Have the sources keep as much as the plan has room for, as long as the ``with``."""
    groups = [plan.group_rows + plan.group_columns]
    if len(sides) > 1:
        groups = [plan.group_rows, plan.group_columns]
    for side, rows in zip(sides, groups, strict=True):
        if isinstance(side, BlockRows):
            side.keep(rows * row_bytes(side) * 3 // 2 + _EDGES * side.block_bytes)
    try:
        yield
    finally:
        for side in sides:
            side.close()


def surveyed(
    left: Source,
    right: Source | None,
    names: tuple[str, str],
    zero: str,
    plan: Plan,
    kernels: Kernels,
    crew: Crew,
) -> tuple[Vectors, Vectors]:
    """Survey one side or both; of one side both are the same."""

    def look(source: Source, name: str, least: int) -> Vectors:
        return survey(source, name, zero, least, plan.read_rows, kernels, crew.each)

    if right is None:
        rows = look(left, names[0], 2)
        return rows, rows
    return look(left, names[0], 1), look(right, names[1], 1)
