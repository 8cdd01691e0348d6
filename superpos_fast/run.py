"""The engine: walk the plan's tiles on all threads, screen, decide, combine.

It knows no statistic.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

import numpy as np

from .backends import ScreeningKernels
from .execution import Execution
from .plan import Tile
from .problem import Problem, posed
from .progress import reporting
from .reductions import Reduction
from .results import Run
from .screening import extremum_gate, extremum_slack, float32_bound
from .vectors import Vectors

P = TypeVar("P")


def reduce_pairs(
    vectors: Any, other: Any, reduction: Reduction[P], zero: str, execution: Execution
) -> tuple[P, Run]:
    """Reduce the cosines of all pairs; return the partial and facts about the run."""
    with posed(vectors, other, zero, execution) as problem:
        with reporting(problem.progress, problem.plan.pairs) as advance:
            walk = _Walk(problem, reduction, advance)
            walk.all_pairs()
        return walk.partial, problem.facts(walk.survivors, walk.open_pairs)


class _Walk(Generic[P]):
    """One walk over all tiles; what its threads share."""

    def __init__(
        self, problem: Problem, reduction: Reduction[P], advance: Callable[[int], object]
    ) -> None:
        self.rows, self.columns = problem.rows, problem.columns
        self.plan, self.kernels, self.crew = problem.plan, problem.kernels, problem.crew
        self.depth, self.reduction = problem.depth, reduction
        self.partial = reduction.identity
        self.survivors = self.open_pairs = 0
        self._report = advance
        self._lock = threading.Lock()

    def all_pairs(self) -> None:
        """Walk all tiles: screened group by group, or straight to the decision."""
        if not self.kernels.SCREENS:
            self._each_tile(self.plan.whole, self.decide_open)
            return
        kernels = cast("ScreeningKernels", self.kernels)
        packer = _Packer(self, kernels)
        for group in self.plan.passes():
            if self._closed(group):
                self._advance(group)
            else:
                self._each_tile(group, _Screen(self, kernels, *packer.pack(group)))

    def _each_tile(self, group: Tile, work: Callable[[Any, Tile], None]) -> None:
        def visit(workspace: Any, tile: Tile) -> None:
            if not self._closed(tile):
                work(workspace, tile)
            self._advance(tile)

        self.crew.each_with(
            lambda: self.kernels.Workspace(self.plan.survivors), visit, self.plan.tiles(group)
        )

    def _advance(self, tile: Tile) -> None:
        with self._lock:
            self._report(tile.pairs(self.plan.triangle))

    def _add(self, partial: P, survivors: int = 0, open_pairs: int = 0) -> None:
        with self._lock:
            self.partial = self.reduction.combine(self.partial, partial)
            self.survivors += survivors
            self.open_pairs += open_pairs

    def _closed(self, tile: Tile) -> bool:
        column = max(tile.column, tile.row + 1) if self.plan.triangle else tile.column
        return self.reduction.closed(self.partial, tile.row, column)

    def decide_listed(self, rows: Any, columns: Any) -> None:
        """Decide listed pairs, in the order of (row, column)."""
        order = np.lexsort((columns, rows))
        for start in range(0, len(order), self.plan.listed):
            some = order[start : start + self.plan.listed]
            i, j = rows[some], columns[some]
            cosines = self.kernels.listed_cosines(
                self.kernels.scale(self.rows.take(i), self.rows.exponents[i]),
                self.kernels.scale(self.columns.take(j), self.columns.exponents[j]),
                self.rows.squares[i],
                self.columns.squares[j],
            )
            self._add(self.reduction.fold(i, j, cosines), survivors=len(i))

    def decide_open(self, workspace: Any, tile: Tile) -> None:
        """Decide all pairs of a tile, in pieces; the rows of a strip of pieces are scaled once."""
        side = self.plan.piece
        for row in range(tile.row, tile.row_end, side):
            left: Any = None
            strip = Tile(row, min(row + side, tile.row_end), tile.column, tile.column_end)
            for piece in strip.split(side, side, self.plan.triangle):
                if self._closed(piece):
                    continue
                if left is None:
                    left = self._scaled(self.rows, piece.row, piece.row_end)
                self._decide_piece(workspace, piece, left)

    def _decide_piece(self, workspace: Any, piece: Tile, left: Any) -> None:
        cosines = self.kernels.tile_cosines(
            workspace,
            left,
            self._scaled(self.columns, piece.column, piece.column_end),
            self.rows.squares[piece.row : piece.row_end],
            self.columns.squares[piece.column : piece.column_end],
            piece.column - piece.row if self.plan.triangle else None,
        )
        i = np.arange(piece.row, piece.row_end)[:, None]
        j = np.arange(piece.column, piece.column_end)
        partial = self.reduction.fold(i, j, cosines)
        self._add(partial, open_pairs=piece.pairs(self.plan.triangle))

    def _scaled(self, vectors: Vectors, start: int, stop: int) -> Any:
        block, exponents = vectors.read(start, stop), vectors.exponents[start:stop]
        return self.kernels.scale(block, exponents, self.kernels.DECIDE_UNIT)


class _Screen(Generic[P]):
    """Screens the tiles of one pair of packed groups, and hands on what it cannot decide."""

    def __init__(self, walk: _Walk[P], kernels: ScreeningKernels, left: Any, right: Any) -> None:
        self._walk, self._kernels, self._left, self._right = walk, kernels, left, right
        self._bound = float32_bound(walk.depth, kernels.chain(walk.depth))

    def __call__(self, workspace: Any, tile: Tile) -> None:
        walk, left, right = self._walk, self._left, self._right
        found = self._kernels.screen(
            workspace,
            left,
            right,
            tile.relative_to(left.first, right.first),
            right.first - left.first if walk.plan.triangle else None,
            walk.reduction.signed,
            extremum_gate(walk.reduction.threshold(walk.partial), self._bound),
            extremum_slack(self._bound),
        )
        if found is None:
            walk.decide_open(workspace, tile)
        else:
            rows, columns = found
            walk.decide_listed(rows + left.first, columns + right.first)


class _Packer:
    """Keeps a packed group of each side, and packs only what changes from pass to pass."""

    def __init__(self, walk: _Walk[Any], kernels: ScreeningKernels) -> None:
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
        return kernels.aligned(padded * kernels.packed_depth(self._walk.depth)[0], np.float32)

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
        walk = self._walk
        packed = self._kernels.Packed(room, vectors.squares[first:end], first, walk.depth)

        def fill(start: int) -> None:
            stop = min(start + walk.plan.read_rows, end)
            packed.fill(vectors.read(start, stop), vectors.exponents[start:stop], start - first)

        walk.crew.each(fill, range(first, end, walk.plan.read_rows))
        return packed
