"""What values of a tile must reach to matter to their row or their column, on the device."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from ..rounding import float32_below
from .loader import Module


class Gates:
    """Gates of a tile's rows and columns: those of cosines, and float32 ones not above these.

    Attributes
    ----------
    blind : bool
        Whether any was -inf when they were set.
    """

    def __init__(self, arrays: Any, module: Module, lines: int) -> None:
        self._arrays, self._module = arrays, module
        self._exact, self._narrow = (arrays.empty(lines, kind) for kind in (np.float64, np.float32))
        self._sizes: tuple[int, int] = (0, 0)
        self._even: tuple[Any, ...] | None = None
        self.blind = False

    def set(self, rows: Any, columns: Any) -> None:
        """Take those of the host, float64; one number for all is not copied for each."""
        self._sizes = len(rows), len(columns)
        if rows.strides == columns.strides == (0,):
            even = *self._sizes, float(rows[0]), float(columns[0])
            self.blind = -np.inf in even
            if even != self._even:
                self._even = even
                for exact, narrow, gate in zip(*self._sides(), even[2:], strict=True):
                    exact.fill(gate)
                    narrow.fill(float(float32_below(gate)))
            return
        self._even = None
        count = sum(self._sizes)
        both = np.concatenate([rows, columns])
        self.blind = bool(both.min() == -np.inf)
        self._exact[:count] = self._arrays.asarray(both)
        self._module.launch(
            "narrow_gates", (ceil(count / 256),), gates=self._exact[:count], count=count,
            narrow=self._narrow[:count],
        )  # fmt: skip

    def _sides(self) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        """Return gates of rows and columns, exact and narrow."""
        rows, count = self._sizes[0], sum(self._sizes)
        exact, narrow = self._exact, self._narrow
        return (exact[:rows], exact[rows:count]), (narrow[:rows], narrow[rows:count])

    def exact(self) -> dict[str, Any]:
        """Return those of cosines as a kernel's arguments."""
        rows, columns = self._sides()[0]
        return {"row_gates": rows, "column_gates": columns}

    def narrow(self) -> dict[str, Any]:
        """Return those of float32 values."""
        rows, columns = self._sides()[1]
        return {"row_gates": rows, "column_gates": columns}

    def exact_of(self, row: int, rows: int) -> dict[str, Any]:
        """Return those of cosines of some of the rows."""
        of_rows, columns = self._sides()[0]
        return {"row_gates": of_rows[row : row + rows], "column_gates": columns}

    def raise_side(self, side: int, peaks: Any, groups: int, k: int) -> None:
        """Raise those of rows (0) or columns (1) to their k-th largest peaks.

        `peaks` has a row's `groups` side by side, a column's below each other.
        """
        exact, narrow = (part[side] for part in self._sides())
        steps = (groups, 1) if side == 0 else (1, len(exact))
        self._raise(peaks, groups, steps, k, exact, narrow)

    def share(self, shift: int) -> None:
        """Give a row and the column that is `shift` less, the same vector, the higher of theirs."""
        rows, columns = self._sizes
        first, end = max(0, shift), min(rows, columns + shift)
        if first >= end:
            return
        for of_rows, of_columns in self._sides():
            some, same = of_rows[first:end], of_columns[first - shift : end - shift]
            self._arrays.maximum(some, same, out=some)
            same[:] = some

    def raise_all(self, peaks: Any, k: int) -> None:
        """Raise those of rows to the k-th largest of all peaks."""
        one = [self._arrays.full(1, -np.inf, kind) for kind in (np.float64, np.float32)]
        self._raise(peaks, peaks.size, (0, 1), k, *one)
        for gates, raised in zip(self._sides(), one, strict=True):
            gates[0][:] = self._arrays.maximum(gates[0], raised)

    def _raise(
        self, peaks: Any, groups: int, steps: tuple[int, int], k: int, exact: Any, narrow: Any
    ) -> None:
        self._even = None
        self._module.launch(
            "raise_gates", (ceil(len(exact) / 8),), peaks=peaks, lines=len(exact), groups=groups,
            line_stride=steps[0], group_stride=steps[1], k=k, gates=exact, narrow=narrow,
        )  # fmt: skip
