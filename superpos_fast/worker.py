"""What a worker of a cluster does: look at rows, go through stretches, join what is found.

It opens files or generates rows itself; what lies in the memory of who asks is sent to it.
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

from .backends import choose_backend
from .blocks import NoRows, Source
from .crew import Crew
from .floating import ieee_mode
from .ledger import Book
from .parts import Part
from .plan import Demand, Plan
from .problem import Problem
from .reading import kept
from .reductions import Reduction, State
from .run import reduce_pairs
from .vectors import Looked, Vectors, as_source, looked_at

# What of the record of a run is added up.
COUNTED = ("survivors", "open_pairs", "coded_pairs", "bytes_read")

# A worker goes through one stretch at a time, on as many threads as it has.
_at_work = threading.Lock()


@dataclass(frozen=True)
class Opened:
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
class Side:
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
class Setting:
    """What a worker needs to know beside the rows and the question.

    A worker holds it as long as there are stretches, and with it what was `kept` of problems.
    """

    sides: tuple[Side, ...]
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
class Question:
    """What is asked: reductions that know nothing yet."""

    kinds: tuple[tuple[type[Any], dict[str, Any]], ...]
    precision: str

    def asked(self, rows: Vectors, columns: Vectors, triangle: bool) -> list[Reduction]:
        """Return the reductions."""
        return [kind.of(rows, columns, triangle, **wanted) for kind, wanted in self.kinds]


@dataclass(frozen=True)
class Found:
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


def survey(rows: Opened, place: int, sides: int, plan: Plan, backend: str, share: range) -> Looked:
    """Look at a share of the rows on one of the sides, on a worker."""
    source, kernels = rows.source, choose_backend(backend).kernels
    both: list[Source] = [NoRows(source.shape, source.dtype)] * sides
    both[place] = source
    with _working(both, plan) as crew:
        return looked_at(source, rows.name, share, plan.read_rows, kernels, crew.each)


def look(setting: Setting, question: Question, begin: int, end: int, *rows: Opened) -> Found:
    """Go through a stretch, on a worker."""
    sources = [side.source for side in rows]
    with _working(sources, setting.plan) as crew:
        problem = _problem(sources, setting, crew, begin, end)
        asked = question.asked(problem.rows, problem.columns, problem.plan.triangle)
        reduce_pairs(problem, *asked, precision=question.precision)
        states = [reduction.state() for reduction in asked]
        return Found(problem.book.part.passes[0].pairs, states, problem.tallies)


def _problem(
    sources: Sequence[Source], setting: Setting, crew: Crew, begin: int, end: int
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


def join(setting: Setting, question: Question, *some: Found) -> Found:
    """Join what is known of different pairs, on a worker."""
    sides = [side.closed() for side in setting.sides]
    asked = question.asked(sides[0], sides[-1], setting.plan.triangle)
    kernels = choose_backend(setting.backend).kernels
    for found in some:
        for reduction, state in zip(asked, found.states, strict=True):
            reduction.join(state, kernels)
    facts = {name: value for found in some for name, value in found.facts.items()}
    facts |= {name: sum(found.facts.get(name, 0) for found in some) for name in COUNTED}
    return Found(
        sum(found.pairs for found in some), [reduction.state() for reduction in asked], facts
    )
