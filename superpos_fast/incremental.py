"""Vectors that come block by block: what is known of all pairs grows at the cost of new ones."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .backends import Backend, choose_backend
from .bins import Quantity, bin_counts, bin_edges, bin_thresholds, scale_of
from .blocks import Source
from .execution import Execution, resources
from .floating import ieee_mode
from .maps import ArrayRows
from .native import working_type
from .problem import posed
from .ranking import Ranking
from .reached import Reached
from .reductions import Counts, Reduction, State
from .results import Coherence, Nearest
from .run import reduce_pairs
from .vectors import (
    Looked,
    Matrix,
    Vectors,
    as_source,
    check_count,
    check_flag,
    check_zero,
    device_of,
    looked_at,
    survey,
)

_MOST_NEIGHBOURS = 1024
_MOST_ENTRIES = 2**32
_READ_ENTRIES = 2**20


class Incremental:
    """Coherence, nearest neighbours and histogram of vectors that are added block by block.

    Parameters
    ----------
    d : int
        Entries of a vector.
    k : int
        Neighbours of each vector, 1 to 1024.
    signed : bool
        Compare cosines with their sign, for coherence and neighbours.
    bins, range, of
        The histogram's, as for `histogram`.
    zero : {"raise", "skip"}
        Refuse rows of zeros, or leave them out (they keep their place).
    **execution
        How to compute, never what (see `Execution`); for every `add`.

    Raises
    ------
    TypeError, ValueError
        For an argument of another kind or out of range.

    Notes
    -----
    Every answer is, to the bit, that of the function of that name for all vectors so far.  Adding m
    vectors to n takes 2 m (n + m / 2) d operations.  Holds a copy of the vectors, as float32 where
    that is exact, in an array that doubles when it is full, and 16 n k bytes: in the host's memory,
    also of blocks that lie on a device.

    Examples
    --------
    >>> import superpos_fast
    >>> found = superpos_fast.Incremental(2, bins=[0, 60, 120, 180])
    >>> found.add([[1, 0], [0, 1]]).coherence.value
    0.0
    >>> found.add([[1, 1]]).coherence.value
    0.7071067811865475
    >>> found.nearest.indices.ravel().tolist(), found.histogram[0].tolist()
    ([2, 2, 0], [2, 1, 0])
    """

    def __init__(
        self,
        d: int,
        *,
        k: int = 1,
        signed: bool = False,
        bins: int | ArrayLike = 180,
        range: tuple[float, float] | None = None,  # noqa: A002
        of: Quantity = "angle",
        zero: str = "raise",
        **execution: Unpack[Execution],
    ) -> None:
        depth = check_count(d, "d", 1, _MOST_ENTRIES)
        self._k = check_count(k, "k", 1, _MOST_NEIGHBOURS)
        self._magnitude = not check_flag(signed, "signed")
        lowest, highest, self._bin_magnitude, self._is_angle = scale_of(of)
        self._edges = bin_edges(bins, range, lowest, highest)
        check_zero(zero)
        resources(execution)
        for name in ("shard", "checkpoint"):
            if execution.get(name) is not None:
                raise ValueError(f"{name}: must be left out of what grows, got one")
        self._zero, self._execution = zero, execution
        self._rows = np.empty((0, depth), np.float32)
        self._exponents, self._squares = np.empty(0, np.int32), np.empty(0)
        self._states: list[State] = []

    def __len__(self) -> int:
        return len(self._squares)

    def __repr__(self) -> str:
        return f"Incremental({len(self)} x {self._rows.shape[1]})"

    @property
    def vectors(self) -> NDArray[Any]:
        """All vectors so far, read-only."""
        rows = self._rows[: len(self)]
        rows.flags.writeable = False
        return rows

    def add(self, block: Matrix) -> Incremental:
        """Add vectors, and compare each of them with all others.

        Parameters
        ----------
        block : array_like, shape (m, d)
            One vector a row, in any type that `coherence` takes.

        Returns
        -------
        Incremental
            This one.

        Raises
        ------
        TypeError, ValueError
            As for `coherence`; then, and if it is interrupted, nothing is added.
        """
        new = self._looked_at(block)
        before, count = len(self), len(self) + len(new)
        rows = self._room_for(count, new.source.rows(0, len(new)))
        exponents = np.concatenate([self._exponents, new.exponents])
        squares = np.concatenate([self._squares, new.squares])
        states = self._states
        if len(new) and np.count_nonzero(squares) >= 2:
            both = Vectors("block", ArrayRows(rows[:count]), exponents, squares)
            states = self._compared(both, before)
        self._rows, self._exponents, self._squares = rows, exponents, squares
        self._states = states
        return self

    def _backend(self) -> Backend:
        allowed = resources(self._execution)
        return choose_backend(allowed.backend, allowed.devices)

    def _looked_at(self, block: Matrix) -> Vectors:
        source = as_source(block, "block", self._execution.get("tensor"))
        if device_of(source) is not None:
            source = ArrayRows(np.asarray(source))
        if source.shape[1] != self._rows.shape[1]:
            raise ValueError(
                f"block: must have {self._rows.shape[1]} columns, got shape {source.shape}"
            )
        backend = self._backend()
        step = max(1, _READ_ENTRIES // source.shape[1])

        def each(work: Any, items: Any) -> None:
            for item in items:
                work(item)

        def look(source: Source, name: str) -> Looked:
            rows = range(source.shape[0])
            return looked_at(source, name, rows, step, backend.kernels, each)

        with ieee_mode(), backend.at_work():
            return survey(source, "block", self._zero, 0, look)

    def _room_for(self, count: int, new: Any) -> Any:
        """Return the rows with the new ones behind them, in the same memory if there is room."""
        dtype = np.result_type(self._rows.dtype, working_type(new.dtype))
        rows = self._rows
        if count > len(rows) or dtype != rows.dtype:
            size = count if count <= len(rows) else max(count, 2 * len(rows))
            rows = np.empty((size, rows.shape[1]), dtype)
            rows[: len(self)] = self._rows[: len(self)]
        rows[len(self) : count] = new
        return rows

    def _compared(self, vectors: Vectors, before: int) -> list[State]:
        """Return what is known once the vectors from `before` on are compared with all."""
        reached = Reached(bin_thresholds(self._edges, self._is_angle), self._bin_magnitude)
        demand = Ranking.demand(self._k, 16 * self._k * len(vectors))
        demand += Counts.demand(max(1, len(reached.levels)))
        with posed(
            vectors, None, self._zero, self._execution, lambda n, m: demand, first=before
        ) as problem:
            reductions = self._known(vectors, reached)
            reduce_pairs(problem, *reductions)
            return [reduction.state() for reduction in reductions]

    def _known(self, vectors: Vectors, reached: Reached) -> list[Reduction]:
        """Return reductions that know what is known, of more vectors perhaps."""
        ranking = Ranking(vectors, vectors, True, k=self._k, per="both", magnitude=self._magnitude)
        reductions: list[Reduction] = [ranking]
        if reached.reduction is not None:
            reductions.append(reached.reduction)
        kernels = self._backend().kernels
        for reduction, state in zip(reductions, self._states, strict=False):
            reduction.join(state, kernels)
        return reductions

    def _ranked(self) -> tuple[Any, Any]:
        vectors = Vectors("block", ArrayRows(self.vectors), self._exponents, self._squares)
        (ranking, *_) = self._known(vectors, Reached(np.empty(0), self._magnitude))
        assert isinstance(ranking, Ranking)
        return ranking.ranked(self._backend().kernels)

    @property
    def nearest(self) -> Nearest:
        """The k nearest of each vector; NaN and -1 where there are fewer."""
        return Nearest(*self._ranked())

    @property
    def coherence(self) -> Coherence:
        """The closest pair; NaN and rows -1 while there is none."""
        cosines, indices = self._ranked()
        strengths = np.abs(cosines[:, 0]) if self._magnitude else cosines[:, 0]
        if not len(self) or np.isnan(strengths).all():
            return Coherence(float("nan"), -1, -1)
        i = int(np.nanargmax(strengths))
        return Coherence(float(strengths[i]), i, int(indices[i, 0]))

    @property
    def histogram(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Counts and edges of the histogram of all pairs."""
        reached = Reached(bin_thresholds(self._edges, self._is_angle), self._bin_magnitude)
        kept = int(np.count_nonzero(self._squares))
        if reached.reduction is not None and self._states:
            reached.reduction.join(self._states[1], None)  # type: ignore[arg-type]
        counts = reached.counts(kept * (kept - 1) // 2)
        return bin_counts(counts, self._is_angle), self._edges
