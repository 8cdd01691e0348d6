"""The plan: how a triangle or rectangle of pairs is cut into groups and tiles under a memory cap.

Pure integers.  Rows are packed a *group* at a time, as many as the cap allows; each pair of groups
is walked in *tiles*, the unit of work of a thread; a tile that stays open is decided in *pieces*.
Of the upper triangle only tiles that touch it are walked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isqrt
from operator import itemgetter
from typing import Any

from .kernels.records import Footprint, Limits
from .protocols import Kernels
from .tiles import Tile as Tile

# Small problems are cut into about 4 tiles a thread.  Of 2 to 16, 4 was best for the nearest ones
# of 4096 and 8192 x 384 and of 16384 x 64 and x 768, by 5 to 30 % before 16: each tile lists anew
# what its rows may have nearest, and threads wait for each other's Python.
_TILES_PER_THREAD = 4
_FEWEST_SURVIVORS = 256
# Stripes that each vector meets others in first, and how many times their own width lies between
# them: here and there among the rows, as the first 480 are a poor sample of a vocabulary's 30522.
_STRIPES, _STRIPE_SHARE = 5, 16
# What a thread clears before each piece and reads after it, 32 bytes a bin, is no more than so many
# times the piece: a million bins of 1500 x 64 took minutes at the smallest cap; `bench.limits` says
# what they take with this.
_PIECE_SHARE = 8
# Packed rows have no less than such a part of a thread's memory.  With two `unit`s of rows, one
# tile of 48 x 48 a packing, the 10 nearest of 6000 x 32 took some 30 times as long at the smallest
# cap; `bench.limits` has that too.
_PACKED_SHARE = 2
# Threads, records and what else the interpreter makes in a call.
_OBJECT_BYTES = 2**17
_STATE_BYTES = 12  # exponent and square of a row
_SURVIVOR_BYTES = 16 + 16 + 16 + 8  # as the screen lists it, its indices here and there, its cosine

# What a fold takes: given kernels and the largest piece.
FoldSize = Callable[[Kernels, int], Footprint]


@dataclass(frozen=True)
class Demand:
    """What a statistic needs of memory.

    Attributes
    ----------
    state : int
        Bytes that all threads share.
    thread : int
        Bytes a thread, apart from its folds.
    line : int
        Bytes a row or column of a tile, for each thread, apart from its folds.
    folds : tuple
        Functions of the kernels and the largest piece: what each fold takes.
    listed : int
        Pairs a row or column of a tile that a thread should have room to list.
    selective : bool
        Whether pairs below some value may be ruled out by codes.
    row : int
        Bytes a row of the groups that are packed.
    """

    state: int = 0
    thread: int = 0
    line: int = 4
    folds: tuple[FoldSize, ...] = ()
    listed: int = 0
    selective: bool = False
    row: int = 0

    def sized(self, kernels: Kernels, piece: int) -> Demand:
        """Return the same with the folds' bytes among the others."""
        sizes = [fold(kernels, piece) for fold in self.folds]
        whole, line = (sum(size[part] for size in sizes) for part in range(2))
        return replace(self, thread=self.thread + whole, line=self.line + line, folds=())

    def __add__(self, other: Demand) -> Demand:
        return Demand(
            self.state + other.state,
            self.thread + other.thread,
            self.line + other.line,
            self.folds + other.folds,
            self.listed + other.listed,
            self.selective and other.selective,
            self.row + other.row,
        )


