"""Tiles: rectangles of pairs, and of the upper triangle what lies in them.  Pure integers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Tile:
    """Pairs of rows row..row_end of one side with rows column..column_end of the other."""

    row: int
    row_end: int
    column: int
    column_end: int

    def row_range(self) -> range:
        """Return the rows of the one side."""
        return range(self.row, self.row_end)

    def column_range(self) -> range:
        """Return the rows of the other."""
        return range(self.column, self.column_end)

    def pairs(self, triangle: bool) -> int:
        """Return the number of pairs; of a `triangle` only those with row < column."""
        if not triangle:
            return (self.row_end - self.row) * (self.column_end - self.column)
        return _below(self.row_end, self) - _below(self.row, self)

    def relative_to(self, row: int, column: int) -> tuple[int, int, int, int]:
        """Return the four edges counted from another corner."""
        return self.row - row, self.row_end - row, self.column - column, self.column_end - column

    def split(self, rows: int, columns: int, triangle: bool) -> Iterator[Tile]:
        """Yield the tile in pieces, row by row; of a `triangle` only those that touch it."""
        for row in range(self.row, self.row_end, rows):
            for column in range(self.column, self.column_end, columns):
                row_end = min(row + rows, self.row_end)
                column_end = min(column + columns, self.column_end)
                if not triangle or column_end - 1 > row:
                    yield Tile(row, row_end, column, column_end)


def around(tiles: Iterable[Tile]) -> Tile:
    """Return the least tile that all of these lie in, none at all in an empty one."""
    found: Tile | None = None
    for tile in tiles:
        found = found or tile
        found = Tile(
            min(found.row, tile.row),
            max(found.row_end, tile.row_end),
            min(found.column, tile.column),
            max(found.column_end, tile.column_end),
        )
    return found or Tile(0, 0, 0, 0)


def _below(row_end: int, tile: Tile) -> int:
    """Count the pairs row < column of rows 0..row_end with the tile's columns."""

    def triangle(columns: int) -> int:
        short = min(row_end, columns)
        return row_end * columns - short * (short + 1) // 2 - (row_end - short) * columns

    return triangle(tile.column_end) - triangle(tile.column)
