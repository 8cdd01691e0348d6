"""Screens: how a tile of pairs is gone through in fast arithmetic, a class for each.

A screen settles what reductions ask about a tile, hands over the pairs that it cannot settle, and
gives a tile up if they are too many; the next screen, slower and closer, then has it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, Protocol

import numpy as np

from .kernels.records import Error, Listed
from .plan import Tile
from .problem import Problem
from .projection import Coding
from .protocols import Screens, Side
from .reductions import Reduction, Selective
from .screening import code_slack, digit_bound, float32_bound

# So many rows have one bound for all tiles: NumPy's maximum of more than a few hundred numbers lets
# other threads go on, and then waits its turn for up to 5 ms.
_RANGE = 128

Lines = tuple[int, int]
Each = Callable[[Callable[[Any], None], Iterable[Any]], None]
Decide = Callable[[Reduction, Listed], None]


class Screen(Protocol):
    """What the engine asks of a screen."""

    def over(self, group: Tile, part: Tile) -> None:
        """Prepare for the tiles of a pair of groups that lie within a part of it."""

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

    @property
    def two_sided(self) -> bool: ...

    def room(self, rows: int) -> Any:
        """Return memory for so many packed rows, a multiple of the unit."""

    def empty(self, room: Any, squares: Any, first: int, columns: bool) -> Any:
        """Return packed rows from `first` on that are yet to be filled."""

    def fill(self, packed: list[Any], rows: Side, start: int) -> None:
        """Pack some of the rows, from row `start` on, for one side or for both."""


class _Packer:
    """Keeps a packed group of each side, and packs what a tile needs and it does not hold yet."""

    def __init__(self, problem: Problem, form: _Form) -> None:
        # Not the problem: that holds what is kept of it.
        self._plan, self._vectors = problem.plan, (problem.rows, problem.columns)
        self._form = form
        self._packed: list[Any] = [None, None]
        self._rooms: list[Any] = [None, None]
        self._pending: list[list[Lines]] = [[], []]

    def over(self, group: Tile) -> tuple[Any, Any]:
        """Return the sides of a pair of groups; what they do not hold is pending."""
        plan = self._plan
        same = plan.triangle and group.row == group.column
        self._sides = [0] if same and not self._form.two_sided else [0, 1]
        lines = (group.row, group.row_end), (group.column, group.column_end)
        for side in self._sides:
            first, end = lines[side]
            if self._packed[side] is None or self._packed[side].first != first:
                squares = self._vectors[side].squares[first:end]
                self._packed[side] = self._form.empty(self._room(side), squares, first, side == 1)
                starts = range(first, end, plan.read_rows)
                self._pending[side] = [
                    (start, min(start + plan.read_rows, end)) for start in starts
                ]
        return self._packed[0], self._packed[self._sides[-1]]

    def fill(self, tile: Tile, each: Each) -> None:
        """Pack what is pending of a tile's lines; rows that both sides lack are read once."""
        lines = [(tile.row, tile.row_end), (tile.column, tile.column_end)]
        work: dict[tuple[int, Lines], list[int]] = {}
        for side in self._sides:
            wanted = [lines[side]] if len(self._sides) == 2 else lines
            for block in self._pending[side]:
                if any(start < block[1] and block[0] < end for start, end in wanted):
                    source = 0 if self._plan.triangle else side
                    work.setdefault((source, block), []).append(side)
        if not work:
            return
        each(lambda place: self._fill(place[0], place[1], work[place]), work)
        for (_, block), sides in work.items():
            for side in sides:
                self._pending[side].remove(block)

    def _fill(self, source: int, block: Lines, sides: list[int]) -> None:
        rows = self._vectors[source].side(*block)
        self._form.fill([self._packed[side] for side in sides], rows, block[0])

    def _room(self, side: int) -> Any:
        if self._rooms[side] is None:
            # Groups are whole units.
            groups = self._plan.group_rows, self._plan.group_columns
            self._rooms[side] = self._form.room(groups[side])
        return self._rooms[side]


def _one_by_one(work: Callable[[Any], None], items: Iterable[Any]) -> None:
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
    """Dot products in float32, or of rows in digits, within a bound of the cosines.

    Rows are packed by all threads if this is the first screen (`eager`), and otherwise by the
    first thread that needs them, those of its tile.
    """

    def __init__(
        self,
        problem: Problem,
        screens: Screens,
        reductions: Sequence[Reduction],
        decide: Decide,
        eager: bool,
    ) -> None:
        self._depth = problem.depth
        self._chain = screens.chain(problem.depth, problem.screen != "auto")
        bound = float32_bound(problem.depth, self._chain)
        self._error = Error(bound, bound)
        self._problem, self._screens = problem, screens
        self._reductions, self._decide = reductions, decide
        self._packer = _Packer(problem, _Units(screens, problem.depth, eager))
        if problem.kept is not None:
            self._packer = problem.kept.setdefault(Float32Screen, self._packer)
        self._eager = eager
        self._lock = threading.Lock()

    def over(self, group: Tile, part: Tile) -> None:
        self._sides = self._packer.over(group)
        if self._eager:
            self._packer.fill(part, self._problem.crew.each)
            self._bound()

    def _bound(self) -> None:
        """Set how far off products are of rows that are packed."""
        left, right = self._sides
        roundings = sqrt(left.roundings * right.roundings)
        if left.lost is None:
            bound = float32_bound(self._depth, self._chain, roundings)
        else:
            bound = digit_bound(self._depth, roundings, left.lost, right.lost)
        self._error = Error(bound, bound)

    def __call__(self, own: Any, tile: Tile, which: list[int]) -> list[int]:
        if not self._eager:
            with self._lock:
                self._packer.fill(tile, _one_by_one)
                if self._sides[0].lost is not None:
                    self._bound()
                error = self._error
        else:
            error = self._error
        wanted = [n for n in which if self._reductions[n].aim(own.folds[n], tile, error)]
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
            listed = fold.take()
            reduction.absorb(fold, tile)
            self._decide(reduction, listed.moved(tile.row, tile.column))
        return given_up


