"""Screens: how a tile of pairs is gone through in fast arithmetic, a class for each.

A screen settles what reductions ask about a tile, hands over the pairs that it cannot settle, and
gives a tile up if they are too many; the next screen, slower and closer, then has it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .kernels.records import Error
from .plan import Tile
from .problem import Problem
from .projection import Coding
from .protocols import Screens
from .reductions import Reduction, Selective
from .screening import code_slack, float32_bound
from .vectors import Vectors

Each = Callable[[Callable[[int], None], Iterable[int]], None]
Decide = Callable[[Reduction, Any, Any], None]


class Screen(Protocol):
    """What the engine asks of a screen."""

    def over(self, group: Tile) -> None:
        """Prepare for the tiles of a pair of groups."""

    def __call__(self, own: Any, tile: Tile, which: list[int]) -> list[int]:
        """Screen a tile for some reductions, by number; return those for which it gives up.

        `own` has a thread's `workspace` and `folds`, one for each reduction.
        """


class _Form(Protocol):
    """How rows are packed for a screen.

    Attributes
    ----------
    two_sided : bool
        Whether a row is packed differently as a row and as a column.
    """

    two_sided: bool

    def room(self, rows: int) -> Any:
        """Return memory for so many packed rows, a multiple of the unit."""

    def empty(self, room: Any, vectors: Vectors, first: int, end: int, columns: bool) -> Any:
        """Return packed rows that are yet to be filled."""

    def fill(self, packed: Any, vectors: Vectors, start: int, stop: int) -> None:
        """Pack some of the rows."""


class _Packer:
    """Keeps a packed group of each side, and packs only what changes from pass to pass."""

    def __init__(self, problem: Problem, form: _Form) -> None:
        self._problem, self._form = problem, form
        self._packed: list[Any] = [None, None]
        self._rooms: list[Any] = [None, None]

    def pack(self, group: Tile, each: Each) -> tuple[Any, Any]:
        """Return the packed sides of a pair of groups."""
        problem = self._problem
        left = self._side(0, problem.rows, group.row, group.row_end, each)
        same = problem.plan.triangle and group.row_range() == group.column_range()
        if same and not self._form.two_sided:
            return left, left
        return left, self._side(1, problem.columns, group.column, group.column_end, each)

    def _side(self, side: int, vectors: Vectors, first: int, end: int, each: Each) -> Any:
        if self._packed[side] is not None and self._packed[side].first == first:
            return self._packed[side]
        plan = self._problem.plan
        if self._rooms[side] is None:
            most = (plan.group_rows, plan.group_columns)[side]
            # Groups are whole units.
            self._rooms[side] = self._form.room(most)
        packed = self._form.empty(self._rooms[side], vectors, first, end, side == 1)
        step = plan.read_rows
        each(
            lambda start: self._form.fill(packed, vectors, start, min(start + step, end)),
            range(first, end, step),
        )
        self._packed[side] = packed
        return packed


def _one_by_one(work: Callable[[int], None], items: Iterable[int]) -> None:
    for item in items:
        work(item)


def _screen(
    screens: Screens, own: Any, sides: tuple[Any, Any], tile: Tile, triangle: bool, folds: Any
) -> None:
    """Run the kernel that the sides' form calls for."""
    left, right = sides
    screens.screen(
        own.workspace,
        left,
        right,
        tile.relative_to(left.first, right.first),
        right.first - left.first if triangle else None,
        folds,
    )


class Float32Screen:
    """Dot products in float32, within a bound of the cosines.

    Rows are packed by all threads if this is the first screen (`eager`), and otherwise by the
    first thread that needs them.
    """

    def __init__(
        self,
        problem: Problem,
        screens: Screens,
        reductions: Sequence[Reduction],
        decide: Decide,
        eager: bool,
    ) -> None:
        bound = float32_bound(problem.depth, screens.chain(problem.depth))
        self._error = Error(bound, bound)
        self._problem, self._screens = problem, screens
        self._reductions, self._decide = reductions, decide
        self._packer = _Packer(problem, _Units(screens, problem.depth))
        self._eager = eager
        self._lock = threading.Lock()

    def over(self, group: Tile) -> None:
        self._group = group
        if self._eager:
            self._sides = self._packer.pack(group, self._problem.crew.each)

    def __call__(self, own: Any, tile: Tile, which: list[int]) -> list[int]:
        if not self._eager:
            with self._lock:
                self._sides = self._packer.pack(self._group, _one_by_one)
        wanted = [n for n in which if self._reductions[n].aim(own.folds[n], tile, self._error)]
        if wanted:
            folds = [own.folds[n] for n in wanted]
            triangle = self._problem.plan.triangle
            _screen(self._screens, own, self._sides, tile, triangle, folds)
        given_up = []
        for n in wanted:
            reduction, fold = self._reductions[n], own.folds[n]
            if fold.open:
                given_up.append(n)
                continue
            i, j = fold.take()
            reduction.absorb(fold, tile)
            if len(i):
                self._decide(reduction, i + tile.row, j + tile.column)
        return given_up


