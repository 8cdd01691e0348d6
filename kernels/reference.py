"""The deciding arithmetic as plain NumPy: the entry of the kernel table that needs no compiler.

Naive on purpose and never optimised: it is what the other entries are held against.  It has no
screen, so that every tile is decided whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .normals import normals as normals
from .records import Error, Footprint, Limits, Listed

screens = None
LANES = 8
FAR = np.int64(2**62)  # beyond any path
# Eight lanes of a pair, half of them again, a product, and what becomes of the sum.
_PAIR_BYTES = 16 * 8


def limits(depth: int, memory: int) -> Limits:
    """Return how work is cut: as for compiled kernels, but there is nothing to pad or to pack."""
    del depth, memory
    return Limits(
        unit=1,
        panel=1,
        tile_rows=64,
        tile_columns=64,
        stripe=32,
        smallest_tile=2 * 10**7,
        largest_tile=10**9,
        most_pairs=2**62,
        open_share=64,
        most_survivors=2**18,
        piece_unit=1,
        largest_piece=576,
        pair=_PAIR_BYTES,
        smallest_read=2**18,
        largest_read=2**22,
        most_listed=2**20,
        scratch=0,
    )


def workspace(pairs: int) -> None:
    """Return a thread's buffers, of which there are none."""
    del pairs


def prepare(dtype: Any) -> None:
    """Do nothing: there is nothing to compile."""
    del dtype


def survey(block: Any) -> tuple[Any, Any, int]:
    """Return exponents and squares of a block's rows, and its first row not finite, or -1."""
    finite = np.isfinite(block).all(axis=1)
    exponents = np.zeros(len(block), np.int32)
    if not finite.all():
        return exponents, np.zeros(len(block)), int(np.argmin(finite))
    largest = np.abs(block.astype(np.float64)).max(axis=1)
    exponents[:] = np.where(largest > 0.0, np.frexp(largest)[1] - 1, 0)
    rows = scale(block, exponents)
    return exponents, lane_dots(rows, rows), -1


def scale(block: Any, exponents: Any) -> Any:
    """Return float64 rows times 2**-exponent; what would fall below 2**-1022 becomes zero."""
    rows = block.astype(np.float64)
    rows[np.abs(rows) < np.ldexp(1.0, exponents[:, None] - 1022)] = 0.0
    return np.ldexp(rows, -exponents[:, None])


def lane_dots(left: Any, right: Any) -> Any:
    """Return sum_k left[..., k] right[..., k]: product k goes to lane k mod 8, then a tree."""
    shape = np.broadcast_shapes(left.shape[:-1], right.shape[:-1])
    lanes = np.zeros((LANES, *shape))
    for k in range(left.shape[-1]):
        lanes[k % LANES] += left[..., k] * right[..., k]
    while len(lanes) > 1:
        lanes = lanes[0::2] + lanes[1::2]
    return lanes[0]


def cosines(dots: Any, squares: Any, other_squares: Any) -> Any:
    """Return the deciding cosines, zero as +0; NaN where a row has no direction (square 0)."""
    return np.minimum(1.0, np.maximum(-1.0, dots / np.sqrt(squares * other_squares))) + 0.0


def listed_cosines(left: Any, i: Any, right: Any, j: Any) -> Any:
    """Return the deciding cosines of the pairs (row i[p] of left, row j[p] of right).

    A side is (block, exponents, squares), the block as `survey` takes it.
    """
    x, y = (scale(side[0][at], side[1][at]) for side, at in ((left, i), (right, j)))
    return cosines(lane_dots(x, y), left[2][i], right[2][j])


class PieceSide(NamedTuple):
    """Rows that are decided in pieces."""

    rows: Any
    squares: Any


def piece_side(block: Any, exponents: Any, squares: Any) -> PieceSide:
    """Return rows ready to be decided in pieces."""
    return PieceSide(scale(block, exponents), squares)


def piece_cosines(workspace: None, left: PieceSide, right: PieceSide, shift: int | None) -> Any:
    """Return the deciding cosines of all pairs of two sides.

    NaN where there is no pair: a row left out, and with a `shift` (column j is the same vector as
    row j + shift) the columns that are not beyond their row.
    """
    del workspace
    dots = lane_dots(left.rows[:, None, :], right.rows[None, :, :])
    out = cosines(dots, left.squares[:, None], right.squares[None, :])
    if shift is not None:
        rows, columns = np.arange(len(left.rows))[:, None], np.arange(len(right.rows))[None, :]
        out[columns + shift <= rows] = np.nan
    return out


