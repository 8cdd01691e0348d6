"""A head start: what lists of each vector's best may begin with, before it has met anyone.

While lists fill, nearly everyone whom a vector meets is among its best so far, to be noted, decided
and forgotten again.  So a few vectors meet a part of the others before all, and what each of them
reaches some k times is taken for a floor: pairs below it are in no list.  A list whose last pair is
not below the floor lacks nothing in the end.  The few that fall short are made anew, without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, sqrt
from typing import Any

import numpy as np

from .kernels.records import Error
from .problem import Problem
from .protocols import Screens
from .ranking import Ranking
from .reductions import Selective
from .screening import float32_bound
from .vectors import Vectors

# So many vectors are first.  If a share s of all has less than each of them, with a probability of
# (1 - s)^48, lists of that share are made twice: 2 % of them to be expected.  One vector in so many
# is first at most: of fewer, lists are short work.
_FIRST, _SCARCE = 48, 32
# They meet a quarter of the others, at least and at most so many, of which each stretch lies
# together.
_SHARE, _FEWEST, _MOST, _STRETCH = 4, 2**11, 2**15, 2**9
# So few stretches are gone through by one thread: two took longer, as they waited for each other's
# Python.
_ALONE = 8
# A floor is taken that leaves open up to so many times what gates after stripes do.  With 0 here
# there are none: in `bench.screens --adverse 8192 384` inputs below this gained by theirs, those
# beyond 1.6 lost.
_WORTH = 1.4
# Lists that are made anew at a time.
_ANEW = 480


def head_start(problem: Problem, screens: Screens, asked: Selective | None) -> HeadStart | None:
    """Give lists of each vector's best a floor, if they are asked for and it is worth while."""
    # A fold that finds gates by itself needs none, as stripes tell.
    if not isinstance(asked, Ranking) or not problem.plan.stripe or problem.plan.first:
        return None
    head = HeadStart(problem, screens, asked)
    floors = [head.floor(*seekers) for seekers in asked.seekers]
    if not floors or None in floors:
        return None
    asked.expect([floor for floor in floors if floor is not None])
    return head


