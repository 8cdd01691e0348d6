"""Many machines: stretches of the plan are tasks of a dask cluster, their parts joined as a tree.

A worker opens files or generates rows itself, and looks at a share of them before; what lies in
this process's memory is sent to every worker once.  The tiles are those of the plan that is made
here, for as many threads as a worker has, so that even sums have the bits that a local run with as
many threads gives them.  Stretches of a worker that is lost are done again by others, which is
dask's doing.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import pairwise
from typing import Any

import dask
import numpy as np
from distributed import Client, Future, as_completed

from .backends import choose_backend
from .blocks import NoRows, Rows, Source
from .crew import Crew
from .floating import ieee_mode
from .ledger import Book, Ledger
from .maps import Mapped
from .parts import Part
from .plan import Demand, Plan
from .problem import Problem
from .progress import Advance
from .reading import kept
from .reductions import Reduction, State
from .run import reduce_pairs
from .vectors import Look, Looked, Vectors, as_source, looked_at

# A worker's next stretch is a sixth of what is left for it, but no less than a 48th of the whole:
# first long ones, as each begins with some ms of dask's, last short ones, so that all end together
# (`python -m bench.scale dask`).
_PART, _LEAST = 6, 48
# Multiply-adds that are enough for a stretch: some 10 s of a thread.
_LONG = 5 * 10**11
# Shares of the rows for each worker, that are looked at before.
_SHARES = 2
# Stretches under way for each worker: one more than it works on.
_UNDER_WAY = 2
# A checkpoint may be written when all workers have had so many long stretches.
_ROUND = 4
# Rounds at least.
_ROUNDS = 4

# What of the record of a run is added up.
_COUNTED = ("survivors", "open_pairs", "coded_pairs", "bytes_read")

# A worker goes through one stretch at a time, on as many threads as it has.
_at_work = threading.Lock()


def current_client() -> Client | None:
    """Return the client of the ``with`` that this thread is in."""
    try:
        return Client.current(allow_global=False)
    except ValueError:
        return None


@dataclass(frozen=True)
class _Opened:
    """The rows on one side as a worker opens them, once for all stretches."""

    name: str
    data: Any

    @cached_property
    def source(self) -> Source:
        """Where to read them; what is read is kept from one stretch to the next."""
        return as_source(self.data, self.name)

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name, "data": self.data}


@dataclass(frozen=True)
class _Side:
    """What is known of the rows on one side."""

    name: str
    shape: tuple[int, int]
    exponents: Any
    squares: Any

    def of(self, source: Source) -> Vectors:
        """Return it with its rows."""
        return Vectors(self.name, source, self.exponents, self.squares)

    def closed(self) -> Vectors:
        """Return it without its rows."""
        return self.of(NoRows(self.shape, np.dtype(np.float32)))


@dataclass(frozen=True)
class _Setting:
    """What a worker needs to know beside the rows and the question.

    A worker holds it as long as there are stretches, and with it what was `kept` of problems.
    """

    sides: tuple[_Side, ...]
    plan: Plan
    backend: str
    memory: int
    screen: str
    seed: int
    demand: Demand

    @cached_property
    def kept(self) -> dict[Any, Any]:
        """What one stretch leaves to the next."""
        return {}

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class _Question:
    """What is asked: reductions that know nothing yet."""

    kinds: tuple[tuple[type[Any], dict[str, Any]], ...]
    precision: str

    def asked(self, rows: Vectors, columns: Vectors, triangle: bool) -> list[Reduction]:
        return [kind.of(rows, columns, triangle, **wanted) for kind, wanted in self.kinds]


@dataclass(frozen=True)
class _Found:
    """What reductions know of some pairs, without those of rows that are left out."""

    pairs: int
    states: list[State]
    facts: dict[str, Any]


@contextmanager
def _working(sides: Sequence[Source], plan: Plan) -> Iterator[Crew]:
    """Do one thing at a time on a worker, and keep what is read for the next one."""
    with (
        _at_work,
        dask.config.set(scheduler="synchronous"),
        ieee_mode(),
        Crew(plan.threads) as crew,
        kept(sides, plan, for_next=True),
    ):
        yield crew


def _survey(
    rows: _Opened, place: int, sides: int, plan: Plan, backend: str, share: range
) -> Looked:
    """Look at a share of the rows on one of the sides, on a worker."""
    source, kernels = rows.source, choose_backend(backend).kernels
    both: list[Source] = [NoRows(source.shape, source.dtype)] * sides
    both[place] = source
    with _working(both, plan) as crew:
        return looked_at(source, rows.name, share, plan.read_rows, kernels, crew.each)


def _look(setting: _Setting, question: _Question, begin: int, end: int, *rows: _Opened) -> _Found:
    """Go through a stretch, on a worker."""
    sources = [side.source for side in rows]
    with _working(sources, setting.plan) as crew:
        problem = _problem(sources, setting, crew, begin, end)
        asked = question.asked(problem.rows, problem.columns, problem.plan.triangle)
        reduce_pairs(problem, *asked, precision=question.precision)
        states = [reduction.state() for reduction in asked]
        return _Found(problem.book.part.passes[0].pairs, states, problem.tallies)


def _problem(
    sources: Sequence[Source], setting: _Setting, crew: Crew, begin: int, end: int
) -> Problem:
    sides = [side.of(source) for side, source in zip(setting.sides, sources, strict=True)]
    backend = choose_backend(setting.backend)
    return Problem(
        sides[0],
        sides[-1],
        setting.plan,
        backend.kernels,
        crew,
        False,
        backend.name,
        time.perf_counter(),
        setting.memory,
        setting.screen,
        setting.seed,
        setting.demand,
        Book(Part({}, setting.plan.pairs), stretch=(begin, end)),
        kept=setting.kept,
    )


def _join(setting: _Setting, question: _Question, *some: _Found) -> _Found:
    """Join what is known of different pairs, on a worker."""
    sides = [side.closed() for side in setting.sides]
    asked = question.asked(sides[0], sides[-1], setting.plan.triangle)
    kernels = choose_backend(setting.backend).kernels
    for found in some:
        for reduction, state in zip(asked, found.states, strict=True):
            reduction.join(state, kernels)
    facts = {name: value for found in some for name, value in found.facts.items()}
    facts |= {name: sum(found.facts.get(name, 0) for found in some) for name in _COUNTED}
    return _Found(
        sum(found.pairs for found in some), [reduction.state() for reduction in asked], facts
    )


class Workers:
    """The workers of a dask client, each with as many threads as dask has given it, or `most`."""

    def __init__(self, client: Client, most: int | None) -> None:
        self._client, self._most = client, most
        self._sent: list[tuple[Source, Future]] = []

    def threads(self) -> int:
        """Return how many threads every worker has at least."""
        threads: list[int] = list(self._client.nthreads().values())
        if not threads:
            raise ValueError("backend: must be a client with workers, got one without")
        return min(threads) if self._most is None else min(*threads, self._most)

    def looking(self, sides: Sequence[Source], plan: Plan, backend: str, here: Look) -> Look:
        """Return how rows are looked at: by the workers, what they open or generate, or `here`."""

        def look(source: Source, name: str) -> Looked:
            if not isinstance(source.origin, Rows | Mapped):
                return here(source, name)
            place = next(n for n, side in enumerate(sides) if side is source)
            how = self._opened(name, source), place, len(sides), plan, backend
            count, unit = source.shape[0], source.block or plan.read_rows
            step = -(-count // (_SHARES * len(self._workers()) * unit)) * unit
            shares = [range(n, min(n + step, count)) for n in range(0, count, step)]
            futures = [self._client.submit(_survey, *how, share, pure=False) for share in shares]
            try:
                exponents, squares, bad = zip(*self._client.gather(futures), strict=True)
            finally:
                self._client.cancel(futures)
            first = min((row for row in bad if row is not None), default=None)
            return np.concatenate(exponents), np.concatenate(squares), first

        return look

    def _workers(self) -> list[str | None]:
        """Return the workers that there are, or None for those that may come."""
        return list(self._client.nthreads()) or [None]

    def _opened(self, name: str, source: Source) -> Future:
        """Send what workers open, once."""
        for known, future in self._sent:
            if known is source:
                return future
        try:
            future = self._client.scatter(_Opened(name, source.origin), broadcast=True, hash=False)
        except TypeError as error:
            reason = error.__cause__ or error
            raise TypeError(
                f"{name}: must be rows that can be sent to the workers, got {reason}"
            ) from None
        self._sent.append((source, future))
        return future

    def reduce(
        self,
        problem: Problem,
        reductions: Sequence[Reduction],
        precision: str,
        striped: bool,
        ledger: Ledger,
        advance: Advance,
    ) -> None:
        """Show the pairs that are not done yet to the reductions, stretch by stretch."""
        kinds = tuple((type(reduction), reduction.parameters) for reduction in reductions)
        question = _Question(kinds, precision)
        rows = [self._opened(side.name, side.source) for side in problem.vectors]
        setting = self._client.scatter(_setting(problem), broadcast=True, hash=False)
        for lanes in self._rounds(problem, ledger, striped):
            tree = _Tree(self._client, rows, (setting, question), lanes)
            known = tree.grown(advance)
            with ledger.passing(tree.done, known.pairs):
                for reduction, state in zip(reductions, known.states, strict=True):
                    reduction.join(state, problem.kernels)
            problem.tally(**{name: known.facts.get(name, 0) for name in _COUNTED})
            # One bound holds for all stretches together.
            if "dimensions" in known.facts and "dimensions" not in problem.tallies:
                problem.coded(known.facts["dimensions"], known.facts["failure"])
            if tree.is_stopped:
                ledger.stop()
                return

    def _rounds(self, problem: Problem, ledger: Ledger, striped: bool) -> Iterator[list[_Lane]]:
        """Yield lanes of stretches: one for each worker, so that it stays with some of the rows.

        What may be stopped on the way has one for all, as what is known then has to be about the
        pairs before one place.
        """
        workers, plan = self._workers(), problem.plan
        count = len(workers)
        begin, end = ledger.found.done, ledger.found.end
        longest = max(1, _LONG * plan.threads // problem.depth)
        rounds = 1
        if problem.book.is_kept:
            rounds = max(_ROUNDS, (end - begin) // (_ROUND * longest * count))
        for first, last in plan.cut(_even(begin, end, rounds), striped):
            if callable(problem.progress):
                places = _shrinking(first, last, count, longest)
                yield [_Lane(None, deque(plan.cut(places, striped)), _UNDER_WAY * count)]
                continue
            shares = pairwise(_even(first, last, count))
            yield [
                _Lane(worker, deque(plan.cut(_shrinking(*share, 1, longest), striped)), _UNDER_WAY)
                for worker, share in zip(workers, shares, strict=True)
            ]


def _even(begin: int, end: int, count: int) -> list[int]:
    return [begin + (end - begin) * n // count for n in range(count + 1)]


def _shrinking(begin: int, end: int, workers: int, longest: int) -> Iterator[int]:
    """Yield the places between stretches for some workers."""
    least = max(1, min(longest // _PART, (end - begin) // (_LEAST * workers)))
    while begin < end:
        yield begin
        begin += max(least, min(longest, (end - begin) // (_PART * workers)))
    yield end


@dataclass
class _Lane:
    """Stretches for one worker, or for all; how many it may have at a time, and what is found."""

    worker: str | None
    stretches: deque[tuple[int, int]]
    room: int
    found: list[Future] = field(default_factory=list)


def _setting(problem: Problem) -> _Setting:
    return _Setting(
        tuple(
            _Side(side.name, side.source.shape, side.exponents, side.squares)
            for side in problem.vectors
        ),
        problem.plan,
        problem.backend,
        problem.memory,
        problem.screen,
        problem.seed,
        problem.demand,
    )


class _Tree:
    """Stretches under way, and what is found of them joined two by two.

    First of each lane, so that what is found goes from worker to worker only at the end.

    Attributes
    ----------
    done : int
        Pairs of the stretches that were gone through.
    is_stopped : bool
        Whether the caller stopped it.
    """

    def __init__(
        self,
        client: Client,
        rows: Sequence[Future],
        asked: tuple[Future, _Question],
        lanes: Sequence[_Lane],
    ) -> None:
        self._client, self._rows, self._asked, self._lanes = client, rows, asked, lanes
        self._coming = as_completed(loop=client.loop)
        # Of which lane each is, and how many pairs a stretch has.
        self._under_way: dict[Future, tuple[_Lane, int]] = {}
        self._left: list[Future] = []
        self.done, self.is_stopped = 0, False

    def grown(self, advance: Advance) -> _Found:
        """Have all stretches gone through, and return what is known."""
        try:
            for lane in self._lanes:
                for _ in range(lane.room):
                    self._begin(lane)
            for future in self._coming:
                self._take(future, advance)
            self._left = self._found()
            while len(self._left) > 1:
                joined = self._submit(_join, *self._asked, *self._left[:2])
                self._left = [*self._left[2:], joined]
            known: _Found = self._left[0].result()
            return known
        except BaseException:
            self._client.cancel([*self._under_way, *self._left, *self._found()])
            raise

    def _found(self) -> list[Future]:
        return [future for lane in self._lanes for future in lane.found]

    def _take(self, future: Future, advance: Advance) -> None:
        if future.status != "finished":
            future.result()
        lane, pairs = self._under_way.pop(future)
        if pairs:
            self.done += pairs
            if not advance(pairs):
                self.is_stopped = True
            self._begin(lane)
        lane.found.append(future)
        if len(lane.found) == 2:
            self._await(self._submit(_join, *self._asked, *lane.found), lane)
            lane.found = []

    def _begin(self, lane: _Lane) -> None:
        """Give a worker its next stretch, or at the end of its lane the last one of the longest."""
        longest = max(self._lanes, key=lambda other: len(other.stretches)).stretches
        if self.is_stopped or not longest:
            return
        begin, end = lane.stretches.popleft() if lane.stretches else longest.pop()
        where = {} if lane.worker is None else {"workers": lane.worker, "allow_other_workers": True}
        future = self._submit(_look, *self._asked, begin, end, *self._rows, **where)
        self._await(future, lane, end - begin)

    def _await(self, future: Future, lane: _Lane, pairs: int = 0) -> None:
        self._under_way[future] = lane, pairs
        self._coming.add(future)

    def _submit(self, work: Any, *arguments: Any, **where: Any) -> Future:
        return self._client.submit(work, *arguments, pure=False, **where)
