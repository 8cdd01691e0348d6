"""From a user's call to a problem that the engine can walk: validate, choose, plan, survey."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from .backends import Backend, choose_backend
from .blocks import Source, row_bytes
from .crew import Crew
from .division import open_book
from .execution import Execution, Progress, Resources, resources
from .floating import ieee_mode
from .ledger import Book, Ledger
from .native import native_bytes, native_rows, working_type
from .placement import held, laying
from .plan import Demand, Plan, Tile, make_plan
from .progress import Advance
from .protocols import Kernels
from .reading import blocks_of, kept
from .reductions import Reduction
from .results import Run
from .vectors import (
    Look,
    Looked,
    Vectors,
    as_source,
    check_pair,
    check_zero,
    device_of,
    kept_pairs,
    looked_at,
    survey,
)

# Room for copies of all rows, as kernels read them, is left where it is at most so much of the
# memory: a listed pair of float16 rows took 3 us, of float32 rows .2 (4096 x 384).  Rows that lie
# as kernels read them get it too, so that the plan does not depend on how they lie.
_COPIES_SHARE = 4


class Cluster(Protocol):
    """Machines that share the work; see `superpos_fast.distributed`."""

    def threads(self) -> int:
        """Return how many threads each of them has at least."""

    def looking(self, sides: Sequence[Source], plan: Plan, backend: str, here: Look) -> Look:
        """Return how rows are looked at: by each machine a share, or `here` what is sent."""

    def reduce(
        self,
        problem: Problem,
        reductions: Sequence[Reduction],
        precision: str,
        striped: bool,
        ledger: Ledger,
        advance: Advance,
    ) -> None:
        """Show the pairs that are not done yet to the reductions."""


@dataclass(frozen=True)
class Problem:
    """Surveyed vectors on both sides, the plan for them, and those who carry it out.

    `lay` returns an array of results where the vectors came from: there may be a device.  Where
    problems are stretches of one, what the first has `kept` is there for the next.
    """

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
    cluster: Cluster | None = None
    lay: Callable[[Any], Any] = lambda array: array
    kept: dict[Any, Any] | None = None
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
        known = [part.passes[-1].pairs for part in self.book.heads if part.passes]
        if known:
            return sum(known)
        if self.plan.triangle:
            return self.rows.kept * (self.rows.kept - 1) // 2
        return self.rows.kept * self.columns.kept

    @cached_property
    def _keeps_all(self) -> bool:
        return all(side.kept == len(side) for side in (self.rows, self.columns))

    def tally(self, **pairs: int) -> None:
        """Add to the numbers in the record of the run, by their names there."""
        with self._lock:
            for name, count in pairs.items():
                self._facts[name] = self._facts.get(name, 0) + count

    def coded(self, dimensions: int, failure: float) -> None:
        """Note that codes of so many dimensions are screened."""
        failure += self._facts.get("failure", 0.0)
        self._facts.update(screen=self.screen, dimensions=dimensions, failure=failure)

    @property
    def tallies(self) -> dict[str, Any]:
        """What the record of the run says that is found out on the way."""
        return dict(self._facts)

    @property
    def vectors(self) -> list[Vectors]:
        """Those of both sides, or of the one that there is."""
        return [self.rows] if self.columns is self.rows else [self.rows, self.columns]

    @property
    def sides(self) -> list[Source]:
        """Where the vectors are read, one or two of them."""
        return [side.source for side in self.vectors]

    def kept_pairs(self, tile: Tile) -> int:
        """Return how many pairs of a tile have no row that is left out."""
        if self._keeps_all:
            return tile.pairs(self.plan.triangle)
        return kept_pairs(self.rows, self.columns, self.plan.triangle, tile)

    def listed_cosines(self, i: Any, j: Any) -> Iterator[tuple[slice, Any]]:
        """Yield some of the listed pairs and their cosines, until that is all.

        All at once where rows are read as they lie, without copies.
        """
        as_they_lie = self.rows.is_native and self.columns.is_native
        step = max(1, len(i)) if as_they_lie else self.plan.listed
        for start in range(0, len(i), step):
            some = slice(start, start + step)
            left, rows = self.rows.lines(i[some])
            right, columns = self.columns.lines(j[some])
            yield some, self.kernels.listed_cosines(left, rows, right, columns)

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
    first: int = 0,
) -> Iterator[Problem]:
    """Pose the problem of all pairs; its threads are gone at the end of the ``with``.

    `demand` is what the statistic needs of memory, given the number of vectors on both sides.
    Without `other` the pairs of vectors before the `first` may be left out.
    """
    begin = time.perf_counter()
    allowed = resources(execution)
    check_zero(zero)
    with ieee_mode(), contextlib.ExitStack() as stack:
        left = as_source(vectors, names[0], allowed.tensor)
        right = None if other is None else as_source(other, names[1], allowed.tensor)
        check_pair(left, right, names)
        sides = [left] if right is None else [left, right]
        count, others = left.shape[0], sides[-1].shape[0]
        loading = time.perf_counter()
        home = device_of(*sides)
        backend = choose_backend(allowed.backend, allowed.devices, home)
        for dtype in {working_type(side.dtype) for side in sides}:
            backend.kernels.prepare(dtype)
        startup = time.perf_counter() - loading
        cluster = _cluster(allowed, backend)
        memory = allowed.memory_for(sum(side.shape[0] for side in sides))
        wanted = demand(count, others) + blocks_of(sides)

        def planned(room: int, threads: int) -> Plan:
            return make_plan(
                count,
                None if right is None else others,
                left.shape[1],
                threads,
                room,
                backend.kernels,
                wanted,
                allowed.screen != "off",
                first,
            )

        read = sum(side.shape[0] * row_bytes(side) for side in sides)
        if backend.devices is None:
            threads, room = allowed.threads if cluster is None else cluster.threads(), memory
            plan, copies = planned(room, threads), sum(map(native_bytes, sides))
            if copies <= memory // _COPIES_SHARE:
                with contextlib.suppress(ValueError):  # where that leaves too little
                    plan, room = planned(memory - copies, threads), memory - copies
            if room < memory and cluster is None:
                sides = [native_rows(side) for side in sides]
        else:
            devices = stack.enter_context(backend.devices)
            memory = allowed.memory or devices.memory()
            sides, plan, room = held(sides, devices, memory, planned)
        waits = allowed.checkpoint is not None
        hands = plan.threads
        if cluster is not None:
            # What is surveyed here is surveyed with this machine's threads; each holds rows as they
            # came and in float64.
            most = room // (4 * 16 * plan.read_rows * left.shape[1])
            hands = max(hands, min(allowed.threads, most))
        with Crew(hands, waits) as crew, kept(sides, plan):

            def here(source: Source, name: str) -> Looked:
                rows = range(source.shape[0])
                return looked_at(source, name, rows, plan.read_rows, backend.kernels, crew.each)

            look: Look = here
            if cluster is not None and wanted.folds:
                # Where there are no pairs to go through workers need not even reach the rows.
                look = cluster.looking(sides, plan, backend.name, here)
            rows, columns = _surveyed([vectors, other], sides, names, zero, look)
            book = open_book(rows, columns, zero, allowed, backend.name, memory, plan, crew.each)
            yield Problem(
                rows,
                columns,
                plan,
                backend.kernels,
                crew,
                allowed.progress,
                backend.name,
                begin,
                room,
                allowed.screen,
                allowed.screen_seed,
                wanted,
                book,
                cluster,
                laying(backend.devices, home),
                _facts={"bytes_read": read},
                _startup=[startup],
            )
            book.close()


def _cluster(allowed: Resources, backend: Backend) -> Cluster | None:
    """Return the cluster that was given, or in whose ``with`` the caller is."""
    client = allowed.client
    if backend.devices is not None:
        if client is not None:
            raise ValueError(
                "backend: must be 'auto' or 'cuda' for devices of this machine, got a dask client"
            )
        return None
    if client is None and allowed.backend == "auto" and "distributed" in sys.modules:
        from .distributed import current_client

        client = current_client()
    if client is None:
        return None
    from .distributed import Workers

    return Workers(client, allowed.most_threads)


def _surveyed(
    given: list[Any],
    sides: list[Source],
    names: tuple[str, str],
    zero: str,
    look: Look,
) -> tuple[Vectors, Vectors]:
    """Survey one side or both, unless what was given is surveyed; of one side both are the same.

    What is held on devices is surveyed there.
    """
    least = 2 if len(sides) == 1 else 1
    found = [
        data
        if isinstance(data, Vectors) and data.source is side
        else survey(side, name, zero, least, look)
        for data, side, name in zip(given, sides, names, strict=False)
    ]
    return found[0], found[-1]
