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

    def raise_lines(self, row_peaks: Any, column_peaks: Any | None, k: int, shift: int) -> None:
        """Raise those of rows, and of columns if there are peaks of theirs, to k-th largest peaks.

        A row has its peaks side by side, a column below each other.  A row and the column that is
        `shift` less are the same vector, which has the higher of both.
        """
        rows, count = self._sizes[0], sum(self._sizes)
        raised = [self._arrays.full(count, -np.inf, kind) for kind in (np.float64, np.float32)]
        groups = row_peaks.shape[1]
        self._kth(row_peaks, groups, (groups, 1), k, *(part[:rows] for part in raised))
        if column_peaks is not None:
            groups, columns = column_peaks.shape
            self._kth(column_peaks, groups, (1, columns), k, *(part[rows:] for part in raised))
            self._share(raised, shift)
        for gates, higher in zip((self._exact, self._narrow), raised, strict=True):
            gates[:count] = self._arrays.maximum(gates[:count], higher)

    def _share(self, raised: list[Any], shift: int) -> None:
        rows, columns = self._sizes
        first, end = max(0, shift), min(rows, columns + shift)
        if first >= end:
            return
        for part in raised:
            of_rows, of_columns = part[first:end], part[rows + first - shift : rows + end - shift]
            self._arrays.maximum(of_rows, of_columns, out=of_rows)
            of_columns[:] = of_rows

    def raise_all(self, peaks: Any, k: int) -> None:
        """Raise those of rows to the k-th largest of all peaks."""
        raised = [self._arrays.full(1, -np.inf, kind) for kind in (np.float64, np.float32)]
        self._kth(peaks, peaks.size, (0, 1), k, *raised)
        for gates, higher in zip(self._sides(), raised, strict=True):
            gates[0][:] = self._arrays.maximum(gates[0], higher)

    def _kth(
        self, peaks: Any, groups: int, steps: tuple[int, int], k: int, exact: Any, narrow: Any
    ) -> None:
        self._even = None
        self._module.launch(
            "raise_gates", (ceil(len(exact) / 8),), peaks=peaks, lines=len(exact), groups=groups,
            line_stride=steps[0], group_stride=steps[1], k=k, gates=exact, narrow=narrow,
        )  # fmt: skip
