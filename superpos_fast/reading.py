"""What is read when: groups of rows in their order, and how many bytes of them are kept."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest

from .blocks import BlockRows, Source, row_bytes
from .plan import Demand, Plan, Tile

_log = logging.getLogger("superpos_fast")
# Blocks of a source beside those that groups of rows are made of.
_EDGES = 2


def blocks_of(sides: Sequence[Source]) -> Demand:
    """Return what it takes to keep blocks of rows that are in use.

    Those of two groups, half as much to read ahead, and what is at the edges.
    """
    blocked = [side for side in sides if isinstance(side, BlockRows)]
    return Demand(
        state=sum(_EDGES * side.block_bytes for side in blocked),
        line=0,
        row=max((row_bytes(side) * 3 // 2 for side in blocked), default=0),
        selective=True,
    )


@contextmanager
def kept(sides: Sequence[Source], plan: Plan, for_next: bool = False) -> Iterator[None]:
    """Have the sources keep as much as the plan has room for, as long as the ``with``.

    If `for_next`, what they hold at its end is there for the next one.
    """
    groups = [plan.group_rows + plan.group_columns]
    if len(sides) > 1:
        groups = [plan.group_rows, plan.group_columns]
    for side, rows in zip(sides, groups, strict=True):
        if isinstance(side, BlockRows):
            side.keep(rows * row_bytes(side) * 3 // 2 + _EDGES * side.block_bytes)
    try:
        yield
    finally:
        for side in sides:
            if for_next and isinstance(side, BlockRows):
                side.rest()
            else:
                side.close()


class Reading:
    """A stretch of the plan, and what is read for it.

    Attributes
    ----------
    size : int
        Bytes that are read.
    """

    def __init__(self, sides: Sequence[Source], plan: Plan, begin: int, end: int) -> None:
        self._sides, self._plan = sides, plan
        self._begin, self._end = begin, end
        self._groups = [group for group, _ in plan.stretch(begin, end)]
        read = plan.rows_read(self._groups)
        each = row_bytes(sides[0]), row_bytes(sides[-1])
        self.size = sum(rows * size for rows, size in zip(read, each, strict=True))
        _log.info("%d pairs of groups of %d x %d vectors, %d bytes to read", *(
            len(self._groups), plan.group_rows, plan.group_columns, self.size,
        ))  # fmt: skip

    def stretch(self, striped: bool) -> Iterator[tuple[Tile, Iterator[Tile]]]:
        """Yield pairs of groups and tiles of each, as `Plan.stretch` does.

        The sources know which rows are read meanwhile, and which after that.
        """
        stretch = self._plan.stretch(self._begin, self._end, striped)
        for (group, tiles), following in zip_longest(stretch, self._groups[1:]):
            now = [group.row_range(), group.column_range()]
            later = [] if following is None else [following.row_range(), following.column_range()]
            if len(self._sides) == 1:
                self._sides[0].expect(now, later)
            else:
                for place, side in enumerate(self._sides):
                    side.expect(now[place : place + 1], later[place : place + 1])
            yield group, tiles