@dataclass(frozen=True)
class _Units:
    """Rows as float32 unit vectors; `counted` is whether the roundings of products are."""

    screens: Screens
    depth: int
    counted: bool
    two_sided = False

    def room(self, rows: int) -> Any:
        return self.screens.room(rows, self.depth)

    def empty(self, room: Any, squares: Any, first: int, columns: bool) -> Any:
        return self.screens.units(room, squares, first, self.depth)

    def fill(self, packed: list[Any], rows: Side, start: int) -> None:
        for side in packed:
            side.fill(*rows, start - side.first)
            if self.counted:
                side.count_roundings(start - side.first, len(rows[0]))


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

    def over(self, group: Tile, part: Tile) -> None:
        del part  # bounds are those of all rows
        self._sides = self._packer.over(group)
        self._packer.fill(group, self._problem.crew.each)
        left, right = self._sides
        of_left = left.facts
        of_right = of_left if right is left else right.facts
        longest = float(of_left[2].max())
        length = 1.0 + 2.0**-20 + self._coding.offness
        slacks = (
            code_slack(of_left, length, self._coding.deviations) + self._coding.constant,
            code_slack(of_right, longest, self._coding.deviations),
        )
        self._most: list[tuple[Any, Any]] = []
        for columns, (side, slack) in enumerate(zip(self._sides, slacks, strict=True)):
            side.bounded(slack, bool(columns))
            self._most.append((_maxima(slack), _maxima(side.residuals)))

    def _error(self, tile: Tile) -> Error:
        """Return how far the cosines of a tile may lie below their bounds."""
        left, right = self._sides
        row, row_end, column, column_end = tile.relative_to(left.first, right.first)
        slack, residual = (
            [float(some.max()) for some in (rows[_among(row, row_end)],
                                            columns[_among(column, column_end)])]
            for rows, columns in zip(*self._most, strict=True)
        )  # fmt: skip
        return Error(2.0 * (sum(slack) + residual[0] * residual[1]) + 2.0**-20, 0.0)

    def __call__(self, own: Any, tile: Tile, which: list[int]) -> list[int]:
        (n,) = which
        fold = own.folds[n]
        unseen = not self._coding.coder.finds_gates and self._reduction.blind(tile)
        if unseen or self._skips():
            return which
        if not self._reduction.aim(fold, tile, self._error(tile)):
            return []
        triangle = self._problem.plan.triangle
        _screen(self._screens, own, self._sides, tile, triangle, [fold])
        if self._failed(fold.open):
            return which
        self._problem.tally(coded_pairs=tile.pairs(triangle))
        listed = fold.take()
        self._reduction.absorb(fold, tile)
        self._decide(self._reduction, listed.moved(tile.row, tile.column))
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


def _maxima(values: Any) -> Any:
    """Return the maxima of consecutive values, `_RANGE` and `_RANGE`."""
    return np.maximum.reduceat(values, np.arange(0, len(values), _RANGE))


def _among(first: int, end: int) -> slice:
    """Return which of these maxima are about some values."""
    return slice(first // _RANGE, -(-end // _RANGE))


@dataclass(frozen=True)
class _Codes:
    """Rows as codes, of their projections if the coding has directions."""

    screens: Screens
    coding: Coding

    @property
    def two_sided(self) -> bool:
        return self.coding.coder.two_sided

    def room(self, rows: int) -> Any:
        return self.coding.coder.room(rows, self.coding.dimensions)

    def empty(self, room: Any, squares: Any, first: int, columns: bool) -> Any:
        return self.coding.coder.codes(
            room,
            squares,
            first,
            self.coding.dimensions,
            columns,
            self.coding.stream(columns),
        )

    def fill(self, packed: list[Any], rows: Side, start: int) -> None:
        place = start - packed[0].first
        if self.coding.directions is None:
            for side in packed:
                side.fill(*rows, place)
            return
        entries, residuals = self.coding.project(self.screens, rows)
        kept = (rows[2] != 0.0).astype(np.float64)
        for side in packed:
            side.fill(entries, np.zeros(len(entries), np.int32), kept, place)
            side.residuals[place : place + len(entries)] = residuals * kept