@dataclass(frozen=True)
class _Units:
    """Rows as float32 unit vectors."""

    screens: Screens
    depth: int
    two_sided = False

    def room(self, rows: int) -> Any:
        return self.screens.room(rows, self.depth)

    def empty(self, room: Any, vectors: Vectors, first: int, end: int, columns: bool) -> Any:
        return self.screens.units(room, vectors.squares[first:end], first, self.depth)

    def fill(self, packed: Any, vectors: Vectors, start: int, stop: int) -> None:
        packed.fill(*vectors.side(start, stop), start - packed.first)


class CodeScreen:
    """Dot products of codes, and what cosines cannot exceed by them: lists what may matter.

    For one reduction that asks about the pairs beyond some value.  A tile in which too many pairs
    may be is given up, most of the time early, at a fifth of what float32 takes or less.  After
    each failure in a row one tile more is left to the next screen untried: of 400 tiles 28 are
    tried in vain at most.
    """

    def __init__(
        self,
        problem: Problem,
        screens: Screens,
        reduction: Selective,
        decide: Decide,
        coding: Coding,
    ) -> None:
        self._problem, self._screens = problem, screens
        self._reduction, self._decide = reduction, decide
        self._coding = coding
        self._packer = _Packer(problem, _Codes(screens, coding))
        self._lock = threading.Lock()
        self._failures = self._untried = 0

    def over(self, group: Tile) -> None:
        self._sides = self._packer.pack(group, self._problem.crew.each)
        left, right = self._sides
        longest = float(left.facts[2].max())
        slacks = [
            code_slack(left.facts, 1.0 + 2.0**-20, self._coding.deviations) + self._coding.constant,
            code_slack(right.facts, longest, self._coding.deviations),
        ]
        for side, slack in zip(self._sides, slacks, strict=True):
            side.bounded(slack)
        product = float(left.residuals.max() * right.residuals.max())
        spread = 2.0 * (sum(float(slack.max()) for slack in slacks) + product) + 2.0**-20
        self._error = Error(spread, 0.0)

    def __call__(self, own: Any, tile: Tile, which: list[int]) -> list[int]:
        (n,) = which
        fold = own.folds[n]
        if self._reduction.blind(tile) or self._skips():
            return which
        if not self._reduction.aim(fold, tile, self._error):
            return []
        triangle = self._problem.plan.triangle
        _screen(self._screens, own, self._sides, tile, triangle, [fold])
        if self._failed(fold.open):
            return which
        self._problem.tally(coded_pairs=tile.pairs(triangle))
        i, j = fold.take()
        if len(i):
            self._decide(self._reduction, i + tile.row, j + tile.column)
        return []

    def _skips(self) -> bool:
        with self._lock:
            self._untried -= 1
            return self._untried >= 0

    def _failed(self, failed: bool) -> bool:
        with self._lock:
            self._failures = self._failures + 1 if failed else 0
            self._untried = self._failures - 1 if failed else 0
        return failed


@dataclass(frozen=True)
class _Codes:
    """Rows as codes, of their projections if the coding has directions."""

    screens: Screens
    coding: Coding
    two_sided = True

    def room(self, rows: int) -> Any:
        return self.coding.coder.room(rows, self.coding.dimensions)

    def empty(self, room: Any, vectors: Vectors, first: int, end: int, columns: bool) -> Any:
        return self.coding.coder.codes(
            room,
            vectors.squares[first:end],
            first,
            self.coding.dimensions,
            columns,
            self.coding.stream(columns),
        )

    def fill(self, packed: Any, vectors: Vectors, start: int, stop: int) -> None:
        rows = vectors.side(start, stop)
        place = start - packed.first
        if self.coding.directions is None:
            packed.fill(*rows, place)
            return
        entries, residuals = self.coding.project(self.screens, self.screens.packed(*rows))
        kept = (rows[2] != 0.0).astype(np.float64)
        packed.fill(entries, np.zeros(len(entries), np.int32), kept, place)
        packed.residuals[place : place + len(entries)] = residuals * kept