@dataclass(frozen=True)
class Plan:
    """How one computation is carried out.

    Attributes
    ----------
    rows, columns : int
        Vectors on the two sides; the same ones for a triangle.
    triangle : bool
        Whether only pairs row < column count.
    group_rows, group_columns : int
        Rows packed at a time on each side.
    tile_rows, tile_columns : int
        Shape of a tile.
    piece : int
        Side of the pieces in which an open tile is decided.
    survivors : int
        Pairs that a screen may leave undecided before a tile is called open.
    listed : int
        Listed pairs decided at a time.
    read_rows : int
        Rows read, surveyed and packed at a time.
    threads : int
        Threads that share the work: as many as allowed, or as the memory has room for.
    codes : bool
        Whether there is room for codes of all packed rows, and work enough to try them.
    stripe : int
        Width of a stripe of tiles.
    first : int
        Pairs with columns before this one are left out.
    """

    rows: int
    columns: int
    triangle: bool
    group_rows: int
    group_columns: int
    tile_rows: int
    tile_columns: int
    piece: int
    survivors: int
    listed: int
    read_rows: int
    threads: int
    codes: bool = False
    stripe: int = 1
    first: int = 0

    @property
    def whole(self) -> Tile:
        """All pairs as one tile."""
        return Tile(0, self.rows, self.first, self.columns)

    @property
    def geometry(self) -> dict[str, Any]:
        """What sums and the order of tiles hang on."""
        ways = ("group_rows", "group_columns", "tile_rows", "tile_columns", "piece")
        return {way: getattr(self, way) for way in (*ways, "codes", "stripe")}

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return self.whole.pairs(self.triangle)

    def passes(self) -> Iterator[Tile]:
        """Yield the pairs of groups, every second row backwards so that a group stays packed."""
        groups = self.whole.split(self.group_rows, self.group_columns, self.triangle)
        row: list[Tile] = []
        backwards = False
        for group in groups:
            if row and group.row != row[0].row:
                yield from reversed(row) if backwards else row
                row, backwards = [], not backwards
            row.append(group)
        yield from reversed(row) if backwards else row

    def stretch(
        self, begin: int, end: int, striped: bool = False
    ) -> Iterator[tuple[Tile, Iterator[Tile]]]:
        """Yield pairs of groups, and of the tiles of each those that begin within a stretch.

        All tiles have an order, in which a tile begins with the number of pairs before it.
        """
        before = 0
        for group in self.passes():
            pairs = group.pairs(self.triangle)
            if begin < before + pairs and before < end:
                tiles = self._beginning(before, self.tiles(group, striped))
                yield group, (tile for start, tile in tiles if begin <= start < end)
            before += pairs

    def border(self, position: int, striped: bool = False) -> int:
        """Return where the first tile begins that does not begin before a position."""
        before = 0
        for group in self.passes():
            pairs = group.pairs(self.triangle)
            if before < position < before + pairs:
                tiles = self._beginning(before, self.tiles(group, striped))
                return next((at for at, _ in tiles if at >= position), before + pairs)
            before += pairs
        return position

    def cut(self, places: Iterable[int], striped: bool = False) -> list[tuple[int, int]]:
        """Return the stretches between some places, each moved on to where a tile begins."""
        return list(pairwise(sorted({self.border(place, striped) for place in places})))

    def _beginning(self, before: int, tiles: Iterable[Tile]) -> Iterator[tuple[int, Tile]]:
        for tile in tiles:
            yield before, tile
            before += tile.pairs(self.triangle)

    def rows_read(self, passes: Iterable[Tile]) -> tuple[int, int]:
        """Return how many rows of each side are read to pack groups in the order of their passes.

        A group stays until another one is packed; on a triangle's diagonal both are one.
        """
        rows = columns = 0
        last: Tile | None = None
        for group in passes:
            if last is None or group.row != last.row:
                rows += group.row_end - group.row
            if last is None or group.column != last.column:
                same = self.triangle and group.column == group.row
                columns += 0 if same else group.column_end - group.column
            last = group
        return rows, columns

    def tiles(self, group: Tile, striped: bool = False) -> Iterator[Tile]:
        """Yield the tiles of a pair of groups.

        If `striped`, the first ones are narrow stripes across all rows and all columns, where every
        vector meets some others from here and there: enough to tell what of the rest may matter.
        """
        parts = [group]
        if striped:
            rows = self._parts(group.row, group.row_end)
            columns = self._parts(group.column, group.column_end)
            crossed = [
                (min(m, n), Tile(*row, *column))
                for m, row in enumerate(rows)
                for n, column in enumerate(columns)
            ]
            parts = [tile for _, tile in sorted(crossed, key=itemgetter(0))]
        for part in parts:
            yield from part.split(self.tile_rows, self.tile_columns, self.triangle)

    def meetings(self, striped: bool) -> list[tuple[float, float, float]]:
        """Return how partners meet: shares of the pairs, one after the other if striped.

        With each how many partners a row has met before, and the share of a tile's pairs that may
        stay undecided; otherwise how it is at the end.  First are those in stripes, apart from the
        first one, then those between, of one part of the rows after the other, or where there is no
        room for stripes one group or tile after the other: about so, as rows and columns may be of
        different numbers, and later parts are taken together.
        """
        room = self.survivors / self.tile_columns
        if not striped:
            return [(1.0, self.columns, room / self.tile_rows)]
        stripe, columns = self.stripe, self.columns
        stripes = self._stripes(self.group_columns)
        met, groups = stripes * stripe, -(-columns // self.group_columns)
        parts = (stripes + 1) * groups if stripes else max(groups, columns // self.tile_columns)
        begun = min(1.0, 2.0 * max(0, met - stripe) / columns)
        found = [(begun, (met + stripe) / 2, room / stripe)] if begun else []
        first = 0
        while first < parts:
            end = min(parts, 2 * first + 1)
            share = ((parts - first) ** 2 - (parts - end) ** 2) / parts**2
            before = met + (columns - met) * (first + end - 1) / (2 * parts)
            found.append(((1.0 - begun) * share, before, room / self.tile_rows))
            first = end
        return found

    @property
    def striped_partners(self) -> int:
        """How many partners a row meets in stripes."""
        return self._stripes(self.group_columns) * self.stripe

    def _stripes(self, lines: int) -> int:
        return min(_STRIPES, lines // (_STRIPE_SHARE * self.stripe))

    def _parts(self, first: int, end: int) -> list[tuple[int, int]]:
        """Cut lines into stripes and, behind these, what lies between."""
        count = self._stripes(end - first)
        places = [(end - first) * n // count // self.stripe for n in range(count)]
        starts = [first + place * self.stripe for place in places]
        ends = [start + self.stripe for start in starts]
        between = zip([first, *ends], [*starts, end], strict=True)
        return [*zip(starts, ends, strict=True), *((a, b) for a, b in between if a < b)]


def make_plan(
    rows: int,
    columns: int | None,
    depth: int,
    threads: int,
    memory: int,
    kernels: Kernels,
    demand: Demand,
    codes: bool = False,
    first: int = 0,
) -> Plan:
    """Plan a triangle of `rows` vectors, or a rectangle of `rows` x `columns`.

    Of a triangle the pairs with columns before the `first` may be left out.

    Raises
    ------
    ValueError
        If the memory cap is too small; the message names the smallest that works.
    """
    triangle = columns is None
    columns = rows if columns is None else columns
    limits = kernels.limits(depth, memory)
    demand = demand.sized(kernels, limits.largest_piece)
    whole = triangle and not first
    sides = [rows] if whole else [rows, columns - first]
    units = sum(-(-count // limits.unit) for count in sides)
    work = rows * (columns - first) * depth // (2 if whole else 1)
    codes = codes and demand.selective and limits.coded_row > 0 and work >= limits.coded_work
    needs = _Needs(rows if triangle else rows + columns, units, depth, limits, demand, codes)
    if memory < needs.smallest(1):
        limits = kernels.limits(depth, 0)
        needs = _Needs(rows if triangle else rows + columns, units, depth, limits, demand, codes)
    if memory < needs.smallest(1):
        raise ValueError(
            f"memory: must be at least {needs.smallest(1)} bytes for {rows} x {columns} pairs of "
            f"{depth} entries, got {memory}"
        )
    threads = min(threads, needs.threads(memory))
    packed, room, survivors, lines = needs.share(memory, threads)
    # Where nothing is packed there is room for all.
    most = packed // needs.packed_row if needs.packed_row else units * limits.unit
    group_rows, group_columns = _groups(rows, columns - first, whole, most, limits.unit)
    share = work // (_TILES_PER_THREAD * threads)
    tile = min(max(share, limits.smallest_tile), limits.largest_tile) // depth
    tile_rows, tile_columns = _tile_shape(rows, columns, tile, limits, lines)
    listed = demand.listed * (tile_rows + tile_columns)
    survivors = min(
        survivors // _SURVIVOR_BYTES,
        limits.most_survivors,
        tile_rows * tile_columns // limits.open_share,
    )
    survivors = max(_FEWEST_SURVIVORS, survivors, listed)
    return Plan(
        rows=rows,
        columns=columns,
        triangle=triangle,
        group_rows=group_rows,
        group_columns=group_columns,
        tile_rows=tile_rows,
        tile_columns=tile_columns,
        piece=min(needs.piece(room), survivors // limits.piece_unit * limits.piece_unit),
        survivors=survivors,
        listed=needs.pairs(room),
        read_rows=needs.read(room, -(-max(rows, columns) // (4 * threads))),
        threads=threads,
        codes=codes,
        stripe=limits.stripe,
        first=first,
    )


class _Needs:
    """What each use of memory needs at least; what is left over is shared out.

    Packed rows are for all threads.  A thread's work is one thing at a time: reading rows to survey
    or pack them, deciding listed pairs, or deciding a piece of an open tile.
    """

    def __init__(
        self, rows: int, units: int, depth: int, limits: Limits, demand: Demand, codes: bool
    ) -> None:
        self._limits = limits
        self._scaled = 8 * (-(-depth // 8) * 8)
        self._state = _OBJECT_BYTES + _STATE_BYTES * rows + demand.state
        self.packed_row = limits.packed_row + (limits.coded_row if codes else 0) + demand.row
        self._all_packed = units * limits.unit * self.packed_row
        self._pair = 4 * self._scaled
        self._least_piece = self._piece_within(demand.thread // _PIECE_SHARE)
        self._work = max(
            self._piece_bytes(self._least_piece), self._pair, self._read_bytes(limits.panel)
        )
        self._line = demand.line + demand.listed * _SURVIVOR_BYTES
        self._lines = limits.tile_rows + limits.tile_columns
        self._own = (
            limits.scratch
            + demand.thread
            + _FEWEST_SURVIVORS * _SURVIVOR_BYTES
            + self._line * (self._lines + 2 * limits.unit)
            + self._work
        )
        least_packed = max(2 * limits.unit * self.packed_row, self._own // _PACKED_SHARE)
        self._packed = min(self._all_packed, least_packed)

    def smallest(self, threads: int) -> int:
        """Return the smallest cap in which that many threads can work."""
        return self._state + self._packed + threads * self._own

    def threads(self, memory: int) -> int:
        """Return how many threads to have: together they take half of what they could, or one.

        The other half goes to packed rows, without which more threads only pack more often.
        """
        return max(1, (memory - self.smallest(0)) // (2 * self._own))

    def share(self, memory: int, threads: int) -> tuple[int, int, int, int]:
        """Return bytes for packed rows, for a thread's work and survivors, and a tile's lines.

        Packed rows get three quarters of what is left over, or what all rows need.  (At
        16384 x 4096 in the default 256 MiB that makes 3 groups; with half of it there were 5, and
        packing took 4 % of the time.)  A quarter of what then remains is for nobody.
        """
        rest = memory - self.smallest(threads)
        packed = min(rest * 3 // 4, max(0, self._all_packed - self._packed))
        spare = (rest - packed) // (8 * threads)
        return (
            self._packed + packed,
            self._work + 4 * spare,
            _FEWEST_SURVIVORS * _SURVIVOR_BYTES + spare,
            self._lines + spare // self._line,
        )

    def pairs(self, room: int) -> int:
        """Return how many listed pairs to decide at a time: two rows each, read and scaled."""
        return max(1, min(room, self._limits.most_listed) // self._pair)

    def read(self, room: int, fair: int) -> int:
        """Return how many rows to read at a time; `fair` would give each thread its turns."""
        panel = self._limits.panel
        small, large = (
            self._fit(self._read_bytes, panel, min(room, size))
            for size in (self._limits.smallest_read, self._limits.largest_read)
        )
        return min(large, max(small, -(-fair // panel) * panel))

    def piece(self, room: int) -> int:
        """Return the side of the largest piece that can be decided."""
        return max(self._least_piece, self._piece_within(room))

    def _piece_within(self, room: int) -> int:
        unit, largest = self._limits.piece_unit, self._limits.largest_piece
        return min(self._fit(self._piece_bytes, unit, room), largest)

    @staticmethod
    def _fit(size: Callable[[int], int], unit: int, room: int) -> int:
        """Return the largest multiple of `unit` whose size fits, or `unit`."""
        step = count = unit
        while size(2 * step) <= room:
            step = count = 2 * step
        while step > unit:
            step //= 2
            if size(count + step) <= room:
                count += step
        return count

    def _read_bytes(self, rows: int) -> int:
        # As float64, with two masks of the integers among them, and one scaled row.
        return rows * self._scaled * 5 // 4 + self._scaled

    def _piece_bytes(self, side: int) -> int:
        # Both sides scaled, and one of them as it was read.
        return side * side * self._limits.pair + 3 * side * self._scaled


def _groups(rows: int, columns: int, triangle: bool, room: int, unit: int) -> tuple[int, int]:
    """Return how many rows of each side are packed at once, of `room` rows in all."""
    padded_rows, padded_columns = (-(-count // unit) * unit for count in (rows, columns))
    if triangle and padded_rows <= room:
        return padded_rows, padded_rows
    half = max(unit, room // 2 // unit * unit)
    if triangle:
        return (_even(padded_rows, half, unit),) * 2
    if padded_rows <= half:
        rest = max(unit, (room - padded_rows) // unit * unit)
        return padded_rows, _even(padded_columns, rest, unit)
    group_columns = _even(padded_columns, half, unit)
    rest = max(unit, (room - group_columns) // unit * unit)
    return _even(padded_rows, rest, unit), group_columns


def _even(rows: int, most: int, unit: int) -> int:
    """Return the length of as few pieces as `most` allows, cut evenly in whole units."""
    pieces = -(-rows // most)
    return -(-rows // (pieces * unit)) * unit


def _tile_shape(rows: int, columns: int, size: int, limits: Limits, lines: int) -> tuple[int, int]:
    """Return a tile's shape for `size` pairs or so, in multiples of what the kernels like.

    Of at most `lines` rows and columns together, unless the least shape has more.
    """
    height, width = limits.tile_rows, limits.tile_columns
    side = min(isqrt(max(1, size)), lines // 2)
    high = min(max(1, round(side / height)), -(-rows // height))
    wide = min(max(1, round(side / width)), -(-columns // width))
    while max(high, wide) > 1 and (
        high * height + wide * width > lines or high * height * wide * width > limits.most_pairs
    ):
        high, wide = max(1, high - 1), max(1, wide - 1)
    return high * height, wide * width