def decide_piece(
    workspace: None, left: PieceSide, right: PieceSide, shift: int | None, aimed: Sequence[Any]
) -> Iterator[tuple[int, Any, Any, Any]]:
    """Fold the deciding cosines of all pairs of two sides into folds that are aimed at them.

    Yields the number of a fold, and rows, columns and cosines that it has listed.
    """
    found = piece_cosines(workspace, left, right, shift)
    for number, fold in enumerate(aimed):
        fold.fold(found)
        i, j, *_ = fold.take()
        yield number, i, j, found[i, j]


def strength(values: Any, magnitude: bool) -> Any:
    """Return what values are compared by."""
    return np.abs(values) if magnitude else values


def keep_best(
    groups: Any, keys: Any, cosines: Any, magnitude: bool, best: Any, best_keys: Any
) -> None:
    """Let each pair into its group's list, in place: k best cosines and keys (-1: empty).

    The order is higher strength first, then the lower key; the worst stands first, so that what was
    sorted here is a heap elsewhere.
    """
    for group in np.unique(groups):
        new = groups == group
        old = best_keys[group] >= 0
        values = np.concatenate([best[group][old], cosines[new]])
        names = np.concatenate([best_keys[group][old], keys[new]])
        order = np.lexsort((-names, strength(values, magnitude)))[-best.shape[1] :]
        best_keys[group] = -1
        best[group][-len(order) :] = values[order]
        best_keys[group][-len(order) :] = names[order]


def sort_lists(best: Any, best_keys: Any, magnitude: bool) -> None:
    """Sort lists in place, the best first and empty slots last."""
    values = np.where(best_keys < 0, -np.inf, strength(best, magnitude))
    order = np.lexsort((best_keys, -values), axis=1)
    for part in best, best_keys:
        part[:] = np.take_along_axis(part, order, axis=1)


def match_free(
    starts: Any, columns: Any, scores: Any, own: Any, other: Any, partners: Any, owners: Any
) -> None:
    """Match rows of a sparse table, along shortest augmenting paths, until none wants a column.

    Row i has the scores[e] with columns[e], e from starts[i] to before starts[i + 1].  Duals `own`
    of rows and `other` of columns are not below 0, and own_i + other_j >= score, with equality
    where i and j are matched: partners[i] = j, owners[j] = i, else -1.  Each row that has none,
    and a dual above 0, in their order: of the ends of alternating paths from it take the nearest,
    where an edge is as long as own_i + other_j - score, and an end is a column without an owner,
    or a row with its dual beyond it, which is left alone then.  Dijkstra's order is by distance,
    then by column; of equally near ends the first to be seen counts.
    """
    table = starts, columns, scores
    for first in np.flatnonzero((partners < 0) & (own > 0)).tolist():
        ends, distances, reached_from = _search(first, table, own, other, owners)
        length, row, column = ends
        gone_on = distances < length
        change = length - distances[gone_on]
        own[first] -= length
        other[gone_on] += change
        own[owners[gone_on]] -= change
        while True:
            left, partners[row] = partners[row], column
            if column >= 0:
                owners[column] = row
            if row == first:
                break
            column, row = left, reached_from[left]


def _search(first: int, table: Any, own: Any, other: Any, owners: Any) -> tuple[Any, Any, Any]:
    """Return the nearest end (its distance, row, column), and distances and rows of columns."""
    starts, columns, scores = table
    distances, reached_from = np.full(len(other), FAR), np.full(len(other), -1)
    waiting = distances.copy()
    row, distance, end = first, np.int64(0), (own[first], first, -1)
    while True:
        for e in range(starts[row], starts[row + 1]):
            column = columns[e]
            there = distance + own[row] + other[column] - scores[e]
            if there < min(end[0], distances[column]) and owners[column] < 0:
                end = there, row, column
            elif there < min(end[0], distances[column]):
                distances[column] = waiting[column] = there
                reached_from[column] = row
        column = waiting.argmin()
        if waiting[column] >= end[0]:
            return end, distances, reached_from
        waiting[column] = FAR
        row, distance = owners[column], distances[column]
        if distance + own[row] < end[0]:
            end = distance + own[row], row, -1


