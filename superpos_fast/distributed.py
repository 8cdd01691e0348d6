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
from collections.abc import Iterable, Iterator, Sequence
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
# first long ones, as each begins with some ms of dask's, last short ones, so that all end together.
_PART, _LEAST = 6, 48
# What is found of so many stretches is joined at a time: of two, dask had twice as many tasks.
_JOINED = 4
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
class _Rows:
    """The rows on each side: their argument, and what a worker opens, once for all stretches."""

    sides: tuple[tuple[str, Any], ...]

    @cached_property
    def sources(self) -> list[Source]:
        """The sides, opened; what is read of them is kept from one stretch to the next."""
        return [as_source(data, name) for name, data in self.sides]

    def __getstate__(self) -> dict[str, Any]:
        return {"sides": self.sides}


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
def _working(rows: _Rows, plan: Plan) -> Iterator[Crew]:
    """Do one thing at a time on a worker, and keep what is read for the next one."""
    with (
        _at_work,
        dask.config.set(scheduler="synchronous"),
        ieee_mode(),
        Crew(plan.threads) as crew,
        kept(rows.sources, plan, for_next=True),
    ):
        yield crew


def _survey(rows: _Rows, plan: Plan, backend: str, number: int, share: range) -> Looked:
    """Look at a share of the rows on one side, on a worker."""
    with _working(rows, plan) as crew:
        source, kernels = rows.sources[number], choose_backend(backend).kernels
        return looked_at(source, rows.sides[number][0], share, plan.read_rows, kernels, crew.each)


def _look(rows: _Rows, setting: _Setting, question: _Question, begin: int, end: int) -> _Found:
    """Go through a stretch, on a worker."""
    with _working(rows, setting.plan) as crew:
        problem = _problem(rows, setting, crew, begin, end)
        asked = question.asked(problem.rows, problem.columns, problem.plan.triangle)
        reduce_pairs(problem, *asked, precision=question.precision)
        states = [reduction.state() for reduction in asked]
        return _Found(problem.book.part.passes[0].pairs, states, problem.tallies)


def _problem(rows: _Rows, setting: _Setting, crew: Crew, begin: int, end: int) -> Problem:
    sides = [side.of(source) for side, source in zip(setting.sides, rows.sources, strict=True)]
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
        self._sent: Future | None = None

    def threads(self) -> int:
        """Return how many threads every worker has at least."""
        threads: list[int] = list(self._client.nthreads().values())
        if not threads:
            raise ValueError("backend: must be a client with workers, got one without")
        return min(threads) if self._most is None else min(*threads, self._most)

    def looking(
        self,
        sides: Sequence[Source],
        names: Sequence[str],
        plan: Plan,
        backend: str,
        here: Look,
    ) -> Look:
        """Return how rows are looked at: by the workers, what they open or generate, or `here`.

        What would have to be sent is only sent when there are pairs to go through.
        """

        def look(source: Source, name: str) -> Looked:
            if not isinstance(source.origin, Rows | Mapped):
                return here(source, name)
            rows = self._rows(zip(names, sides, strict=False))
            number = next(n for n, side in enumerate(sides) if side is source)
            count, unit = source.shape[0], source.block or plan.read_rows
            step = -(-count // (_SHARES * self._count * unit)) * unit
            shares = [range(n, min(n + step, count)) for n in range(0, count, step)]
            futures = [
                self._client.submit(_survey, rows, plan, backend, number, share, pure=False)
                for share in shares
            ]
            try:
                exponents, squares, bad = zip(*self._client.gather(futures), strict=True)
            finally:
                self._client.cancel(futures)
            first = min((row for row in bad if row is not None), default=None)
            return np.concatenate(exponents), np.concatenate(squares), first

        return look

    @property
    def _count(self) -> int:
        return max(1, len(self._client.nthreads()))

    def _rows(self, sides: Iterable[tuple[str, Source]]) -> Future:
        """Send once what workers open."""
        if self._sent is None:
            rows = _Rows(tuple((name, source.origin) for name, source in sides))
            try:
                self._sent = self._client.scatter(rows, broadcast=True, hash=False)
            except TypeError as error:
                names = " and ".join(name for name, _ in rows.sides)
                reason = error.__cause__ or error
                raise TypeError(
                    f"{names}: must be rows that can be sent to the workers, got {reason}"
                ) from None
        return self._sent

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
        vectors = [problem.rows, problem.columns][: len(problem.sides)]
        rows = self._rows((side.name, side.source) for side in vectors)
        setting = self._client.scatter(_setting(problem), broadcast=True, hash=False)
        for lanes in self._rounds(problem, ledger, striped):
            tree = _Tree(self._client, rows, (setting, question), lanes)
            known = tree.grown(advance)
            for reduction, state in zip(reductions, known.states, strict=True):
                reduction.join(state, problem.kernels)
            problem.tally(**{name: known.facts.get(name, 0) for name in _COUNTED})
            # One bound holds for all stretches together.
            if "dimensions" in known.facts and "dimensions" not in problem.tallies:
                problem.coded(known.facts["dimensions"], known.facts["failure"])
            ledger.passed(tree.done, known.pairs)
            if tree.is_stopped:
                ledger.stop()
                return

    def _rounds(self, problem: Problem, ledger: Ledger, striped: bool) -> Iterator[list[_Lane]]:
        """Yield lanes of stretches: one for each worker, so that it stays with some of the rows.

        What may be stopped on the way has one for all, as what is known then has to be about the
        pairs before one place.
        """
        workers, plan = list(self._client.nthreads()), problem.plan
        count = max(1, len(workers))
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
                for worker, share in zip(workers, shares, strict=False)
            ]


