"""The best assignment on a sparse table of scores, with the duals that prove it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .protocols import HostKernels


@dataclass(frozen=True)
class Assignment:
    """A matching of largest sum on a sparse table, and duals that cover all of the table's pairs.

    Attributes
    ----------
    partners : ndarray of int64
        Each row's column, or -1.
    row_duals, column_duals : ndarray of int64
        None is below 0; those of what is not matched are 0, and those of a matched pair add up to
        its score.
    value : int
        The sum of the scores of matched pairs.
    """

    partners: Any
    row_duals: Any
    column_duals: Any
    value: int

    @property
    def bound(self) -> int:
        """What no matching can exceed if the duals cover all pairs: their sum."""
        return int(self.row_duals.sum()) + int(self.column_duals.sum())


class Candidates:
    """A sparse table of scores, whole numbers above 0, to which pairs are added.

    Parameters
    ----------
    rows, columns : int
        Its shape.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self._shape = rows, columns
        self._keys = self._scores = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, i: Any, j: Any, scores: Any) -> None:
        """Add pairs; those that are there already stay, and a score of 0 is none."""
        there = scores > 0
        keys = np.concatenate([self._keys, i[there] * self._shape[1] + j[there]])
        self._keys, first = np.unique(keys, return_index=True)
        self._scores = np.concatenate([self._scores, scores[there]])[first]

    def levels(self, k: int) -> tuple[Any, Any]:
        """Return what leaves each row k pairs or more, once columns are levelled by duals.

        A column's dual is its k-th largest score.  Where some columns are closer to all rows than
        others are, and they are all that rows list, rows list others then (local scaling; A.
        Conneau et al. 2018, "Word translation without parallel data", section 2.3).
        """
        i, j = np.divmod(self._keys, self._shape[1])
        columns = _kth_largest(j, self._scores, self._shape[1], k)
        rows = _kth_largest(i, self._scores - columns[j], self._shape[0], k)
        return rows - 1, columns

    def best(self, kernels: HostKernels, begin: Assignment | None = None) -> Assignment:
        """Return a best assignment; it is found sooner from the one of fewer candidates."""
        rows, columns = self._shape
        partners = np.full(rows, -1) if begin is None else begin.partners.copy()
        v = np.zeros(columns, np.int64) if begin is None else begin.column_duals.copy()
        i, j = np.divmod(self._keys, columns)
        starts = self._starts(self._keys, columns)
        u = self._largest(starts, self._scores - v[j])
        self._part(partners, u, v)
        owners = np.full(columns, -1)
        matched = np.flatnonzero(partners >= 0)
        owners[partners[matched]] = matched
        kernels.match_free(starts, j, self._scores, u, v, partners, owners)
        if (v[owners < 0] > 0).any():
            order = np.argsort(j, kind="stable")
            turned = np.searchsorted(j[order], np.arange(columns + 1))
            kernels.match_free(turned, i[order], self._scores[order], v, u, owners, partners)
        matched = np.flatnonzero(partners >= 0)
        return Assignment(partners, u, v, int(self._at(matched, partners[matched]).sum()))

    def _starts(self, keys: Any, columns: int) -> Any:
        return np.searchsorted(keys, np.arange(self._shape[0] + 1) * columns)

    def _largest(self, starts: Any, values: Any) -> Any:
        """Return the largest value of each row, or 0."""
        largest = np.zeros(self._shape[0], np.int64)
        has = np.flatnonzero(np.diff(starts))
        if len(has):
            largest[has] = np.maximum(0, np.maximum.reduceat(values, starts[has]))
        return largest

    def _part(self, partners: Any, u: Any, v: Any) -> None:
        """Part the pairs whose duals do not add up to their score, in place."""
        matched = np.flatnonzero(partners >= 0)
        columns = partners[matched]
        loose = u[matched] + v[columns] != self._at(matched, columns)
        partners[matched[loose]] = -1

    def _at(self, i: Any, j: Any) -> Any:
        """Return the scores of pairs that are there."""
        return self._scores[np.searchsorted(self._keys, i * self._shape[1] + j)]


def _kth_largest(groups: Any, values: Any, count: int, k: int) -> Any:
    """Return each group's k-th largest value; 0 where there are fewer."""
    order = np.lexsort((-values, groups))
    starts = np.searchsorted(groups[order], np.arange(count + 1))
    has = np.flatnonzero(np.diff(starts) >= k)
    largest = np.zeros(count, np.int64)
    largest[has] = values[order[starts[has] + k - 1]]
    return largest