class _TileFold:
    """A piece's share of a statistic: pairs listed because they may matter."""

    def __init__(self, magnitude: bool) -> None:
        self._magnitude = magnitude
        self._listed: tuple[Any, ...] = (np.empty(0, np.int64),) * 2

    @staticmethod
    def footprint(piece: int, **what: Any) -> Footprint:
        """Return the bytes of a fold, apart from what comes of each pair of a piece."""
        del piece
        return Footprint(sum(16 * number for number in what.values() if isinstance(number, int)))

    def take(self) -> Listed:
        """Return the listed pairs."""
        return Listed(*self._listed)


class BestFold(_TileFold):
    """Lists every pair that reaches its row's or its column's gate."""

    def __init__(
        self, rows: int, columns: int, piece: int, room: int, *, per: str, k: int, magnitude: bool
    ) -> None:
        super().__init__(magnitude)

    def aim(self, error: Error, row_gates: Any, column_gates: Any, rising: bool = True) -> None:
        """Set what cosines must reach to matter."""
        self._gates = np.minimum(row_gates[:, None], column_gates)

    def fold(self, cosines: Any) -> None:
        """Fold a piece of cosines; NaN is no pair."""
        self._listed = np.nonzero(strength(cosines, self._magnitude) >= self._gates)


class RanksFold(_TileFold):
    """How many values have each rank among ascending thresholds; lists the pairs of some ranks."""

    def __init__(
        self,
        rows: int,
        columns: int,
        piece: int,
        room: int,
        *,
        thresholds: Any,
        listed: Any,
        magnitude: bool,
    ) -> None:
        super().__init__(magnitude)
        self._thresholds, self._wanted = thresholds, listed

    def aim(self, error: Error) -> None:
        """Begin a piece of cosines."""

    def fold(self, cosines: Any) -> None:
        """Fold a piece of cosines; NaN is no pair."""
        values = strength(cosines, self._magnitude)
        pairs = ~np.isnan(values)
        ranks = np.searchsorted(self._thresholds, values, "right")
        self._listed = np.nonzero(pairs & self._wanted[ranks])
        self.counts = np.bincount(ranks[pairs], minlength=len(self._thresholds) + 1)
        self.counts[self._wanted] = 0


class TotalFold(_TileFold):
    """The sum of magnitudes."""

    def __init__(self, rows: int, columns: int, piece: int, room: int) -> None:
        super().__init__(True)

    def aim(self, error: Error) -> None:
        """Begin a piece of cosines."""

    def fold(self, cosines: Any) -> None:
        """Fold a piece of cosines; NaN is no pair."""
        self.total = float(np.nansum(np.abs(cosines)))