def _even(begin: int, end: int, count: int) -> list[int]:
    return [begin + (end - begin) * n // count for n in range(count + 1)]


def _shrinking(begin: int, end: int, workers: int, longest: int) -> Iterator[int]:
    """Yield the places between stretches for some workers."""
    least = max(1, (end - begin) // (_LEAST * workers))
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
    vectors = [problem.rows, problem.columns][: len(problem.sides)]
    return _Setting(
        tuple(
            _Side(side.name, side.source.shape, side.exponents, side.squares) for side in vectors
        ),
        problem.plan,
        problem.backend,
        problem.memory,
        problem.screen,
        problem.seed,
        problem.demand,
    )


class _Tree:
    """Stretches under way, and what is found of them joined, a few at a time.

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
        rows: Future,
        asked: tuple[Future, _Question],
        lanes: Sequence[_Lane],
    ) -> None:
        self._client, self._rows, self._asked, self._lanes = client, rows, asked, lanes
        self._coming = as_completed(loop=client.loop)
        # Of which lane each is, and how many pairs a stretch has.
        self._under_way: dict[Future, tuple[_Lane, int]] = {}
        self.done, self.is_stopped = 0, False

    def grown(self, advance: Advance) -> _Found:
        """Have all stretches gone through, and return what is known."""
        try:
            for lane in self._lanes:
                for _ in range(lane.room):
                    self._begin(lane)
            for future in self._coming:
                self._take(future, advance)
            left = [future for lane in self._lanes for future in lane.found]
            while len(left) > 1:
                left = [*left[_JOINED:], self._submit(_join, *self._asked, *left[:_JOINED])]
            known: _Found = left[0].result()
            return known
        finally:
            self._client.cancel(list(self._under_way))

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
        if len(lane.found) == _JOINED:
            self._await(self._submit(_join, *self._asked, *lane.found), lane)
            lane.found = []

    def _begin(self, lane: _Lane) -> None:
        """Give a worker its next stretch, or at the end of its lane the last one of the longest."""
        longest = max(self._lanes, key=lambda other: len(other.stretches)).stretches
        if self.is_stopped or not longest:
            return
        begin, end = lane.stretches.popleft() if lane.stretches else longest.pop()
        where = {} if lane.worker is None else {"workers": lane.worker, "allow_other_workers": True}
        future = self._submit(_look, self._rows, *self._asked, begin, end, **where)
        self._await(future, lane, end - begin)

    def _await(self, future: Future, lane: _Lane, pairs: int = 0) -> None:
        self._under_way[future] = lane, pairs
        self._coming.add(future)

    def _submit(self, work: Any, *arguments: Any, **where: Any) -> Future:
        return self._client.submit(work, *arguments, pure=False, **where)
