"""The engine: walk the plan's tiles on all threads, screen, decide, and hand on what was found.

It knows no statistic.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from .kernels.records import EXACT
from .plan import Tile
from .problem import Problem
from .progress import reporting
from .projection import choose_coding
from .protocols import Screens
from .reductions import Reduction, selective_one
from .screens import CodeScreen, Float32Screen, Screen
from .vectors import working_type


def reduce_pairs(problem: Problem, *reductions: Reduction, precision: str = "float32") -> None:
    """Show all pairs to the reductions, in one pass.

    With `precision` "float64" every cosine is decided, also those that a reduction would take as
    they come out of the screen.
    """
    with reporting(problem.progress, problem.plan.pairs) as advance:
        walk = _Walk(problem, reductions, advance)
        screens = problem.kernels.screens
        if screens is None or precision == "float64":
            walk.decided()
        else:
            walk.screened(screens)


class _Thread:
    """What one thread owns: the kernels' workspace and a fold for each reduction."""

    def __init__(self, walk: _Walk) -> None:
        self.workspace = walk.kernels.workspace(walk.plan.tile_rows * walk.plan.tile_columns)
        self.folds = [reduction.fold(walk.kernels, walk.plan) for reduction in walk.reductions]


class _Walk:
    """One walk over all tiles; what its threads share."""

    def __init__(
        self, problem: Problem, reductions: Sequence[Reduction], advance: Callable[[int], object]
    ) -> None:
        self.problem, self.plan, self.kernels = problem, problem.plan, problem.kernels
        self.rows, self.columns = problem.rows, problem.columns
        self.reductions = reductions
        self._all = list(range(len(reductions)))
        self.banded = False
        self._report = advance
        self._lock = threading.Lock()

    def decided(self) -> None:
        """Walk all tiles straight to the decision."""
        self._each_tile(
            self.plan.whole,
            lambda own, tile: self.decide_open(own, tile, self._all),
        )

    def screened(self, screens: Screens) -> None:
        """Walk all tiles through the screens, group by group."""
        asked = selective_one(self.reductions)
        coding = None if asked is None else choose_coding(self.problem, screens, asked)
        eager = coding is None
        stages: list[Screen] = [
            Float32Screen(self.problem, screens, self.reductions, self.decide_listed, eager)
        ]
        with self.problem.starting():
            dtypes = tuple(working_type(side.dtype) for side in (self.rows, self.columns))
            screens.rehearse(_Thread(self).folds, dtypes, coding is not None)
        if asked is not None and coding is not None:
            coded = CodeScreen(self.problem, screens, asked, self.decide_listed, coding)
            stages.insert(0, coded)
            self.banded = asked.of_each

        def work(own: _Thread, tile: Tile) -> None:
            which = self._all
            for stage in stages:
                which = stage(own, tile, which)
                if not which:
                    return
            self.decide_open(own, tile, which)

        for group in self.problem.passes():
            for stage in stages:
                stage.over(group)
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

        The rows of a strip of pieces are made ready once.
        """
        side = self.plan.piece
        for row in range(tile.row, tile.row_end, side):
            left: Any = None
            strip = Tile(row, min(row + side, tile.row_end), tile.column, tile.column_end)
            for piece in strip.split(side, side, self.plan.triangle):
                aimed = [n for n in which if self.reductions[n].aim(own.folds[n], piece, EXACT)]
                if not aimed:
                    continue
                if left is None:
                    left = self.kernels.piece_side(*self.rows.side(piece.row, piece.row_end))
                self._decide_piece(own, piece, left, aimed)

    def _decide_piece(self, own: _Thread, piece: Tile, left: Any, aimed: list[int]) -> None:
        self.problem.tally(open_pairs=piece.pairs(self.plan.triangle))
        right = self.kernels.piece_side(*self.columns.side(piece.column, piece.column_end))
        shift = piece.column - piece.row if self.plan.triangle else None
        folds = [own.folds[n] for n in aimed]
        decided = self.kernels.decide_piece(own.workspace, left, right, shift, folds)
        for number, i, j, cosines in decided:
            reduction = self.reductions[aimed[number]]
            reduction.decided(i + piece.row, j + piece.column, cosines, self.kernels)
        for n in aimed:
            self.reductions[n].absorb(own.folds[n], piece)
