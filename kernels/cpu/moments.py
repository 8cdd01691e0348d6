"""Sums of products of unit rows as the engine holds them: a thread's buffers, blocks added in."""

from __future__ import annotations

from functools import cache, cached_property
from math import ceil
from typing import Any

import numpy as np

from .. import reference
from . import micro_f32, second_moment
from .arrays import aligned, frozen


class SecondMoment(reference.SecondMoment):
    """The same in registers, with buffers that are made at first use."""

    def __init__(self, depth: int, first: int, last: int, rows: int, dtype: Any) -> None:
        super().__init__(depth, first, last, rows, dtype)
        self._width = last * self.unit
        # An odd stride in cache lines: rows a power of two apart share cache sets.
        line = 64 // self.dtype.itemsize
        self._stride = (ceil(self._width / line) | 1) * line

    @staticmethod
    def shape(dtype: Any) -> tuple[int, int]:
        """Return the columns of a strip, and how many of them lie together."""
        size = np.dtype(dtype).itemsize
        return second_moment.unit_for(size), second_moment.words_for(size).lanes

    @classmethod
    def row_bytes(cls, depth: int, dtype: Any) -> int:
        """Return a bound on the bytes of buffers a row."""
        unit, lanes = cls.shape(dtype)
        return (depth + unit) * np.dtype(dtype).itemsize + 128 + 8 * lanes

    @staticmethod
    @cache
    def rehearse(read: Any, dtype: Any, energies: bool) -> None:
        """Compile, or load, what blocks of that type need."""
        block, factors = np.ones((2, 8), read), np.ones(2, np.result_type(read, dtype))
        moment = SecondMoment(8, 0, 1, micro_f32.UNROLL * micro_f32.ROWS, dtype)
        sums = np.zeros(moment.size, dtype)
        if energies:
            moment.add_energies(block, factors, sums, np.zeros(2))
        else:
            moment.add(block, factors, sums, True)

    @cached_property
    def _panels(self) -> tuple[Any, Any]:
        return np.zeros(self._width, self.dtype), aligned(self.rows * self._width, self.dtype)

    @cached_property
    def _lines(self) -> tuple[Any, Any]:
        units = aligned(self.rows * self._stride, self.dtype)
        units[:] = 0.0
        return units, np.empty(self.rows * self.lanes)

    def add(self, block: Any, factors: Any, sums: Any, fresh: bool) -> None:
        """Add a block's rows to the sums; if they are `fresh` these begin here, else were zeros."""
        line, panels = self._panels
        second_moment.add_moment(
            frozen(block), factors, self.depth, self.first, self.last, self.rows,
            line, panels, sums, not fresh,
        )  # fmt: skip

    def add_energies(self, block: Any, factors: Any, triangle: Any, out: Any) -> None:
        """Add to `out` these strips' share of u T u, T the triangle, for each of a block's rows."""
        units, sums = self._lines
        second_moment.add_energies(
            frozen(block), factors, self.depth, self.first, self.last, self.rows,
            self._stride, units, triangle, sums, out,
        )  # fmt: skip
