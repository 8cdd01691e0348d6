"""From a user's call to a problem that the engine can walk: validate, choose, plan, survey."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from typing import Any

from . import __version__
from .backends import choose_backend
from .blocks import BlockRows, Source, row_bytes
from .crew import Crew
from .division import current_call
from .execution import Execution, Progress, Resources, resources
from .floating import ieee_mode
from .ledger import Book
from .parts import Part, plain
from .plan import Demand, Plan, Tile, make_plan
from .protocols import Kernels
from .results import Run
from .vectors import (
    Vectors,
    as_source,
    check_pair,
    check_zero,
    content,
    kept_pairs,
    survey,
    working_type,
)

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
    book: Book
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _facts: dict[str, Any] = field(default_factory=dict)
    _startup: list[float] = field(default_factory=list)

    @property
    def depth(self) -> int:
        """Entries in a vector."""
        return self.rows.depth

    @property
    def pairs(self) -> int:
        """Pairs of vectors that are not left out, of those that the answer is about."""
        if self.book.known is not None:
            known = [part.passes[-1].pairs for part in self.book.known() if part.passes]
            if known:
                return sum(known)
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

    def stretch(self, begin: int, end: int, banded: bool) -> Iterator[tuple[Tile, Iterator[Tile]]]:
        """Yield pairs of groups and tiles of each, as `Plan.stretch` does.

        The sources know which rows are read meanwhile, and which after that.
        """
        groups = [group for group, _ in self.plan.stretch(begin, end)]
        left, right = row_bytes(self.rows.source), row_bytes(self.columns.source)
        rows, columns = self.plan.rows_read(groups)
        read = rows * left + columns * right
        self.tally(bytes_read=read)
        _log.info("%d pairs of groups of %d x %d vectors, %d bytes to read", *(
            len(groups), self.plan.group_rows, self.plan.group_columns, read,
        ))  # fmt: skip
        stretch = self.plan.stretch(begin, end, banded)
        for (group, tiles), following in zip_longest(stretch, groups[1:]):
            self._reads(group, following)
            yield group, tiles

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
        waits = allowed.checkpoint is not None
        with Crew(plan.threads, waits) as crew, _kept(sides, plan):
            given = [vectors, other]
            rows, columns = _surveyed(given, sides, names, zero, plan, backend.kernels, crew)
            book = _book(rows, columns, zero, allowed, backend.name, memory, plan, crew)
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
                book,
                _facts={"bytes_read": read},
                _startup=[startup],
            )
            book.close()


def _book(
    rows: Vectors,
    columns: Vectors,
    zero: str,
    allowed: Resources,
    backend: str,
    memory: int,
    plan: Plan,
    crew: Crew,
) -> Book:
    """Open the book of a call: what it is about is looked at if that is to be kept."""
    call = current_call()
    if call is None and allowed.shard is not None:
        raise ValueError(
            "shard: must be left out of what does not look at every pair exactly once, "
            f"got {allowed.shard}"
        )
    sides = [rows] if columns is rows else [rows, columns]
    is_kept = allowed.shard is not None or allowed.checkpoint is not None
    parameters = {} if call is None else call.parameters
    if is_kept:
        parameters = {name: plain(value) for name, value in parameters.items()}
    key = {
        "version": __version__,
        "function": None if call is None else call.function,
        "parameters": parameters,
        "zero": zero,
        "sides": [
            {
                "shape": list(side.source.shape),
                "content": content(side, plan.read_rows, crew.each) if is_kept else "",
            }
            for side in sides
        ],
        "plan": {"backend": backend, **plan.geometry},
        "made": {"threads": allowed.threads, "memory": memory},
    }
    part = Part(key, plan.pairs, kept=[side.squares > 0.0 for side in sides])
    known = None
    if call is not None:
        call.part, known = part, call.known
    kept = partial(kept_pairs, rows, columns, plan.triangle)
    return Book(part, plan, kept, allowed.shard, allowed.checkpoint, known)


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


def _surveyed(
    given: list[Any],
    sides: list[Source],
    names: tuple[str, str],
    zero: str,
    plan: Plan,
    kernels: Kernels,
    crew: Crew,
) -> tuple[Vectors, Vectors]:
    """Survey one side or both, unless what was given is surveyed; of one side both are the same."""
    least = 2 if len(sides) == 1 else 1
    found = [
        data
        if isinstance(data, Vectors)
        else survey(side, name, zero, least, plan.read_rows, kernels, crew.each)
        for data, side, name in zip(given, sides, names, strict=False)
    ]
    return found[0], found[-1]
