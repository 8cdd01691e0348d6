"""Many machines: stretches of the plan are tasks of a dask cluster, their parts joined as a tree.

A worker opens files or generates rows itself; what lies in this process's memory is sent to every
worker once.  The tiles are those of the plan that is made here, for as many threads as a worker
has, so that even sums have the bits that a local run with as many threads gives them.  Stretches of
a worker that is lost are done again by others, which is dask's doing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import dask
import numpy as np
from distributed import Client, Future, as_completed

from .backends import choose_backend
from .blocks import NoRows
from .crew import Crew
from .floating import ieee_mode
from .ledger import Book, Ledger
from .parts import Part
from .plan import Demand, Plan
from .problem import Problem
from .progress import Advance
from .reading import kept
from .reductions import Reduction, State
from .run import reduce_pairs
from .vectors import Vectors, as_source

# Stretches for each worker at least, so that they end together and little is lost with one.
_STRETCHES = 16
# Multiply-adds that are enough for a stretch: some 10 s of a thread.
_LONG = 5 * 10**11
# Stretches under way for each worker: one more than it works on.
_UNDER_WAY = 2
# Rounds of so many stretches for each worker, after which a checkpoint may be written.
_ROUND = 4

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
class _Side:
    """One side of the pairs: what a worker opens, and what is known of its rows."""

    name: str
    data: Any
    shape: tuple[int, int]
    exponents: Any
    squares: Any

    def opened(self) -> Vectors:
        return Vectors(self.name, as_source(self.data, self.name), self.exponents, self.squares)

    def closed(self) -> Vectors:
        """Return it without its rows."""
        nothing = NoRows(self.shape, np.dtype(np.float32))
        return Vectors(self.name, nothing, self.exponents, self.squares)


@dataclass(frozen=True)
class _Setting:
    """What a worker needs to know beside the question.

    A worker holds it as long as there are stretches, and with it what was read of the rows and
    `kept` of problems.
    """

    sides: tuple[_Side, ...]
    plan: Plan
    backend: str
    memory: int
    screen: str
    seed: int
    demand: Demand

    @cached_property
    def vectors(self) -> list[Vectors]:
        """The sides, opened once by each worker."""
        return [side.opened() for side in self.sides]

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


def _look(setting: _Setting, question: _Question, begin: int, end: int) -> _Found:
    """Go through a stretch, on a worker."""
    with _at_work, dask.config.set(scheduler="synchronous"), _posed(setting, begin, end) as problem:
        asked = question.asked(problem.rows, problem.columns, problem.plan.triangle)
        reduce_pairs(problem, *asked, precision=question.precision)
        states = [reduction.state() for reduction in asked]
        return _Found(problem.book.part.passes[0].pairs, states, problem.tallies)


@contextmanager
def _posed(setting: _Setting, begin: int, end: int) -> Iterator[Problem]:
    vectors, plan, backend = setting.vectors, setting.plan, choose_backend(setting.backend)
    sides = [side.source for side in vectors]
    with ieee_mode(), Crew(plan.threads) as crew, kept(sides, plan, for_next=True):
        yield Problem(
            vectors[0],
            vectors[-1],
            plan,
            backend.kernels,
            crew,
            False,
            backend.name,
            time.perf_counter(),
            setting.memory,
            setting.screen,
            setting.seed,
            setting.demand,
            Book(Part({}, plan.pairs), stretch=(begin, end)),
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

    def threads(self) -> int:
        """Return how many threads every worker has at least."""
        threads: list[int] = list(self._client.nthreads().values())
        if not threads:
            raise ValueError("backend: must be a client with workers, got one without")
        return min(threads) if self._most is None else min(*threads, self._most)

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
        setting = self._client.scatter(_setting(problem), broadcast=True, hash=False)
        workers = max(1, len(self._client.nthreads()))
        found = ledger.found
        work = (found.end - found.done) * problem.depth // problem.plan.threads
        count = max(_STRETCHES * workers, work // _LONG)
        stretches = problem.plan.cut(found.done, found.end, count, striped)
        size = _ROUND * workers if problem.book.is_kept else len(stretches)
        for first in range(0, len(stretches), size):
            tree = _Tree(self._client, setting, question, stretches[first : first + size])
            known = tree.grown(advance, _UNDER_WAY * workers)
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


def _setting(problem: Problem) -> _Setting:
    vectors = [problem.rows] if problem.columns is problem.rows else [problem.rows, problem.columns]
    return _Setting(
        tuple(
            _Side(side.name, side.source.origin, side.source.shape, side.exponents, side.squares)
            for side in vectors
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
        setting: Future,
        question: _Question,
        stretches: Sequence[tuple[int, int]],
    ) -> None:
        self._client, self._common = client, (setting, question)
        self._waiting = list(reversed(stretches))
        self._under_way: dict[Future, int] = {}
        self.done, self.is_stopped = 0, False

    def grown(self, advance: Advance, most: int) -> _Found:
        """Have all stretches gone through, `most` of them at a time, and return what is known."""
        coming = as_completed(loop=self._client.loop)
        found: list[Future] = []
        try:
            self._begin(coming, most)
            for future in coming:
                if future.status != "finished":
                    future.result()
                pairs = self._under_way.pop(future, 0)
                self.done += pairs
                if pairs and not advance(pairs):
                    self.is_stopped = True
                    self._waiting.clear()
                found.append(future)
                if len(found) == 2:
                    coming.add(self._submit(_join, *found))
                    found = []
                self._begin(coming, most)
            known: _Found = found[0].result()
            return known
        finally:
            self._client.cancel([*self._under_way, *coming.futures, *found])

    def _begin(self, coming: Any, most: int) -> None:
        while self._waiting and len(self._under_way) < most:
            begin, end = self._waiting.pop()
            future = self._submit(_look, begin, end)
            self._under_way[future] = end - begin
            coming.add(future)

    def _submit(self, work: Any, *arguments: Any) -> Future:
        return self._client.submit(work, *self._common, *arguments, pure=False)
