"""Who may join: rows held against those that are kept, each pair decided as everywhere else.

Float32 dot products settle all but what is within their bound of the tolerance; that is decided in
the deciding arithmetic.  So the answer depends on nothing but the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..protocols import Kernels, Side
from ..screening import float32_bound

# Kept rows that candidates meet at a time, and candidates that one thread holds: 512 x 256 float32
# products are 512 KiB, which stay in L2.
CHUNK, TOGETHER = 256, 512


@dataclass
class _Chunk:
    """Some kept rows, and the same packed."""

    side: Side
    packed: Any


class Kept:
    """The kept rows of a growing set whose |cos| are all within a tolerance.

    Parameters
    ----------
    kernels : Kernels
        Who computes.
    d : int
        Dimensions.
    tolerance : float
        The largest |cos| that is tolerated.
    """

    def __init__(self, kernels: Kernels, d: int, tolerance: float) -> None:
        self._kernels, self._d, self._tolerance = kernels, d, tolerance
        screens = kernels.screens
        self._bound = 0.0 if screens is None else float32_bound(d, screens.chain(d))
        self._chunks: list[_Chunk] = []
        self._open = np.empty((0, d), np.float32)
        self.count = 0

    def add(self, rows: NDArray[np.float32]) -> None:
        """Keep rows that were found to be tolerated."""
        if not len(rows):
            return
        if len(self._open):
            self._chunks.pop()
        rest = np.concatenate([self._open, rows])
        self.count += len(rows)
        for start in range(0, len(rest), CHUNK):
            part = np.ascontiguousarray(rest[start : start + CHUNK])
            side = self.side(part)
            self._chunks.append(_Chunk(side, self._packed(side)))
            self._open = part if len(part) < CHUNK else np.empty((0, self._d), np.float32)

    def rows(self) -> NDArray[np.float32]:
        """Return all kept rows."""
        parts = [np.empty((0, self._d), np.float32), *(chunk.side[0] for chunk in self._chunks)]
        return np.concatenate(parts)

    def side(self, rows: NDArray[np.float32]) -> Side:
        """Return rows as kernels take them."""
        exponents, squares, _ = self._kernels.survey(rows)
        return rows, exponents, squares

    def _packed(self, side: Side) -> Any:
        screens = self._kernels.screens
        return None if screens is None else screens.packed(*side)

    def tolerated(self, rows: NDArray[np.float32], since: int = 0) -> NDArray[np.int64]:
        """Return which rows are within the tolerance of all rows kept from place `since` on.

        Each leaves as soon as one is found that it is too close to.
        """
        alive = np.arange(len(rows))
        side = self.side(rows)
        packed = self._packed(side)
        here = alive  # where the packed rows stand among all
        for chunk in self._chunks[since // CHUNK :]:
            if not len(alive):
                break
            if 2 * len(alive) <= len(here):
                here = alive
                side = self.side(np.ascontiguousarray(rows[here]))
                packed = self._packed(side)
            within = np.searchsorted(here, alive)
            alive = alive[~self._refused(side, packed, within, chunk)]
        return alive

    def _refused(
        self, side: Side, packed: Any, some: NDArray[np.int64], chunk: _Chunk
    ) -> NDArray[np.bool_]:
        """Return which of some rows are too close to a row of a chunk."""
        screens = self._kernels.screens
        if screens is None:
            i, j = np.indices((len(some), len(chunk.side[0]))).reshape(2, -1)
            found = np.zeros(len(some), bool)
            found[i[self._too_close(side, some[i], chunk.side, j)]] = True
            return found
        values = np.abs(screens.products(packed, chunk.packed))
        strongest = values.max(axis=1)[some].astype(np.float64)
        refused: NDArray[np.bool_] = strongest > self._tolerance + self._bound
        unclear = np.flatnonzero(~refused & (strongest >= self._tolerance - self._bound))
        if len(unclear):
            i, j = np.nonzero(values[some[unclear]] >= self._tolerance - self._bound)
            refused[unclear[i[self._too_close(side, some[unclear[i]], chunk.side, j)]]] = True
        return refused

    def _too_close(self, left: Side, i: Any, right: Side, j: Any) -> NDArray[np.bool_]:
        cosines = self._kernels.listed_cosines(left, i, right, j)
        close: NDArray[np.bool_] = np.abs(cosines) > self._tolerance
        return close

    def in_turn(self, rows: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return which rows are accepted when each is held against those accepted before it."""
        side = self.side(rows)
        i, j = np.triu_indices(len(rows), 1)
        close = np.zeros((len(rows), len(rows)), bool)
        close[j, i] = self._too_close(side, i, side, j)
        accepted: list[int] = []
        for row in range(len(rows)):
            if not close[row, accepted].any():
                accepted.append(row)
        return np.array(accepted, np.int64)