class HeadStart:
    """What the first vectors tell about all, and the lists that it was wrong about."""

    def __init__(self, problem: Problem, screens: Screens, ranking: Ranking) -> None:
        self._problem, self._screens, self._ranking = problem, screens, ranking
        bound = float32_bound(problem.depth, screens.chain(problem.depth))
        self._error = Error(bound, bound)
        self._triangle = problem.plan.triangle
        # Rows that take as much as a piece does, of which three sides are read and scaled.
        self._step = max(1, min(3 * problem.plan.piece // 2, problem.plan.survivors))

    def floor(self, vectors: Vectors, others: Vectors) -> tuple[float, float] | None:
        """Return what each of the first vectors reaches some k times, and the share of such pairs.

        None if there are more of them than gates after stripes would leave.
        """
        k, plan = self._ranking.k, self._problem.plan
        most = min(max(_FEWEST, min(_MOST, others.kept // _SHARE)), others.kept)
        wanted = ceil((k + sqrt(k)) * most / max(1, others.kept))
        # A piece's memory has room for the strengths, and what of them is counted.
        room = 24 * plan.piece * (plan.piece + self._problem.depth)
        scarce = vectors.kept < _SCARCE * _FIRST or room < 5 * _FIRST * most
        if scarce or _SHARE * wanted > most:
            return None
        first = self._first(vectors, most)
        if len(first) < _FIRST // 2:
            return None
        strengths = self._strengths(vectors, first, others, self._stretches(len(others), most))
        place = strengths.shape[1] - wanted
        strengths.partition(place, axis=1)
        floor = float(strengths[:, place].min()) - self._error.above
        share = float(np.count_nonzero(strengths >= floor)) / strengths.size
        # Of partners met in stripes k would reach the gate that is left.
        met = max(plan.stripe, plan.striped_partners)
        return (floor, share) if np.isfinite(floor) and share * met < _WORTH * k else None

    def _first(self, vectors: Vectors, most: int) -> Any:
        """Draw some of the vectors; of those that come in blocks, of few blocks."""
        drawn = np.random.default_rng(self._problem.seed).integers(0, len(vectors), 8 * _FIRST)
        if vectors.source.block:
            some = [np.arange(*stretch) for stretch in self._stretches(len(vectors), most)]
            there = np.concatenate(some)
            drawn = there[drawn % len(there)]
        return np.unique(drawn[vectors.squares[drawn] > 0.0][:_FIRST])

    def _stretches(self, count: int, most: int) -> list[tuple[int, int]]:
        """Return where stretches of rows begin and end, here and there, so many rows in all."""
        step = min(_STRETCH, self._step)
        number = max(1, min(count, most) // step)
        if (number + 1) * step > count:
            return [(start, min(start + step, count)) for start in range(0, count, step)]
        starts = [count * place // number for place in range(number)]
        return [(start, start + step) for start in starts]

    def _strengths(
        self, vectors: Vectors, first: Any, others: Vectors, stretches: list[tuple[int, int]]
    ) -> Any:
        """Return the strengths of pairs of the first with some others, -inf where there is none."""
        left = self._screens.packed(*vectors.copies(first))
        found = np.empty((len(first), sum(end - start for start, end in stretches)), np.float32)
        places = np.cumsum([0, *(end - start for start, end in stretches)])

        def meet(number: int) -> None:
            start, end = stretches[number]
            met = found[:, places[number] : places[number + 1]]
            met[:] = self._screens.products(left, self._screens.packed(*others.side(start, end)))
            if self._ranking.magnitude:
                np.abs(met, out=met)
            if others.kept < len(others):
                met[:, others.squares[start:end] == 0.0] = -np.inf
            if self._triangle:
                own = np.flatnonzero((first >= start) & (first < end))
                met[own, first[own] - start] = -np.inf

        if len(stretches) <= _ALONE:
            for number in range(len(stretches)):
                meet(number)
        else:
            self._problem.crew.each(meet, range(len(stretches)))
        return found

    def make_good(self) -> None:
        """Make those lists anew that do not reach their floor."""
        room = self._problem.plan.survivors
        step = max(1, min(_ANEW, self._problem.plan.read_rows, room // (4 * self._ranking.k)))
        for side in range(len(self._ranking.seekers)):
            for short in self._ranking.begin_anew(side, step):
                for start in range(0, len(short), step):
                    self._meet_all(side, short[start : start + step])

    def _meet_all(self, side: int, some: Any) -> None:
        """Make the lists of some vectors of a side."""
        problem, screens, ranking = self._problem, self._screens, self._ranking
        vectors, others = ranking.seekers[side]
        left = screens.packed(*vectors.copies(some))
        # A vector itself may be among those that it meets.
        k = ranking.k + self._triangle

        def equipped() -> tuple[Any, Any]:
            fold = problem.kernels.BestFold(
                len(some), self._step, 1, problem.plan.survivors,
                per="rows", k=k, magnitude=ranking.magnitude,
            )  # fmt: skip
            return problem.kernels.workspace(len(some) * self._step), fold

        def meet(own: tuple[Any, Any], start: int) -> None:
            workspace, fold = own
            end = min(start + self._step, len(others))
            right = screens.packed(*others.side(start, end))
            fold.aim(self._error, ranking.worst(side, some), np.full(end - start, np.inf))
            screens.screen(workspace, left, right, (0, len(some), 0, end - start), None, [fold])
            for rows, columns in self._listed(fold, len(some), others.squares[start:end]):
                offer(some[rows], columns + start)

        def offer(one: Any, other: Any) -> None:
            if self._triangle:
                pairs = one != other
                one, other = one[pairs], other[pairs]
            problem.tally(survivors=len(one))
            for part, cosines in problem.listed_cosines(*((other, one) if side else (one, other))):
                ranking.offer(side, one[part], other[part], cosines, problem.kernels)

        problem.crew.each_with(equipped, meet, range(0, len(others), self._step))

    def _listed(self, fold: Any, rows: int, squares: Any) -> Iterator[tuple[Any, Any]]:
        """Yield what a fold has listed, or all pairs, some at a time, where these were too many."""
        if not fold.open:
            yield fold.take()[:2]
            return
        there = np.flatnonzero(squares)
        step = max(1, self._problem.plan.survivors // self._step)
        for row in range(0, rows, step):
            some = np.arange(row, min(row + step, rows))
            yield np.repeat(some, len(there)), np.tile(there, len(some))