class SecondMoment:
    """Strips first..last of S = sum_i u_i u_i^T, u_i rows times their factors, in one flat array.

    A strip is `unit` columns with their rows down to the strip's end; `rows` are multiplied at a
    time, in buffers of at most `row_bytes` each that are one thread's.
    """

    def __init__(self, depth: int, first: int, last: int, rows: int, dtype: Any) -> None:
        self.depth, self.first, self.last = depth, first, last
        self.rows, self.dtype = rows, np.dtype(dtype)
        self.unit, self.lanes = self.shape(dtype)
        self.size = self.unit**2 * (last * (last + 1) - first * (first + 1)) // 2

    @staticmethod
    def shape(dtype: Any) -> tuple[int, int]:
        """Return the columns of a strip, and how many of them lie together."""
        del dtype
        return 1, 1

    @classmethod
    def row_bytes(cls, depth: int, dtype: Any) -> int:
        """Return a bound on the bytes of buffers a row."""
        del dtype
        return 32 * depth

    @staticmethod
    def rehearse(read: Any, dtype: Any, energies: bool) -> None:
        """Do nothing: there is nothing to compile."""
        del read, dtype, energies

    def strips(self, sums: Any) -> Iterator[tuple[Any, Any]]:
        """Yield each strip in two parts, the rows above its diagonal square, and that square.

        Views of (columns / lanes, rows, lanes).
        """
        at = 0
        for strip in range(self.first, self.last):
            height = (strip + 1) * self.unit
            part = sums[at : at + self.unit * height].reshape(-1, height, self.lanes)
            yield part[:, : height - self.unit], part[:, height - self.unit :]
            at += self.unit * height

    def _units(self, block: Any, factors: Any) -> Iterator[tuple[slice, Any]]:
        for low in range(0, len(block), self.rows):
            some = slice(low, min(low + self.rows, len(block)))
            units = (block[some, : self.depth] * factors[some, None]).astype(self.dtype)
            yield some, units.astype(np.float64)

    def add(self, block: Any, factors: Any, sums: Any, fresh: bool) -> None:
        """Add a block's rows to the sums; if they are `fresh` these begin here, else were zeros."""
        if fresh:
            sums[:] = 0.0
        for _, units in self._units(block, factors):
            for column, (above, square) in enumerate(self.strips(sums), self.first):
                products = units[:, : column + 1].T @ units[:, column]
                above[0, :, 0] += products[:-1]
                square[0, 0, 0] += products[-1]

    def add_energies(self, block: Any, factors: Any, triangle: Any, out: Any) -> None:
        """Add to `out` these strips' share of u T u, T the triangle, for each of a block's rows."""
        for some, units in self._units(block, factors):
            for column, (above, square) in enumerate(self.strips(triangle), self.first):
                products = units[:, :column] @ above[0, :, 0] + units[:, column] * square[0, 0, 0]
                out[some] += units[:, column] * products


class SmoothSets:
    """Sums over all pairs of each of several sets of `count` vectors.

    With e_ij = exp(sharpness (c_ij^2 - level)) and c_ij = <x_i, x_j>.
    """

    def __init__(self, count: int, depth: int) -> None:
        del count, depth

    def add(self, sets: Any, sharpness: Any, levels: Any) -> tuple[Any, Any, Any]:
        """Return sums of e over ordered pairs, largest c^2 - level, and sums of c e x_j over j."""
        cosines = sets @ sets.swapaxes(1, 2)
        own = np.arange(sets.shape[1])
        excess = cosines**2 - levels[:, None, None]
        excess[:, own, own] = -np.inf
        shares = np.exp(np.minimum(sharpness[:, None, None] * excess, 600.0))
        return shares.sum(axis=(1, 2)), excess.max(axis=(1, 2)), (cosines * shares) @ sets


class SmoothPass:
    """The same of one set, tile by tile; tiles that share no rows may be added at once."""

    UNIT = 1

    def __init__(self, count: int, depth: int) -> None:
        self._points = np.zeros((count, depth))
        self.gradient = np.zeros((count, depth))

    @staticmethod
    def bytes(count: int, depth: int) -> int:
        """Return the size of the buffers."""
        return 16 * count * depth

    def fill(self, points: Any, start: int) -> None:
        """Take unit vectors, from row `start` on; their gradient is 0."""
        some = slice(start, start + len(points))
        self._points[some], self.gradient[some] = points, 0.0

    def add(
        self,
        own: SmoothWorkspace,
        tile: tuple[int, int, int, int],
        terms: tuple[Any, Any],
        least: float,
    ) -> tuple[float, float]:
        """Return the sum of e over a tile's pairs i < j, and the largest c^2 - level.

        `tile` is (row, row end, column, column end); `terms` are (sharpness, level).  Magnitudes
        below `least` may be left out; here none is.
        """
        del own, least
        sharpness, level = (float(term) for term in terms)
        count = len(self._points)
        rows, columns = (np.arange(low, min(high, count)) for low, high in (tile[:2], tile[2:]))
        cosines = self._points[rows] @ self._points[columns].T
        excess = np.where(rows[:, None] < columns, cosines**2 - level, -np.inf)
        shares = np.exp(np.minimum(sharpness * excess, 600.0))
        self.gradient[rows] += (cosines * shares) @ self._points[columns]
        self.gradient[columns] += (cosines * shares).T @ self._points[rows]
        return float(shares.sum()), float(excess.max(initial=-np.inf))


class SmoothWorkspace:
    """One thread's buffers: none."""

    BYTES = 0
