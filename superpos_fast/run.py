"""The engine: walk the plan's tiles on all threads, screen, decide, and hand on what was found.

It knows no statistic.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from .headstart import HeadStart, head_start
from .kernels.records import EXACT, Listed
from .ledger import Ledger
from .native import working_type
from .problem import Problem
from .progress import Advance, reporting
from .projection import choose_coding
from .protocols import Screens
from .reading import Reading
from .reductions import Reduction, Selective, selective_one
from .screens import CodeScreen, Float32Screen, Screen
from .tiles import Tile, around


def reduce_pairs(problem: Problem, *reductions: Reduction, precision: str = "float32") -> None:
    """Show all pairs to the reductions, in one pass.

    With `precision` "float64" every cosine is decided, also those that a reduction would take as
    they come out of the screen.

    Raises
    ------
    Interrupted
        If the caller's `progress` has stopped it.
    """
    asked = selective_one(reductions)
    striped = asked is not None and asked.of_each and problem.plan.codes and problem.plan.stripe > 0
    with problem.book.turn(
        problem.plan, problem.kept_pairs, reductions, precision, striped, problem.kernels
    ) as ledger:
        if ledger.is_done:
            return
        found = ledger.found
        done, total = found.done - found.begin, found.end - found.begin
        with reporting(problem.progress, total, problem.depth, done) as advance:
            if problem.cluster is not None:
                problem.cluster.reduce(problem, reductions, precision, striped, ledger, advance)
                return
            walk = _Walk(problem, reductions, ledger, striped, advance)
            screens = problem.kernels.screens
            if screens is None or precision == "float64":
                walk.through([])
            else:
                walk.through(walk.stages(screens, asked))


class _Thread:
    """What one thread owns: the kernels' workspace and a fold for each reduction."""

    def __init__(self, walk: _Walk) -> None:
        self.workspace = walk.kernels.workspace(walk.plan.tile_rows * walk.plan.tile_columns)
        self.folds = [reduction.fold(walk.kernels, walk.plan) for reduction in walk.reductions]


class _Walk:
    """One walk over all tiles; what its threads share."""

    def __init__(
        self,
        problem: Problem,
        reductions: Sequence[Reduction],
        ledger: Ledger,
        striped: bool,
        advance: Advance,
    ) -> None:
        self.problem, self.plan, self.kernels = problem, problem.plan, problem.kernels
        self.rows, self.columns = problem.rows, problem.columns
        self.reductions = reductions
        self._all = list(range(len(reductions)))
        self._ledger, self._striped, self._advance = ledger, striped, advance
        self._head: HeadStart | None = None
        self._lock = threading.Lock()

    def stages(self, screens: Screens, asked: Selective | None) -> list[Screen]:
        """Return the screens to go through, codes the first if all is about one thing `asked`."""
        found, folds = self._ledger.found, _Thread(self).folds
        whole = (found.begin, found.end) == (0, self.plan.pairs) and not self.problem.book.is_kept
        # What may be stopped on the way is about the pairs of its tiles alone.
        ahead = whole and not callable(self.problem.progress)
        self._rehearse(screens, folds, coded=False)
        self._head = head_start(self.problem, screens, asked) if ahead else None
        if self._head is not None:
            self._striped = False
            # Lists that are made anew are few rows', which are packed one by one, not in digits.
            self._rehearse(screens, folds, coded=False, depth=1)
        choice = None
        if asked is not None:
            choice = choose_coding(self.problem, screens, asked, self._striped)
        last = Float32Screen(
            self.problem, screens, self.reductions, self.decide_listed,
            # Lists that begin with stripes know no gates, which codes must have.
            eager=choice is None or (self._striped and asked is not None and asked.of_each),
        )  # fmt: skip
        if asked is None or choice is None:
            if whole:
                # Stripes are for codes: of large tiles alone fewer pairs are left to be decided.
                self._striped = False
            return [last]
        self._rehearse(screens, folds, coded=True)
        if asked.repeatable and ahead:
            self.decide_listed(asked, Listed(*choice.close))
        return [CodeScreen(self.problem, screens, asked, self.decide_listed, choice.coding), last]

    def _rehearse(
        self, screens: Screens, folds: list[Any], *, coded: bool, depth: int | None = None
    ) -> None:
        depth = self.problem.depth if depth is None else depth
        dtypes = tuple(working_type(side.dtype) for side in (self.rows, self.columns))
        with self.problem.starting():
            screens.rehearse(folds, dtypes, depth, coded)

    def through(self, stages: Sequence[Screen]) -> None:
        """Go through the tiles that are not done yet, group by group, and each through the stages.

        What they give up is decided whole.
        """

        def visit(own: _Thread, tile: Tile) -> None:
            self._look(stages, own, tile)
            with self._lock:
                self._ledger.finish(tile)
                if not self._advance(tile.pairs(self.plan.triangle)):
                    self._ledger.stop()

        found = self._ledger.found
        reading = Reading(self.problem.sides, self.plan, found.done, found.end)
        self.problem.tally(bytes_read=reading.size)
        # Gone through twice, not kept: of a million vectors there may be millions of tiles.
        before = self.plan.stretch(found.done, found.end, self._striped)
        for (group, tiles), (_, same) in zip(reading.stretch(self._striped), before, strict=True):
            part = around(same)
            for stage in stages:
                stage.over(group, part)
            for some in self._ledger.stretches(tiles):
                self.problem.crew.each_with(lambda: _Thread(self), visit, some)
            if self._ledger.is_stopped:
                return
        if self._head is not None:
            self._head.make_good()

    def _look(self, stages: Sequence[Screen], own: _Thread, tile: Tile) -> None:
        which = self._all
        for stage in stages:
            which = stage(own, tile, which)
            if not which:
                return
        self.decide_open(own, tile, which)

    def decide_listed(self, reduction: Reduction, listed: Listed) -> None:
        """Decide listed pairs: all at once where rows are read as they lie, without copies."""
        i, j = listed.rows, listed.columns
        self.problem.tally(survivors=len(i) if listed.cosines is None else listed.decided)
        if listed.cosines is not None:
            reduction.decided(i, j, listed.cosines, self.kernels)
            return
        for some, cosines in self.problem.listed_cosines(i, j):
            reduction.decided(i[some], j[some], cosines, self.kernels)

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
