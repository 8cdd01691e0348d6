"""Sums of products of unit rows on a device, in float64 whatever precision was asked for."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import reference
from .deciding import scaled
from .team import Team

# Columns of a strip, a product of matrices each.
_UNIT = 128


class SecondMoment(reference.SecondMoment):
    """The same by cuBLAS: blocks of rows are copied to the device, or lie there."""

    def __init__(
        self, team: Team, depth: int, first: int, last: int, rows: int, dtype: Any
    ) -> None:
        super().__init__(depth, first, last, rows, dtype)
        self._team = team
        self._triangle: tuple[Any, Any] = None, None

    @staticmethod
    def shape(dtype: Any) -> tuple[int, int]:
        """Return the columns of a strip, and how many of them lie together."""
        del dtype
        return _UNIT, _UNIT

    @classmethod
    def row_bytes(cls, depth: int, dtype: Any) -> int:
        """Return a bound on the bytes of buffers a row."""
        del dtype
        return 24 * (depth + _UNIT)

    def _units_there(self, block: Any, factors: Any) -> Any:
        """Return a block's rows times their factors on the device, zeros up to whole strips."""
        arrays, width = self._team.arrays, self.last * self.unit
        rows = scaled(self._team, block, np.zeros(len(block), np.int32))
        some = min(self.depth, width)
        units = arrays.zeros((len(block), width), np.float64)
        units[:, :some] = rows[:, :some]
        units *= arrays.asarray(np.asarray(factors, np.float64))[:, None]
        return units

    def add(self, block: Any, factors: Any, sums: Any, fresh: bool) -> None:
        """Add a block's rows to the sums; if they are `fresh` these begin here, else were zeros."""
        if fresh:
            sums[:] = 0.0
        units = self._units_there(block, factors)
        for strip, (above, square) in enumerate(self.strips(sums), self.first):
            columns = units[:, strip * self.unit : (strip + 1) * self.unit]
            products = self._team.arrays.matmul(units[:, : (strip + 1) * self.unit].T, columns)
            found = products.get()
            above[0] += found[: -self.unit]
            square[0] += found[-self.unit :]

    def add_energies(self, block: Any, factors: Any, triangle: Any, out: Any) -> None:
        """Add to `out` these strips' share of u T u, T the triangle, for each of a block's rows."""
        arrays = self._team.arrays
        if self._triangle[0] is not triangle:
            self._triangle = triangle, arrays.asarray(triangle.astype(np.float64, copy=False))
        units = self._units_there(block, factors)
        total = arrays.zeros(len(block), np.float64)
        for strip, (above, square) in enumerate(self.strips(self._triangle[1]), self.first):
            low, high = strip * self.unit, (strip + 1) * self.unit
            products = arrays.matmul(units[:, low:high], square[0])
            if strip:
                products += arrays.matmul(units[:, :low], above[0])
            total += (units[:, low:high] * products).sum(axis=1)
        out += total.get()
