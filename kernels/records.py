"""Small records that kernels and the engine above them hand each other."""

from __future__ import annotations

from typing import Any, NamedTuple

# Depths of rows that may be screened in digits: see `cpu.digits`.
DIGIT_DEPTHS = range(48, 2**12 + 1)


class Error(NamedTuple):
    """How far a cosine may lie from the value that stands for it.

    Attributes
    ----------
    below, above : float
        It is no lower than value - below, and no higher than value + above.
    """

    below: float = 0.0
    above: float = 0.0

    @property
    def slack(self) -> float:
        """How far below a seen value another may lie and its cosine be the higher one.

        With room for rounding their difference to float32.
        """
        return self.below + self.above + 2.0**-23 if self != EXACT else 0.0

    @property
    def is_one_sided(self) -> bool:
        """Whether values are upper bounds: they rule pairs out, and tell nothing else."""
        return self.above == 0.0 < self.below


EXACT = Error()


class Listed(NamedTuple):
    """Pairs that a fold has listed.

    Attributes
    ----------
    rows, columns : ndarray of int64
        Counted from the tile's corner, or the first of all.
    cosines : ndarray of float64, or None
        If they have been decided already; of these only the pairs that matter are there.
    decided : int
        How many those were, the others included.
    """

    rows: Any
    columns: Any
    cosines: Any = None
    decided: int = 0

    def moved(self, row: int, column: int) -> Listed:
        """Return the same pairs, counted from so many rows and columns before."""
        return self._replace(rows=self.rows + row, columns=self.columns + column)


class Footprint(NamedTuple):
    """Bytes that a fold takes in a thread, apart from its room for listed pairs.

    Attributes
    ----------
    whole : int
        Whatever the tile.
    line : int
        Besides, for each row and column of a tile.
    """

    whole: int = 0
    line: int = 0


class Limits(NamedTuple):
    """How kernels want the work on vectors of some depth cut, and what memory it takes.

    Attributes
    ----------
    unit, panel : int
        Packed rows are padded to a multiple of the first; blocks that are packed start at
        multiples of the second.
    tile_rows, tile_columns : int
        Tiles are multiples of this, multiples of `unit`.
    stripe : int
        Width of the stripes of tiles in which each vector first meets some others; 0 if there are
        none.
    smallest_tile, largest_tile : int
        Multiply-adds of a tile, unless the whole problem has fewer.
    most_pairs : int
        Pairs of a tile at most.
    open_share : int
        A tile is decided whole once more than one pair in so many is undecided.
    most_survivors : int
        Pairs that are listed of a tile at most.
    piece_unit, largest_piece : int
        Sides of pieces that are decided whole are multiples of the first, up to the second.
    pair : int
        Bytes of a pair of a piece while it is decided.
    smallest_read, largest_read : int
        Bytes of rows that are read at a time.
    most_listed : int
        Bytes of the rows of listed pairs that are decided at a time.
    scratch : int
        Bytes of a thread's workspace.
    packed_row : int
        Bytes of a row that is packed for the screens; 0 if there are none.
    coded_row : int
        Besides, of its codes, as a row and as a column; 0 if there are none for such vectors.
    coded_work : int
        Multiply-adds of a problem from which codes are tried.
    """

    unit: int
    panel: int
    tile_rows: int
    tile_columns: int
    stripe: int
    smallest_tile: int
    largest_tile: int
    most_pairs: int
    open_share: int
    most_survivors: int
    piece_unit: int
    largest_piece: int
    pair: int
    smallest_read: int
    largest_read: int
    most_listed: int
    scratch: int
    packed_row: int = 0
    coded_row: int = 0
    coded_work: int = 0
