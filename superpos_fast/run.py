"""The engine: walk the plan's tiles on all threads, screen, decide, and hand on what was found.

It knows no statistic.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

from .backends import ScreeningKernels
from .plan import Tile
from .problem import Problem
from .progress import reporting
from .projection import choose_coding
from .reductions import Reduction, selective_one
from .screens import CodeScreen, Float32Screen, Screen
from .vectors import Vectors, working_type


def reduce_pairs(problem: Problem, *reductions: Reduction, precision: str = "float32") -> None:
    """Show all pairs to the reductions, in one pass.

    With `precision` "float64" every cosine is decided, also those that a reduction would take as
    they come out of the screen.
    """
    with reporting(problem.progress, problem.plan.pairs) as advance:
        walk = _Walk(problem, reductions, advance)
        if problem.kernels.SCREENS and precision == "float32":
            walk.screened()
        else:
            walk.decided()


class _Thread:
    """What one thread owns: the kernels' workspace and a fold for each reduction."""

    def __init__(self, walk: _Walk) -> None:
        self.workspace = walk.kernels.Workspace()
        self.folds = [
            reduction.fold(walk.kernels, walk.plan, walk.bound) for reduction in walk.reductions
        ]


class _Walk:
    """One walk over all tiles; what its threads share."""

    def __init__(
        self, problem: Problem, reductions: Sequence[Reduction], advance: Callable[[int], object]
    ) -> None:
        self.problem, self.plan, self.kernels = problem, problem.plan, problem.kernels
        self.rows, self.columns = problem.rows, problem.columns
        self.reductions = reductions
        self._all = list(range(len(reductions)))
        self.bound = 0.0
        self.banded = False
        self._report = advance
        self._lock = threading.Lock()

    def decided(self) -> None:
        """Walk all tiles straight to the decision."""
        self._each_tile(
            self.plan.whole,
            lambda own, tile: self.decide_open(own, tile, self._all),
        )

    def screened(self) -> None:
        """Walk all tiles through the screens, group by group."""
        kernels = cast("ScreeningKernels", self.kernels)
        asked = selective_one(self.reductions)
        coding = None if asked is None else choose_coding(self.problem, asked)
        last = Float32Screen(self.problem, self.reductions, self.decide_listed, coding is None)
        self.bound = last.bound
        with self.problem.starting():
            dtypes = tuple(working_type(s.array.dtype) for s in (self.rows, self.columns))
            kernels.rehearse(_Thread(self).folds, dtypes, coding is not None)
        screens: list[Screen] = [last]
        if asked is not None and coding is not None:
            screens.insert(0, CodeScreen(self.problem, asked, self.decide_listed, coding))
            self.banded = asked.of_each

        def work(own: _Thread, tile: Tile) -> None:
            which = self._all
            for screen in screens:
                which = screen(own, tile, which)
                if not which:
                    return
            self.decide_open(own, tile, which)

        for group in self.plan.passes():
            for screen in screens:
                screen.over(group)
            self._each_tile(group, work)

    def _each_tile(self, group: Tile, work: Callable[[_Thread, Tile], None]) -> None:
        def visit(own: _Thread, tile: Tile) -> None:
            work(own, tile)
            with self._lock:
                self._report(tile.pairs(self.plan.triangle))

        tiles = self.plan.tiles(group, self.banded)
        self.problem.crew.each_with(lambda: _Thread(self), visit, tiles)

    def decide_listed(self, reduction: Reduction, i: Any, j: Any) -> None:
        """Decide listed pairs: all at once where rows are read as they lie, without copies."""
        as_they_lie = self.rows.is_native and self.columns.is_native
        step = len(i) if as_they_lie else self.plan.listed
        for start in range(0, len(i), step):
            some = slice(start, start + step)
            left, rows = self.rows.lines(i[some])
            right, columns = self.columns.lines(j[some])
            cosines = self.kernels.listed_cosines(left, rows, right, columns)
            reduction.decided(i[some], j[some], cosines, self.kernels)
        self.problem.tally(survivors=len(i))

    def decide_open(self, own: _Thread, tile: Tile, which: list[int]) -> None:
        """Decide all pairs of a tile for some reductions, in pieces.

        The rows of a strip of pieces are scaled once.
        """
        side = self.plan.piece
        for row in range(tile.row, tile.row_end, side):
            left: Any = None
            strip = Tile(row, min(row + side, tile.row_end), tile.column, tile.column_end)
            for piece in strip.split(side, side, self.plan.triangle):
                aimed = [n for n in which if self.reductions[n].aim(own.folds[n], piece, None)]
                if not aimed:
                    continue
                if left is None:
                    left = self._scaled(self.rows, piece.row, piece.row_end)
                cosines = self._piece_cosines(own, piece, left)
                for n in aimed:
                    self._sift(self.reductions[n], own.folds[n], piece, cosines)

    def _sift(self, reduction: Reduction, fold: Any, piece: Tile, cosines: Any) -> None:
        row = 0
        while row < len(cosines):
            row = self.kernels.sift(cosines, row, fold)
            i, j = fold.take()
            reduction.decided(i + piece.row, j + piece.column, cosines[i, j], self.kernels)
        reduction.absorb(fold, piece)

    def _piece_cosines(self, own: _Thread, piece: Tile, left: Any) -> Any:
        self.problem.tally(open_pairs=piece.pairs(self.plan.triangle))
        return self.kernels.tile_cosines(
            own.workspace,
            left,
            self._scaled(self.columns, piece.column, piece.column_end),
            self.rows.squares[piece.row : piece.row_end],
            self.columns.squares[piece.column : piece.column_end],
            piece.column - piece.row if self.plan.triangle else None,
        )

    def _scaled(self, vectors: Vectors, start: int, stop: int) -> Any:
        block, exponents = vectors.read(start, stop), vectors.exponents[start:stop]
        return self.kernels.scale(block, exponents, self.kernels.DECIDE_UNIT)
