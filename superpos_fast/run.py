"""The engine: walk the plan's tiles on all threads, screen, decide, and hand on what was found.

It knows no statistic.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from .backends import ScreeningKernels
from .plan import Tile
from .problem import Problem
from .progress import reporting
from .reductions import Reduction
from .screening import float32_bound
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
        self.bound = 0.0
        self._report = advance
        self._lock = threading.Lock()

    def decided(self) -> None:
        """Walk all tiles straight to the decision."""
        self._each_tile(
            self.plan.whole,
            lambda own, tile: self.decide_open(own, tile, list(range(len(self.reductions)))),
        )

    def screened(self) -> None:
        """Walk all tiles through the float32 screen, group by group."""
        kernels = cast("ScreeningKernels", self.kernels)
        self.bound = float32_bound(self.problem.depth, kernels.chain(self.problem.depth))
        with self.problem.starting():
            dtypes = tuple(working_type(s.array.dtype) for s in (self.rows, self.columns))
            kernels.rehearse(_Thread(self).folds, dtypes)
        packer = _Packer(self, kernels)
        for group in self.plan.passes():
            self._each_tile(group, _Screen(self, kernels, *packer.pack(group)))

    def _each_tile(self, group: Tile, work: Callable[[_Thread, Tile], None]) -> None:
        def visit(own: _Thread, tile: Tile) -> None:
            work(own, tile)
            with self._lock:
                self._report(tile.pairs(self.plan.triangle))

        self.problem.crew.each_with(lambda: _Thread(self), visit, self.plan.tiles(group))

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


class _Screen:
    """Screens the tiles of one pair of packed groups, and hands on what it cannot decide."""

    def __init__(self, walk: _Walk, kernels: ScreeningKernels, left: Any, right: Any) -> None:
        self._walk, self._kernels, self._left, self._right = walk, kernels, left, right

    def __call__(self, own: _Thread, tile: Tile) -> None:
        walk, left, right = self._walk, self._left, self._right
        aimed = [
            r.aim(f, tile, walk.bound) for r, f in zip(walk.reductions, own.folds, strict=True)
        ]
        if not any(aimed):
            return
        self._kernels.screen(
            own.workspace,
            left,
            right,
            tile.relative_to(left.first, right.first),
            right.first - left.first if walk.plan.triangle else None,
            [fold for fold, wanted in zip(own.folds, aimed, strict=True) if wanted],
        )
        still_open = []
        for n, wanted in enumerate(aimed):
            if wanted and own.folds[n].open:
                still_open.append(n)
            elif wanted:
                self._take(walk.reductions[n], own.folds[n], tile)
        if still_open:
            walk.decide_open(own, tile, still_open)

    def _take(self, reduction: Reduction, fold: Any, tile: Tile) -> None:
        i, j = fold.take()
        reduction.absorb(fold, tile)
        if len(i):
            self._walk.decide_listed(reduction, i + tile.row, j + tile.column)


class _Packer:
    """Keeps a packed group of each side, and packs only what changes from pass to pass."""

    def __init__(self, walk: _Walk, kernels: ScreeningKernels) -> None:
        self._walk, self._kernels = walk, kernels
        self._left: Any = None
        self._right: Any = None
        plan = walk.plan
        self._left_room = self._room(min(plan.group_rows, plan.rows))
        alone = plan.triangle and plan.group_rows >= plan.rows
        self._right_room = None if alone else self._room(min(plan.group_columns, plan.columns))

    def _room(self, rows: int) -> Any:
        kernels = self._kernels
        padded = -(-rows // kernels.UNIT) * kernels.UNIT
        return kernels.aligned(
            padded * kernels.packed_depth(self._walk.problem.depth)[0], np.float32
        )

    def pack(self, group: Tile) -> tuple[Any, Any]:
        """Return the packed sides of a pair of groups."""
        walk = self._walk
        if self._left is None or self._left.first != group.row:
            self._left = self._packed(self._left_room, walk.rows, group.row, group.row_end)
        if walk.plan.triangle and group.row == group.column:
            return self._left, self._left
        if self._right is None or self._right.first != group.column:
            self._right = self._packed(
                self._right_room, walk.columns, group.column, group.column_end
            )
        return self._left, self._right

    def _packed(self, room: Any, vectors: Vectors, first: int, end: int) -> Any:
        problem, plan = self._walk.problem, self._walk.plan
        packed = self._kernels.Packed(room, vectors.squares[first:end], first, problem.depth)

        def fill(start: int) -> None:
            stop = min(start + plan.read_rows, end)
            packed.fill(vectors.read(start, stop), vectors.exponents[start:stop], start - first)

        problem.crew.each(fill, range(first, end, plan.read_rows))
        return packed
