"""When all pairs are too dear: some rows against all.

The rows are drawn without replacement and each is held against all others.  A row's *degree* is the
share of its pairs that a count counts (of a mean: its mean |cos|), a number between 0 and 1, and
the mean degree of all rows is the share of all pairs.  Bounds of that mean
(`concentration.mean_bounds`) need only the drawn rows' total, which is what the engine's reductions
keep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .blocks import Source
from .concentration import mean_bounds
from .execution import Execution
from .floating import ieee_mode
from .plan import Demand, make_plan
from .problem import Problem, posed
from .reached import reaching
from .vectors import as_source, check_zero

_READ_ENTRIES = 2**20


@dataclass(frozen=True)
class Sample:
    """Drawn rows against all rows, or all pairs once (`chosen` is None)."""

    problem: Problem
    chosen: Any
    risk: float

    @property
    def drawn(self) -> int:
        """How many rows were drawn."""
        return self.problem.rows.kept

    @property
    def population(self) -> int:
        """How many rows there are, without those left out."""
        return self.problem.columns.kept

    @property
    def selves(self) -> int:
        """Rows that meet themselves, with a cosine of exactly 1."""
        return 0 if self.chosen is None else self.drawn

    @property
    def seen(self) -> int:
        """Pairs of different rows, those of two drawn rows twice."""
        return self.problem.pairs - self.selves

    def bounds(self, shares: Any, slack: float = 0.0) -> tuple[Any, Any]:
        """Bound the shares of all pairs by those of the pairs seen, known within `slack`."""
        least, most = np.maximum(shares - slack, 0.0), np.minimum(shares + slack, 1.0)
        if self.chosen is None:
            return least, most
        risk = self.risk / (2 * np.size(shares))
        lower, _ = mean_bounds(least, self.drawn, self.population, risk)
        _, upper = mean_bounds(most, self.drawn, self.population, risk)
        return lower, upper

    def reached(self, thresholds: Any, magnitude: bool) -> Any:
        """Count the pairs of different rows that reach each cosine."""
        return reaching(self.problem, thresholds, magnitude) - self.selves * (thresholds <= 1.0)

    def of_all(self, counts: Any) -> tuple[Any, Any, Any, None]:
        """Return the counts among all pairs: the best guess and its bounds."""
        pairs = self.population * (self.population - 1) // 2
        value = counts * (pairs / self.seen)
        if self.chosen is None:
            return value, value, value, None
        lower, upper = self.bounds(counts / self.seen)
        return value, lower * pairs, upper * pairs, None


@contextmanager
def drawn_rows(
    vectors: Any,
    rows: int,
    seed: int,
    zero: str,
    risk: float,
    demand_of: Callable[[int, int], Demand],
    execution: Execution,
) -> Iterator[Sample]:
    """Draw rows and pose their pairs with all rows.

    The memory that is needed depends on how many rows are drawn and how many there are.
    """
    check_zero(zero)
    source = as_source(vectors, "vectors", execution.get("tensor"))
    count = source.shape[0]
    kept = _kept(source) if zero == "skip" else count
    population = kept if isinstance(kept, int) else len(kept)
    if rows >= population:
        demand = demand_of(count, count)
        with posed(source, None, zero, execution, lambda n, m: demand) as problem:
            yield Sample(problem, None, risk)
        return
    chosen = np.sort(np.random.default_rng(seed).choice(kept, rows, replace=False))
    sample = source.take(chosen)
    demand = demand_of(rows, count) + Demand(state=sample.nbytes, line=0)
    # All rows stand first, so that one that is refused is named by its own number.
    names = ("vectors", "vectors")
    with posed(source, sample, zero, execution, lambda n, m: demand, names) as problem:
        yield Sample(_turned(problem), chosen, risk)


def _kept(source: Source) -> Any:
    """Return the rows that are not zero."""
    count, depth = source.shape
    step = source.block or max(1, _READ_ENTRIES // depth)
    with ieee_mode():
        blocks = [
            (np.asarray(source.rows(start, min(start + step, count))) != 0).any(axis=1)
            for start in range(0, count, step)
        ]
    return np.flatnonzero(np.concatenate([np.zeros(0, bool), *blocks]))


def _turned(problem: Problem) -> Problem:
    """Return the same problem from the other side."""
    plan = make_plan(
        problem.plan.columns,
        problem.plan.rows,
        problem.depth,
        problem.plan.threads,
        problem.memory,
        problem.kernels,
        problem.demand,
    )
    return replace(problem, rows=problem.columns, columns=problem.rows, plan=plan)
