"""A device's screens: products of float16 and of float32 unit rows, folded where they are.

What `superpos_fast.protocols.Screens` asks for.  A product of float32 rows is off by what any order
of its additions is; what the tensor cores make of float16 rows is bounded by a model of theirs (see
`superpos_fast.screening.half_constant`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .packed import UNIT, Halves, Units, chain, products
from .team import Team
from .values import Decider, Values


class HalfCoder:
    """Rows as float16: codes of 11 bits, rounded to nearest.

    Attributes
    ----------
    draws : bool
        Whether rounding draws: it does not.
    two_sided : bool
        Whether a row is coded differently as a row and as a column.
    finds_gates : bool
        Folds find gates where there are none yet, in peaks.
    """

    draws = two_sided = False
    finds_gates = True
    levels, cost = (2**11, 2**11), 0.125

    def __init__(self, team: Team) -> None:
        self._team = team

    def room(self, rows: int, depth: int) -> Any:
        """Return memory for so many rows, a multiple of the unit."""
        return Halves.room(self._team, rows, depth)

    def codes(
        self, room: Any, squares: Any, first: int, depth: int, columns: bool, stream: int | None
    ) -> Halves:
        """Return rows that are yet to be filled."""
        del columns, stream
        return Halves(self._team, room, squares, first, depth)


class Screens:
    """Screens of a team's devices."""

    def __init__(self, team: Team) -> None:
        self._team, self.coder = team, HalfCoder(team)

    def rehearse(self, folds: list[Any], dtypes: tuple[Any, ...], depth: int, coded: bool) -> None:
        """Do nothing: kernels are compiled, or found in CuPy's cache, when they are launched."""
        del folds, dtypes, depth, coded

    def cost(self, depth: int) -> float:
        """Return what a pair of unit rows costs, in float32 multiply-adds."""
        return depth

    def chain(self, depth: int, certain: bool = True) -> int:
        """Return the roundings that a float32 product goes through, by any order or by parts."""
        return chain(depth, certain)

    def room(self, rows: int, depth: int) -> Any:
        """Return memory for so many unit rows, a multiple of the unit."""
        return Units.room(self._team, rows, depth)

    def units(self, room: Any, squares: Any, first: int, depth: int) -> Units:
        """Return float32 unit rows that are yet to be filled."""
        return Units(self._team, room, squares, first, depth)

    def packed(self, block: Any, exponents: Any, squares: Any) -> Units:
        """Return a block's rows as unit rows, in memory of their own."""
        rows = -(-len(block) // UNIT) * UNIT
        units = self.units(self.room(rows, block.shape[1]), squares, 0, block.shape[1])
        units.fill(block, exponents, squares, 0)
        return units

    def products(self, left: Units, right: Units) -> Any:
        """Return the float32 dot products of all unit rows of two small sets."""
        module = self._team.here().module
        out = self._team.arrays.empty((left.rows, right.rows), np.float32)
        products(module, left.entries(module, 0, left.rows),
                 right.entries(module, 0, right.rows), out)  # fmt: skip
        return out.get()

    def projected(
        self, directions: Units, block: Any, exponents: Any, squares: Any
    ) -> tuple[Any, Any]:
        """Return `products` of a block's rows with packed ones, and the sums of their squares."""
        found = self.products(self.packed(block, exponents, squares), directions)
        return found, np.square(found, dtype=np.float64).sum(axis=1)

    def screen(
        self,
        workspace: Any,
        left: Units,
        right: Units,
        tile: tuple[int, int, int, int],
        shift: int | None,
        folds: Sequence[Any],
    ) -> None:
        """Fold a tile's values into folds that are aimed at it; `workspace` has room for these."""
        place = self._team.here()
        values = Values(place, workspace, (left, right), tile, shift, folds[0].error)
        decider = None
        if left.source is not None and right.source is not None:
            row, column = left.first + tile[0], right.first + tile[2]
            decider = Decider(place.module, left.source, right.source, row, column)
        for fold in folds:
            fold.screen(values, decider)
