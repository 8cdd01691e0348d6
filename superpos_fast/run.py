"""The engine: walk the plan's tiles on all threads, screen, decide, combine.

It owns loops, threads, progress and memory, and knows no statistic.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np

from .backends import choose_backend
from .crew import Crew
from .execution import Execution, resources
from .floating import ieee_mode
from .plan import Plan, Tile, make_plan
from .progress import reporting
from .reductions import Reduction
from .results import Run
from .screening import extremum_gate, extremum_slack, float32_bound
from .vectors import Vectors, as_matrix, check_pair, survey, working_type

P = TypeVar("P")


def reduce_pairs(
    vectors: Any, other: Any, reduction: Reduction[P], zero: str, execution: Execution
) -> tuple[P, Run]:
    """Reduce the cosines of all pairs; return the partial and facts about the run."""
    begin = time.perf_counter()
    allowed = resources(execution)
    if zero not in ("raise", "skip"):
        raise ValueError(f"zero: must be 'raise' or 'skip', got {zero!r}")
    left = as_matrix(vectors, "vectors")
    right = None if other is None else as_matrix(other, "other")
    check_pair(left, right)
    loading = time.perf_counter()
    backend = choose_backend(allowed.backend)
    for matrix in (left, right):
        if matrix is not None:
            backend.kernels.prepare(working_type(matrix.dtype))
    startup = time.perf_counter() - loading
    count = len(left) + (0 if right is None else len(right))
    plan = make_plan(
        len(left),
        None if right is None else len(right),
        left.shape[1],
        allowed.threads,
        allowed.memory_for(count),
        backend.kernels,
    )
    with ieee_mode(), Crew(plan.threads) as crew:

        def surveyed(array: Any, name: str, least: int) -> Vectors:
            return survey(array, name, zero, least, plan.read_rows, backend.kernels, crew.each)

        rows = surveyed(left, "vectors", 2 if right is None else 1)
        columns = rows if right is None else surveyed(right, "other", 1)
        with reporting(allowed.progress, plan.pairs) as advance:
            walk = _Walk(rows, columns, reduction, plan, backend.kernels, advance)
            walk.run(crew)
    run = Run(
        seconds=time.perf_counter() - begin,
        startup=startup,
        threads=plan.threads,
        backend=backend.name,
        pairs=_kept_pairs(rows, columns, plan.triangle),
        survivors=walk.survivors,
        open_pairs=walk.open_pairs,
    )
    return walk.partial, run


def _kept_pairs(rows: Vectors, columns: Vectors, triangle: bool) -> int:
    return rows.kept * (rows.kept - 1) // 2 if triangle else rows.kept * columns.kept


class _Walk(Generic[P]):
    """One walk over all tiles; what its threads share."""

    def __init__(
        self,
        rows: Vectors,
        columns: Vectors,
        reduction: Reduction[P],
        plan: Plan,
        kernels: Any,
        advance: Callable[[int], object],
    ) -> None:
        self.rows, self.columns = rows, columns
        self.reduction, self.plan, self.kernels = reduction, plan, kernels
        self.advance = advance
        self.partial = reduction.identity
        self.survivors = self.open_pairs = 0
        self._lock = threading.Lock()
        self._workspaces: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run(self, crew: Crew) -> None:
        """Walk all tiles."""
        for _ in range(self.plan.threads):
            self._workspaces.put(self.kernels.Workspace(self.plan.survivors))
        walk = self._walk_screened if self.kernels.SCREENS else self._walk_open
        walk(crew)

    def _walk_open(self, crew: Crew) -> None:
        def work(tile: Tile) -> None:
            self._with_workspace(lambda workspace: self._decide_open(workspace, tile))
            self._advance(tile)

        crew.each(work, self.plan.tiles(self.plan.whole))

    def _walk_screened(self, crew: Crew) -> None:
        depth = self.rows.array.shape[1]
        self._bound = float32_bound(depth, self.kernels.chain(depth))
        packer = _Packer(self.rows, self.columns, self.plan, self.kernels, crew)
        for group in self.plan.passes():
            left, right = packer.pack(group)

            def work(tile: Tile, left: Any = left, right: Any = right) -> None:
                self._with_workspace(lambda own: self._screen(own, tile, left, right))
                self._advance(tile)

            crew.each(work, self.plan.tiles(group))

    def _with_workspace(self, work: Callable[[Any], None]) -> None:
        workspace = self._workspaces.get()
        try:
            work(workspace)
        finally:
            self._workspaces.put(workspace)

    def _advance(self, tile: Tile) -> None:
        with self._lock:
            self.advance(tile.pairs(self.plan.triangle))

    def _add(self, partial: P, survivors: int = 0, open_pairs: int = 0) -> None:
        with self._lock:
            self.partial = self.reduction.combine(self.partial, partial)
            self.survivors += survivors
            self.open_pairs += open_pairs

    def _closed(self, tile: Tile) -> bool:
        column = max(tile.column, tile.row + 1) if self.plan.triangle else tile.column
        return self.reduction.closed(self.partial, tile.row, column)

    def _screen(self, workspace: Any, tile: Tile, left: Any, right: Any) -> None:
        if self._closed(tile):
            return
        found = self.kernels.screen(
            workspace,
            left,
            right,
            (
                tile.row - left.first,
                tile.row_end - left.first,
                tile.column - right.first,
                tile.column_end - right.first,
            ),
            right.first - left.first if self.plan.triangle else None,
            self.reduction.signed,
            extremum_gate(self.reduction.threshold(self.partial), self._bound),
            extremum_slack(self._bound),
        )
        if found is None:
            self._decide_open(workspace, tile)
        else:
            self._decide_listed(found[0] + left.first, found[1] + right.first)

    def _decide_listed(self, rows: Any, columns: Any) -> None:
        for start in range(0, len(rows), self.plan.listed):
            i, j = rows[start : start + self.plan.listed], columns[start : start + self.plan.listed]
            cosines = self.kernels.listed_cosines(
                self._scaled_rows(self.rows, i),
                self._scaled_rows(self.columns, j),
                self.rows.squares[i],
                self.columns.squares[j],
            )
            self._add(self.reduction.fold_listed(i, j, cosines), survivors=len(i))

    def _scaled_rows(self, vectors: Vectors, rows: Any) -> Any:
        return self.kernels.scale(vectors.take(rows), vectors.exponents[rows])

    def _decide_open(self, workspace: Any, tile: Tile) -> None:
        triangle, side = self.plan.triangle, self.plan.square
        scaled: dict[tuple[str, int], Any] = {}

        def block(vectors: Vectors, side: str, start: int, stop: int) -> Any:
            if (side, start) not in scaled:
                for key in [key for key in scaled if key[0] == side]:
                    del scaled[key]
                rows, exponents = vectors.read(start, stop), vectors.exponents[start:stop]
                scaled[side, start] = self.kernels.scale(rows, exponents, self.kernels.DECIDE_UNIT)
            return scaled[side, start]

        for piece in tile.split(side, side, triangle):
            if self._closed(piece):
                continue
            cosines = self.kernels.tile_cosines(
                workspace,
                block(self.rows, "left", piece.row, piece.row_end),
                block(self.columns, "right", piece.column, piece.column_end),
                self.rows.squares[piece.row : piece.row_end],
                self.columns.squares[piece.column : piece.column_end],
                piece.column - piece.row if triangle else None,
            )
            partial = self.reduction.fold_tile(cosines, piece.row, piece.column)
            self._add(partial, open_pairs=piece.pairs(triangle))


class _Packer:
    """Keeps a packed group of each side, and packs only what changes from pass to pass."""

    def __init__(
        self, rows: Vectors, columns: Vectors, plan: Plan, kernels: Any, crew: Crew
    ) -> None:
        self._rows, self._columns, self._plan = rows, columns, plan
        self._kernels, self._crew = kernels, crew
        self._depth = rows.array.shape[1]
        padded_depth, _ = kernels.packed_depth(self._depth)
        unit = kernels.UNIT

        def buffer(count: int) -> Any:
            return kernels.aligned(-(-count // unit) * unit * padded_depth, np.float32)

        self._left_room = buffer(min(plan.group_rows, plan.rows))
        alone = plan.triangle and plan.group_rows >= plan.rows
        self._right_room = None if alone else buffer(min(plan.group_columns, plan.columns))
        self._left: Any = None
        self._right: Any = None

    def pack(self, group: Tile) -> tuple[Any, Any]:
        """Return the packed sides of a pair of groups."""
        if self._left is None or self._left.first != group.row:
            self._left = self._packed(self._left_room, self._rows, group.row, group.row_end)
        if self._plan.triangle and group.row == group.column:
            return self._left, self._left
        if self._right is None or self._right.first != group.column:
            self._right = self._packed(
                self._right_room, self._columns, group.column, group.column_end
            )
        return self._left, self._right

    def _packed(self, room: Any, vectors: Vectors, first: int, end: int) -> Any:
        packed = self._kernels.Packed(room, vectors.squares[first:end], first, self._depth)

        def fill(start: int) -> None:
            stop = min(start + self._plan.read_rows, end)
            packed.fill(vectors.read(start, stop), vectors.exponents[start:stop], start - first)

        self._crew.each(fill, range(first, end, self._plan.read_rows))
        return packed
